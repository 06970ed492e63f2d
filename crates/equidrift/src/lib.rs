//! Graphs, molecules and trajectories from equivariant diffusion and flow models.
