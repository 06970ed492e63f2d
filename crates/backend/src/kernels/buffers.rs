//! Arrays that are used again.

/// Arrays that were given back, and wait to be used again by the same thread.
#[derive(Debug, Default)]
pub struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// An array of exactly `size` numbers, which hold anything.
    #[must_use]
    pub fn take(&mut self, size: usize) -> Vec<f32> {
        // The last that is large enough: what was used a moment ago is still in the cache.
        let fits = self.0.iter().rposition(|buffer| buffer.capacity() >= size);
        let mut buffer = match fits {
            Some(at) => self.0.swap_remove(at),
            None => self.0.pop().unwrap_or_default(),
        };
        buffer.resize(size, 0.0);
        buffer
    }

    /// An array of zeros.
    #[must_use]
    pub fn zeros(&mut self, size: usize) -> Vec<f32> {
        let mut buffer = self.take(size);
        buffer.fill(0.0);
        buffer
    }

    /// Gives arrays back.
    pub fn give<const K: usize>(&mut self, buffers: [Vec<f32>; K]) {
        self.0.extend(buffers);
    }
}
