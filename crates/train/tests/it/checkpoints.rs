//! Kill and resume, and checkpoints that are not what they should be.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use equidrift_train::{
    Ending, Intervals, Observer, RunFolder, Silent, StepReport, TrainError, Trainer, TrainingState,
};

use crate::least_squares::{GROUPS, Line, config, start};

const EPOCHS: u64 = 6;

fn identity() -> BTreeMap<String, String> {
    BTreeMap::from([("batch".to_owned(), "16".to_owned()), ("data".to_owned(), "line".to_owned())])
}

/// Runs in `folder`, stopping after `steps` further steps if given.
fn run(folder: &Path, steps: Option<usize>) -> (Trainer, Ending) {
    let (folder, state) = RunFolder::resume(folder, identity(), 2).unwrap();
    let mut trainer = match state {
        None => Trainer::new(config(EPOCHS), GROUPS.to_vec(), start()).unwrap(),
        Some(state) => Trainer::resume(config(EPOCHS), GROUPS.to_vec(), state).unwrap(),
    };
    let left = Cell::new(steps);
    let stop = || match left.get() {
        None => false,
        Some(0) => true,
        Some(n) => {
            left.set(Some(n - 1));
            false
        }
    };
    let ending = trainer.run(&mut Line::new(100), Some(&folder), &mut Silent, &stop).unwrap();
    (trainer, ending)
}

/// What must be equal bit for bit; wall times are not.
fn weights(state: &TrainingState) -> (&BTreeMap<String, equidrift_backend::weights::HostTensor>, String) {
    (&state.parameters, format!("{:?} {:?}", state.adam, state.average))
}

fn losses(folder: &Path) -> Vec<(u64, String)> {
    let text = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let report: equidrift_train::EpochReport = serde_json::from_str(line).unwrap();
            (report.epoch, format!("{:?} {:?}", report.losses, report.gradient_norms))
        })
        .collect()
}

#[test]
fn stopped_and_resumed_runs_end_with_the_same_bits() {
    let whole = tempfile::tempdir().unwrap();
    let (reference, ending) = run(whole.path(), None);
    assert_eq!(ending, Ending::Finished);
    // 7 steps an epoch: 3 is inside an epoch, 14 on the boundary, 0 before the first step.
    for stops in [vec![0], vec![3], vec![14], vec![1, 1, 11, 7, 20]] {
        let folder = tempfile::tempdir().unwrap();
        for &steps in &stops {
            assert_eq!(run(folder.path(), Some(steps)).1, Ending::Stopped);
        }
        let (resumed, ending) = run(folder.path(), None);
        assert_eq!(ending, Ending::Finished);
        assert_eq!(weights(resumed.state()), weights(reference.state()), "stopped after {stops:?}");
        assert_eq!(losses(folder.path()), losses(whole.path()));
    }
}

#[test]
fn a_run_killed_between_log_and_checkpoint_repeats_the_epoch() {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), None);
    let killed = tempfile::tempdir().unwrap();
    run(killed.path(), Some(15));
    // What SIGKILL may leave: a line of an epoch that no checkpoint knows, a cut line, a temporary file.
    let log = killed.path().join("log.jsonl");
    let mut text = fs::read_to_string(&log).unwrap();
    let third = text.lines().last().unwrap().replace("\"epoch\":2", "\"epoch\":3");
    text.push_str(&format!("{third}\n{{\"epoch\":4,\"lo"));
    fs::write(&log, text).unwrap();
    fs::write(killed.path().join("checkpoints/.partial-abc"), b"half").unwrap();
    run(killed.path(), None);
    assert_eq!(losses(killed.path()), losses(whole.path()));
}

