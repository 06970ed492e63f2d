//! What people see while they wait: standard error, and only if that is a terminal.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use equidrift::Report;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// A bar with rate and time to go; hidden where standard error is not a terminal.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    let template = format!("{{wide_bar}} {{pos}}/{{len}} {unit} | {{per_sec}} | {{eta}} left {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// A bar over the bytes of a file, which shows the number of `unit` (its message) beside; hidden as [`bar`].
pub(crate) fn bytes(total: u64, unit: &str) -> ProgressBar {
    let bar = bar(total, unit);
    if let Ok(style) =
        ProgressStyle::with_template(&format!("{{wide_bar}} {{percent}} % | {{msg}} {unit} | {{eta}} left"))
    {
        bar.set_style(style);
    }
    bar
}

/// A bar over the steps of a training run, with room for its figures; hidden where standard error is not a terminal.
pub(crate) fn training(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} steps | {eta} left {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// A line on standard error. That it may be closed is no reason to stop.
pub(crate) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A bar over samples that moves with every step of the sampler; see [`show`].
pub(crate) fn samples(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Moves a bar of [`samples`]. It counts steps of single samples, so that it moves while a batch is in work, and shows
/// them as samples, called `unit`.
pub(crate) fn show(bar: &ProgressBar, unit: &'static str, report: Report) {
    match report {
        Report::Start { samples, done, steps } => {
            let whole = move |steps_done: u64| steps_done / steps.max(1);
            let style =
                ProgressStyle::with_template("{wide_bar} {samples} | {rate} | {eta} left").map(|style| {
                    style
                        .with_key("samples", move |state: &ProgressState, out: &mut dyn fmt::Write| {
                            let _ = write!(out, "{}/{samples} {unit}", whole(state.pos()));
                        })
                        .with_key("rate", move |state: &ProgressState, out: &mut dyn fmt::Write| {
                            let _ = write!(out, "{:.2}/s", state.per_sec() / steps.max(1) as f64);
                        })
                });
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_length(samples * steps);
            bar.set_position(done * steps);
            // What an earlier run did says nothing about the speed of this one.
            bar.reset_eta();
        }
        Report::Steps { sample_steps } => bar.inc(sample_steps),
    }
}
