//! Values by relative time, as values by pairs of frames, and back.
//!
//! An attention over n frames with terms that depend on the difference of two frames has only 2 n - 1 different terms. The
//! products with them are made once for each difference and then moved to their pairs: a row per receiving frame, shifted
//! by one place from row to row. The shift is a change of the row length of the flat array, and costs one copy (Huang et
//! al., "Music transformer", 2018, section 3.4).

use burn::tensor::Tensor;

/// From `[B, q, n + q - 1]` to `[B, q, n]`: entry (i, s) is column `s - i + q - 1` of row i.
pub(crate) fn by_pairs(relative: Tensor<3>, frames: usize) -> Tensor<3> {
    let [b, rows, width] = relative.dims();
    debug_assert_eq!(width, frames + rows - 1);
    if rows == 1 {
        // Its entries already stand at their frames.
        return relative;
    }
    relative
        .reshape([b, rows * width])
        .narrow(1, rows - 1, rows * (width - 1))
        .reshape([b, rows, width - 1])
        .narrow(2, 0, frames)
}

/// The transpose of [`by_pairs`]: from `[B, q, n]` to `[B, q, n + q - 1]`, 0 where no pair belongs.
pub(crate) fn by_differences(pairs: Tensor<3>) -> Tensor<3> {
    let [b, rows, frames] = pairs.dims();
    let width = frames + rows - 1;
    if rows == 1 {
        // Its entries already stand at their differences.
        return pairs;
    }
    let (device, dtype) = (pairs.device(), pairs.dtype());
    let like = (&device, dtype);
    let wide = match rows {
        2 => pairs,
        _ => Tensor::cat(vec![pairs, Tensor::zeros([b, rows, rows - 2], like)], 2),
    };
    let flat = wide.reshape([b, rows * (width - 1)]);
    let (before, after) = (Tensor::zeros([b, rows - 1], like), Tensor::zeros([b, 1], like));
    Tensor::cat(vec![before, flat, after], 1).reshape([b, rows, width])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    #[test]
    fn pairs_and_differences_are_the_same_numbers() {
        let device = Device::flex();
        let like = (&device, DType::F64);
        for (rows, frames) in [(1, 1), (1, 4), (2, 2), (2, 5), (3, 3), (4, 7), (5, 5)] {
            let width = frames + rows - 1;
            let values: Vec<f64> = (0..2 * rows * width).map(|k| k as f64).collect();
            let relative = Tensor::<3>::from_data(TensorData::new(values.clone(), [2, rows, width]), like);
            let found = by_pairs(relative.clone(), frames);
            let host = found.clone().try_into_vec_as::<f64>().unwrap();
            for b in 0..2 {
                for i in 0..rows {
                    for s in 0..frames {
                        let expected = values[(b * rows + i) * width + s + rows - 1 - i];
                        assert_eq!(host[(b * rows + i) * frames + s], expected, "{rows} x {frames}");
                    }
                }
            }
            let back = by_differences(found);
            let again = by_pairs(back.clone(), frames).try_into_vec_as::<f64>().unwrap();
            assert_eq!(again, host);
            // Everything else is 0.
            let total = |values: Vec<f64>| values.iter().sum::<f64>();
            assert_eq!(total(back.try_into_vec_as::<f64>().unwrap()), total(host));
        }
    }
}
