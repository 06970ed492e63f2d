//! Whole evaluations, on small sets worked out by hand and on the data sets.

use std::path::{Path, PathBuf};

use equidrift_trajectory::baselines::Sharing;
use equidrift_trajectory::evaluation::backbone::phi_psi;
use equidrift_trajectory::evaluation::{
    Baselines, EnsembleTask, ForecastTask, Place, Resampling, Stretch, TrainingWindows, windows_of,
};
use equidrift_trajectory::file::NumpyWriter;
use equidrift_trajectory::nbody::System;
use equidrift_trajectory::{Part, SampleSet, Selection, TrajectoryError};

fn write(path: &Path, shape: &[usize], positions: &[f32], more: impl FnOnce(&mut NumpyWriter)) -> SampleSet {
    let mut writer = NumpyWriter::create(path).unwrap();
    writer.floats("positions", shape, positions).unwrap();
    more(&mut writer);
    writer.finish().unwrap();
    SampleSet::read(path, &Selection::All).unwrap()
}

/// One body that moves along x: at `t²` in frame `t`.
fn parabola(path: &Path) -> SampleSet {
    let positions: Vec<f32> = (0..12).flat_map(|t| [(t * t) as f32, 0.0, 0.0]).collect();
    write(path, &[12, 1, 3], &positions, |file| file.doubles("dt_fs", &[], &[2.0]).unwrap())
}

#[test]
fn forecasts_worked_out_by_hand() {
    let folder = tempfile::TempDir::new().unwrap();
    let reference = parabola(&folder.path().join("reference.npz"));
    // Two windows of two samples; x of two predicted frames. True: 9, 16 (window at 3) and 25, 36 (at 5).
    let x = [9.0, 17.0, 12.0, 16.0, 25.0, 36.0, 23.0, 40.0];
    let positions: Vec<f32> = x.iter().flat_map(|x| [*x, 0.0, 0.0]).collect();
    let samples = write(&folder.path().join("samples.npz"), &[4, 2, 1, 3], &positions, |file| {
        file.integers("window", &[4], &[3, 3, 5, 5]).unwrap();
        file.doubles("dt_fs", &[], &[2.0]).unwrap();
    });
    let stretch = Stretch { given: 3, predicted: 2, behind: 0, every: 1 };
    let task = ForecastTask { stretch, resampling: Resampling { replicates: 50, seed: 1 } };
    let members = task.members(&samples, &reference, None).unwrap();
    assert_eq!(members[1].place, Place { run: 0, frame: 5 });
    assert_eq!((&members[0].samples[..], &members[1].samples[..]), (&[0, 1][..], &[2, 3][..]));
    let places = windows_of(&reference, stretch, None, 100).unwrap();
    assert_eq!((places.len(), places[0].frame, places[7].frame), (8, 3, 10));
    let training = Some(TrainingWindows { set: &reference, places: &places, every: 1 });
    let baselines = Baselines { training, sharing: Sharing::PerAtom };
    let found = task.evaluate(Some(&samples), &reference, members, baselines).unwrap();
    assert_eq!((found.windows, found.blocks, found.time_step), (2, 2, Some(2.0)));
    let [of_samples, of_mean, last_velocity, regression] = &found.rows[..] else {
        panic!("{:?}", found.rows)
    };
    // Distances: window 3: (0, 1) and (3, 0); window 5: (0, 0) and (2, 4).
    let mean = |values: [f64; 4]| values.iter().sum::<f64>() / 4.0;
    assert_eq!(of_samples.ade.value, mean([0.5, 1.5, 0.0, 3.0]));
    assert_eq!(of_samples.fde.value, mean([1.0, 0.0, 0.0, 4.0]));
    assert_eq!(of_samples.best_ade.unwrap().value, f64::midpoint(0.5, 0.0));
    // The best end point is another sample's than the best path.
    assert_eq!(of_samples.best_fde.unwrap().value, 0.0);
    assert_eq!(of_samples.by_frame, [mean([0.0, 3.0, 0.0, 2.0]), mean([1.0, 0.0, 0.0, 4.0])]);
    // Mean samples 10.5, 16.5 and 24, 38.
    assert_eq!((of_mean.name.as_str(), of_mean.samples_per_window), ("mean of samples", 1));
    assert_eq!(of_mean.ade.value, mean([1.5, 0.5, 1.0, 2.0]));
    assert_eq!(of_mean.fde.value, f64::midpoint(0.5, 2.0));
    // From (t-2)², (t-1)²: errors 2 and 6 wherever it begins.
    assert_eq!((last_velocity.ade.value, last_velocity.fde.value), (4.0, 6.0));
    assert_eq!((last_velocity.best_ade, last_velocity.ade.standard_error), (None, Some(0.0)));
    // A parabola obeys a linear recurrence of three given frames.
    assert!(regression.fde.value < 1e-3, "{}", regression.fde.value);
    assert!(of_samples.ade.standard_error.unwrap() > 0.0);
}

