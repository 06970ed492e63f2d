#include "bridge.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <GraphMol/ChemTransforms/ChemTransforms.h>
#include <GraphMol/Descriptors/MolDescriptors.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/SanitException.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <GraphMol/Substruct/SubstructMatch.h>
#include <RDGeneral/RDLog.h>
#include <RDGeneral/versions.h>

#include "equidrift-rdkit/src/bridge.rs.h"

namespace equidrift {

using RDKit::Atom;
using RDKit::Bond;
using RDKit::ROMol;
using RDKit::RWMol;
namespace MolOps = RDKit::MolOps;

namespace {

// Bond orders as they cross the bridge; the same numbers as `BondOrder` in src/graph.rs.
constexpr std::uint8_t kAromatic = 4;

Bond::BondType bond_type(std::uint8_t order) {
  switch (order) {
    case 1:
      return Bond::SINGLE;
    case 2:
      return Bond::DOUBLE;
    case 3:
      return Bond::TRIPLE;
    case kAromatic:
      return Bond::AROMATIC;
    default:
      throw std::invalid_argument("no bond order " + std::to_string(order));
  }
}

std::uint8_t order_number(const Bond &bond) {
  switch (bond.getBondType()) {
    case Bond::SINGLE:
      return 1;
    case Bond::DOUBLE:
      return 2;
    case Bond::TRIPLE:
      return 3;
    case Bond::AROMATIC:
      return kAromatic;
    default:
      throw std::domain_error("bond " + std::to_string(bond.getIdx()) +
                              " is neither single, double, triple nor aromatic");
  }
}

const ROMol &referent(const Molecule &molecule) {
  if (!molecule) {
    throw std::invalid_argument("no molecule");
  }
  return *molecule;
}

const RWMol &referent(const Pattern &pattern) {
  if (!pattern) {
    throw std::invalid_argument("no pattern");
  }
  return *pattern;
}

Molecule owned(ROMol *molecule) { return Molecule(molecule); }

}  // namespace

Molecule build(rust::Slice<const AtomRecord> atoms, rust::Slice<const BondRecord> bonds) {
  auto molecule = std::make_shared<RWMol>();
  for (const AtomRecord &record : atoms) {
    auto atom = std::make_unique<Atom>(record.atomic_number);
    atom->setFormalCharge(record.charge);
    if (record.hydrogens >= 0) {
      atom->setNumExplicitHs(static_cast<unsigned int>(record.hydrogens));
      atom->setNoImplicit(true);
    }
    constexpr bool update_label = false;
    constexpr bool take_ownership = true;
    molecule->addAtom(atom.release(), update_label, take_ownership);
  }
  for (const BondRecord &record : bonds) {
    molecule->addBond(record.begin, record.end, bond_type(record.order));
    if (record.order == kAromatic) {
      molecule->getBondBetweenAtoms(record.begin, record.end)->setIsAromatic(true);
      molecule->getAtomWithIdx(record.begin)->setIsAromatic(true);
      molecule->getAtomWithIdx(record.end)->setIsAromatic(true);
    }
  }
  return molecule;
}

Molecule sanitised(const Molecule &molecule) {
  auto copy = std::make_shared<RWMol>(referent(molecule));
  MolOps::sanitizeMol(*copy);
  return copy;
}

rust::Vec<ProblemRecord> problems(const Molecule &molecule) {
  // Everything but the clean-ups, which would rewrite the molecule before it is judged. The number stands for
  // SANITIZE_CLEANUP_ORGANOMETALLICS, which RDKit before 2023.03 has not.
  constexpr unsigned int cleanup_organometallics = 0x400;
  constexpr unsigned int as_given = MolOps::SANITIZE_ALL & ~(MolOps::SANITIZE_CLEANUP | cleanup_organometallics);
  const ROMol &mol = referent(molecule);
  std::vector<std::unique_ptr<RDKit::MolSanitizeException>> all;
  try {
    all = MolOps::detectChemistryProblems(mol, as_given);
  } catch (const std::exception &) {
    // The search for a Kekulé form goes on although valences are wrong, and then stumbles over an atom with a fixed
    // number of hydrogens that has no valence. The wrong valences are the answer.
    all = MolOps::detectChemistryProblems(mol, MolOps::SANITIZE_PROPERTIES);
    if (all.empty()) {
      throw;
    }
  }
  rust::Vec<ProblemRecord> found;
  for (const auto &problem : all) {
    ProblemRecord record;
    record.kind = problem->getType();
    record.message = std::string(problem->what());
    // Checked casts: a KekulizeException names several atoms, other kinds one, the base class none.
    if (const auto *of_atom = dynamic_cast<const RDKit::AtomSanitizeException *>(problem.get())) {
      record.atoms.push_back(of_atom->getAtomIdx());
    } else if (const auto *of_ring = dynamic_cast<const RDKit::KekulizeException *>(problem.get())) {
      for (unsigned int atom : of_ring->getAtomIndices()) {
        record.atoms.push_back(atom);
      }
    }
    found.push_back(std::move(record));
  }
  return found;
}

std::int32_t first_overloaded_atom(const Molecule &molecule) {
  RWMol copy(referent(molecule));
  try {
    unsigned int failed = 0;
    MolOps::sanitizeMol(copy, failed, MolOps::SANITIZE_PROPERTIES);
  } catch (const RDKit::AtomValenceException &problem) {
    return static_cast<std::int32_t>(problem.getAtomIdx());
  }
  return -1;
}

rust::String canonical_smiles(const Molecule &molecule) { return RDKit::MolToSmiles(referent(molecule)); }

rust::String kekule_smiles_of_raw(const Molecule &molecule) {
  RWMol copy(referent(molecule));
  copy.updatePropertyCache();
  MolOps::Kekulize(copy);  // a no-op unless there are aromatic bonds
  constexpr bool sanitise = false;  // that would perceive aromaticity
  MolOps::removeHs(copy, MolOps::RemoveHsParameters(), sanitise);
  return RDKit::MolToSmiles(copy);
}

GraphRecord kekulised(const Molecule &molecule) {
  RWMol copy(referent(molecule));
  MolOps::Kekulize(copy);
  GraphRecord graph;
  for (const Atom *atom : copy.atoms()) {
    AtomRecord record;
    record.atomic_number = static_cast<std::uint8_t>(atom->getAtomicNum());
    record.charge = static_cast<std::int8_t>(atom->getFormalCharge());
    record.hydrogens = static_cast<std::int16_t>(atom->getTotalNumHs());
    graph.atoms.push_back(record);
  }
  for (const Bond *bond : copy.bonds()) {
    BondRecord record;
    record.begin = bond->getBeginAtomIdx();
    record.end = bond->getEndAtomIdx();
    record.order = order_number(*bond);
    graph.bonds.push_back(record);
  }
  return graph;
}

rust::Vec<FragmentRecord> fragments(const Molecule &molecule) {
  std::vector<std::vector<int>> atoms_of;
  constexpr bool sanitise = false;  // the whole is sanitised, so its parts are
  const auto parts = MolOps::getMolFrags(referent(molecule), sanitise, nullptr, &atoms_of);
  rust::Vec<FragmentRecord> records;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    FragmentRecord record;
    record.smiles = RDKit::MolToSmiles(*parts[part]);
    for (int atom : atoms_of.at(part)) {
      record.atoms.push_back(static_cast<std::uint32_t>(atom));
    }
    records.push_back(std::move(record));
  }
  return records;
}

