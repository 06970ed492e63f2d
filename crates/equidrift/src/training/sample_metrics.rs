//! Figures of samples drawn while a model is trained.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_gdss::GraphDataset;
use equidrift_molecule::metrics::stability::StabilityTally;
use equidrift_molecule::metrics::{ChemNet, SetStatistics, SmilesSet, Wanted, available_threads};
use equidrift_molecule::{Chemistry, MoleculeError, SmilesLines};

use crate::datasets::{Selection, is_prepared};
use crate::error::Error;
use crate::generate::{Generator, chemistry};
use crate::request::GenerateRequest;
use crate::summary::share;
use crate::training::family::TrainedModel;
use crate::training::prepared;
use crate::training::settings::TrainingSettings;
use crate::workers::{Ending, StopSignal};

/// What judges a model by its samples. There is one for molecules; graphs may have their own.
pub trait SampleMetrics {
    /// Draws samples of `model` and returns their figures by name; `None` where `stop` answered true. They must be a function
    /// of the model, so that a resumed run logs what an undisturbed one does.
    ///
    /// # Errors
    /// Where sampling fails. Samples that are no good are no error.
    fn measure(
        &mut self,
        model: &TrainedModel,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<BTreeMap<String, f64>>, Error>;
}

/// Validity before and after repair, uniqueness, novelty, connectedness; distances to a reference set.
///
/// | figure | is |
/// | --- | --- |
/// | `validity_before_repair`, `validity`, `uniqueness`, `novelty`, `connectedness` | as in [`crate::Summary`] |
/// | `atm_stable`, `mol_stable` | likewise, where hydrogens are atoms |
/// | `nspdk_mmd` | NSPDK MMD to the reference, if there is one |
/// | `fcd` | Fréchet ChemNet Distance to the reference, if there are weights of ChemNet as well |
pub struct MoleculeSampleMetrics<'a> {
    request: GenerateRequest,
    data: &'a Path,
    graphs: &'a GraphDataset,
    /// Canonical SMILES of the training set, once they are known.
    training: Option<SmilesSet>,
    reference: Option<Reference>,
    chemnet: Option<ChemNet>,
    threads: usize,
}

/// The set that samples are compared with.
enum Reference {
    /// Canonical SMILES; the statistics are made when they are first needed.
    Molecules(Vec<String>),
    Statistics(Box<SetStatistics>),
}

impl<'a> MoleculeSampleMetrics<'a> {
    /// Reads the reference and the weights of ChemNet. `data` is the file that `graphs`, which are trained on, come from.
    ///
    /// # Errors
    /// A file that is missing or is none of its kind; statistics that lack what is asked for; a sampler that cannot work with
    /// the model's paths.
    pub fn new(settings: &TrainingSettings, data: &'a Path, graphs: &'a GraphDataset) -> Result<Self, Error> {
        let sampling = &settings.sampling;
        let request = GenerateRequest {
            num: sampling.num,
            seed: sampling.seed,
            sampler: sampling.sampler.clone(),
            steps: sampling.steps,
            device: settings.device,
            threads: settings.threads,
            ..GenerateRequest::default()
        };
        request.check()?;
        // A sampler that cannot be planned is an error now, not after the first epochs.
        if settings.pard.is_none() {
            let resolved = request.resolve(&settings.sampler, settings.steps)?;
            if let (Some(sampler), Some(steps)) = (&resolved.sampler, resolved.steps) {
                sampler.plan(&[settings.paths.x.clone(), settings.paths.adj.clone()], steps)?;
            }
        }
        let chemnet = sampling.chemnet.as_deref().map(ChemNet::read).transpose()?;
        let reference = match sampling.reference.as_deref() {
            None if chemnet.is_some() => {
                return Err(super::held_out::setting("sampling.chemnet needs sampling.reference"));
            }
            None => None,
            Some(path) if is_statistics(path) => {
                let statistics = SetStatistics::read(path)?;
                let lacks_fcd = chemnet.is_some() && statistics.activations().is_none();
                if lacks_fcd || (chemnet.is_none() && statistics.neighbourhoods().is_none()) {
                    return Err(super::held_out::setting(
                        "sampling.reference: the statistics lack what NSPDK MMD or FCD need",
                    ));
                }
                Some(Reference::Statistics(Box::new(statistics)))
            }
            Some(path) if is_prepared(&Selection::of_path(path).path) => {
                let molecules = prepared::canonical(path)?.unwrap_or_default();
                Some(Reference::Molecules(molecules.into_iter().map(|(_, canonical)| canonical).collect()))
            }
            Some(path) => {
                let mut lines = SmilesLines::open(path)?;
                let canonical = lines.by_ref().filter_map(|line| match line {
                    Ok(line) => chemistry().canonicalise(&line.smiles).ok().map(Ok),
                    Err(error) => Some(Err(error)),
                });
                Some(Reference::Molecules(canonical.collect::<Result<_, _>>()?))
            }
        };
        let threads = if settings.threads == 0 { available_threads() } else { settings.threads };
        Ok(Self { request, data, graphs, training: None, reference, chemnet, threads })
    }

