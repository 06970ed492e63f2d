//! The checkers themselves: they accept what keeps a law and reject what breaks it.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod checkers;
mod planners;
mod problems;
