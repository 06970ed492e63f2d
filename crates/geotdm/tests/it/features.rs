//! What the networks are told of molecules, against the reference, and of bodies and walkers.

use equidrift_geotdm::environments::ENVIRONMENT_FEATURES;
use equidrift_geotdm::{AtomFeatures, GeotdmError, MolecularEdges, SystemGraph};
use equidrift_trajectory::nbody::System as Bodies;
use equidrift_trajectory::{Element, Topology};
use serde_json::Value;

use crate::reference::{geotdm_dir, relative_error};

#[test]
fn molecules() {
    let Some(dir) = geotdm_dir() else { return };
    let text = std::fs::read(dir.join("features.golden.json")).unwrap();
    let golden: Value = serde_json::from_slice(&text).unwrap();
    let mut molecules = 0;
    for (name, molecule) in golden.as_object().unwrap().iter().filter(|(_, m)| m.get("h_nonzero").is_some()) {
        let whole = |value: &Value| -> Vec<usize> {
            value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
        };
        let elements = whole(&molecule["z"]).iter().map(|&z| Element(z as u8)).collect();
        let positions: Vec<[f32; 3]> = serde_json::from_value(molecule["R"].clone()).unwrap();
        let mut topology = Topology::of_elements(elements);
        topology.bond_within(&positions, 1.6);
        for (kind, joined) in [("hop", MolecularEdges::Near), ("fc", MolecularEdges::All)] {
            let graph = SystemGraph::of_molecule(&topology, joined, AtomFeatures::Charge).unwrap();
            let expected = &molecule[kind];
            let ends: Vec<Vec<usize>> =
                expected["edge_index"].as_array().unwrap().iter().map(whole).collect();
            let found: Vec<[usize; 2]> = ends[0].iter().zip(&ends[1]).map(|(i, j)| [*i, *j]).collect();
            assert_eq!(graph.edges(), found, "{name} {kind}");
            let classes: Vec<usize> = graph
                .edge_features()
                .chunks(4)
                .map(|row| row.iter().position(|x| *x == 1.0).unwrap())
                .collect();
            assert_eq!(classes, whole(&expected["edge_class"]), "{name} {kind}");
            assert_eq!(graph.edge_features().iter().sum::<f64>() as usize, classes.len());
            let mut dense = vec![0.0; graph.nodes() * 30];
            for entry in molecule["h_nonzero"].as_array().unwrap() {
                let [node, feature] = [0, 1].map(|at| entry[at].as_u64().unwrap() as usize);
                dense[node * 30 + feature] = entry[2].as_f64().unwrap();
            }
            // The powers were taken in single precision there.
            let error = relative_error(graph.node_features(), &dense);
            assert!(error <= 1e-7, "{name}: {error:.1e}");
        }
        molecules += 1;
    }
    assert!(molecules >= 2);
}

/// Atoms that the bonds tell apart have other signs, atoms that they do not have the same: ethanol has six kinds.
#[test]
fn environments_of_atoms() {
    use std::collections::BTreeSet;
    let elements = [6, 6, 8, 1, 1, 1, 1, 1, 1].map(Element).to_vec();
    let bonds = [[0, 1], [1, 2], [0, 3], [0, 4], [0, 5], [1, 6], [1, 7], [2, 8]];
    let mut topology = Topology::of_elements(elements);
    topology.set_bonds(bonds.to_vec()).unwrap();
    let of = |told| SystemGraph::of_molecule(&topology, MolecularEdges::Near, told).unwrap();
    let (plain, told) = (of(AtomFeatures::Charge), of(AtomFeatures::Environment));
    let rows: Vec<&[f64]> = told.node_features().chunks(told.node_width()).collect();
    let width = plain.node_width();
    assert_eq!(told.node_width(), width + ENVIRONMENT_FEATURES);
    for (row, published) in rows.iter().zip(plain.node_features().chunks(width)) {
        assert_eq!(row[..width], *published);
        assert!(row[width..].iter().all(|sign| sign.abs() == 1.0));
    }
    assert!(rows[3] == rows[4] && rows[4] == rows[5] && rows[6] == rows[7]);
    let kinds: BTreeSet<Vec<i64>> =
        rows.iter().map(|row| row[width..].iter().map(|&sign| sign as i64).collect()).collect();
    assert_eq!(kinds.len(), 6);
    assert_eq!(plain.edges(), told.edges());
}

#[test]
fn bodies_and_walkers() {
    let run = Bodies::Charged.simulate(3, 7, 0).unwrap();
    let graph = SystemGraph::of_bodies(&run).unwrap();
    assert_eq!(graph.edges(), [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]);
    let charge = graph.node_features();
    for ([i, j], product) in graph.edges().iter().zip(graph.edge_features()) {
        assert_eq!(*product, charge[*i] * charge[*j]);
    }
    let mut track = [[0.0_f32; 2]; 20];
    track.iter_mut().enumerate().for_each(|(t, point)| point[0] = t as f32);
    let walkers = SystemGraph::of_pedestrians(&[track, track]).unwrap();
    assert_eq!(walkers.edges(), [[0, 0], [0, 1], [1, 0], [1, 1]]);
    assert_eq!((walkers.node_width(), walkers.feature_frames(), walkers.edge_width()), (2, 20, 0));
    assert_eq!(walkers.node_features()[..4], [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(walkers.node_features()[38..42], [0.0, 1.0, 1.0, 1.0]);
}

#[test]
fn graphs_that_are_none_are_refused() {
    let graph = |nodes, features: usize, edges: Vec<[usize; 2]>, edge_features: usize| {
        SystemGraph::new(nodes, vec![0.0; features], 1, edges, vec![0.0; edge_features])
    };
    assert!(matches!(graph(0, 0, vec![], 0), Err(GeotdmError::Count { .. })));
    assert!(matches!(graph(2, 3, vec![], 0), Err(GeotdmError::Count { .. })));
    assert!(matches!(
        graph(2, 2, vec![[0, 2]], 0),
        Err(GeotdmError::NoSuchNode { receiver: 0, sender: 2, nodes: 2 })
    ));
    assert!(matches!(graph(2, 2, vec![[0, 1], [1, 0]], 3), Err(GeotdmError::Count { .. })));
    assert!(matches!(graph(2, 2, vec![], 1), Err(GeotdmError::Count { .. })));
    let chlorine = Topology::of_elements(vec![Element(17)]);
    assert!(SystemGraph::of_molecule(&chlorine, MolecularEdges::Near, AtomFeatures::Charge).is_err());
}