    /// Canonical SMILES of the rows that are trained on; `false` where `stop` answered true.
    fn read_training_set(&mut self, stop: &dyn Fn() -> bool) -> Result<bool, Error> {
        if self.training.is_some() {
            return Ok(true);
        }
        let rows: Vec<u64> = (0..self.graphs.len()).map(|index| self.graphs.row(index)).collect();
        let mut set = SmilesSet::default();
        if let Some(molecules) = prepared::canonical(self.data)? {
            for (_, canonical) in molecules.iter().filter(|(row, _)| rows.binary_search(row).is_ok()) {
                set.insert(canonical);
            }
            self.training = Some(set);
            return Ok(true);
        }
        for line in SmilesLines::open(self.data)? {
            // Lines that are no text were reported when the set was read.
            let Ok(line) = line else { continue };
            if rows.binary_search(&(line.line - 1)).is_ok() {
                if let Ok(canonical) = chemistry().canonicalise(&line.smiles) {
                    set.insert(&canonical);
                }
                if line.line % 1024 == 0 && stop() {
                    return Ok(false);
                }
            }
        }
        self.training = Some(set);
        Ok(true)
    }

    /// NSPDK MMD and FCD of canonical SMILES to the reference, as far as they are wanted.
    fn distances(&mut self, smiles: &[String], figures: &mut BTreeMap<String, f64>) -> Result<(), Error> {
        let Some(reference) = self.reference.take() else { return Ok(()) };
        let name = chemistry().name();
        let of = |smiles: &[String], nspdk: bool| {
            let wanted = Wanted { nspdk, chemnet: self.chemnet.as_ref() };
            SetStatistics::of_canonical(smiles, name, wanted, self.threads, &|_| ())
        };
        let reference = match reference {
            Reference::Statistics(statistics) => statistics,
            Reference::Molecules(molecules) => Box::new(of(&molecules, true)?),
        };
        match of(smiles, reference.neighbourhoods().is_some()) {
            Ok(generated) => {
                let distances = generated.distances(&reference)?;
                let named = [("nspdk_mmd", distances.nspdk_mmd), ("fcd", distances.fcd)];
                figures.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
            }
            // Early in training there may be none; the other figures say so.
            Err(MoleculeError::TooFewMolecules { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.reference = Some(Reference::Statistics(reference));
        Ok(())
    }
}

impl SampleMetrics for MoleculeSampleMetrics<'_> {
    fn measure(
        &mut self,
        model: &TrainedModel,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<BTreeMap<String, f64>>, Error> {
        if !self.read_training_set(&|| stop())? {
            return Ok(None);
        }
        // Through a model folder, as a user would: what is measured is what `generate` draws.
        let folder =
            tempfile::tempdir().map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
        model.write(folder.path())?;
        let name = folder.path().display().to_string();
        let generator = Generator::open(&GenerateRequest { model: name, ..self.request.clone() })?;
        let mut counts = Counts::default();
        let signal = StopSignal::new();
        let watch = |_| {
            if stop() {
                signal.ask_at_once();
            }
        };
        let ending = generator.run(0, &signal, &watch, |_, sample| {
            let molecule = &sample.item;
            counts.add(&molecule.smiles, molecule.valid_without_correction, molecule.fragments, chemistry());
            counts.stability.merge(&molecule.stability);
            Ok(())
        })?;
        if ending != Ending::Complete {
            return Ok(None);
        }
        let mut figures = counts.figures(self.training.as_ref());
        self.distances(&counts.canonical, &mut figures)?;
        Ok(Some(figures))
    }
}

/// What is counted of the samples.
#[derive(Default)]
struct Counts {
    samples: u64,
    valid_before_repair: u64,
    connected: u64,
    /// Nothing where no sample has a hydrogen.
    stability: StabilityTally,
    canonical: Vec<String>,
}

impl Counts {
    fn add(&mut self, smiles: &str, valid_before_repair: bool, fragments: usize, chemistry: &dyn Chemistry) {
        self.samples += 1;
        if smiles.is_empty() {
            return;
        }
        if let Ok(canonical) = chemistry.canonicalise(smiles) {
            self.valid_before_repair += u64::from(valid_before_repair);
            self.connected += u64::from(fragments == 1);
            self.canonical.push(canonical);
        }
    }

    fn figures(&self, training: Option<&SmilesSet>) -> BTreeMap<String, f64> {
        let valid = self.canonical.len() as u64;
        let (mut distinct, mut novel) = (SmilesSet::default(), 0);
        for smiles in &self.canonical {
            if distinct.insert(smiles) && training.is_some_and(|set| !set.contains(smiles)) {
                novel += 1;
            }
        }
        let mut figures = BTreeMap::from([
            ("validity_before_repair".to_owned(), share(self.valid_before_repair, self.samples)),
            ("validity".to_owned(), share(valid, self.samples)),
            ("uniqueness".to_owned(), share(distinct.len() as u64, valid)),
            ("connectedness".to_owned(), share(self.connected, valid)),
        ]);
        if let Some(stability) = self.stability.stability() {
            figures.insert("atm_stable".to_owned(), stability.atoms);
            figures.insert("mol_stable".to_owned(), stability.molecules);
        }
        if training.is_some() {
            figures.insert("novelty".to_owned(), share(novel, distinct.len() as u64));
        }
        figures
    }
}

/// Whether a file holds statistics of a set, by its suffix.
fn is_statistics(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("safetensors"))
}

#[cfg(test)]
mod tests {
    use equidrift_molecule::{Atom, BondOrder, Element, molecule_from};

    use super::*;

    #[test]
    fn figures_are_those_of_the_protocol() {
        let mut training = SmilesSet::default();
        training.insert("CCO");
        let mut counts = Counts::default();
        // Twice the same, one novel and repaired, one in fragments, one without an atom.
        for (smiles, valid, fragments) in
            [("CCO", true, 1), ("OCC", true, 1), ("CCN", false, 1), ("C#N", true, 2), ("", true, 0)]
        {
            counts.add(smiles, valid, fragments, chemistry());
        }
        let figures = counts.figures(Some(&training));
        let expected = [
            ("validity_before_repair", 3.0 / 5.0),
            ("validity", 4.0 / 5.0),
            ("uniqueness", 3.0 / 4.0),
            ("connectedness", 3.0 / 4.0),
            ("novelty", 2.0 / 3.0),
        ];
        assert_eq!(figures, expected.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(Counts::default().figures(None).get("novelty"), None);
        // Formaldehyde, its hydrogens atoms: with them, and with one too few.
        for hydrogens in [2, 1] {
            let atoms = [Element::C, Element::O].into_iter().chain(vec![Element::H; hydrogens]);
            let bonds = [(0, 1, BondOrder::Double), (0, 2, BondOrder::Single), (0, 3, BondOrder::Single)];
            let bonds = bonds.into_iter().take(1 + hydrogens);
            counts.stability.add(&molecule_from(atoms.map(Atom::neutral), bonds).unwrap());
        }
        let figures = counts.figures(None);
        assert_eq!([figures["atm_stable"], figures["mol_stable"]], [6.0 / 7.0, 0.5]);
    }
}
