//! The loop finds a known solution and keeps its contract.

use equidrift_train::adam::{AdamConfig, WeightDecay};
use equidrift_train::{
    Ending, EpochReport, LearningRate, Objective, Observer, Schedule, Silent, StepReport, TrainError,
    Trainer, TrainerConfig, TrainingState,
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
fn accumulated_batches_are_one_large_batch_up_to_rounding() {
    let train = |batch: usize, accumulate: usize| {
        let config = TrainerConfig { batch, accumulate, ..config(10) };
        let mut trainer = Trainer::new(config, GROUPS.to_vec(), start()).unwrap();
        let (mut line, mut recorder) = (Line::new(100), Recorder::default());
        trainer.run(&mut line, None, &mut recorder, &|| false).unwrap();
        (trainer, recorder, line.calls)
    };
    let (whole, expected, _) = train(48, 1);
    let (parts, found, calls) = train(16, 3);
    // 100 examples: steps of 48, 48 and 4; batches of 16, 16, 16, 16, 16, 16, 4.
    assert_eq!((found.steps.len(), calls), (30, 70));
    for (a, b) in expected.steps.iter().zip(&found.steps) {
        assert_eq!((a.step, a.steps_per_epoch, a.examples), (b.step, b.steps_per_epoch, b.examples));
        assert!((a.losses[0] - b.losses[0]).abs() < 1e-6 * a.losses[0].abs().max(1e-3), "{a:?} {b:?}");
    }
    for name in ["slope.a", "offset.b"] {
        let [a, b] = [&whole, &parts].map(|trainer| trainer.state().parameters[name].to_f64()[0]);
        assert!((a - b).abs() < 1e-5, "{name}: {a} and {b}");
    }
    // One batch that is not divided is the same to the bit.
    let (undivided, _, _) = train(48, 2);
    let mut alone =
        Trainer::new(TrainerConfig { batch: 96, ..config(10) }, GROUPS.to_vec(), start()).unwrap();
    alone.step(&mut Line::new(100), &(0..40).collect::<Vec<_>>()).unwrap();
    let mut divided =
        Trainer::new(TrainerConfig { batch: 48, accumulate: 2, ..config(10) }, GROUPS.to_vec(), start())
            .unwrap();
    divided.step(&mut Line::new(100), &(0..40).collect::<Vec<_>>()).unwrap();
    assert_eq!(
        alone.state(),
        &TrainingState { progress: alone.state().progress.clone(), ..divided.state().clone() }
    );
    assert_eq!(undivided.state().progress.steps, 20);
}

#[test]
fn a_stop_between_accumulated_batches_changes_nothing() {
    let config = TrainerConfig { batch: 10, accumulate: 5, ..config(10) };
    let mut trainer = Trainer::new(config, GROUPS.to_vec(), start()).unwrap();
    let mut line = Line::new(100);
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 8
    };
    assert_eq!(trainer.run(&mut line, None, &mut Silent, &stop).unwrap(), Ending::Stopped);
    assert_eq!(
        (line.calls, trainer.state().progress.steps),
        (8, 1),
        "five batches, and three that were dropped"
    );
}

#[test]
fn schedules_reach_the_optimiser() {
    let learning_rate = LearningRate {
        schedule: Schedule::Cosine { floor: 0.01, epochs: 4 },
        warmup_steps: 5,
        ..LearningRate::constant(0.05)
    };
    let mut recorder = Recorder::default();
    let mut trainer =
        Trainer::new(TrainerConfig { learning_rate, ..config(5) }, GROUPS.to_vec(), start()).unwrap();
    trainer.run(&mut Line::new(100), None, &mut recorder, &|| false).unwrap();
    let rates: Vec<f64> = recorder.steps.iter().map(|step| step.learning_rate).collect();
    assert!((rates[0] - 0.01).abs() < 1e-15 && (rates[4] - 0.05).abs() < 1e-15);
    assert!(rates[5..28].windows(2).all(|pair| pair[1] < pair[0]), "{rates:?}");
    assert!(rates[28..].iter().all(|rate| (rate - 0.01).abs() < 1e-15), "{rates:?}");
    assert_eq!(recorder.epochs[2].learning_rate, rates[20]);
}

#[test]
fn decoupled_decay_pulls_to_zero_what_the_gradient_leaves_alone() {
    struct Flat;
    impl Objective for Flat {
        fn losses(&self) -> &[&'static str] {
            &["flat"]
        }
        fn examples(&self) -> usize {
            1
        }
        fn evaluate(
            &mut self,
            parameters: &equidrift_backend::weights::ParameterSet,
            _: &[usize],
            _: u64,
        ) -> Result<equidrift_train::Evaluation, TrainError> {
            let zeros = |(name, tensor): (&String, &equidrift_backend::weights::HostTensor)| {
                (name.clone(), equidrift_backend::weights::HostTensor::zeros(tensor.shape.clone()))
            };
            let gradient = parameters.iter().map(zeros).collect();
            Ok(equidrift_train::Evaluation { losses: vec![0.0], gradient })
        }
    }
    let adam = AdamConfig { weight_decay: 0.5, decay: WeightDecay::Decoupled, ..AdamConfig::default() };
    let learning_rate = LearningRate::constant(0.1);
    let config = TrainerConfig { adam, learning_rate, ..config(10) };
    let mut trainer = Trainer::new(config, GROUPS.to_vec(), start()).unwrap();
    trainer.run(&mut Flat, None, &mut Silent, &|| false).unwrap();
    let expected = 0.25 * 0.95f64.powi(10);
    for (name, tensor) in &trainer.state().parameters {
        assert!((tensor.to_f64()[0] - expected).abs() < 1e-6, "{name}");
    }
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
        Change(|c| c.accumulate = 0),
        Change(|c| c.validation.every = 0),
        Change(|c| c.validation.draws = 0),
        Change(|c| c.validation.min_delta = f64::NAN),
        Change(|c| c.learning_rate.schedule = Schedule::Cosine { floor: 0.06, epochs: 3 }),
        Change(|c| c.learning_rate.schedule = Schedule::Cosine { floor: 0.0, epochs: 0 }),
        Change(|c| {
            c.learning_rate.schedule =
                Schedule::Plateau { factor: 1.0, patience: 1, threshold: 0.0, floor: 0.0 };
        }),
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