Molecule murcko_scaffold(const Molecule &molecule) {
  Molecule scaffold = owned(RDKit::MurckoDecompose(referent(molecule)));
  // MurckoDecompose leaves the ring information and hydrogen counts of the whole molecule behind.
  scaffold->clearComputedProps();
  scaffold->updatePropertyCache();
  MolOps::symmetrizeSSSR(*scaffold);
  return scaffold;
}

Molecule without_hydrogen_atoms(const Molecule &molecule) { return owned(MolOps::removeHs(referent(molecule))); }

DescriptorRecord descriptors(const Molecule &molecule) {
  namespace Descriptors = RDKit::Descriptors;
  const ROMol &mol = referent(molecule);
  DescriptorRecord record;
  record.molecular_weight = Descriptors::calcAMW(mol);
  double refractivity = 0.0;
  Descriptors::calcCrippenDescriptors(mol, record.log_p, refractivity);
  record.polar_surface_area = Descriptors::calcTPSA(mol);
  record.hydrogen_bond_donors = Descriptors::calcNumHBD(mol);
  record.rotatable_bonds = Descriptors::calcNumRotatableBonds(mol, Descriptors::Strict);
  return record;
}

std::uint32_t count_matches(const Molecule &molecule, const Pattern &pattern, std::uint32_t limit) {
  RDKit::SubstructMatchParameters parameters;
  parameters.maxMatches = limit;
  const ROMol &query = referent(pattern);
  return static_cast<std::uint32_t>(RDKit::SubstructMatch(referent(molecule), query, parameters).size());
}

std::uint32_t rings_after_deleting(const Molecule &molecule, const Pattern &pattern) {
  const Molecule rest = owned(RDKit::deleteSubstructs(referent(molecule), referent(pattern)));
  return static_cast<std::uint32_t>(MolOps::findSSSR(*rest));
}

rust::String rdkit_version() { return std::string(RDKit::rdkitVersion); }

void silence() { boost::logging::disable_logs("rdApp.*"); }

}  // namespace equidrift
