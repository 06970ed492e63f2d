//! Graphs as data.
