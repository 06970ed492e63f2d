//! Held-out losses: comparable between epochs, and what follows from them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use equidrift_backend::weights::ParameterSet;
use equidrift_train::{
    Ending, EpochReport, Evaluation, Intervals, LearningRate, Objective, Observer, RunFolder, Schedule,
    Session, Silent, TrainError, Trainer, TrainerConfig, TrainingState, VALIDATION_EPOCH, ValidationConfig,
    Weights,
};

use crate::least_squares::{GROUPS, Line, config, start};

fn validating(epochs: u64, validation: ValidationConfig) -> TrainerConfig {
    TrainerConfig { validation, ..config(epochs) }
}

#[derive(Default)]
struct Reports(Vec<EpochReport>);

impl Observer for Reports {
    fn epoch(&mut self, report: &EpochReport, _: &TrainingState) -> Result<(), TrainError> {
        self.0.push(report.clone());
        Ok(())
    }
}

fn run(
    trainer: &mut Trainer,
    folder: Option<&RunFolder>,
    observer: &mut dyn Observer,
    stop: &dyn Fn() -> bool,
) -> Ending {
    let mut held_out = Line::new(23);
    let session = Session { folder, validation: Some(&mut held_out), observer, stop };
    trainer.run_session(&mut Line::new(100), session).unwrap()
}

#[test]
fn losses_are_those_of_fixed_draws_with_both_weights() {
    let validation = ValidationConfig { every: 2, draws: 3, ..ValidationConfig::default() };
    let mut trainer = Trainer::new(validating(4, validation), GROUPS.to_vec(), start()).unwrap();
    let mut reports = Reports::default();
    run(&mut trainer, None, &mut reports, &|| false);
    let validated: Vec<bool> = reports.0.iter().map(|report| report.validation.is_some()).collect();
    assert_eq!(validated, [false, true, false, true]);

    let state = trainer.state();
    let last = reports.0[3].validation.as_ref().unwrap();
    let all: Vec<usize> = (0..23).collect();
    let by_hand = |parameters: &ParameterSet| -> f64 {
        let of = |draw| Line::new(23).evaluate(parameters, &all, VALIDATION_EPOCH - draw).unwrap().losses[0];
        (0..3).map(of).sum::<f64>() / 3.0
    };
    assert!((last.raw["square"] - by_hand(&state.parameters)).abs() < 1e-14);
    let average = state.average.parameters(&state.parameters);
    assert!((last.average["square"] - by_hand(&average)).abs() < 1e-14);
    assert_ne!(last.raw, last.average);
}

#[test]
fn validation_changes_no_weight() {
    let mut plain = Trainer::new(config(5), GROUPS.to_vec(), start()).unwrap();
    plain.run(&mut Line::new(100), None, &mut Silent, &|| false).unwrap();
    let mut validated =
        Trainer::new(validating(5, ValidationConfig::default()), GROUPS.to_vec(), start()).unwrap();
    run(&mut validated, None, &mut Silent, &|| false);
    assert_eq!(plain.state().parameters, validated.state().parameters);
    assert_eq!(plain.state().adam, validated.state().adam);
}

/// Falls to 0 at the third validation and rises from then on, with the weights of the last step and their average alike.
struct Rising {
    calls: u64,
}

impl Objective for Rising {
    fn losses(&self) -> &[&'static str] {
        &["square"]
    }

    fn examples(&self) -> usize {
        1
    }

    fn evaluate(&mut self, _: &ParameterSet, _: &[usize], _: u64) -> Result<Evaluation, TrainError> {
        panic!("validation is to do without the gradient where the objective can")
    }

    fn evaluate_losses(&mut self, _: &ParameterSet, _: &[usize], _: u64) -> Result<Vec<f64>, TrainError> {
        self.calls += 1;
        let validation = self.calls.div_ceil(2) as f64; // raw and averaged weights
        Ok(vec![(validation - 3.0).abs()])
    }
}

