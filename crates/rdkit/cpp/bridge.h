// What rdkit-sys lacks for generated molecules: molecules from atoms and bonds, the verdict on them with all its
// details, kekulisation, fragments, scaffolds and the primitives of QED.
//
// Every function may throw; cxx turns what is thrown into a Rust `Err` (see trycatch below), so no exception ever
// crosses into Rust. No function changes its argument.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>

#include <GraphMol/GraphMol.h>

#include "rust/cxx.h"

namespace rust {
namespace behavior {
// cxx's own version lets anything that is not a std::exception end the process.
template <typename Try, typename Fail>
static void trycatch(Try &&attempt, Fail &&fail) noexcept try {
  attempt();
} catch (const std::exception &error) {
  fail(error.what());
} catch (...) {
  fail("RDKit threw something that is not a std::exception");
}
}  // namespace behavior
}  // namespace rust

namespace equidrift {

// Shared with Rust; cxx defines them from src/bridge.rs.
struct AtomRecord;
struct BondRecord;
struct GraphRecord;
struct ProblemRecord;
struct FragmentRecord;
struct DescriptorRecord;

using Molecule = std::shared_ptr<RDKit::ROMol>;
using Pattern = std::shared_ptr<RDKit::RWMol>;

Molecule build(rust::Slice<const AtomRecord> atoms, rust::Slice<const BondRecord> bonds);
Molecule sanitised(const Molecule &molecule);
rust::Vec<ProblemRecord> problems(const Molecule &molecule);
std::int32_t first_overloaded_atom(const Molecule &molecule);

rust::String canonical_smiles(const Molecule &molecule);
rust::String kekule_smiles_of_raw(const Molecule &molecule);
GraphRecord kekulised(const Molecule &molecule);
rust::Vec<FragmentRecord> fragments(const Molecule &molecule);
Molecule murcko_scaffold(const Molecule &molecule);

Molecule without_hydrogen_atoms(const Molecule &molecule);
DescriptorRecord descriptors(const Molecule &molecule);
std::uint32_t count_matches(const Molecule &molecule, const Pattern &pattern, std::uint32_t limit);
std::uint32_t rings_after_deleting(const Molecule &molecule, const Pattern &pattern);

rust::String rdkit_version();
void silence();

}  // namespace equidrift
