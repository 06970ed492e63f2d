//! The book's page "expected and measured": every figure of these tests in one table, which must not be out of date.
//!
//! ```text
//! EQUIDRIFT_WRITE_BOOK=1 cargo test --release -p equidrift-sampler --test it laboratory
//! ```
//! writes the page anew.

use std::fmt::Write;
use std::path::Path;

use equidrift_laws::figures::{Accept, Figure};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src/look-up/laboratory.md");

const HEAD: &str = "# The laboratory: expected and measured

Every number below is measured by the tests of crate `sampler` on problems whose answers are known, and compared with the
published or derived one. The table is written by those tests; a test fails if it is out of date.

```bash
cargo test --release -p equidrift-sampler --test it            # measure and check
EQUIDRIFT_WRITE_BOOK=1 cargo test --release -p equidrift-sampler --test it laboratory   # write this page
```

The first column names the problem (L1 to L8) or the method (C1 to C31):

| problem | what |
| --- | --- |
| L1 | one normal; the probability flow is known |
| L2 | a mixture of two normals under VP(0.1, 20), 64 starting points, λ-uniform steps to t = 0.001 |
| L3 | returned standard deviation for data N(0, 0.25) under VP(0.1, 20), by exact moment recursion |
| L4 | a first-order autoregressive series of length 24, the first 16 observed |
| L5 | a ring of eight normals in the plane |
| L8 | the Schrödinger bridge between two normals |

";

/// A table row without its last cell, and the measured number in it.
fn row(figure: &Figure) -> (String, f64) {
    let Figure { entry, what, expected, accept, measured } = figure;
    (format!("| {entry} | {what} | {} | {accept} | ", number(*expected)), *measured)
}

/// Four significant digits.
fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (0.01..10_000.0).contains(&size) {
        let digits = (3.0 - size.log10().floor()).max(0.0) as usize;
        format!("{value:.digits$}")
    } else {
        format!("{value:.3e}")
    }
}

fn page(figures: &[&Figure]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| entry | what | expected | accepted | measured |\n| --- | --- | --- | --- | --- |\n");
    for figure in figures {
        let (start, measured) = row(figure);
        writeln!(page, "{start}{} |", number(measured)).unwrap();
    }
    page
}

#[test]
fn the_page_of_the_book_is_up_to_date() {
    let figures: Vec<&Figure> = [
        crate::paths::figures(),
        crate::prediction::figures(),
        crate::mixture::figures(),
        crate::stochastic::figures(),
        crate::front_ends::figures(),
        crate::adaptive::figures(),
        crate::likelihood::figures(),
        crate::inpainting::figures(),
        crate::change_of_basis::figures(),
        crate::interpolants::figures(),
        crate::mean_reverting::figures(),
        crate::poisson::figures(),
        crate::kinetic_optimal::figures(),
        crate::prior_mismatch::figures(),
        crate::dpm_solver_v3::figures(),
        crate::schedule_search::figures(),
        crate::particles::figures(),
        crate::boundary_search::figures(),
        crate::warm_start::figures(),
        crate::receding_horizon::figures(),
        crate::trajectories::figures(),
        crate::denoising_mcmc::figures(),
    ]
    .into_iter()
    .flatten()
    .collect();
    for figure in &figures {
        figure.check();
    }
    let page = page(&figures);
    if std::env::var_os("EQUIDRIFT_WRITE_BOOK").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let advice = "write it anew with EQUIDRIFT_WRITE_BOOK=1";
    let (written, fresh): (Vec<&str>, Vec<&str>) = (written.lines().collect(), page.lines().collect());
    assert_eq!(written.len(), fresh.len(), "{PAGE} has another number of lines: {advice}");
    let table = fresh.len() - figures.len();
    for (index, (written, fresh)) in written.iter().zip(&fresh).enumerate() {
        if written == fresh {
            continue;
        }
        // A measured number may differ in its last digit on another processor; nothing else may.
        let cut = |line: &str| {
            let line = line.trim_end_matches(" |");
            let at = line.rfind("| ").unwrap_or(0);
            (line[..at].to_owned(), line[at..].trim_start_matches("| ").parse::<f64>().ok())
        };
        let ((old_row, old), (new_row, new)) = (cut(written), cut(fresh));
        // Differences at the level of rounding have a bound, no value.
        let rounding = index
            .checked_sub(table)
            .is_some_and(|place| figures[place].accept == Accept::AtMost && figures[place].expected <= 1e-5);
        let same = match (old, new) {
            (Some(old), Some(new)) => {
                rounding || old.abs().max(new.abs()) < 1e-10 || (old - new).abs() <= 0.01 * new.abs()
            }
            _ => false,
        };
        assert!(old_row == new_row && same, "{PAGE} is out of date: {advice}\n  {written}\n  {fresh}");
    }
}
