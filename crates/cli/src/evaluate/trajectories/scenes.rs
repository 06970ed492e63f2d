//! Motions that the report shows.

use equidrift_trajectory::evaluation::ForecastEvaluation;
use equidrift_trajectory::evaluation::forecast::Member;
use equidrift_trajectory::{Element, SampleSet, Trajectory};

use crate::report::{Motion, Scene};

/// Samples shown of a window, frames of a motion, and bodies; more would make the page large.
const MOST_SAMPLES: usize = 5;
const MOST_FRAMES: usize = 200;
pub(super) const MOST_BODIES: usize = 200;

/// Colours of elements (after Corey, Pauling and Koltun) and of bodies without one.
const ELEMENTS: [(u8, &str); 9] = [
    (1, "#e8e8e8"),
    (6, "#50555b"),
    (7, "#3a5fd9"),
    (8, "#e03a2f"),
    (9, "#6fbf44"),
    (15, "#e08a1e"),
    (16, "#d9b400"),
    (17, "#2fb344"),
    (35, "#a0392b"),
];
const BODIES: [&str; 6] = ["#2f6fb5", "#2e9c6d", "#a8509f", "#c9a227", "#3fa7b5", "#b5484d"];

/// The windows with the best, the middle and the worst samples.
pub(super) fn of_forecast(
    found: &ForecastEvaluation,
    samples: Option<&SampleSet>,
    reference: &SampleSet,
) -> Vec<Scene> {
    let Some(errors) = found.rows.first().map(|row| &row.of_windows) else { return Vec::new() };
    let mut order: Vec<usize> = (0..found.members.len()).collect();
    order.sort_by(|a, b| errors[*a].ade.total_cmp(&errors[*b].ade));
    let last = order.len().saturating_sub(1);
    let places = [("best", 0), ("middle", order.len() / 2), ("worst", last)];
    // Of few windows the middle one is an end, and of one the worst is the best.
    let places = places.into_iter().filter(|&(name, place)| match name {
        "best" => true,
        "middle" => (1..last).contains(&place),
        _ => place > 0,
    });
    places
        .filter_map(|(name, place)| {
            let window = *order.get(place)?;
            let member = &found.members[window];
            let title = format!(
                "{name} window: run {}, frame {}, ADE {:.4}",
                member.place.run, member.place.frame, errors[window].ade
            );
            Some(of_window(title, found, member, samples, reference))
        })
        .collect()
}

fn of_window(
    name: String,
    found: &ForecastEvaluation,
    member: &Member,
    samples: Option<&SampleSet>,
    reference: &SampleSet,
) -> Scene {
    let stretch = found.stretch;
    let every = stretch.every.max(1);
    let run = &reference.trajectories()[member.place.run];
    let first = member.place.frame - stretch.given * every;
    let true_frame = |frame: usize| run.frame(first + frame * every);
    let last = stretch.frames().min(MOST_FRAMES.max(stretch.given));
    // Molecules drift; the eye should follow them.
    let middles: Vec<[f32; 3]> = (0..last)
        .map(|frame| if reference.is_molecule() { centre(true_frame(frame)) } else { [0.0; 3] })
        .collect();
    let truth = Motion {
        name: "truth".to_owned(),
        faint: false,
        frames: (0..last).map(|frame| flat(true_frame(frame), middles[frame])).collect(),
    };
    let mut motions = vec![truth];
    for (number, sample) in member.samples.iter().take(MOST_SAMPLES).enumerate() {
        let made = samples.map(|samples| &samples.trajectories()[*sample]);
        let frame = |frame: usize| match (frame.checked_sub(stretch.given), made) {
            (Some(made_frame), Some(made)) if made_frame < stretch.predicted => made.frame(made_frame),
            _ => true_frame(frame),
        };
        motions.push(Motion {
            name: format!("sample {}", number + 1),
            faint: true,
            frames: (0..last).map(|at| flat(frame(at), middles[at])).collect(),
        });
    }
    scene(name, stretch.given, reference, None, motions)
}

/// One sample and a piece of the reference as long.
pub(super) fn of_ensemble(samples: &SampleSet, reference: &SampleSet, every: usize) -> Vec<Scene> {
    let molecule = samples.is_molecule() || reference.is_molecule();
    let motion = |name: &str, run: &Trajectory, every: usize| {
        let frame = |at: usize| {
            let frame = run.frame(at * every);
            flat(frame, if molecule { centre(frame) } else { [0.0; 3] })
        };
        let count = run.frames().div_ceil(every.max(1)).min(samples.frames()).min(MOST_FRAMES);
        Motion { name: name.to_owned(), faint: false, frames: (0..count).map(frame).collect() }
    };
    let first = motion("samples", &samples.trajectories()[0], 1);
    let other = motion("reference", &reference.trajectories()[0], every);
    vec![
        scene("first sample".to_owned(), 0, samples, Some(reference), vec![first]),
        scene("reference".to_owned(), 0, reference, Some(samples), vec![other]),
    ]
}

/// What the bodies look like is taken from the set that knows elements and bonds.
fn scene(
    name: String,
    given: usize,
    set: &SampleSet,
    other: Option<&SampleSet>,
    motions: Vec<Motion>,
) -> Scene {
    let known = |test: &dyn Fn(&SampleSet) -> bool| {
        [Some(set), other].into_iter().flatten().find(|set| test(set)).unwrap_or(set)
    };
    let elements = known(&SampleSet::is_molecule).topology().elements();
    let mut bonded = known(&|set| !set.topology().bonds().is_empty()).topology().clone();
    if bonded.bonds().is_empty() && elements.iter().any(|element| element.0 != 0) {
        bonded.bond_within(set.trajectories()[0].frame(0), 1.6);
    }
    let colour = |(body, element): (usize, &Element)| {
        let known = ELEMENTS.iter().find(|(number, _)| *number == element.0).map(|(_, colour)| *colour);
        known.unwrap_or(if element.0 == 0 { BODIES[body % BODIES.len()] } else { "#c06ac0" }).to_owned()
    };
    // Of bodies without a size the balls are a fortieth of the picture.
    let size = motions.iter().take(1).flat_map(|motion| &motion.frames).flatten();
    let size = f64::from(size.fold(0.0_f32, |most, value| most.max(value.abs())));
    let radius = |element: &Element| match element.0 {
        0 => 0.025 * size,
        1 => 0.25,
        _ => 0.4,
    };
    Scene {
        name,
        given,
        bonds: bonded.bonds().to_vec(),
        colours: elements.iter().enumerate().map(colour).collect(),
        radii: elements.iter().map(radius).collect(),
        motions,
    }
}

fn centre(frame: &[[f32; 3]]) -> [f32; 3] {
    [0, 1, 2].map(|k| frame.iter().map(|point| point[k]).sum::<f32>() / frame.len().max(1) as f32)
}

/// Coordinates to a thousandth.
fn flat(frame: &[[f32; 3]], middle: [f32; 3]) -> Vec<f32> {
    let rounded = |point: &[f32; 3]| [0, 1, 2].map(|k| ((point[k] - middle[k]) * 1000.0).round() / 1000.0);
    frame.iter().flat_map(rounded).collect()
}
