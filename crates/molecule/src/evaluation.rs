//! Judging a file of samples while it streams by.
//!
//! Lines are read in chunks, chunks are worked on by as many threads as wanted, and what they give is added up in the order
//! of the file, so that no figure depends on the number of threads. Memory does not grow with the file but by 16 bytes and
//! the slack of a hash table for each distinct molecule, and by what the figures asked for keep of a molecule.
//!
//! ```
//! use equidrift_molecule::{Chematic, evaluation::{Evaluator, SampleFile}};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("molecules.smi");
//! std::fs::write(&path, "CCO\nOCC\nC1CC\n")?;
//! let mut evaluator = Evaluator::new(&Chematic);
//! let judged = evaluator.judge(SampleFile::open(&path)?)?;
//! let metrics = judged.tally.metrics(None);
//! assert_eq!((metrics.samples, metrics.valid, metrics.distinct), (3, 2, 1));
//! assert_eq!(judged.problems.listed()[0].to_string(), "3: cannot read SMILES \"C1CC\": ring 1 is not closed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::chemistry::Chemistry;
use crate::chemistry::chematic::written_atoms;
use crate::error::MoleculeError;
use crate::metrics::guacamol::{self, GuacamolSet};
use crate::metrics::moses::{MosesSet, UniqueAt};
use crate::metrics::profile::{MoleculeProfile, ProfileScope, Profilers};
use crate::metrics::set_statistics::{SetChunk, SetMoments};
use crate::metrics::stability::StabilityTally;
use crate::metrics::{SmilesDigest, Tally, Wanted, available_threads, stream_in_threads};
use crate::text_lines::TextLine;

mod descriptor_table;
mod gallery;
mod problems;
mod sample_file;

pub use descriptor_table::{Column, ColumnSummary, DescriptorTable};
pub use gallery::{Gallery, GalleryMember};
pub use problems::{LineProblem, MOST_LISTED, Problems};
pub use sample_file::{Sample, SampleFile, SampleFormat};

/// Lines given to a thread at a time; it is also how many strings the network of FCD reads together.
const CHUNK: usize = 96;

/// How a file is judged.
pub struct Evaluator<'a> {
    /// The chemistry back end.
    pub chemistry: &'a dyn Chemistry,
    /// What distances between sets will be asked for.
    pub wanted: Wanted<'a>,
    /// What of every molecule is wanted: descriptors, what MOSES and GuacaMol ask for; `None` for nothing.
    pub profiles: Option<ProfileScope<'a>>,
    /// Whether atom and molecule stability are wanted.
    pub stability: bool,
    /// Groups of samples ([`crate::metrics::resampling`]); one if no standard errors are to follow.
    pub groups: usize,
    /// Molecules that are kept to be shown.
    pub shown: usize,
    /// Whether the first line that is no molecule ends the reading with an error.
    pub strict: bool,
    /// Threads.
    pub threads: usize,
    /// Told the number of lines that have been judged since it was last called.
    pub progress: Option<&'a mut dyn FnMut(u64)>,
}

/// What was found in a file.
#[derive(Debug)]
pub struct JudgedSet {
    /// Samples, valid ones, distinct ones, ...
    pub tally: Tally,
    /// Lines that are no molecules.
    pub problems: Problems,
    /// What distances to other sets need.
    pub moments: SetMoments,
    /// Descriptors of the valid samples, if profiles were wanted.
    pub descriptors: DescriptorTable,
    /// What the MOSES suite needs, if it was wanted.
    pub moses: MosesSet,
    /// Uniqueness among the first samples as MOSES asks for it, if it was wanted.
    pub unique_at: UniqueAt,
    /// What GuacaMol's benchmark needs, if it was wanted.
    pub guacamol: GuacamolSet,
    /// Stability, if it was wanted.
    pub stability: StabilityTally,
    /// Some of the molecules.
    pub gallery: Gallery,
}

/// What one line was.
enum Verdict {
    Valid { canonical: String, digest: SmilesDigest },
    Blank,
    Problem(LineProblem),
}

struct Judged {
    line: u64,
    verdict: Verdict,
    history: Option<(bool, bool)>,
}

struct Chunk {
    lines: u64,
    judged: Vec<Judged>,
    set: SetChunk,
    profiles: Vec<Option<MoleculeProfile>>,
    stability: StabilityTally,
}

impl<'a> Evaluator<'a> {
    /// Validity, uniqueness and connectedness only, on all cores.
    pub fn new(chemistry: &'a dyn Chemistry) -> Self {
        Self {
            chemistry,
            wanted: Wanted::default(),
            profiles: None,
            stability: false,
            groups: 1,
            shown: 0,
            strict: false,
            threads: available_threads(),
            progress: None,
        }
    }

