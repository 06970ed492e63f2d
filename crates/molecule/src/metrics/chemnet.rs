//! ChemNet: the recurrent network whose last hidden state the Fréchet ChemNet Distance compares (Mayr et al. 2018; Preuer,
//! Renz, Unterthiner, Hochreiter & Klambauer 2018).
//!
//! A SMILES is a sequence of 350 one-hot symbols divided by 35 (zeros after its end). Two convolutions over length, without
//! bias, 4 wide with stride 2 and SELU, leave 88 steps of 32 channels; a first LSTM reads them backwards (128 units, all
//! outputs), a second forwards (512 units); its last output is the activation.
//!
//! Most of the 88 steps come after the end of the string, where the channels are zero. There the first LSTM is in a state
//! that depends on nothing but the number of steps left, so its outputs, and what the second one makes of them as input,
//! are tables; only the second one's recurrence over its own state is left of these steps.
//!
//! The weights are not part of this crate. They are those of the Python package `fcd_torch` 1.0.7 (MIT), converted from its
//! PyTorch file to a plain `.npz`: arrays `LAYER.KIND.NAME`, such as `2.lstm.weight_ih_l0`.

use std::path::Path;

use equidrift_graph::threads::map_in_threads;
use pulp::{Arch, Simd, WithSimd};

use self::lstm::{Aligned, BLOCK, Drive, Lstm};
use self::tokens::{SYMBOLS, tokens};
use super::npz::NumpyArchive;
use crate::error::MoleculeError;

mod lstm;
mod tokens;

/// Length of an activation vector.
pub const ACTIVATIONS: usize = 512;
/// Channels of both convolutions.
const CHANNELS: usize = 32;
/// Width of both.
const WIDTH: usize = 4;
/// Steps after the first convolution, with one zero before and after the sequence.
const FIRST_STEPS: usize = 175;
/// Steps after the second, with one zero before and two after.
const STEPS: usize = 88;
/// Units of the first LSTM.
const UNITS: usize = 128;
/// Sequences encoded together: their states fit into the second-level cache beside a panel of weights.
const BATCH: usize = 16 * BLOCK;

/// The network.
#[derive(Debug)]
pub struct ChemNet {
    arch: Arch,
    /// `[position in the window][symbol][channel]`, divided by 35.
    first: Vec<f32>,
    /// `[position in the window][input channel][channel]`.
    second: Vec<f32>,
    backward: Lstm,
    forward: Lstm,
    /// State of the first LSTM after 0..=88 steps without input.
    idle: Vec<Idle>,
    /// What it drives the second one with at each step, if nothing but zeros follows.
    idle_drive: Vec<Aligned>,
    fingerprint: u64,
}

#[derive(Debug)]
struct Idle {
    hidden: Vec<f32>,
    cell: Vec<f32>,
}

impl ChemNet {
    /// Read the weights from a `.npz` file: ten arrays of single precision.
    ///
    /// # Errors
    /// [`MoleculeError::File`]; [`MoleculeError::Weights`] for another file, one that is damaged or one whose arrays have
    /// other names or shapes.
    pub fn read(path: &Path) -> Result<Self, MoleculeError> {
        Self::read_for(path, Arch::new())
    }