#[test]
fn numbered_checkpoints_are_kept_and_usable() {
    let folder = tempfile::tempdir().unwrap();
    let (reference, _) = run(folder.path(), None);
    let checkpoints = folder.path().join("checkpoints");
    let mut names: Vec<_> =
        fs::read_dir(&checkpoints).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = ["epoch-00002.safetensors", "epoch-00004.safetensors", "epoch-00006.safetensors"];
    assert_eq!(names, [&expected[..], &["last.safetensors"]].concat());
    // Going back to a numbered one by renaming it, as the error messages advise.
    fs::rename(checkpoints.join(expected[0]), checkpoints.join("last.safetensors")).unwrap();
    let (again, _) = run(folder.path(), None);
    assert_eq!(weights(again.state()), weights(reference.state()));
}

#[test]
fn a_new_run_never_overwrites_an_old_one() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), Some(3));
    let error = RunFolder::create(folder.path(), identity(), 2).unwrap_err();
    assert!(matches!(error, TrainError::FolderInUse { .. }), "{error}");
    assert!(error.to_string().contains("--resume"));
}

#[test]
fn another_runs_checkpoint_is_refused_with_the_setting_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), Some(3));
    let mut other = identity();
    other.insert("batch".to_owned(), "32".to_owned());
    let error = RunFolder::resume(folder.path(), other, 2).unwrap_err();
    let TrainError::OtherRun { key, recorded, given, .. } = &error else { panic!("{error}") };
    assert_eq!((key.as_str(), recorded.as_str(), given.as_str()), ("batch", "16", "32"));
}

#[test]
fn every_truncation_and_every_flipped_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), Some(9));
    let path = folder.path().join("checkpoints/last.safetensors");
    let good = fs::read(&path).unwrap();
    for length in (0..good.len()).step_by(37) {
        fs::write(&path, &good[..length]).unwrap();
        let error = TrainingState::read(&path, &identity()).unwrap_err();
        assert!(error.to_string().contains("last.safetensors"), "{error}");
    }
    for position in (0..good.len()).step_by(11) {
        let mut bad = good.clone();
        bad[position] ^= 0x04;
        fs::write(&path, &bad).unwrap();
        let read = TrainingState::read(&path, &identity());
        assert!(read.is_err(), "byte {position} of {}", good.len());
    }
    fs::write(&path, &good).unwrap();
    assert!(TrainingState::read(&path, &identity()).is_ok());
}

#[test]
fn a_model_file_is_not_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let file = equidrift_backend::weights::TensorFile { tensors: start(), metadata: BTreeMap::new() };
    file.write(&path).unwrap();
    let error = TrainingState::read(&path, &identity()).unwrap_err();
    assert!(matches!(error, TrainError::NotACheckpoint { .. }), "{error}");
    let missing = TrainingState::read(&folder.path().join("nothing"), &identity()).unwrap_err();
    assert!(matches!(missing, TrainError::Weights(_)), "{missing}");
}

#[test]
fn two_processes_cannot_train_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = RunFolder::create(folder.path(), identity(), 0).unwrap();
    let error = RunFolder::resume(folder.path(), identity(), 0).unwrap_err();
    assert!(matches!(error, TrainError::Busy { .. }), "{error}");
    drop(first);
    assert!(RunFolder::resume(folder.path(), identity(), 0).is_ok());
}

