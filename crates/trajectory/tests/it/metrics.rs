//! Metrics against the golden vectors of the reference.

use std::path::Path;

use equidrift_trajectory::geometry::distance;
use equidrift_trajectory::metrics::cluster_reduction::{best_of, nearest_samples};
use equidrift_trajectory::metrics::marginal::MarginalDensities;
use equidrift_trajectory::metrics::{
    Displacement, DisplacementSummary, InternalComparison, InternalCoordinates, TorsionMap, displacement,
    marginal,
};
use equidrift_trajectory::pedestrians::{Track, node_features};
use equidrift_trajectory::{ReadOptions, TrajectoryReader};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::reference::{data_dir, reference_dir};

/// An array of the golden file, as `f64`, with its shape.
struct Golden(Vec<u8>);

impl Golden {
    fn open(folder: &Path) -> Self {
        Self(std::fs::read(folder.join("metrics.golden.safetensors")).unwrap())
    }

    fn array(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let data = tensor.data();
        let numbers = match tensor.dtype() {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Dtype::F64 => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::I64 => data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
            other => panic!("{name} has type {other:?}"),
        };
        (tensor.shape().to_vec(), numbers)
    }
}

fn json(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("metrics.golden.json")).unwrap()).unwrap()
}

/// Frames first: from `[node, coordinate, frame]` to positions `[frame, node]` of the nodes asked for.
fn frames_first(numbers: &[f64], nodes: &[usize], frames: usize) -> Vec<[f32; 3]> {
    (0..frames)
        .flat_map(|t| {
            nodes.iter().map(move |node| [0, 1, 2].map(|k| numbers[(3 * node + k) * frames + t] as f32))
        })
        .collect()
}

#[test]
fn displacement_errors() {
    let Some(folder) = reference_dir("geotdm") else { return };
    let (golden, expected) = (Golden::open(&folder), json(&folder));
    let (shape, samples) = golden.array("ade.samples");
    let (_, truth) = golden.array("ade.target");
    let (_, batch) = golden.array("ade.batch");
    let (graphs, ade) = golden.array("ade.ADE_graph_k");
    let (_, fde) = golden.array("ade.FDE_graph_k");
    let [count, nodes, _, frames] = shape[..] else { panic!("{shape:?}") };
    let mut systems = Vec::new();
    for graph in 0..graphs[0] {
        let members: Vec<usize> = (0..nodes).filter(|node| batch[*node] as usize == graph).collect();
        let right = frames_first(&truth, &members, frames);
        let errors: Vec<Displacement> = (0..count)
            .map(|sample| {
                let numbers = &samples[sample * 3 * nodes * frames..(sample + 1) * 3 * nodes * frames];
                displacement(&frames_first(numbers, &members, frames), &right, members.len()).unwrap()
            })
            .collect();
        for (sample, error) in errors.iter().enumerate() {
            assert!((error.ade - ade[graph * count + sample]).abs() < 3e-7, "{error:?}");
            assert!((error.fde - fde[graph * count + sample]).abs() < 3e-7, "{error:?}");
        }
        systems.push(errors);
    }
    let summary = DisplacementSummary::of(&systems).unwrap();
    for (name, found) in [
        ("aveADE", summary.mean.ade),
        ("aveFDE", summary.mean.fde),
        ("minADE", summary.best.ade),
        ("minFDE", summary.best.fde),
    ] {
        let expected = expected["ade"][name].as_f64().unwrap();
        assert!((found - expected).abs() < 3e-7, "{name}: {found} {expected}");
    }
}

