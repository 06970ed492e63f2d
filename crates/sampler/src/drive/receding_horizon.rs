use super::contraction;
use crate::error::SamplerError;
use crate::execute::{Executor, Outcome};
use crate::noise::Stream;
use crate::plan::{NoiseTerm, Op, Plan, PlanStep, Register, STATE};
use crate::state::State;
use crate::support::Layout;

/// Entries that are known in a tick: where `mask` is 1, every step is made to start from, and to return, `observed`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The known values; whatever the mask hides is not read.
    pub observed: State,
    /// 1 where an entry is known, 0 where not.
    pub mask: State,
}

/// A stream of plans, one per tick, each begun from the last.
///
/// A row is a window of `frames` frames. The first tick ([`RecedingHorizon::begin`]) runs a whole chain from noise. Every
/// later one ([`RecedingHorizon::advance`]) drops the first frame of the last result, repeats its last frame, and runs only
/// the last steps of the same chain on that guess, **without noising it again**. Known entries are enforced before every
/// step and at the end.
///
/// Use it where a window moves and its forecast changes little from tick to tick: control, streaming trajectories. Useless
/// for one sample. Cost: the chain once, then the last steps only (3 of 100 in the paper).
///
/// Pitfall: the last steps repair little. An error of the guess shrinks by the factor [`RecedingHorizon::contraction`] a tick,
/// near 1 unless the law given the condition is narrow (0.998 for three steps of a 100-step squared-cosine chain at unit
/// variance); where the target moves by d a tick, the guess settles d/(1 − factor) behind. Choose the number of steps by
/// [`RecedingHorizon::steps_for`].
///
/// Entries with two values only (a gripper that is open or closed) are not repaired by the last steps at all, for a guess
/// between the values looks like noise of a high level. [`RecedingHorizon::clipping`] snaps them to the nearer value first.
///
/// Source: RTI for diffusion policy (warm-started receding horizon), with its "clip" variant for discrete entries.
#[derive(Clone, Debug)]
pub struct RecedingHorizon {
    chain: Plan,
    last_steps: usize,
    frames: usize,
    clip: Option<Clip>,
    tick: u32,
    previous: Option<State>,
}

/// Entries of a guess that are snapped to ±`value`, component by component; the same in every row.
#[derive(Clone, Debug)]
struct Clip {
    discrete: Vec<Vec<bool>>,
    value: f64,
}

impl RecedingHorizon {
    /// A driver of windows of `frames` frames with the last `last_steps` steps of `chain`.
    ///
    /// # Errors
    /// If there are no frames, `last_steps` is not in 1..=steps of the chain, or the last steps need what earlier ones
    /// computed (multistep solvers).
    pub fn new(chain: Plan, last_steps: usize, frames: usize) -> Result<Self, SamplerError> {
        if frames == 0 {
            return Err(SamplerError::Count { what: "frames of a window", expected: 1, found: 0 });
        }
        if last_steps == 0 || last_steps > chain.steps.len() {
            let (what, expected) = ("last steps of a chain, at most", chain.steps.len());
            return Err(SamplerError::Count { what, expected, found: last_steps });
        }
        tail(&chain, last_steps).validate()?;
        Ok(Self { chain, last_steps, frames, clip: None, tick: 0, previous: None })
    }

    /// The same with discrete entries: where `discrete[c]`, which has one flag per entry of a row of component c, is set, a
    /// guess is snapped to 1/`factor` or −1/`factor` by its sign (0 counts as positive) before the last steps. `factor` is
    /// what the model's discrete entries, ±1 in the data, were divided by; 1 if they were not.
    ///
    /// # Errors
    /// [`SamplerError::Option`] if `factor` is not a positive finite number; [`SamplerError::Count`] if there is not one
    /// list per component of the chain.
    pub fn clipping(mut self, discrete: Vec<Vec<bool>>, factor: f64) -> Result<Self, SamplerError> {
        if !(factor.is_finite() && factor > 0.0) {
            let (planner, option, expected) = ("receding horizon", "factor", "a finite number above 0");
            return Err(SamplerError::Option { planner, option, value: factor, expected });
        }
        if discrete.len() != self.chain.components {
            let (what, expected) = ("components with discrete entries", self.chain.components);
            return Err(SamplerError::Count { what, expected, found: discrete.len() });
        }
        self.clip = Some(Clip { discrete, value: 1.0 / factor });
        Ok(self)
    }

    /// What a tick leaves of an error of its guess, for a law of this variance; see [`contraction::of_plan`].
    #[must_use]
    pub fn contraction(&self, variance: f64) -> Option<f64> {
        contraction::of_plan(&tail(&self.chain, self.last_steps), 0, variance)
    }

    /// The fewest last steps of `chain` that leave at most `factor` of an error at this variance; `None` if even the whole
    /// chain leaves more, or has no linear response.
    #[must_use]
    pub fn steps_for(chain: &Plan, factor: f64, variance: f64) -> Option<usize> {
        (1..=chain.steps.len()).find(|&steps| {
            let last = tail(chain, steps);
            last.validate().is_ok()
                && contraction::of_plan(&last, 0, variance).is_some_and(|left| left <= factor)
        })
    }

