//! Equivariant layers on dense graphs.
