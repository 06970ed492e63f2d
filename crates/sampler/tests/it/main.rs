//! Tests of the sampler core against closed forms, published tables and reference values.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod adaptive;
mod boundary_search;
mod change_of_basis;
mod compiled_plans;
mod denoising_mcmc;
mod dpm_solver_v3;
mod executor;
mod front_ends;
mod graph_drivers;
mod inpainting;
mod interpolant_runs;
mod interpolants;
mod kinetic_optimal;
mod laboratory;
mod likelihood;
mod lower_order_final;
mod mean_reverting;
mod mixture;
mod moments;
mod noise;
mod particles;
mod paths;
mod planners;
mod plans;
mod poisson;
mod prediction;
mod predictor_corrector;
mod prior_mismatch;
mod receding_horizon;
mod schedule_search;
mod self_guidance;
mod stochastic;
mod thresholding;
mod trajectories;
mod warm_start;
