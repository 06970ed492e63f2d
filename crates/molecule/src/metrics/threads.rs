//! Streams shared among threads, with a result that does not depend on their number; see also [`equidrift_graph::threads`].

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError, mpsc};

/// Chunks that wait or are in work, per thread: enough that no thread waits for the reader, few enough that memory stays
/// small.
const CHUNKS_IN_FLIGHT: usize = 3;

/// `work` on a stream: chunks of at most `chunk` items are handed to threads, and `consume` gets the results in the order of
/// the stream, on the calling thread. Memory does not grow with the stream: at most a few chunks a thread are under way. An
/// error of the stream or of `consume` ends the work; items before it in the stream have been consumed, none after it.
///
/// # Errors
/// The first error of the stream or of `consume`.
///
/// # Panics
/// If `work` panics, with its message.
pub fn stream_in_threads<T: Send, R: Send, E>(
    items: impl IntoIterator<Item = Result<T, E>>,
    chunk: usize,
    threads: usize,
    work: impl Fn(Vec<T>) -> R + Sync,
    mut consume: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let mut items = items.into_iter();
    let mut end: Result<(), E> = Ok(());
    let mut next_chunk = || {
        let mut taken = Vec::with_capacity(chunk.max(1));
        while end.is_ok() && taken.len() < chunk.max(1) {
            match items.next() {
                Some(Ok(item)) => taken.push(item),
                Some(Err(error)) => end = Err(error),
                None => break,
            }
        }
        Some(taken).filter(|taken| !taken.is_empty())
    };
    let threads = threads.max(1);
    if threads == 1 {
        while let Some(chunk) = next_chunk() {
            consume(work(chunk))?;
        }
        return end;
    }
    let (give, take) = mpsc::channel::<(usize, Vec<T>)>();
    let take = Mutex::new(take);
    let (answer, answers) = mpsc::channel();
    let result = std::thread::scope(|scope| {
        for _ in 0..threads {
            let (answer, take, work) = (answer.clone(), &take, &work);
            scope.spawn(move || {
                loop {
                    let job = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((place, chunk)) = job else { break };
                    // A panic must reach the caller, who would else wait for this chunk.
                    let result = catch_unwind(AssertUnwindSafe(|| work(chunk)));
                    if answer.send((place, result)).is_err() {
                        break;
                    }
                }
            });
        }
        // Dropped at the end of the scope's body, which lets the threads go.
        let give = give;
        let (mut given, mut consumed) = (0, 0);
        let mut early = BTreeMap::new();
        let mut more = true;
        loop {
            while more && given - consumed < CHUNKS_IN_FLIGHT * threads {
                match next_chunk() {
                    Some(chunk) => {
                        more = give.send((given, chunk)).is_ok();
                        given += 1;
                    }
                    None => more = false,
                }
            }
            if consumed == given {
                return Ok(());
            }
            let Ok((place, result)) = answers.recv() else { return Ok(()) };
            early.insert(place, result.unwrap_or_else(|panic| resume_unwind(panic)));
            while let Some(result) = early.remove(&consumed) {
                consume(result)?;
                consumed += 1;
            }
        }
    });
    result.and(end)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_stream_is_consumed_in_order_up_to_its_first_error() {
        for threads in [1, 2, 7] {
            let mut seen = Vec::new();
            let items = (0..1_000).map(|i| if i == 777 { Err("the stream") } else { Ok(i) });
            let work = |chunk: Vec<i32>| {
                // The first chunks are the slowest.
                std::thread::sleep(std::time::Duration::from_micros(300 / (chunk[0] as u64 + 1)));
                chunk
            };
            let result = stream_in_threads(items, 10, threads, work, |chunk| {
                seen.extend(chunk);
                Ok(())
            });
            assert_eq!((result, seen), (Err("the stream"), (0..777).collect()), "{threads} threads");

            let mut seen = 0;
            let result = stream_in_threads((0..1_000).map(Ok), 10, threads, work, |chunk| {
                seen += chunk.len();
                if seen == 500 { Err("the consumer") } else { Ok(()) }
            });
            assert_eq!((result, seen), (Err("the consumer"), 500));
        }
        let none = stream_in_threads(std::iter::empty::<Result<u8, ()>>(), 3, 2, |chunk| chunk, |_| Ok(()));
        assert_eq!(none, Ok(()));
    }

    #[test]
    fn few_chunks_of_a_stream_are_under_way_at_a_time() {
        let (begun, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items = (0..500).map(|i| {
            let begun = begun.fetch_add(1, Ordering::Relaxed);
            assert!(
                begun - done.load(Ordering::Relaxed) <= CHUNKS_IN_FLIGHT * 2 * 5,
                "the reader runs ahead"
            );
            Ok::<_, ()>(i)
        });
        let consume = |count: usize| {
            done.fetch_add(count, Ordering::Relaxed);
            Ok(())
        };
        stream_in_threads(items, 5, 2, |chunk| chunk.len(), consume).unwrap();
        assert_eq!(done.into_inner(), 500);
    }

    #[test]
    #[should_panic(expected = "chunk 30")]
    fn a_panic_of_a_thread_is_not_waited_for() {
        let work = |chunk: Vec<u32>| assert!(chunk[0] != 30, "chunk {}", chunk[0]);
        let _ = stream_in_threads((0..100).map(Ok::<_, ()>), 10, 3, work, |()| Ok(()));
    }
}
