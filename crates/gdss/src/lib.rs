//! GDSS: score-based generation of graphs by a system of SDEs on nodes and edges.