    /// As [`ChemNet::read`], with given vector instructions.
    fn read_for(path: &Path, arch: Arch) -> Result<Self, MoleculeError> {
        let archive = NumpyArchive::open(path)?;
        let mut fingerprint = 0xcbf2_9ce4_8422_2325_u64;
        let mut array = |name: &str, shape: &[usize]| {
            let values = archive.array(name, shape)?;
            for value in &values {
                // FNV-1a, a word at a time: a name for the weights, not a seal. Adding zero makes -0 a plain 0, since the
                // packages that publish the weights differ in the sign of some zeros.
                let bits = (value + 0.0).to_bits();
                fingerprint = (fingerprint ^ u64::from(bits)).wrapping_mul(0x0100_0000_01b3);
            }
            Ok::<_, MoleculeError>(values)
        };
        let lanes = arch.dispatch(Lanes);
        let first = array("0.conv1d.weight", &[CHANNELS, SYMBOLS, WIDTH])?;
        let second = array("1.conv1d.weight", &[CHANNELS, CHANNELS, WIDTH])?;
        let mut lstm = |layer: usize, inputs: usize, units: usize| {
            let mut part = |kind: &str, shape: &[usize]| array(&format!("{layer}.lstm.{kind}_l0"), shape);
            let input = part("weight_ih", &[4 * units, inputs])?;
            let hidden = part("weight_hh", &[4 * units, units])?;
            let biases = [part("bias_ih", &[4 * units])?, part("bias_hh", &[4 * units])?];
            Ok::<_, MoleculeError>(Lstm::new(lanes, inputs, units, &input, &hidden, [&biases[0], &biases[1]]))
        };
        let backward = lstm(2, CHANNELS, UNITS)?;
        let forward = lstm(3, UNITS, ACTIVATIONS)?;
        let idle = arch.dispatch(IdleStates { lstm: &backward });
        let idle_drive = (0..STEPS).map(|step| forward.drive(&idle[STEPS - step].hidden)).collect();
        let mut first = window_major(&first, SYMBOLS);
        first.iter_mut().for_each(|weight| *weight /= SYMBOLS as f32);
        let second = window_major(&second, CHANNELS);
        Ok(Self { arch, first, second, backward, forward, idle, idle_drive, fingerprint })
    }

    /// A number that tells these weights from others.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Activations `[string][512]`. Strings are read as they are; the distance is defined for canonical SMILES. `progress`
    /// is called with numbers of strings that have been encoded, from any thread. The result does not depend on `threads`.
    ///
    /// Cost: 9e7 multiply-adds and the gates of 88 steps a string, about 2 ms on one core.
    #[must_use]
    pub fn encode<T: AsRef<str> + Sync>(
        &self,
        smiles: &[T],
        threads: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Vec<f32> {
        // Strings of like length together: a batch is worked through to its longest one.
        let mut sequences: Vec<(usize, Vec<u8>)> =
            smiles.iter().map(|smiles| tokens(smiles.as_ref())).enumerate().collect();
        sequences.sort_by_key(|(_, tokens)| tokens.len());
        // As many batches as keep every thread busy to the end, none wider than the cache wants.
        let rounds = sequences.len().div_ceil(BATCH * threads.max(1)).max(1);
        let batch = sequences.len().div_ceil(rounds * threads.max(1)).next_multiple_of(BLOCK);
        let encoded = map_in_threads(&sequences, batch, threads, |sequences| {
            let activations = self.arch.dispatch(Batch { net: self, sequences });
            progress(sequences.len());
            activations
        });
        let mut activations = vec![0.0; smiles.len() * ACTIVATIONS];
        let rows = encoded.iter().flat_map(|batch| batch.chunks_exact(ACTIVATIONS));
        for ((place, _), row) in sequences.iter().zip(rows) {
            activations[place * ACTIVATIONS..][..ACTIVATIONS].copy_from_slice(row);
        }
        activations
    }

    /// Both convolutions of one sequence: `[step][channel]` as far as it is not zero.
    fn convolve(&self, tokens: &[u8]) -> Vec<f32> {
        let first_steps = active_steps(tokens.len(), FIRST_STEPS);
        let mut first = vec![0.0; first_steps * CHANNELS];
        for (step, sums) in first.chunks_exact_mut(CHANNELS).enumerate() {
            for position in 0..WIDTH {
                let Some(token) = (2 * step + position).checked_sub(1).and_then(|at| tokens.get(at)) else {
                    continue;
                };
                let weights =
                    &self.first[(position * SYMBOLS + usize::from(*token)) * CHANNELS..][..CHANNELS];
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
            }
            sums.iter_mut().for_each(|sum| *sum = selu(*sum));
        }
        let mut second = vec![0.0; active_steps(first_steps, STEPS) * CHANNELS];
        for (step, sums) in second.chunks_exact_mut(CHANNELS).enumerate() {
            for position in 0..WIDTH {
                let Some(at) = (2 * step + position).checked_sub(1).filter(|at| *at < first_steps) else {
                    continue;
                };
                let inputs = &first[at * CHANNELS..][..CHANNELS];
                let weights = self.second[position * CHANNELS * CHANNELS..].chunks_exact(CHANNELS);
                for (x, weights) in inputs.iter().zip(weights) {
                    sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * x);
                }
            }
            sums.iter_mut().for_each(|sum| *sum = selu(*sum));
        }
        second
    }
}

