//! Where trajectories come from: files of molecules, recordings of walkers, or simulations made on the spot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use equidrift_backend::checksum::{sha256, sha256_file};
use equidrift_geotdm::{AtomFeatures, MolecularEdges, OwnMolecule, SystemGraph, SystemKind};
use equidrift_trajectory::pedestrians::Recording;
use equidrift_trajectory::{
    Element, Frame, ReadOptions, Selection, Topology, Trajectory, TrajectoryReader, file, nbody,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Atoms this near to each other in the first frame are bonded, where a file has no bonds; ångström, as published.
const BOND_REACH: f64 = 1.6;

/// Seed of simulations, where none is asked for.
const SIMULATION_SEED: u64 = 43;

/// More simulated runs than this are refused: all are held in memory.
const MOST_RUNS: u64 = 1 << 20;

/// Where trajectories come from: `files`, or a simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrajectorySource {
    /// Trajectory files (`.npz`, `.xtc`, `.extxyz`, `.xyz`, `.pdb`, `.h5md`), or recordings of walkers (`.csv`, `.txt` with lines
    /// `frame,pedestrian,x,y`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// A file whose elements and bonds are taken, for files that have none (`.xtc`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology: Option<PathBuf>,
    /// Which atoms: `all`, `heavy`, `element C,N`, `index 0-8,12`, `name CA,CB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub atoms: Option<String>,
    /// Simulate bodies with these forces in place of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulate: Option<nbody::System>,
    /// Simulated runs.
    pub runs: u64,
    /// Bodies of a run; none means as many as published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bodies: Option<usize>,
    /// Seed of the simulation. Run k of a seed is the same whatever other runs are made.
    pub simulation_seed: u64,
}

impl Default for TrajectorySource {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            topology: None,
            atoms: None,
            simulate: None,
            runs: 3000,
            bodies: None,
            simulation_seed: SIMULATION_SEED,
        }
    }
}

/// One molecule's motion.
#[derive(Debug, Clone)]
pub(crate) struct MolecularRun {
    pub(crate) path: PathBuf,
    pub(crate) trajectory: Trajectory,
    pub(crate) graph: Arc<SystemGraph>,
}

impl MolecularRun {
    /// A model's own molecule, in place of a file.
    pub(crate) fn of_model(
        molecule: &OwnMolecule,
        (edges, features): (MolecularEdges, AtomFeatures),
        model: &str,
    ) -> Result<Self, Error> {
        let mut trajectory = Trajectory::new(molecule.topology.clone());
        trajectory.push(&Frame { time: None, cell: None, positions: molecule.positions.clone() })?;
        let graph = Arc::new(SystemGraph::of_molecule(&molecule.topology, edges, features)?);
        Ok(Self { path: PathBuf::from(model), trajectory, graph })
    }
}

/// What a source holds.
#[derive(Debug, Clone)]
pub(crate) enum Systems {
    Molecules(Vec<MolecularRun>),
    Bodies(Vec<nbody::Run>),
    Walkers(Vec<(PathBuf, Recording)>),
}

impl TrajectorySource {
    /// One file.
    #[must_use]
    pub fn of_file(path: impl Into<PathBuf>) -> Self {
        Self { files: vec![path.into()], ..Self::default() }
    }

    /// Whether it says nothing of where trajectories come from.
    pub(crate) fn is_unnamed(&self) -> bool {
        let Self { files, topology, atoms, simulate, .. } = self;
        files.is_empty() && topology.is_none() && atoms.is_none() && simulate.is_none()
    }

