//! Molecule features and windows against the golden vectors of the reference.

use equidrift_trajectory::molecular_graph::{MolecularEdge, all_edges, near_edges, node_features};
use equidrift_trajectory::{Element, Part, Topology, Windows};
use serde_json::Value;

use crate::reference::reference_dir;

fn golden() -> Option<Value> {
    let path = reference_dir("geotdm")?.join("features.golden.json");
    Some(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

#[test]
fn node_features_and_edges() {
    let Some(golden) = golden() else { return };
    let molecules: Vec<(&String, &Value)> =
        golden.as_object().unwrap().iter().filter(|(_, value)| value.get("h_nonzero").is_some()).collect();
    assert!(!molecules.is_empty());
    for (name, molecule) in molecules {
        let elements: Vec<Element> = numbers(&molecule["z"]).into_iter().map(|z| Element(z as u8)).collect();
        let positions: Vec<[f32; 3]> = serde_json::from_value(molecule["R"].clone()).unwrap();
        let mut expected = vec![0.0_f32; 30 * elements.len()];
        for entry in molecule["h_nonzero"].as_array().unwrap() {
            let place = 30 * entry[0].as_u64().unwrap() + entry[1].as_u64().unwrap();
            expected[place as usize] = entry[2].as_f64().unwrap() as f32;
        }
        let found = node_features(&elements).unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-7, "{name}");
        }
        let mut topology = Topology::of_elements(elements);
        topology.bond_within(&positions, 1.6);
        for (key, edges) in [("hop", near_edges(&topology)), ("fc", all_edges(&topology))] {
            let graph = &molecule[key];
            let [receivers, senders] = [0, 1].map(|row| numbers(&graph["edge_index"][row]));
            let expected: Vec<MolecularEdge> = receivers
                .into_iter()
                .zip(senders)
                .zip(numbers(&graph["edge_class"]))
                .map(|((receiver, sender), class)| MolecularEdge { receiver, sender, class })
                .collect();
            assert_eq!(edges, expected, "{name}, {key}");
        }
    }
}

#[test]
fn windows() {
    let Some(golden) = golden() else { return };
    let cases = golden["windows"].as_array().unwrap();
    assert!(cases.len() >= 10);
    for case in cases {
        let part = match case["mode"].as_str().unwrap() {
            "train" => Part::Train,
            "val" => Part::Validation,
            _ => Part::Test,
        };
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let rule = Windows::published(part, number("every"));
        let starts = rule.starts(number("frames"), part);
        let last = *starts.last().unwrap();
        let found = (starts.len(), starts[0], last, last + (rule.span - 1) * rule.every);
        let expected = (
            number("windows"),
            number("first_frame"),
            number("last_window_first_frame"),
            number("last_window_last_frame"),
        );
        assert_eq!(found, expected, "{case}");
        if starts.len() > 1 {
            assert_eq!(starts[1] - starts[0], number("stride_in_kept_frames") * rule.every, "{case}");
        }
    }
}