#[test]
fn samples_reduced_by_clusters() {
    let Some(folder) = reference_dir("geotdm") else { return };
    let golden = Golden::open(&folder);
    let (shape, samples) = golden.array("km.traj");
    let [(_, centres), (_, index), (_, target), (_, ade), (_, fde)] =
        ["km.centers", "km.index", "km.target", "km.minADE", "km.minFDE"].map(|name| golden.array(name));
    let [tracks, count, _, frames] = shape[..] else { panic!("{shape:?}") };
    let clusters = index.len() / tracks;
    let points = |numbers: &[f64]| -> Vec<[f32; 2]> {
        (0..frames).map(|t| [numbers[t] as f32, numbers[frames + t] as f32]).collect()
    };
    for track in 0..tracks {
        let width = 2 * frames;
        let samples: Vec<Vec<[f32; 2]>> =
            samples.chunks_exact(width).skip(track * count).take(count).map(points).collect();
        let ends: Vec<[f32; 2]> = samples.iter().map(|sample| sample[frames - 1]).collect();
        let centres: Vec<[f32; 2]> = centres[2 * clusters * track..2 * clusters * (track + 1)]
            .chunks_exact(2)
            .map(|centre| [centre[0] as f32, centre[1] as f32])
            .collect();
        let chosen = nearest_samples(&ends, &centres).unwrap();
        let expected: Vec<usize> =
            index[clusters * track..clusters * (track + 1)].iter().map(|place| *place as usize).collect();
        assert_eq!(chosen, expected, "track {track}");
        let best = best_of(&samples, &chosen, &points(&target[width * track..width * (track + 1)])).unwrap();
        assert!((best.ade - ade[track]).abs() < 1e-6 && (best.fde - fde[track]).abs() < 1e-6, "{best:?}");
    }
}

#[test]
fn features_of_pedestrians() {
    let Some(folder) = reference_dir("geotdm") else { return };
    let (golden, expected) = (Golden::open(&folder), json(&folder));
    let scale = expected["ped"]["traj_scale"].as_f64().unwrap() as f32;
    let real = expected["ped"]["num"].as_u64().unwrap() as usize;
    let [(_, raw), (_, x), (_, h)] = ["ped.raw", "ped.x", "ped.h"].map(|name| golden.array(name));
    for walker in 0..real {
        let at = |k: usize, t: usize| 40 * walker + 20 * k + t;
        let track: Track = std::array::from_fn(|t| [0, 1].map(|k| raw[at(k, t)] as f32 / scale));
        let features = node_features(&track);
        for (k, t) in (0..2).flat_map(|k| (0..20).map(move |t| (k, t))) {
            assert!((f64::from(track[t][k]) - x[at(k, t)]).abs() < 1e-6, "walker {walker}, frame {t}");
            assert!((f64::from(features[k][t]) - h[at(k, t)]).abs() < 1e-6, "walker {walker}, frame {t}");
        }
    }
}

#[test]
fn marginal_scores_of_coordinates() {
    let Some(folder) = reference_dir("geotdm") else { return };
    let (golden, expected) = (Golden::open(&folder), json(&folder));
    for set in ["marg.coord", "marg.same"] {
        let component = |part: &str, k: usize| -> Vec<f32> {
            let (_, numbers) = golden.array(&format!("{set}.{part}"));
            numbers.iter().skip(k).step_by(3).map(|value| *value as f32).collect()
        };
        let (_, densities) = golden.array(&format!("{set}.real_density"));
        let mut scores = Vec::new();
        for k in 0..3 {
            let (real, fake) = (component("real", k), component("fake", k));
            let found = MarginalDensities::of(&real, &fake).unwrap();
            let expected_score = expected[set]["per_coordinate"][k].as_f64().unwrap();
            // Values within rounding of an edge: one value moves a bin by 1/(n width).
            let low = real.iter().copied().fold(f32::INFINITY, f32::min);
            let high = real.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let one = 50.0 / (f64::from(high - low) * fake.len() as f64);
            let off = (found.score() - expected_score).abs();
            println!("{set}, coordinate {k}: off by {off:e}, one value weighs {:e}", one / 50.0);
            assert!(off < 2.0 * one / 50.0, "{} {expected_score}", found.score());
            for (bin, density) in found.real.iter().enumerate() {
                assert!((density - densities[50 * k + bin]).abs() < 1.001 * one + 1e-5, "bin {bin}");
            }
            scores.push(found.score());
        }
        let mean = scores.iter().sum::<f64>() / 3.0;
        assert!((mean - expected[set]["score"].as_f64().unwrap()).abs() < 1e-4, "{set}: {mean}");
    }
}

