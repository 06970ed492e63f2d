//! Laws of classes from logits, on the host.

/// How many classes may come out at step t: at the last step (t = 1) all but the last, virtual one.
pub(crate) fn possible(logits: &[f64], t: usize) -> usize {
    if t == 1 { logits.len().saturating_sub(1) } else { logits.len() }
}

/// The distribution of the first `classes` classes.
pub(crate) fn softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    log_softmax(logits, classes).into_iter().map(libm::exp).collect()
}

/// Its logarithms.
pub(crate) fn log_softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    let logits = &logits[..classes];
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = logits.iter().map(|logit| libm::exp(logit - highest)).sum();
    let normaliser = highest + libm::log(total);
    logits.iter().map(|logit| logit - normaliser).collect()
}
