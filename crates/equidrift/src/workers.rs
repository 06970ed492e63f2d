//! Worker threads whose results arrive in sample order.
//!
//! Each worker takes the next batch, computes it and sends the results to the calling thread, which hands them to
//! `deliver` strictly in order of id. What a worker computes for a sample must not depend on the batch or the
//! thread; then neither does the delivered sequence.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use crate::batching::Batch;

/// A request to stop, shared between a run and whoever may end it (a signal handler, a service).
#[derive(Debug, Default)]
pub struct StopSignal {
    after_batch: AtomicBool,
    at_once: AtomicBool,
}

impl StopSignal {
    /// Nothing asked yet.
    pub const fn new() -> Self {
        Self { after_batch: AtomicBool::new(false), at_once: AtomicBool::new(false) }
    }

    /// Finish the batches in work, then stop. Asked a second time: stop at the next step of the sampler and drop
    /// the batches in work.
    pub fn ask(&self) {
        if self.after_batch.swap(true, Ordering::Relaxed) {
            self.at_once.store(true, Ordering::Relaxed);
        }
    }

    /// Stop at the next step of the sampler and drop the batches in work.
    pub fn ask_at_once(&self) {
        self.after_batch.store(true, Ordering::Relaxed);
        self.at_once.store(true, Ordering::Relaxed);
    }

    /// Whether no further batch shall be started.
    pub fn asked(&self) -> bool {
        self.after_batch.load(Ordering::Relaxed)
    }

    /// The flag that tells a sampler to give up the batch in work.
    pub fn at_once(&self) -> &AtomicBool {
        &self.at_once
    }
}

/// How a run over a range of ids ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every id was delivered.
    Complete,
    /// A stop was asked; the ids below `next` were delivered.
    Stopped {
        /// First id that was not delivered.
        next: u64,
    },
}

/// Computes `batches`, which together hold every id of `ids` once, on `threads` threads, and delivers the result of
/// each sample in order of id on the calling thread.
///
/// `work` returns one result per id of the batch, in that order, or `None` where the batch was given up because
/// of `stop`.
///
/// # Errors
/// The first error of `work` or `deliver`; no batch is started after it.
pub fn in_order<T: Send, E: Send>(
    ids: Range<u64>,
    batches: impl Iterator<Item = Batch> + Send,
    threads: usize,
    stop: &StopSignal,
    work: impl Fn(&Batch) -> Result<Option<Vec<T>>, E> + Sync,
    mut deliver: impl FnMut(u64, T) -> Result<(), E>,
) -> Result<Ending, E> {
    let batches = Mutex::new(batches);
    let failed = AtomicBool::new(false);
    let mut next = ids.start;
    let mut first_error = None;
    thread::scope(|scope| {
        let (results, arriving) = mpsc::sync_channel(threads.max(1));
        for _ in 0..threads.max(1) {
            let (results, batches, failed, work) = (results.clone(), &batches, &failed, &work);
            scope.spawn(move || {
                while !stop.asked() && !failed.load(Ordering::Relaxed) {
                    // The lock guards an iterator that is in a valid state even after a panic of another worker.
                    let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(batch) = batch else { break };
                    let result = work(&batch);
                    if results.send((batch, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(results);
        let mut early = BTreeMap::new();
        for (batch, result) in arriving {
            if first_error.is_some() {
                continue; // the channel is drained so that no worker waits on it for ever
            }
            let outcome = result.and_then(|samples| {
                early.extend(batch.ids.into_iter().zip(samples.into_iter().flatten()));
                while let Some(sample) = early.remove(&next) {
                    deliver(next, sample)?;
                    next += 1;
                }
                Ok(())
            });
            if let Err(error) = outcome {
                failed.store(true, Ordering::Relaxed);
                first_error = Some(error);
            }
        }
    });
    match first_error {
        Some(error) => Err(error),
        None if next == ids.end => Ok(Ending::Complete),
        None => Ok(Ending::Stopped { next }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batching::Batches;

    fn squares(ids: Range<u64>, batch: usize, threads: usize) -> Vec<(u64, u64)> {
        let mut got = Vec::new();
        let batches = Batches::new(ids.clone(), batch, |id| (id % 5) as usize);
        let stop = StopSignal::new();
        let ending = in_order(
            ids,
            batches,
            threads,
            &stop,
            |b| Ok::<_, ()>(Some(b.ids.iter().map(|id| id * id).collect())),
            |id, value| {
                got.push((id, value));
                Ok(())
            },
        );
        assert_eq!(ending, Ok(Ending::Complete));
        got
    }

    #[test]
    fn results_arrive_in_order_whatever_the_batch_and_thread_count() {
        let expected: Vec<_> = (3..400).map(|id| (id, id * id)).collect();
        for batch in [1, 7, 64, 1000] {
            for threads in [1, 2, 5] {
                assert_eq!(squares(3..400, batch, threads), expected);
            }
        }
    }

    #[test]
    fn a_stop_lets_the_batch_in_work_finish() {
        let stop = StopSignal::new();
        let mut delivered = 0;
        let ending = in_order(
            0..1000,
            Batches::new(0..1000, 10, |_| 1),
            1,
            &stop,
            |b| {
                if b.ids[0] == 50 {
                    stop.ask();
                }
                Ok::<_, ()>(Some(b.ids.clone()))
            },
            |_, _| {
                delivered += 1;
                Ok(())
            },
        );
        assert_eq!(ending, Ok(Ending::Stopped { next: 60 }));
        assert_eq!(delivered, 60);
        assert!(!stop.at_once().load(Ordering::Relaxed));
        stop.ask();
        assert!(stop.at_once().load(Ordering::Relaxed));
    }

    #[test]
    fn the_first_error_of_work_or_delivery_ends_the_run() {
        let stop = StopSignal::new();
        let work_fails = in_order(
            0..100,
            Batches::new(0..100, 1, |_| 1),
            2,
            &stop,
            |b| if b.ids[0] == 40 { Err("work") } else { Ok(Some(b.ids.clone())) },
            |_, _| Ok(()),
        );
        assert_eq!(work_fails, Err("work"));
        let delivery_fails = in_order(
            0..100,
            Batches::new(0..100, 1, |_| 1),
            2,
            &stop,
            |b| Ok(Some(b.ids.clone())),
            |id, _| if id == 40 { Err("delivery") } else { Ok(()) },
        );
        assert_eq!(delivery_fails, Err("delivery"));
    }
}
