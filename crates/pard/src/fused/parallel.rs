//! Graphs on several threads, each with memory that it uses again and again; and sums over them in a fixed order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use equidrift_backend::kernels::Buffers;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use super::trunk::TrunkTape;

/// Graphs whose gradients one thread sums up in single precision.
const GRAPHS_PER_CHUNK: usize = 32;
/// Chunks whose gradients are held at the same time.
const CHUNKS_PER_WAVE: usize = 64;

/// What a thread uses again and again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) buffers: Buffers,
    pub(super) tape: TrunkTape,
}

/// The results of `work` for jobs 0..jobs, in order, on as many threads as there are jobs for.
pub(super) fn in_parallel<R: Send>(
    threads: NonZeroUsize,
    jobs: usize,
    work: impl Fn(usize, &mut Memory) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let (mut memory, mut done) = (Memory::default(), Vec::new());
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return done;
            }
            done.push((job, work(job, &mut memory)));
        }
    };
    let helpers = threads.get().min(jobs).saturating_sub(1);
    let mut done = std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(job, _)| *job);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A gradient that one thread adds up.
pub(super) trait ChunkGradient {
    /// Under the names of the parameters.
    fn emit(&self) -> ParameterSet;
}

/// Sums of `K` losses of graphs 0..graphs and, where `zeros` makes one, of their gradient: `differentiate` is given a graph and
/// the gradient to add to.
pub(super) fn sums<const K: usize, G: ChunkGradient>(
    threads: NonZeroUsize,
    graphs: usize,
    zeros: impl Fn() -> Option<G> + Sync,
    differentiate: impl Fn(usize, Option<&mut G>, &mut Memory) -> [f64; K] + Sync,
) -> ([f64; K], ParameterSet) {
    let chunks: Vec<Range<usize>> = (0..graphs)
        .step_by(GRAPHS_PER_CHUNK)
        .map(|first| first..(first + GRAPHS_PER_CHUNK).min(graphs))
        .collect();
    let (mut losses, mut total) = ([0.0; K], GradientSum::default());
    for wave in chunks.chunks(CHUNKS_PER_WAVE) {
        let done = in_parallel(threads, wave.len(), |chunk, memory| {
            let (mut gradient, mut losses) = (zeros(), [0.0; K]);
            for graph in wave[chunk].clone() {
                let found = differentiate(graph, gradient.as_mut(), memory);
                losses.iter_mut().zip(found).for_each(|(sum, loss)| *sum += loss);
            }
            (losses, gradient.map(|gradient| gradient.emit()))
        });
        for (found, gradient) in done {
            losses.iter_mut().zip(found).for_each(|(sum, loss)| *sum += loss);
            if let Some(gradient) = gradient {
                total.add(&gradient);
            }
        }
    }
    (losses, total.finish())
}

/// A sum of gradients, in double precision.
#[derive(Debug, Default)]
struct GradientSum(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl GradientSum {
    fn add(&mut self, gradient: &ParameterSet) {
        for (name, tensor) in gradient {
            let values = tensor.to_f32();
            match self.0.get_mut(name) {
                Some((_, sum)) => sum.iter_mut().zip(values).for_each(|(sum, x)| *sum += f64::from(x)),
                None => {
                    let values = values.into_iter().map(f64::from).collect();
                    self.0.insert(name.clone(), (tensor.shape.clone(), values));
                }
            }
        }
    }

    fn finish(self) -> ParameterSet {
        let tensor = |(name, (shape, sum)): (String, (Vec<usize>, Vec<f64>))| {
            (name, HostTensor::f32(shape, sum.into_iter().map(|x| x as f32).collect()))
        };
        self.0.into_iter().map(tensor).collect()
    }
}

/// The cross-entropy of a row of logits `[padded classes]`; the row becomes its gradient times `weight`.
pub(super) fn into_gradient(row: &mut [f32], classes: usize, clean: usize, weight: f32) -> f64 {
    let (row, padding) = row.split_at_mut(classes);
    padding.fill(0.0);
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_clean = row[clean] - highest;
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = libm::expf(*x - highest);
        sum += *x;
    }
    for x in row.iter_mut() {
        *x *= weight / sum;
    }
    row[clean] -= weight;
    f64::from(libm::logf(sum) - of_clean)
}
