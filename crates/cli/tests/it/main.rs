//! The programme as its users and their scripts see it.

#![allow(clippy::unwrap_used)] // a test may fail by panicking

mod bad_input;
mod command;
mod datasets;
mod determinism;
mod embedded;
mod evaluate_graphs;
mod evaluate_input;
mod evaluate_report;
mod evaluate_suites;
mod evaluate_trajectories;
mod folder;
mod generate_graphs;
mod geotdm;
mod help;
mod likelihood;
mod pard;
mod pard_reference;
mod reference;
mod samplers;
mod set_distances;
mod summary;
mod train;
mod train_graphs;
mod train_trajectories;
mod training_kills;
mod training_settings;
mod trajectories;
mod trajectory_workplace;
mod verbs;