    /// Judges every line of a file.
    ///
    /// # Errors
    /// [`MoleculeError::File`]; if `strict`, [`MoleculeError::Line`] for the first line that is no molecule.
    pub fn judge(&mut self, file: SampleFile) -> Result<JudgedSet, MoleculeError> {
        let mut set = JudgedSet {
            tally: Tally::new(),
            problems: Problems::default(),
            moments: SetMoments::new(self.chemistry.name(), self.wanted, self.groups),
            descriptors: DescriptorTable::default(),
            moses: MosesSet::new(),
            unique_at: UniqueAt::default(),
            guacamol: GuacamolSet::new(guacamol::SET_SIZE),
            stability: StabilityTally::new(),
            gallery: Gallery::new(self.shown),
        };
        let judging = Judging { chemistry: self.chemistry, format: file.format(), stability: self.stability };
        let profilers = self.profiles.map(Profilers::new);
        let is_wanted = |what: fn(&ProfileScope<'_>) -> bool| self.profiles.as_ref().is_some_and(what);
        let (moses, guacamol) = (is_wanted(|scope| scope.moses), is_wanted(|scope| scope.guacamol));
        let (wanted, strict, threads) = (self.wanted, self.strict, self.threads);
        let path = file.path().to_owned();
        let work = |lines: Vec<TextLine>| {
            let count = lines.len() as u64;
            let mut stability = StabilityTally::new();
            let judged: Vec<Judged> =
                lines.into_iter().filter_map(|line| judging.judge(line, &mut stability)).collect();
            let canonical = canonical(&judged);
            let profiles =
                profilers.as_ref().map_or_else(Vec::new, |profilers| profilers.profiles(&canonical));
            Chunk {
                lines: count,
                set: SetChunk::of_canonical(&canonical, wanted),
                profiles: profiles.into_iter().map(Result::ok).collect(),
                stability,
                judged,
            }
        };
        let mut progress = self.progress.as_deref_mut();
        stream_in_threads(file, CHUNK, threads, work, |chunk: Chunk| {
            for judged in chunk.judged {
                if let Some((valid_without_correction, repaired)) = judged.history {
                    set.tally.add_history(valid_without_correction, repaired);
                }
                match judged.verdict {
                    Verdict::Valid { canonical, digest } => {
                        if moses {
                            set.unique_at.add(&canonical);
                        }
                        if set.tally.add_digest(digest, !canonical.contains('.')) {
                            set.gallery.offer(judged.line, digest, canonical);
                        }
                    }
                    Verdict::Blank => {
                        set.tally.add_failure();
                        set.problems.add_blank();
                    }
                    Verdict::Problem(problem) if strict => {
                        let LineProblem { line, reason, .. } = problem;
                        return Err(MoleculeError::Line { path: path.clone(), line, reason });
                    }
                    Verdict::Problem(problem) => {
                        set.tally.add_failure();
                        set.problems.add(problem);
                    }
                }
            }
            set.moments.add(&chunk.set);
            set.stability.merge(&chunk.stability);
            for profile in &chunk.profiles {
                set.descriptors.add(profile.as_ref());
                match profile {
                    Some(profile) if moses => set.moses.add(profile),
                    None if moses => set.moses.add_refused(),
                    _ => (),
                }
                if let Some(profile) = profile.as_ref().filter(|_| guacamol) {
                    set.guacamol.add(profile);
                }
            }
            if let Some(progress) = &mut progress {
                progress(chunk.lines);
            }
            Ok(())
        })?;
        set.moments.settle();
        Ok(set)
    }
}

/// The canonical SMILES of the valid ones.
fn canonical(judged: &[Judged]) -> Vec<&str> {
    let canonical = judged.iter().map(|judged| match &judged.verdict {
        Verdict::Valid { canonical, .. } => Some(canonical.as_str()),
        _ => None,
    });
    canonical.flatten().collect()
}

/// How a line is judged.
#[derive(Clone, Copy)]
struct Judging<'a> {
    chemistry: &'a dyn Chemistry,
    format: SampleFormat,
    stability: bool,
}

