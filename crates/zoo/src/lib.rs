//! Trained weights, embedded.