#[test]
fn intervals_say_when_the_newest_state_is_written() {
    /// Steps of the checkpoint on disk after each step of the run.
    struct Watch<'a>(&'a RunFolder, Vec<Option<u64>>);
    impl Observer for Watch<'_> {
        fn step(&mut self, _: &StepReport) {
            let state = TrainingState::read(&self.0.last(), &identity()).ok();
            self.1.push(state.map(|state| state.progress.steps));
        }
    }
    let written = |intervals| {
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(folder.path(), identity(), 3).unwrap().with_intervals(intervals);
        let mut watch = Watch(&folder, Vec::new());
        let mut trainer = Trainer::new(config(EPOCHS), GROUPS.to_vec(), start()).unwrap();
        trainer.run(&mut Line::new(100), Some(&folder), &mut watch, &|| false).unwrap();
        let last = TrainingState::read(&folder.last(), &identity()).unwrap().progress.steps;
        assert_eq!(last, 42, "the end is always written");
        watch.1
    };
    // An observer sees the file before the step it is told of is saved. Seven steps an epoch.
    let never = written(Intervals { steps: 0, seconds: 1e9 });
    assert!(never[..7].iter().all(Option::is_none));
    assert!(never[7..21].iter().all(|steps| *steps == Some(7)), "the first epoch and those kept: {never:?}");
    assert!(never[21..].iter().all(|steps| *steps == Some(21)));
    let every_epoch = written(Intervals::default());
    assert_eq!((every_epoch[6], every_epoch[7], every_epoch[14]), (None, Some(7), Some(14)));
    let by_steps = written(Intervals { steps: 4, seconds: 1e9 });
    assert_eq!(by_steps[..9], [None, None, None, None, Some(4), Some(4), Some(4), Some(4), Some(8)]);
    let always = written(Intervals { steps: 0, seconds: 1e-9 });
    assert_eq!(always[1..], (1..42).map(Some).collect::<Vec<_>>());
}

#[test]
fn what_a_kill_left_behind_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), Some(3));
    let left = [folder.path().join(".partial-abc"), folder.path().join("checkpoints/.partial-xyz")];
    left.iter().for_each(|path| fs::write(path, b"half").unwrap());
    run(folder.path(), Some(3));
    assert!(left.iter().all(|path| !path.exists()));
}

#[test]
fn the_log_is_a_table_as_well() {
    /// A figure every second epoch.
    struct Figures;
    impl Observer for Figures {
        fn measure(
            &mut self,
            epoch: u64,
            _: &TrainingState,
        ) -> Result<Option<BTreeMap<String, f64>>, TrainError> {
            let figure = |epoch: u64| ("validity".to_owned(), epoch as f64 / 8.0);
            Ok(Some(epoch.is_multiple_of(2).then(|| figure(epoch)).into_iter().collect()))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let csv = |folder: &Path| fs::read_to_string(folder.join("log.csv")).unwrap();
    let go = |epochs| {
        let (run, state) = RunFolder::resume(folder.path(), identity(), 0).unwrap();
        let run = run.with_csv().unwrap();
        let mut trainer = match state {
            None => Trainer::new(config(epochs), GROUPS.to_vec(), start()).unwrap(),
            Some(state) => Trainer::resume(config(epochs), GROUPS.to_vec(), state).unwrap(),
        };
        trainer.run(&mut Line::new(100), Some(&run), &mut Figures, &|| false).unwrap();
        csv(folder.path())
    };
    let one = go(1);
    let header = "epoch,steps,loss.square,gradient_norm.offset,gradient_norm.slope,learning_rate,seconds";
    assert_eq!((one.lines().next().unwrap(), one.lines().count()), (header, 2));
    let four = go(4);
    let lines: Vec<Vec<&str>> = four.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0][..4], ["epoch", "steps", "loss.square", "metric.validity"]);
    assert_eq!(
        lines.iter().map(|line| line[3]).collect::<Vec<_>>(),
        ["metric.validity", "", "0.25", "", "0.5"]
    );
    assert!(lines.iter().all(|line| line.len() == lines[0].len()));
    let reports = equidrift_train::read_log(&folder.path().join("log.jsonl")).unwrap();
    assert_eq!(lines[4][2], reports[3].losses["square"].to_string());
}

#[test]
fn a_log_that_is_none_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), Some(15));
    let log = folder.path().join("log.jsonl");
    let good = fs::read_to_string(&log).unwrap();
    fs::write(&log, format!("{good}{{\"epoch\": 3, \"st")).unwrap();
    assert_eq!(equidrift_train::read_log(&log).unwrap().len(), 2, "a line that is being written");
    fs::write(&log, format!("{good}nonsense\n{good}")).unwrap();
    let error = equidrift_train::read_log(&log).unwrap_err();
    assert!(error.to_string().contains("log.jsonl:3"), "{error}");
}