    /// Refuses what cannot be read, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |field, reason| Err(Error::Request { field, reason });
        match (self.simulate, self.files.is_empty()) {
            (None, true) => refuse("source", "name a trajectory file, or forces to simulate"),
            (Some(_), false) => refuse("source", "name files or forces to simulate, not both"),
            (Some(_), true) if self.runs == 0 => refuse("runs", "at least one run is needed"),
            (Some(_), true) if self.runs > MOST_RUNS => {
                refuse("runs", "at most 1,048,576 runs are simulated")
            }
            (Some(_), true) if self.topology.is_some() => refuse("topology", "simulated bodies have none"),
            (Some(_), true) if self.atoms.is_some() => refuse("atoms", "simulated bodies are no atoms"),
            (None, false) if self.bodies.is_some() => refuse("bodies", "only simulations have them"),
            _ if self.are_walkers()? && (self.topology.is_some() || self.atoms.is_some()) => {
                refuse("source", "walkers have no topology and no atoms to select")
            }
            _ => Ok(()),
        }
    }

    /// Whether the files are recordings of walkers.
    pub(crate) fn are_walkers(&self) -> Result<bool, Error> {
        let walkers = self.files.iter().filter(|path| is_recording(path)).count();
        if walkers != 0 && walkers != self.files.len() {
            let reason = "recordings of walkers and trajectories of molecules make no common set";
            return Err(Error::Request { field: "source", reason });
        }
        Ok(walkers > 0)
    }

    /// What the systems of the source are.
    pub(crate) fn kind(
        &self,
        edges: MolecularEdges,
        features: AtomFeatures,
        most_walkers: usize,
    ) -> Result<SystemKind, Error> {
        Ok(match self.simulate {
            Some(forces) => SystemKind::Bodies { forces },
            None if self.are_walkers()? => SystemKind::Pedestrians { most: most_walkers },
            None => SystemKind::Molecules { edges, features },
        })
    }

    /// What tells the content of one source from another's.
    pub(crate) fn digest(&self) -> Result<String, Error> {
        if let Some(forces) = self.simulate {
            let (bodies, seed, runs) = (self.bodies_of(forces), self.simulation_seed, self.runs);
            return Ok(sha256(format!("{forces:?} {bodies} bodies, seed {seed}, {runs} runs").as_bytes()));
        }
        let of =
            |path: &PathBuf| sha256_file(path).map_err(|source| Error::Read { path: path.clone(), source });
        match &self.files[..] {
            [path] if self.topology.is_none() && self.atoms.is_none() => of(path),
            files => {
                let mut digests =
                    files.iter().chain(&self.topology).map(of).collect::<Result<Vec<_>, _>>()?;
                digests.extend(self.atoms.clone());
                Ok(sha256(digests.join("\n").as_bytes()))
            }
        }
    }

    fn bodies_of(&self, forces: nbody::System) -> usize {
        self.bodies.unwrap_or_else(|| forces.usual_bodies())
    }

    /// Reads or simulates everything, with graphs for systems of `kind`. Of simulations the runs in `runs`.
    ///
    /// # Errors
    /// [`Error::Systems`] where the source holds other systems; files that cannot be read or have no frame.
    pub(crate) fn read(
        &self,
        kind: SystemKind,
        runs: std::ops::Range<u64>,
        threads: usize,
    ) -> Result<Systems, Error> {
        self.check()?;
        let wrong = |found| Err(Error::Systems { expected: kind.name(), found });
        match (kind, self.simulate) {
            (SystemKind::Bodies { forces }, Some(asked)) if forces == asked => {
                let bodies = self.bodies_of(forces);
                Ok(Systems::Bodies(forces.simulate_all(bodies, self.simulation_seed, runs, threads)?))
            }
            (_, Some(forces)) => wrong(SystemKind::Bodies { forces }.name()),
            (SystemKind::Bodies { .. }, None) => wrong("files, which say nothing of the forces on bodies"),
            (SystemKind::Pedestrians { .. }, None) if self.are_walkers()? => {
                let read = |path: &PathBuf| Ok((path.clone(), Recording::read(path)?));
                Ok(Systems::Walkers(self.files.iter().map(read).collect::<Result<_, Error>>()?))
            }
            (SystemKind::Pedestrians { .. }, None) => wrong("trajectories in space"),
            (SystemKind::Molecules { .. }, None) if self.are_walkers()? => wrong("walkers in the plane"),
            (SystemKind::Molecules { edges, features }, None) => {
                Ok(Systems::Molecules(self.read_molecules(edges, features)?))
            }
        }
    }

    fn read_molecules(
        &self,
        edges: MolecularEdges,
        features: AtomFeatures,
    ) -> Result<Vec<MolecularRun>, Error> {
        let topology = match &self.topology {
            None => None,
            Some(path) => {
                let reader = TrajectoryReader::open(path)?;
                let topology = reader.topology().clone();
                // Bonds that are not told are found in this file's first frame.
                Some(match reader.into_iter().next() {
                    Some(frame) => bonded(topology, &frame?.positions),
                    None => topology,
                })
            }
        };
        let selection = self.atoms.as_deref().map(str::parse::<Selection>).transpose()?;
        let mut systems = Vec::new();
        for path in &self.files {
            let in_file = |error: Error| Error::InFile { path: path.clone(), source: Box::new(error) };
            let runs: Vec<Option<usize>> = match file::runs(path)? {
                None => vec![None],
                Some(runs) => (0..runs as usize).map(Some).collect(),
            };
            for run in runs {
                let mut trajectory = TrajectoryReader::open_with(path, ReadOptions { run })?.read_all()?;
                if trajectory.frames() == 0 {
                    return Err(Error::TooFewFrames { path: path.clone(), needed: 1, found: 0 });
                }
                let own = match &topology {
                    Some(topology) => topology.clone(),
                    None => bonded(trajectory.topology().clone(), trajectory.frame(0)),
                };
                trajectory.set_topology(own).map_err(|error| in_file(error.into()))?;
                if let Some(selection) = &selection {
                    trajectory = trajectory.selected(selection).map_err(|error| in_file(error.into()))?;
                }
                if trajectory.topology().elements().iter().all(|element| *element == Element::UNKNOWN) {
                    return Err(Error::NoElements { path: path.clone() });
                }
                let graph = SystemGraph::of_molecule(trajectory.topology(), edges, features)
                    .map_err(|error| in_file(error.into()))?;
                systems.push(MolecularRun { path: path.clone(), trajectory, graph: Arc::new(graph) });
            }
        }
        Ok(systems)
    }
}

fn is_recording(path: &Path) -> bool {
    path.extension()
        .is_some_and(|suffix| suffix.eq_ignore_ascii_case("csv") || suffix.eq_ignore_ascii_case("txt"))
}

/// A topology with bonds by distance, where it has none.
fn bonded(mut topology: Topology, positions: &[[f32; 3]]) -> Topology {
    topology.complete_bonds(positions, BOND_REACH);
    topology
}