impl Judging<'_> {
    /// `None` for a line that is no sample, such as a comment.
    fn judge(self, TextLine { line, text }: TextLine, stability: &mut StabilityTally) -> Option<Judged> {
        let problem = |kind, reason| Verdict::Problem(LineProblem { line, kind, reason });
        let sample = match text {
            Ok(text) => self.format.sample(&text)?,
            Err(fault) => Err(fault),
        };
        if self.stability {
            let smiles = sample.as_ref().ok().and_then(|sample| sample.smiles.as_deref());
            stability.add(&smiles.and_then(written_atoms).unwrap_or_default());
        }
        let (verdict, history) = match sample {
            Err(fault) => (problem(fault.kind, fault.reason), None),
            Ok(Sample { smiles: None, history }) => (Verdict::Blank, history),
            Ok(Sample { smiles: Some(smiles), history }) => match self.chemistry.canonicalise(&smiles) {
                Ok(canonical) => {
                    let digest = SmilesDigest::of(&canonical);
                    (Verdict::Valid { canonical, digest }, history)
                }
                Err(error) => (problem(error.problem_kind(), error.to_string()), history),
            },
        };
        Some(Judged { line, verdict, history })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::chemistry::ProblemKind;
    use crate::chemistry::chematic::Chematic;

    fn file(suffix: &str, content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn judge(evaluator: &mut Evaluator<'_>, file: &tempfile::NamedTempFile) -> JudgedSet {
        evaluator.judge(SampleFile::open(file.path()).unwrap()).unwrap()
    }

    #[test]
    fn every_line_is_a_sample_and_every_problem_is_counted_by_kind() {
        let content = b"# a comment\nCCO\nOCC name\n\nC1CC\nC[Xx]\nC(C)(C)(C)(C)C\nc1cccc1\nCC\0\nC\xe9\nc\n";
        let judged = judge(&mut Evaluator::new(&Chematic), &file(".smi", content));
        let metrics = judged.tally.metrics(None);
        assert_eq!((metrics.samples, metrics.valid, metrics.distinct), (10, 2, 1));
        let counts: Vec<_> = judged.problems.counts().collect();
        use ProblemKind::{Aromaticity, Encoding, Kekulisation, Syntax, UnknownAtom, Valence};
        let expected =
            [(Encoding, 2), (Syntax, 1), (UnknownAtom, 1), (Valence, 1), (Kekulisation, 1), (Aromaticity, 1)];
        assert_eq!(counts, expected);
        assert_eq!((judged.problems.blank(), judged.problems.total()), (1, 7));
        let lines: Vec<u64> = judged.problems.listed().iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [5, 6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn records_tell_their_history_and_bad_ones_are_samples() {
        let content = br#"{"smiles":"CCO","valid_without_correction":true,"repaired":false}
{"smiles":null,"valid_without_correction":true}
{"smiles":"CCN","valid_without_correction":false,"repaired":true}
{"smiles":3}

nonsense
"#;
        let judged = judge(&mut Evaluator::new(&Chematic), &file(".jsonl", content));
        let metrics = judged.tally.metrics(None);
        assert_eq!((metrics.samples, metrics.valid, metrics.repaired), (6, 2, 1));
        assert_eq!(metrics.validity_without_correction, Some(1.0 / 3.0));
        assert_eq!(judged.problems.counts().collect::<Vec<_>>(), [(ProblemKind::Record, 3)]);
    }

    #[test]
    fn stability_is_that_of_the_atoms_as_written() {
        // Water; a methyl radical; methane with a fifth hydrogen, which is no molecule; no molecule at all.
        let content = b"[H]O[H]\n[H]C([H])[H]\n[H]C([H])([H])([H])[H]\n\n";
        let mut evaluator = Evaluator { stability: true, ..Evaluator::new(&Chematic) };
        let judged = judge(&mut evaluator, &file(".smi", content));
        let stability = judged.stability.stability().unwrap();
        assert_eq!((stability.molecules, stability.atoms), (1.0 / 4.0, (3.0 + 3.0 + 5.0) / 13.0));
        assert_eq!(judged.tally.metrics(None).samples, 4);
    }

    #[test]
    fn the_suites_see_every_valid_sample() {
        let content = b"CCO\nc1ccccc1CC(=O)NC\nC1CC\n\nOCC\n";
        let scope = ProfileScope { moses: true, guacamol: true, ..ProfileScope::default() };
        for threads in [1, 3] {
            let mut evaluator = Evaluator { profiles: Some(scope), threads, ..Evaluator::new(&Chematic) };
            let judged = judge(&mut evaluator, &file(".smi", content));
            assert_eq!((judged.moses.len(), judged.guacamol.len()), (3, 2));
            assert_eq!(judged.unique_at.shares()[0], (1_000, Some(2.0 / 3.0)));
            assert_eq!(judged.descriptors.heavy_atoms.values(), [3.0, 11.0, 3.0]);
        }
        let plain = judge(&mut Evaluator::new(&Chematic), &file(".smi", content));
        assert!(plain.moses.is_empty() && plain.guacamol.is_empty());
    }

    #[test]
    fn figures_do_not_depend_on_threads_and_the_first_bad_line_of_a_strict_reading_ends_it() {
        let mut content = String::new();
        for i in 0..2_000 {
            content.push_str(&format!("{}{}\n", "C".repeat(i % 37 + 1), ["O", "N", "?", "#N"][i % 4]));
        }
        let file = file(".smi", content.as_bytes());
        let wanted = Wanted { nspdk: true, chemnet: None };
        let run = |threads| {
            let evaluator = Evaluator { wanted, groups: 8, shown: 5, threads, ..Evaluator::new(&Chematic) };
            let mut lines = 0;
            let mut count = |more| lines += more;
            let mut evaluator = Evaluator { progress: Some(&mut count), ..evaluator };
            let judged = judge(&mut evaluator, &file);
            assert_eq!(lines, 2_000);
            (judged.tally.metrics(None), judged.moments.statistics().unwrap(), judged.gallery.into_members())
        };
        assert_eq!(run(1), run(5));
        assert_eq!(run(3).2.len(), 5);
        for threads in [1, 4] {
            let mut strict = Evaluator { strict: true, threads, ..Evaluator::new(&Chematic) };
            let error = strict.judge(SampleFile::open(file.path()).unwrap()).unwrap_err();
            assert!(matches!(error, MoleculeError::Line { line: 3, .. }), "{error}");
        }
    }
}
