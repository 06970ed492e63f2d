//! Keyed noise: its law and its independence of batch, padding and order.

use equidrift_laws::noise_variance::noise_moments;
use equidrift_sampler::noise::NoiseLaw;
use equidrift_sampler::support::{node_key, pair_key};
use equidrift_sampler::{KeyedNoise, NoiseSource, Stream, Support};

fn masks(sizes: &[usize], nodes: usize) -> Vec<Vec<bool>> {
    sizes.iter().map(|&size| (0..nodes).map(|i| i < size).collect()).collect()
}

#[test]
fn unit_variance_per_free_coordinate() {
    let noise = KeyedNoise::new(11);
    let ids: Vec<u64> = (0..64).map(|i| i * i + 5).collect();
    let sizes: Vec<usize> = (0..64).map(|i| 2 + i % 11).collect();
    let supports = [
        Support::nodes(masks(&sizes, 12), 5),
        Support::symmetric_pairs(masks(&sizes, 12)),
        Support::vector(64, 17),
        Support::symmetric_pairs(masks(&[9; 64], 9)),
    ];
    for (component, support) in supports.iter().enumerate() {
        let moments = noise_moments(&noise, Stream::Predictor, component, support, &ids, 200);
        println!("{moments:?}");
        let n = (moments.count as f64).sqrt();
        assert!(moments.count > 100_000);
        assert_eq!((moments.asymmetry, moments.outside), (0.0, 0.0));
        assert!(moments.mean.abs() < 4.5 / n && (moments.variance - 1.0).abs() < 4.5 * 2f64.sqrt() / n);
        assert!((moments.fourth - 3.0).abs() < 4.5 * 96f64.sqrt() / n);
        assert!(moments.neighbour.abs() < 5.0 / n && moments.successive.abs() < 5.0 / n);
    }
}

/// A sample's noise is the same alone, in any batch, at any place, under any padding.
#[test]
fn a_sample_knows_nothing_of_its_batch() {
    let noise = KeyedNoise::new(0xdead_beef_0123_4567);
    let big = Support::symmetric_pairs(masks(&[4, 7, 9], 9));
    let features = Support::nodes(masks(&[4, 7, 9], 9), 3);
    let together = noise.normals(Stream::Prior, 3, 1, &big, &[100, 7, 1 << 40]);
    let nodes_together = noise.normals(Stream::Prior, 3, 0, &features, &[100, 7, 1 << 40]);
    let alone = noise.normals(Stream::Prior, 3, 1, &Support::symmetric_pairs(masks(&[7], 7)), &[7]);
    let nodes_alone = noise.normals(Stream::Prior, 3, 0, &Support::nodes(masks(&[7], 7), 3), &[7]);
    for i in 0..7 {
        for j in 0..7 {
            assert_eq!(together[81 + i * 9 + j].to_bits(), alone[i * 7 + j].to_bits());
        }
        for f in 0..3 {
            assert_eq!(nodes_together[27 + i * 3 + f].to_bits(), nodes_alone[i * 3 + f].to_bits());
        }
    }
    // And it is the documented function of its keys.
    assert_eq!(alone[2 * 7 + 5], noise.draw(Stream::Prior, 3, 1, 7, pair_key(5, 2)));
    assert_eq!(nodes_alone[6 * 3 + 1], noise.draw(Stream::Prior, 3, 0, 7, node_key(6, 1, 3)));
}

#[test]
fn labels_carry_the_noise() {
    let noise = KeyedNoise::new(5);
    let mask = masks(&[6], 6);
    let plain = noise.normals(Stream::Corrector, 9, 1, &Support::symmetric_pairs(mask.clone()), &[42]);
    for labels in [vec![3u32, 0, 5, 1, 2, 4], vec![900_000, 17, 4, 3_000, 70_000, 1]] {
        let support = Support::symmetric_pairs(mask.clone()).with_labels(vec![labels.clone()]);
        let moved = noise.normals(Stream::Corrector, 9, 1, &support, &[42]);
        for i in 0..6 {
            for j in (0..6).filter(|&j| j != i) {
                let direct = noise.draw(Stream::Corrector, 9, 1, 42, pair_key(labels[i], labels[j]));
                assert_eq!(moved[i * 6 + j].to_bits(), direct.to_bits());
                if labels.iter().all(|&label| label < 6) {
                    assert_eq!(moved[i * 6 + j], plain[labels[i] as usize * 6 + labels[j] as usize]);
                }
            }
        }
    }
}

