//! The flags that say where trajectories come from.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift::TrajectorySource;
use equidrift_trajectory::nbody::System;

/// Files, or a simulation.
#[derive(Debug, Args)]
pub(crate) struct SourceFlags {
    /// Trajectory files (.npz, .xtc, .extxyz, .xyz, .pdb, .h5md), or recordings of walkers (.csv, .txt with lines
    /// frame,pedestrian,x,y)
    #[arg(long = "data", value_name = "FILE", num_args = 1..)]
    files: Vec<PathBuf>,
    /// A file with the atoms' elements and bonds, for files that have none (.xtc); atoms without a bond are bonded to those within
    /// 1.6 Å in its first frame
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Which atoms: all, heavy, `element C,N`, `index 0-8,12`, `name CA,CB` [default: all]
    #[arg(long, value_name = "SELECTION")]
    atoms: Option<String>,
    /// In place of files: simulate bodies with these forces, 49 frames a run
    #[arg(long, value_enum, value_name = "FORCES", conflicts_with = "files")]
    simulate: Option<Forces>,
    /// Simulated runs [default: 3000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// Bodies of a simulation [default: 5, with gravity 10]
    #[arg(long, requires = "simulate")]
    bodies: Option<usize>,
    /// Seed of the simulation; take another for testing than for training [default: 43]
    #[arg(long, value_name = "SEED", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    simulation_seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Forces {
    /// A random half of the pairs is joined by springs
    Springs,
    /// Charges -1 and +1
    Charged,
    /// Equal masses
    Gravity,
}

impl SourceFlags {
    /// Whether a flag says where trajectories come from.
    pub(crate) fn name_one(&self) -> bool {
        !self.files.is_empty() || self.simulate.is_some()
    }

    /// The flags over `source`, as a configuration file may have it.
    pub(crate) fn over(&self, source: TrajectorySource) -> TrajectorySource {
        let simulate = self.simulate.map(|forces| match forces {
            Forces::Springs => System::Springs,
            Forces::Charged => System::Charged,
            Forces::Gravity => System::Gravity,
        });
        let kept = if self.name_one() { TrajectorySource::default() } else { source.clone() };
        TrajectorySource {
            files: if self.files.is_empty() { kept.files } else { self.files.clone() },
            topology: self.topology.clone().or(kept.topology),
            atoms: self.atoms.clone().or(kept.atoms),
            simulate: simulate.or(kept.simulate),
            runs: self.runs.unwrap_or(source.runs),
            bodies: self.bodies.or(kept.bodies),
            simulation_seed: self.simulation_seed.unwrap_or(source.simulation_seed),
        }
    }
}
