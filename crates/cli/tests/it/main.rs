//! The programme as its users and their scripts see it.

mod bad_input;
mod command;
mod determinism;
mod folder;
mod help;
mod reference;
mod summary;
mod verbs;