/// Steps whose window, one zero before the first, reaches into `length` entries.
fn active_steps(length: usize, most: usize) -> usize {
    (length + 1).div_ceil(2).min(most)
}

/// `[channel][input][position]` to `[position][input][channel]`.
fn window_major(weights: &[f32], inputs: usize) -> Vec<f32> {
    let mut ordered = Vec::with_capacity(weights.len());
    for position in 0..WIDTH {
        for input in 0..inputs {
            ordered
                .extend((0..CHANNELS).map(|channel| weights[(channel * inputs + input) * WIDTH + position]));
        }
    }
    ordered
}

/// Scaled exponential linear unit (Klambauer et al. 2017).
fn selu(x: f32) -> f32 {
    const SCALE: f32 = 1.050_701;
    const ALPHA: f32 = 1.673_263_2;
    SCALE * if x > 0.0 { x } else { ALPHA * x.exp_m1() }
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

struct IdleStates<'a> {
    lstm: &'a Lstm,
}

impl WithSimd for IdleStates<'_> {
    type Output = Vec<Idle>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Idle> {
        let drive = self.lstm.drive(&[0.0; CHANNELS]);
        let mut state = State::new(BLOCK * UNITS);
        let mut states = Vec::with_capacity(STEPS + 1);
        for _ in 0..=STEPS {
            let [hidden, cell] = [&state.hidden, &state.cell].map(|part| part.get()[..UNITS].to_vec());
            states.push(Idle { hidden, cell });
            state.step(simd, self.lstm, Drive::Shared(&drive));
        }
        states
    }
}

/// The state of a batch, `[sequence][unit]`.
struct State {
    hidden: Aligned,
    next: Aligned,
    cell: Aligned,
}

impl State {
    fn new(length: usize) -> Self {
        Self { hidden: Aligned::zeros(length), next: Aligned::zeros(length), cell: Aligned::zeros(length) }
    }

    #[inline(always)]
    fn step<S: Simd>(&mut self, simd: S, lstm: &Lstm, drive: Drive<'_>) {
        lstm.step(simd, drive, self.hidden.get(), self.next.get_mut(), self.cell.get_mut());
        std::mem::swap(&mut self.hidden, &mut self.next);
    }
}

struct Batch<'a> {
    net: &'a ChemNet,
    sequences: &'a [(usize, Vec<u8>)],
}

impl WithSimd for Batch<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { net, sequences } = self;
        // Sequences that fill up the last block; nothing reads them.
        let rows = sequences.len().next_multiple_of(BLOCK);
        let channels: Vec<Vec<f32>> = sequences.iter().map(|(_, tokens)| net.convolve(tokens)).collect();
        let active = channels.iter().map(|channels| channels.len() / CHANNELS).max().unwrap_or(0);

        let mut backward = State::new(rows * UNITS);
        let idle = &net.idle[STEPS - active];
        backward.hidden.get_mut().chunks_exact_mut(UNITS).for_each(|row| row.copy_from_slice(&idle.hidden));
        backward.cell.get_mut().chunks_exact_mut(UNITS).for_each(|row| row.copy_from_slice(&idle.cell));
        let mut input = vec![0.0; rows * CHANNELS];
        let mut outputs = vec![Vec::new(); active];
        for step in (0..active).rev() {
            for (row, channels) in input.chunks_exact_mut(CHANNELS).zip(&channels) {
                match channels.chunks_exact(CHANNELS).nth(step) {
                    Some(values) => row.copy_from_slice(values),
                    None => row.fill(0.0),
                }
            }
            backward.step(simd, &net.backward, Drive::Inputs(&input));
            outputs[step] = backward.hidden.get().to_vec();
        }

        let mut forward = State::new(rows * ACTIVATIONS);
        for step in 0..STEPS {
            let drive = match outputs.get(step) {
                Some(outputs) => Drive::Inputs(outputs),
                None => Drive::Shared(&net.idle_drive[step]),
            };
            forward.step(simd, &net.forward, drive);
        }
        forward.hidden.get()[..sequences.len() * ACTIVATIONS].to_vec()
    }
}