#[test]
fn marginal_scores_of_bonds() {
    let Some(folder) = reference_dir("geotdm") else { return };
    let (golden, expected) = (Golden::open(&folder), json(&folder));
    let (shape, real) = golden.array("chem.real");
    let (_, fake) = golden.array("chem.fake");
    let [samples, atoms, _, frames] = shape[..] else { panic!("{shape:?}") };
    let nodes: Vec<usize> = (0..atoms).collect();
    let all_frames = |numbers: &[f64]| -> Vec<Vec<[f32; 3]>> {
        numbers.chunks_exact(3 * atoms * frames).map(|sample| frames_first(sample, &nodes, frames)).collect()
    };
    let (real, fake) = (all_frames(&real), all_frames(&fake));
    assert_eq!(real.len(), samples);
    // Bonds: pairs nearer than 1.6 Å in the first frame of the first sample.
    let mut topology = equidrift_trajectory::Topology::unknown(atoms);
    topology.bond_within(&real[0][..atoms], 1.6);
    let bonds: Vec<[u32; 2]> = serde_json::from_value(expected["chem"]["bonds"].clone()).unwrap();
    assert_eq!(topology.bonds(), bonds);
    let lengths = |set: &[Vec<[f32; 3]>], [i, j]: [u32; 2]| -> Vec<f32> {
        set.iter()
            .flat_map(|sample| sample.chunks_exact(atoms))
            .map(|frame| distance(frame[i as usize], frame[j as usize]) as f32)
            .collect()
    };
    let mut sum = 0.0;
    for (bond, expected) in bonds.iter().zip(expected["chem"]["per_bond"].as_array().unwrap()) {
        let score = marginal(&lengths(&real, *bond), &lengths(&fake, *bond)).unwrap();
        let expected = expected.as_f64().unwrap();
        assert!((score - expected).abs() < 5e-3 * expected, "bond {bond:?}: {score} {expected}");
        sum += score;
    }
    let (mean, expected) = (sum / bonds.len() as f64, expected["chem"]["score"].as_f64().unwrap());
    println!("bonds: score {mean}, expected {expected}");
    assert!((mean - expected).abs() < 2e-3 * expected, "{mean} {expected}");
}

#[test]
fn halves_of_a_simulation_are_alike() {
    let Some(folder) = data_dir("md") else { return };
    let path = folder.join("alanine_dipeptide.npz");
    let runs: Vec<_> = (0..3)
        .map(|run| {
            TrajectoryReader::open_with(&path, ReadOptions { run: Some(run) }).unwrap().read_all().unwrap()
        })
        .collect();
    let mut maps = Vec::new();
    for run in &runs {
        let mut map = TorsionMap::new(36).unwrap();
        map.add_trajectory(run, [[4, 6, 8, 14], [6, 8, 14, 16]]).unwrap();
        maps.push(map);
    }
    let half = std::f64::consts::FRAC_PI_2;
    let extended = |map: &TorsionMap| {
        map.population(|phi, psi| phi < 0.0 && (psi.to_degrees() > 50.0 || psi.to_degrees() < -150.0))
    };
    // The data's description: 0.723, 0.705, 0.702. Squares of 10 degrees have these limits as edges.
    for (map, expected) in maps.iter().zip([0.723, 0.705, 0.702]) {
        assert!((extended(map) - expected).abs() < 1e-3, "{}", extended(map));
        assert!(map.population(|phi, _| phi > half) < 0.01);
    }
    let divergence = maps[0].divergence(&maps[1]).unwrap();
    println!("torsion maps of two runs: divergence {divergence}");
    assert!(divergence < 0.05, "{divergence}");
    let coordinates = InternalCoordinates::of(runs[0].topology());
    assert_eq!((coordinates.bonds.len(), coordinates.angles.len()), (21, 36));
    let compared = coordinates.compare(&runs[..1], &runs[1..2]).unwrap();
    let mean = |kind| InternalComparison::mean(kind).unwrap();
    let (bonds, angles, torsions) = (mean(&compared.bonds), mean(&compared.angles), mean(&compared.torsions));
    println!("two runs: divergence of bonds {bonds}, angles {angles}, torsions {torsions}");
    assert!(bonds < 0.01 && angles < 0.01 && torsions < 0.02);
}
