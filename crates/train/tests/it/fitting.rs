//! The loop finds a known solution and keeps its contract.

use equidrift_train::{
    Ending, EpochReport, Observer, Silent, StepReport, TrainError, Trainer, TrainingState,
};

use crate::least_squares::{GROUPS, Line, config, start};

#[derive(Default)]
struct Recorder {
    steps: Vec<StepReport>,
    epochs: Vec<EpochReport>,
}

impl Observer for Recorder {
    fn step(&mut self, report: &StepReport) {
        self.steps.push(report.clone());
    }

    fn epoch(&mut self, report: &EpochReport, _: &TrainingState) -> Result<(), TrainError> {
        self.epochs.push(report.clone());
        Ok(())
    }
}

#[test]
fn the_loop_finds_the_line_and_its_average() {
    let mut trainer = Trainer::new(config(200), GROUPS.to_vec(), start()).unwrap();
    let ending = trainer.run(&mut Line::new(100), None, &mut Silent, &|| false).unwrap();
    assert_eq!(ending, Ending::Finished);
    let state = trainer.state();
    for parameters in [&state.parameters, &state.average.parameters(&state.parameters)] {
        assert!((parameters["slope.a"].to_f64()[0] - 3.0).abs() < 0.01, "{parameters:?}");
        assert!((parameters["offset.b"].to_f64()[0] + 1.0).abs() < 0.01, "{parameters:?}");
    }
    assert_eq!(state.parameters["offset.unused"].to_f64(), [0.25], "no gradient, no decay, no change");
}

#[test]
fn the_last_batch_of_an_epoch_is_the_remainder() {
    let mut recorder = Recorder::default();
    let mut trainer = Trainer::new(config(3), GROUPS.to_vec(), start()).unwrap();
    trainer.run(&mut Line::new(100), None, &mut recorder, &|| false).unwrap();
    assert_eq!(recorder.steps.len(), 3 * 7, "six batches of 16 and one of 4");
    assert!(recorder.steps.iter().all(|step| step.steps_per_epoch == 7 && step.gradient_norms.len() == 2));
    assert_eq!(recorder.epochs.len(), 3);
    assert_eq!(recorder.epochs[2].steps, 21);
    assert!((recorder.epochs[2].learning_rate - 0.05 * 0.99 * 0.99).abs() < 1e-15);
    // The epoch's loss is the mean over examples, not over batches.
    let first: &[StepReport] = &recorder.steps[..7];
    let mean: f64 =
        first.iter().enumerate().map(|(i, s)| s.losses[0] * if i == 6 { 4.0 } else { 16.0 }).sum::<f64>()
            / 100.0;
    assert!((recorder.epochs[0].losses["square"] - mean).abs() < 1e-12);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_before_the_weights_change() {
    let mut objective = Line { fail_at: Some(4), ..Line::new(100) };
    let mut trainer = Trainer::new(config(3), GROUPS.to_vec(), start()).unwrap();
    let error = trainer.run(&mut objective, None, &mut Silent, &|| false).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { epoch: 1, step: 4, .. }), "{error}");
    assert_eq!(trainer.state().progress.steps, 3);
    assert!(trainer.state().parameters.values().all(|tensor| tensor.first_non_finite().is_none()));
}

#[test]
fn settings_out_of_range_and_ungrouped_parameters_are_refused() {
    let cases = [
        Change(|c| c.epochs = 0),
        Change(|c| c.batch = 0),
        Change(|c| c.learning_rate.initial = f64::NAN),
        Change(|c| c.clip_norm = -1.0),
        Change(|c| c.average_decay = 1.0),
        Change(|c| c.adam.weight_decay = -0.1),
    ];
    for Change(change) in cases {
        let mut config = config(1);
        change(&mut config);
        let error = Trainer::new(config, GROUPS.to_vec(), start()).unwrap_err();
        assert!(matches!(error, TrainError::Setting { .. }), "{error}");
    }
    let error = Trainer::new(config(1), GROUPS[..1].to_vec(), start()).unwrap_err();
    assert!(matches!(error, TrainError::NoGroup { .. }), "{error}");
    let mut trainer = Trainer::new(config(1), GROUPS.to_vec(), start()).unwrap();
    let error = trainer.run(&mut Line::new(0), None, &mut Silent, &|| false).unwrap_err();
    assert!(matches!(error, TrainError::NoExamples));
}

struct Change(fn(&mut equidrift_train::TrainerConfig));
