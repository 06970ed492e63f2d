//! The checkers themselves: they accept what keeps a law and reject what breaks it.

mod checkers;
mod problems;