fn rising(folder: &Path, config: TrainerConfig, validations: u64) -> (Trainer, Ending) {
    let (folder, state) = RunFolder::resume(folder, BTreeMap::new(), 0).unwrap();
    let mut trainer = match state {
        None => Trainer::new(config, GROUPS.to_vec(), start()).unwrap(),
        Some(state) => Trainer::resume(config, GROUPS.to_vec(), state).unwrap(),
    };
    let mut held_out = Rising { calls: 2 * validations };
    let session = Session {
        folder: Some(&folder),
        validation: Some(&mut held_out),
        observer: &mut Silent,
        stop: &|| false,
    };
    let ending = trainer.run_session(&mut Line::new(100), session).unwrap();
    (trainer, ending)
}

#[test]
fn a_run_that_no_longer_improves_ends_and_its_best_epoch_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let waiting = |patience| ValidationConfig { patience, ..ValidationConfig::default() };
    let (trainer, ending) = rising(folder.path(), validating(50, waiting(4)), 0);
    assert_eq!((ending, trainer.state().progress.epochs), (Ending::Converged, 7), "epochs 4 to 7 were worse");
    let run = RunFolder::resume(folder.path(), BTreeMap::new(), 0).unwrap().0;
    let best = run.read_best().unwrap().unwrap();
    assert_eq!((best.progress.epochs, best.progress.validation.best.best), (3, Some(0.0)));
    assert_eq!(TrainingState::read(&run.last(), &BTreeMap::new()).unwrap().progress.epochs, 7);
    let flags: Vec<bool> =
        run.reports().unwrap().iter().map(|report| report.validation.as_ref().unwrap().best).collect();
    assert_eq!(flags, [true, true, true, false, false, false, false]);
    drop(run);
    // Resumed as it is, it ends at once; with more patience it goes on where it stood.
    assert_eq!(rising(folder.path(), validating(50, waiting(4)), 7).1, Ending::Converged);
    let (trainer, ending) = rising(folder.path(), validating(50, waiting(6)), 7);
    assert_eq!((ending, trainer.state().progress.epochs), (Ending::Converged, 9));
}

#[test]
fn a_smallest_improvement_shortens_the_wait_but_not_the_choice_of_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let validation = ValidationConfig { patience: 3, min_delta: 1.5, ..ValidationConfig::default() };
    let (trainer, ending) = rising(folder.path(), validating(50, validation), 0);
    // Losses 2, 1, 0, 1, 2, 3: 0 is the first that is 1.5 below the 2.
    assert_eq!((ending, trainer.state().progress.epochs), (Ending::Converged, 6));
    assert_eq!(trainer.state().progress.validation.best.epoch, 3);
}

#[test]
fn a_plateau_lowers_the_rate_and_a_resumed_run_agrees() {
    let schedule = Schedule::Plateau { factor: 0.5, patience: 1, threshold: 0.02, floor: 0.01 };
    let config = TrainerConfig {
        learning_rate: LearningRate { schedule, ..LearningRate::constant(0.1) },
        ..validating(30, ValidationConfig { judged: Weights::Raw, ..ValidationConfig::default() })
    };
    let mut reports = Reports::default();
    let mut whole = Trainer::new(config.clone(), GROUPS.to_vec(), start()).unwrap();
    run(&mut whole, None, &mut reports, &|| false);
    let rates: Vec<f64> = reports.0.iter().map(|report| report.learning_rate).collect();
    assert!(rates[0] == 0.1 && rates.windows(2).all(|pair| pair[1] <= pair[0]));
    assert!(rates[29] < 0.05 && rates[29] >= 0.01, "{rates:?}");

    let folder = tempfile::tempdir().unwrap();
    for steps in [30, 1, 44, usize::MAX] {
        let (folder, state) = RunFolder::resume(folder.path(), BTreeMap::new(), 0).unwrap();
        let folder = folder.with_intervals(Intervals { steps: 0, seconds: 1e6 });
        let mut trainer = match state {
            None => Trainer::new(config.clone(), GROUPS.to_vec(), start()).unwrap(),
            Some(state) => Trainer::resume(config.clone(), GROUPS.to_vec(), state).unwrap(),
        };
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > steps
        };
        let ending = run(&mut trainer, Some(&folder), &mut Silent, &stop);
        if ending == Ending::Finished {
            assert_eq!(trainer.state().parameters, whole.state().parameters);
            assert_eq!(trainer.state().progress.validation, whole.state().progress.validation);
            let logged: Vec<_> =
                folder.reports().unwrap().into_iter().map(|r| (r.losses, r.validation)).collect();
            let expected: Vec<_> =
                reports.0.iter().map(|r| (r.losses.clone(), r.validation.clone())).collect();
            assert_eq!(logged, expected);
            return;
        }
    }
    panic!("the run was never finished");
}