    /// The first tick, or a new beginning: the whole chain from `noise`.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub fn begin(
        &mut self,
        executor: &mut Executor<'_>,
        noise: State,
        ids: &[u64],
        condition: Option<&Condition>,
    ) -> Result<Outcome, SamplerError> {
        self.tick = 0;
        let plan = self.chain.clone();
        self.run(executor, plan, noise, ids, condition)
    }

    /// The next tick: the last steps of the chain from the [guess](RecedingHorizon::guess).
    ///
    /// # Errors
    /// [`SamplerError::Count`] before a first tick; as [`Executor::run`].
    pub fn advance(
        &mut self,
        executor: &mut Executor<'_>,
        ids: &[u64],
        condition: Option<&Condition>,
    ) -> Result<Outcome, SamplerError> {
        let Some(guess) = self.guess()? else {
            return Err(SamplerError::Count {
                what: "first ticks before a later one",
                expected: 1,
                found: 0,
            });
        };
        self.advance_from(executor, guess, ids, condition)
    }

    /// As [`RecedingHorizon::advance`] from a guess of the caller, which is run as it is.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub fn advance_from(
        &mut self,
        executor: &mut Executor<'_>,
        guess: State,
        ids: &[u64],
        condition: Option<&Condition>,
    ) -> Result<Outcome, SamplerError> {
        let plan = tail(&self.chain, self.last_steps);
        self.run(executor, plan, guess, ids, condition)
    }

    /// The last result with its first frame dropped and its last repeated, its discrete entries snapped; `None` before the
    /// first tick.
    ///
    /// # Errors
    /// If a component cannot be cut into frames, or has another number of entries than were said to be discrete or not.
    pub fn guess(&self) -> Result<Option<State>, SamplerError> {
        let Some(previous) = &self.previous else { return Ok(None) };
        let mut shifted = Vec::with_capacity(previous.components.len());
        for (index, component) in previous.components.iter().enumerate() {
            let width = component.support.width();
            let pairs = matches!(component.support.layout(), Layout::SymmetricPairs { .. });
            if pairs || !width.is_multiple_of(self.frames) {
                let (what, expected) = ("entries of a row, a multiple of the frames", self.frames);
                return Err(SamplerError::Count { what, expected, found: width });
            }
            let mut values = component.to_host()?;
            let frame = width / self.frames;
            for row in values.chunks_exact_mut(width.max(1)) {
                // What is left in the last place is the last frame, repeated.
                row.copy_within(frame.., 0);
            }
            if let Some(clip) = &self.clip {
                clip.snap(index, width, &mut values)?;
            }
            shifted.push(values);
        }
        previous.with_values(shifted).map(Some)
    }

    fn run(
        &mut self,
        executor: &mut Executor<'_>,
        mut plan: Plan,
        start: State,
        ids: &[u64],
        condition: Option<&Condition>,
    ) -> Result<Outcome, SamplerError> {
        // Every tick draws numbers of its own.
        let draws = self.chain.ops().filter_map(draw_number).max().map_or(0, |last| last + 1);
        for op in plan.steps.iter_mut().flat_map(|step| &mut step.ops) {
            shift_draw(op, self.tick.wrapping_mul(draws));
        }
        if let Some(Condition { observed, mask }) = condition {
            let registers = enforce(&mut plan);
            executor.give(vec![(registers[0], observed.clone()), (registers[1], mask.clone())]);
        }
        let outcome = executor.run(&plan, start, ids);
        if condition.is_some() {
            executor.give(Vec::new());
        }
        let outcome = outcome?;
        if !outcome.cancelled {
            self.previous = Some(outcome.state.clone());
            self.tick += 1;
        }
        Ok(outcome)
    }
}

impl Clip {
    /// Snaps the discrete entries of rows of component `index`.
    fn snap(&self, index: usize, width: usize, values: &mut [f64]) -> Result<(), SamplerError> {
        let discrete = self.discrete.get(index).map_or(&[][..], Vec::as_slice);
        if discrete.len() != width {
            let (what, found) = ("flags of discrete entries, one per entry of a row", discrete.len());
            return Err(SamplerError::Count { what, expected: width, found });
        }
        for row in values.chunks_exact_mut(width.max(1)) {
            for (value, _) in row.iter_mut().zip(discrete).filter(|(_, discrete)| **discrete) {
                *value = if *value >= 0.0 { self.value } else { -self.value };
            }
        }
        Ok(())
    }
}

/// The last steps of a plan.
fn tail(chain: &Plan, steps: usize) -> Plan {
    Plan { steps: chain.steps[chain.steps.len() - steps..].to_vec(), ..chain.clone() }
}

/// Which draw of its stream an operation asks for.
fn draw_number(op: &Op) -> Option<u32> {
    match op {
        Op::Combine { noise: Some(noise), .. } | Op::Impose { noise, .. } => Some(noise.step),
        Op::Langevin { step, .. } => Some(*step),
        _ => None,
    }
}

fn shift_draw(op: &mut Op, by: u32) {
    match op {
        Op::Combine { noise: Some(noise), .. } | Op::Impose { noise, .. } => {
            noise.step = noise.step.wrapping_add(by);
        }
        Op::Langevin { step, .. } => *step = step.wrapping_add(by),
        _ => {}
    }
}

/// Puts known entries, as they are, before every step and at the end; gives the registers of values and mask.
fn enforce(plan: &mut Plan) -> [Register; 2] {
    let given = [plan.registers, plan.registers + 1];
    plan.registers += 2;
    plan.given.extend(given);
    let impose = Op::Impose {
        register: STATE,
        observed: given[0],
        mask: given[1],
        alpha: vec![1.0; plan.components],
        noise: NoiseTerm { stream: Stream::Observation, step: 0, coefficients: vec![0.0; plan.components] },
    };
    for step in &mut plan.steps {
        step.ops.insert(0, impose.clone());
    }
    plan.steps.push(PlanStep { time: 0.0, ops: vec![impose] });
    given
}
