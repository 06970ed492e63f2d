//! Fitting: losses, loop, optimiser, averages and checkpoints.