#[test]
fn a_run_stopped_during_validation_or_measurement_repeats_only_that() {
    struct Interrupted {
        measured: Vec<u64>,
        refuse: bool,
    }
    impl Observer for Interrupted {
        fn measure(
            &mut self,
            epoch: u64,
            state: &TrainingState,
        ) -> Result<Option<BTreeMap<String, f64>>, TrainError> {
            self.measured.push(epoch);
            let figures = [("steps".to_owned(), state.progress.steps as f64), ("bad".to_owned(), f64::NAN)];
            Ok((!self.refuse).then(|| figures.into()))
        }
    }
    let mut observer = Interrupted { measured: Vec::new(), refuse: true };
    let folder = tempfile::tempdir().unwrap();
    let (run_folder, _) = RunFolder::resume(folder.path(), BTreeMap::new(), 0).unwrap();
    let config = validating(2, ValidationConfig::default());
    let mut trainer = Trainer::new(config, GROUPS.to_vec(), start()).unwrap();
    // Seven steps an epoch, then two batches of held-out examples for each of the two sets of weights.
    let asked = Cell::new(0);
    let during_validation = || {
        asked.set(asked.get() + 1);
        asked.get() > 9
    };
    assert_eq!(run(&mut trainer, Some(&run_folder), &mut observer, &during_validation), Ending::Stopped);
    assert!(observer.measured.is_empty());
    assert_eq!(run(&mut trainer, Some(&run_folder), &mut observer, &|| false), Ending::Stopped);
    assert_eq!(trainer.state().progress.steps, 7);
    assert_eq!((trainer.state().progress.epochs, run_folder.reports().unwrap().len()), (0, 0));
    observer.refuse = false;
    assert_eq!(run(&mut trainer, Some(&run_folder), &mut observer, &|| false), Ending::Finished);
    assert_eq!(observer.measured, [1, 1, 2]);
    let reports = run_folder.reports().unwrap();
    assert_eq!(reports[1].metrics, BTreeMap::from([("steps".to_owned(), 14.0)]));

    let mut whole = Trainer::new(crate::least_squares::config(2), GROUPS.to_vec(), start()).unwrap();
    whole.run(&mut Line::new(100), None, &mut Silent, &|| false).unwrap();
    assert_eq!(trainer.state().parameters, whole.state().parameters);
}

#[test]
fn waiting_without_held_out_examples_is_refused() {
    let patient = validating(3, ValidationConfig { patience: 2, ..ValidationConfig::default() });
    let schedule = Schedule::Plateau { factor: 0.5, patience: 1, threshold: 0.0, floor: 0.0 };
    let plateau = TrainerConfig {
        learning_rate: LearningRate { schedule, ..LearningRate::constant(0.1) },
        ..config(3)
    };
    for (config, word) in [(patient, "patience"), (plateau, "plateau")] {
        let mut trainer = Trainer::new(config.clone(), GROUPS.to_vec(), start()).unwrap();
        let error = trainer.run(&mut Line::new(100), None, &mut Silent, &|| false).unwrap_err();
        assert!(matches!(error, TrainError::NoValidation { .. }), "{error}");
        assert!(error.to_string().contains(word));
        // An empty validation set is none.
        let mut nothing = Line::new(0);
        let session =
            Session { folder: None, validation: Some(&mut nothing), observer: &mut Silent, stop: &|| false };
        assert!(trainer.run_session(&mut Line::new(100), session).is_err());
    }
}