#[test]
fn streams_steps_components_ids_and_seeds_differ() {
    let support = Support::vector(1, 8);
    let base = KeyedNoise::new(1).normals(Stream::Prior, 0, 0, &support, &[0]);
    let others = [
        KeyedNoise::new(2).normals(Stream::Prior, 0, 0, &support, &[0]),
        KeyedNoise::new(1 | 1 << 32).normals(Stream::Prior, 0, 0, &support, &[0]),
        KeyedNoise::new(1).normals(Stream::Corrector, 0, 0, &support, &[0]),
        KeyedNoise::new(1).normals(Stream::Prior, 1, 0, &support, &[0]),
        KeyedNoise::new(1).normals(Stream::Prior, 0, 1, &support, &[0]),
        KeyedNoise::new(1).normals(Stream::Prior, 0, 0, &support, &[1]),
        KeyedNoise::new(1).normals(Stream::Prior, 0, 0, &support, &[1 << 32]),
    ];
    for other in others {
        assert!(base.iter().zip(&other).all(|(a, b)| a != b));
    }
}

#[test]
fn rademacher_is_plus_or_minus_one() {
    let noise = KeyedNoise { seed: 4, law: NoiseLaw::Rademacher };
    let moments = noise_moments(&noise, Stream::Probe, 0, &Support::vector(16, 64), &[0; 16], 20);
    assert_eq!((moments.variance, moments.fourth), (1.0, 1.0));
    assert!(moments.mean.abs() < 0.05);
}

/// Prints the cost of a number; a loose bound catches a lost fast path, not a slow machine.
#[test]
fn a_number_is_cheap() {
    let noise = KeyedNoise::new(8);
    let ids: Vec<u64> = (0..256).collect();
    let supports = [Support::nodes(masks(&[9; 256], 9), 4), Support::symmetric_pairs(masks(&[9; 256], 9))];
    let mut numbers = 0;
    let start = std::time::Instant::now();
    for step in 0..200 {
        for (component, support) in supports.iter().enumerate() {
            let values = noise.normals(Stream::Predictor, step, component, support, &ids);
            assert!(values[1].is_finite());
            numbers += ids.len() * support.degrees_of_freedom(0);
        }
    }
    let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / numbers as f64;
    println!("{nanoseconds:.2} ns per number");
    assert!(nanoseconds < 200.0, "{nanoseconds} ns per number");
}

/// In the subspace without a mean: the mean of every row is 0 whatever its padding, a coordinate of n has variance 1 - 1/n,
/// and projection is idempotent.
#[test]
fn rows_without_a_mean() {
    let noise = KeyedNoise::new(8);
    let sizes = [2, 3, 5, 5];
    let support = Support::nodes(masks(&sizes, 5), 3).centred();
    assert!(support.is_centred() && support.select(&[2, 0]).is_centred());
    assert_ne!(support, Support::nodes(masks(&sizes, 5), 3));
    let freedom: Vec<usize> = (0..4).map(|row| support.degrees_of_freedom(row)).collect();
    assert_eq!(freedom, [3, 6, 12, 12]);
    let ids: Vec<u64> = (0..4).collect();
    let mut squares = [0.0; 4];
    let draws = 4000;
    for step in 0..draws {
        let values = noise.normals(Stream::Predictor, step, 0, &support, &ids);
        for (row, (values, &size)) in values.chunks(15).zip(&sizes).enumerate() {
            for feature in 0..3 {
                let mean: f64 = values.iter().skip(feature).step_by(3).sum();
                assert!(mean.abs() < 1e-14, "{mean:e}");
            }
            assert!(values[3 * size..].iter().all(|x| *x == 0.0));
            squares[row] += values.iter().map(|x| x * x).sum::<f64>();
        }
    }
    for (square, freedom) in squares.iter().zip(&freedom) {
        let count = (freedom * draws as usize) as f64;
        let variance = square / count;
        assert!((variance - 1.0).abs() < 4.5 * (2.0 / count).sqrt(), "{variance}");
    }
    // Alone and unpadded the same numbers.
    let alone = Support::nodes(masks(&[3], 3), 3).centred();
    let found = noise.normals(Stream::Prior, 0, 0, &alone, &[1]);
    assert_eq!(found, noise.normals(Stream::Prior, 0, 0, &support, &ids)[15..24]);
    let mut row: Vec<f64> = (0..15).map(f64::from).collect();
    assert!(support.project_row(1, &mut row));
    assert_eq!(row[..9], [-3.0, -3.0, -3.0, 0.0, 0.0, 0.0, 3.0, 3.0, 3.0]);
    assert!(row[9..].iter().all(|x| *x == 0.0) && !support.project_row(1, &mut row));
    let mut bad = [f32::NAN; 15];
    support.project_row(3, &mut bad);
    assert!(bad.iter().all(|x| x.is_nan()));
}