#[test]
fn samples_of_something_else_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let reference = parabola(&path("reference.npz"));
    let stretch = Stretch { given: 3, predicted: 2, behind: 0, every: 1 };
    let task = ForecastTask { stretch, resampling: Resampling::default() };
    let error = |samples: &SampleSet, reference: &SampleSet| -> String {
        let error = task.members(samples, reference, None).unwrap_err();
        assert!(matches!(error, TrajectoryError::Unfit { .. }), "{error}");
        error.to_string()
    };
    let two = write(&path("two.npz"), &[1, 2, 2, 3], &[0.0; 12], |_| ());
    assert!(error(&two, &reference).contains("2 atoms"));
    let with = |name: &str, windows: &[i64]| {
        let count = windows.len();
        write(&path(name), &[count, 2, 1, 3], &vec![0.0; 6 * count], |file| {
            file.integers("window", &[count], windows).unwrap();
        })
    };
    assert!(error(&with("early.npz", &[2]), &reference).contains("cannot begin its prediction at frame 2"));
    assert!(error(&with("late.npz", &[3, 11]), &reference).contains("frame 11"));
    assert!(
        error(&with("uneven.npz", &[3, 3, 4]), &reference).contains("1 samples of the window at frame 4")
    );
    let runs = write(&path("runs.npz"), &[2, 5, 1, 3], &[0.0; 30], |_| ());
    let three = write(&path("three.npz"), &[3, 2, 1, 3], &[0.0; 18], |_| ());
    assert!(error(&three, &runs).contains("no array `window`"));
    // Six samples are three of each run, in order.
    let six = write(&path("six.npz"), &[12, 1, 3], &[0.0; 36], |_| ()).cut_every(2).unwrap();
    let members = task.members(&six, &runs, None).unwrap();
    assert_eq!((members.len(), &members[1].samples[..]), (2, &[3, 4, 5][..]));
    let places = [0, 1, 2].map(|k| Place { run: 0, frame: 3 + k });
    assert_eq!(task.members(&six, &reference, Some(&places)).unwrap()[2].samples, [4, 5]);
    assert!(six.cut_every(3).is_err());
    // Frames of a second run are counted on: run 1 begins at 5.
    assert_eq!(
        task.members(&with("second.npz", &[8]), &runs, None).unwrap()[0].place,
        Place { run: 1, frame: 3 }
    );
    assert!(error(&with("across.npz", &[5]), &runs).contains("frame 5"));
    assert!(windows_of(&runs, Stretch { predicted: 3, ..stretch }, None, 9).is_err());
    assert!(windows_of(&runs, stretch, Some(Part::Test), 9).is_err());
}

#[test]
fn an_ensemble_that_is_the_reference_differs_in_nothing() {
    let folder = tempfile::TempDir::new().unwrap();
    let runs = System::Springs.simulate_all(5, 3, 0..40, 2).unwrap();
    let positions: Vec<f32> = runs.iter().flat_map(|run| run.trajectory().coordinates().to_vec()).collect();
    let springs: Vec<f64> = runs.iter().flat_map(|run| run.interactions().to_vec()).collect();
    let set = write(&folder.path().join("x.npz"), &[40, 49, 5, 3], &positions, |file| {
        file.doubles("springs", &[40, 5, 5], &springs).unwrap();
        file.doubles("dt_fs", &[], &[0.1]).unwrap();
    });
    let task = EnsembleTask { every: 1, lags: 30, torsions: None, temperature: 300.0 };
    let found = task.evaluate(&set, &set).unwrap();
    assert!(found.internal.is_none() && found.torsion_map.is_none());
    let radial = found.radial_distribution.unwrap();
    assert_eq!(radial.divergence, 0.0);
    assert!(radial.reference_halves > 0.001);
    let velocity = found.velocity_autocorrelation.unwrap();
    assert_eq!((velocity.mean_difference, velocity.generated.len()), (0.0, 31));
    let marginal = found.marginal.unwrap();
    assert_eq!((marginal.of, marginal.components.len()), ("coordinates", 3));
    assert!(marginal.score < marginal.reference_halves.unwrap());
    // Springs swing slowly: what central differences miss is little.
    let drift = found.energy_drift.unwrap();
    assert!(drift.generated < 0.01 && Some(drift.generated) == drift.reference, "{drift:?}");
}

fn data(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("EQUIDRIFT_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = data.join("md").join(name);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("skipped: no reference data");
    None
}

#[test]
fn the_backbone_of_alanine_dipeptide_is_found_and_its_basins_are_the_published() {
    let Some(path) = data("alanine_dipeptide.npz") else { return };
    let set = SampleSet::read(&path, &Selection::All).unwrap();
    assert_eq!((set.samples(), set.frames(), set.atoms()), (3, 10_043, 22));
    assert_eq!(phi_psi(set.topology()).len(), 1);
    let task = EnsembleTask { every: 10, lags: 50, torsions: None, temperature: 300.0 };
    let found = task.evaluate(&set, &set).unwrap();
    let map = found.torsion_map.unwrap();
    let [extended, helix, left] = &map.basins[..] else { panic!("{map:?}") };
    // Run by run 0.723, 0.705, 0.702 and 0.276, 0.294, 0.298 (shared/data/README.md).
    assert!((extended.generated - 0.71).abs() < 0.06 && (helix.generated - 0.289).abs() < 0.05, "{map:?}");
    assert!((extended.reference - 0.71).abs() < 0.02 && left.reference < 0.001, "{map:?}");
    assert!(found.internal.unwrap().torsions.unwrap().mean < 0.01);
}
