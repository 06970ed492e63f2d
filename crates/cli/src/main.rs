//! The equidrift command line.

fn main() {}
