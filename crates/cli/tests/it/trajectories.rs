//! `generate trajectories`: one seed one file, starting windows, gaps, mistakes.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use equidrift_geotdm::{AtomFeatures, MolecularEdges, Prior, SystemKind};
use equidrift_trajectory::nbody::System;
use equidrift_trajectory::{
    Element, Handedness, SampleSet, Selection, Topology, Trajectory, WriteOptions, file,
};
use serde_json::Value;

use crate::command::{Running, assert_refused, code, equidrift, generate, run, stderr, stdout};
use crate::folder::{reconfigure, small_model};
use crate::trajectory_workplace::{GIVEN, MADE, SPRINGS, Workplace, joined};

#[test]
fn one_seed_one_file() {
    let place = Workplace::new();
    let model = place.springs();
    for format in ["xtc", "extxyz", "npz", "h5md", "pdb"] {
        let name = |what: &str| format!("{what}.{format}");
        let whole = place.drawn(&model, &name("whole"), &format!("{SPRINGS} --threads 1 --batch 1"));
        for line in ["--threads 2 --batch 5", "--threads 1 --batch 100", "--threads 3"] {
            assert!(
                place.drawn(&model, &name("other"), &format!("{SPRINGS} {line}")) == whole,
                "{format} {line}"
            );
        }
        let parts: Vec<PathBuf> = (0..5).map(|part| place.path(&name(&format!("part{part}")))).collect();
        for part in 0..5 {
            place.drawn(&model, &name(&format!("part{part}")), &format!("{SPRINGS} --shard {part}/5"));
        }
        let joined = place.path(&name("joined"));
        let mut merge = equidrift();
        let merged = merge.arg("merge").args(parts.iter().rev()).arg("-o").arg(&joined).output().unwrap();
        assert_eq!(code(&merged), 0, "{}", stderr(&merged));
        assert!(fs::read(&joined).unwrap() == whole, "{format} of shards");
        // A finished run is left as it is, and one of another seed is not mistaken for it.
        assert!(place.drawn(&model, &name("whole"), &format!("{SPRINGS} --resume")) == whole);
        let line = format!("{SPRINGS} --resume").replace("--seed 7", "--seed 8");
        let other = place.generate(&model, &name("whole"), &line);
        assert_refused(&other, 4, "belongs to another run");
    }
    let (seven, eight) = (place.path("whole.npz"), place.path("eight.npz"));
    place.drawn(&model, "eight.npz", &SPRINGS.replace("--seed 7", "--seed 8"));
    assert!(fs::read(seven).unwrap() != fs::read(eight).unwrap());
}

#[test]
fn a_low_temperature_narrows_the_samples_of_a_window() {
    let place = Workplace::new();
    let model = place.springs();
    let spread = |temperature: &str| -> f64 {
        place.drawn(&model, "drawn.npz", &format!("{SPRINGS} --temperature {temperature}"));
        let samples = joined(&place.path("drawn.npz"));
        // The last frame of the first window's first two samples.
        let [a, b] = [MADE - 1, 2 * MADE - 1].map(|frame| samples.frame(frame).as_flattened());
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    let spreads = ["2", "1", "0.5", "0.01"].map(spread);
    assert!(spreads.windows(2).all(|pair| pair[1] < 0.75 * pair[0]) && spreads[3] < 0.05 * spreads[1]);
    let narrow = fs::read(place.path("drawn.npz")).unwrap();
    place.drawn(&model, "drawn.npz", SPRINGS);
    let unsaid = fs::read(place.path("drawn.npz")).unwrap();
    place.drawn(&model, "drawn.npz", &format!("{SPRINGS} --temperature 1"));
    assert!(fs::read(place.path("drawn.npz")).unwrap() == unsaid && unsaid != narrow);
    for (temperature, reason) in [("1.2:0.9", "one temperature"), ("0", "0.01 to 100")] {
        let line = format!("{SPRINGS} --temperature {temperature}");
        assert_refused(&place.generate(&model, "x.npz", &line), 2, reason);
    }
}

#[test]
fn a_killed_run_goes_on() {
    let place = Workplace::new();
    let model = place.springs();
    let line = "--simulate springs --runs 40 --simulation-seed 9 --num 40 --seed 7 --batch 8 --threads 1";
    let whole = place.drawn(&model, "whole.xtc", line);
    let mut running = Running::start(place.command(&model, "killed.xtc", line));
    let partial = equidrift::Manifest::partial_for(&place.path("killed.xtc"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::metadata(&partial).map_or(0, |file| file.len()) < 20_000 {
        assert!(Instant::now() < deadline && running.0.try_wait().unwrap().is_none(), "ended too early");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    assert!(partial.exists() && !place.path("killed.xtc").exists());
    assert!(place.drawn(&model, "killed.xtc", &format!("{line} --resume")) == whole);
}

#[test]
fn the_model_goes_on_from_the_frames_it_made() {
    let place = Workplace::new();
    let model = place.springs();
    let frames = |output: &str, line: &str| {
        place.drawn(&model, output, &format!("{SPRINGS} {line}"));
        joined(&place.path(output))
    };
    let (short, long) = (frames("short.npz", ""), frames("long.npz", "--horizon 10 --with-given"));
    assert_eq!((short.frames(), long.frames()), (12 * MADE, 12 * (GIVEN + 10)));
    let run = System::Springs.simulate(5, 9, 2).unwrap().trajectory();
    for sample in 0..12 {
        let window = |t: usize| long.frame(sample * (GIVEN + 10) + t);
        for t in 0..GIVEN {
            assert!(sample < 8 || window(t) == run.frame(t), "given frame {t}");
        }
        for t in 0..MADE {
            assert_eq!(window(GIVEN + t), short.frame(sample * MADE + t), "sample {sample}, frame {t}");
        }
        assert_ne!(window(GIVEN + MADE), window(GIVEN), "rounds have noise of their own");
    }
    // Keeping two frames of each call is another course from the third frame on.
    let careful = frames("careful.npz", "--frames 2 --horizon 10");
    assert_eq!(careful.frames(), 120);
    assert_eq!(careful.frame(1), short.frame(1));
    assert_ne!(careful.frame(2), short.frame(2));
    // Its rounds are those of any batch.
    let one =
        place.drawn(&model, "one.npz", &format!("{SPRINGS} --frames 2 --horizon 10 --batch 1 --threads 2"));
    assert!(one == fs::read(place.path("careful.npz")).unwrap());
}

#[test]
fn molecules_come_from_files_of_any_format() {
    let place = Workplace::new();
    let model = place.molecules();
    place.molecule("ethane.npz", &[1, 6, 6, 1], 60);
    place.molecule("ethane.xtc", &[1, 6, 6, 1], 60);
    place.molecule("ethane.pdb", &[1, 6, 6, 1], 1);
    // A frame every femtosecond; the model has one every two.
    place.drawn(&model, "next.extxyz", "--from ethane.npz --num 3");
    let next = file::read(&place.path("next.extxyz")).unwrap();
    assert_eq!((next.frames(), next.topology().elements()[1]), (3 * MADE, Element(6)));
    assert_eq!(next.times()[..5], [61.0, 63.0, 65.0, 67.0, 61.0], "the last given frame is at 59 fs");
    // The same atoms from an XTC and a topology: rounded to a thousandth of a nanometre, if that.
    place.drawn(&model, "other.npz", "--from ethane.xtc --topology ethane.pdb --num 3");
    assert_eq!(joined(&place.path("other.npz")).frames(), 3 * MADE);
    assert_refused(&place.generate(&model, "x.xtc", "--from ethane.xtc"), 3, "--topology");

    let windows = "--from ethane.npz --windows 4 --part test --num 2 --horizon 3 --truth truth.xtc";
    // 30 kept frames, the last 6 of which are for testing: one window of 3 + 3 frames.
    place.drawn(&model, "windows.xtc", windows);
    let truth = file::read(&place.path("truth.xtc")).unwrap();
    assert_eq!((truth.frames(), file::read(&place.path("windows.xtc")).unwrap().frames()), (3, 6));
    assert_eq!(truth.times(), [54.0, 56.0, 58.0]);

    for (line, exit, word) in [
        ("--from ethane.npz --every 40", 3, "frames are needed"),
        ("--from ethane.npz --windows 2 --part test --horizon 30", 3, "33 frames are needed, there are 6"),
        ("--from ethane.npz --atoms index --num 1", 2, "selection"),
        ("--from ethane.npz --num 1 --frames 5", 2, "`frames`"),
        ("--from ethane.npz --truth t.xtc", 2, "windows"),
        ("--from none.npz", 3, "none.npz"),
        ("--from ethane.dcd", 2, "unknown trajectory format"),
        ("--num 3", 2, "name a trajectory file"),
        ("--simulate springs", 4, "bodies with springs"),
        ("--from ethane.npz --sampler nonsense", 2, "nonsense"),
        ("--from ethane.npz --steps 0", 2, "--steps"),
        ("--from ethane.npz --match-prior", 2, "match_prior"),
    ] {
        assert_refused(&place.generate(&model, "x.xtc", line), exit, word);
    }
    assert_refused(&place.generate(&model, "x.dat", "--from ethane.npz"), 2, "unknown trajectory format");
    place.molecule("thiol.npz", &[6, 16, 1], 20);
    assert_refused(
        &place.generate(&model, "x.xtc", "--from thiol.npz"),
        3,
        "thiol.npz: an atomic number is 16",
    );
    assert_refused(&place.generate(&model, "x.xtc", "--from ethane.npz thiol.npz"), 3, "thiol.npz");
    place.molecule("water.npz", &[1, 8, 1], 20);
    assert_refused(&place.generate(&model, "x.xtc", "--from ethane.npz water.npz"), 3, "another molecule");
    let slow = place.model(
        "slow",
        SystemKind::Molecules { edges: MolecularEdges::Near, features: AtomFeatures::Charge },
        Prior::CentreOfMass,
        Some(0.7),
    );
    assert_refused(&place.generate(&slow, "x.xtc", "--from ethane.npz"), 3, "0.7 fs");
    place.drawn(&slow, "insisted.xtc", "--from ethane.npz --every 1 --num 1");
    // Cut in the middle of a frame.
    let bytes = fs::read(place.path("ethane.xtc")).unwrap();
    fs::write(place.path("cut.xtc"), &bytes[..bytes.len() - 7]).unwrap();
    assert_refused(&place.generate(&model, "x.xtc", "--from cut.xtc --topology ethane.pdb"), 3, "frame 59");
    assert!(!place.path("x.xtc").exists());
}

#[test]
fn unconditional_models_make_ensembles() {
    let place = Workplace::new();
    let kind = SystemKind::Molecules { edges: MolecularEdges::All, features: AtomFeatures::Charge };
    let model = place.model("free", kind, Prior::JointCentre, Some(1.0));
    place.molecule("ethane.npz", &[1, 6, 6, 1], 1);
    place.drawn(&model, "ensemble.npz", "--from ethane.npz --num 6 --seed 3");
    let ensemble = joined(&place.path("ensemble.npz"));
    assert_eq!(ensemble.frames(), 6 * MADE);
    for sample in 0..6 {
        let mut one = ensemble.window(sample * MADE, (sample + 1) * MADE);
        let mean = one.centre();
        let size = one.coordinates().iter().fold(1.0_f32, |size, x| size.max(x.abs()));
        assert!(mean.iter().all(|x| x.abs() < 1e-5 * f64::from(size)), "{mean:?} of {size}");
    }
    let sharded = place.drawn(&model, "part.npz", "--from ethane.npz --num 6 --seed 3 --shard 2/3 --batch 1");
    assert!(!sharded.is_empty());
    let part = joined(&place.path("part.npz"));
    assert_eq!(part.coordinates(), ensemble.window(4 * MADE, 6 * MADE).coordinates());
    assert_refused(&place.generate(&model, "x.xtc", "--from ethane.npz --horizon 9"), 2, "horizon");

    // The model cannot tell a molecule from its mirror image; the file can.
    let mut topology = Topology::of_elements([6, 1, 7, 8, 9].map(Element).to_vec());
    topology.set_bonds((1..5).map(|atom| [0, atom]).collect()).unwrap();
    let corners = [0., 0., 0., 1., 1., 1., 1., -1., -1., -1., 1., -1., -1., -1., 1.];
    let source = Trajectory::from_coordinates(topology.clone(), &corners, Some(1.0)).unwrap();
    file::write(&place.path("chiral.npz"), &source, &WriteOptions::default()).unwrap();
    place.drawn(&model, "chiral_ensemble.npz", "--from chiral.npz --num 16 --seed 3");
    let handedness = Handedness::of(&topology, source.frame(0));
    assert!(!handedness.is_empty());
    let ensemble = joined(&place.path("chiral_ensemble.npz"));
    for sample in 0..16 {
        let frames: Vec<_> = (0..MADE).map(|t| ensemble.frame(sample * MADE + t).to_vec()).collect();
        assert!(!handedness.is_mirrored(&frames), "sample {sample}");
    }

    let trained = "--preset published --simulate springs --runs 9 --validation-runs 0 --prior unconditional --hidden 8 --layers 1 --noise-levels 25 \
                   --frames-out 5 --epochs 1 --batch 4";
    assert_eq!(code(&place.train("ensembles", trained).output().unwrap()), 0);
    let config = fs::read_to_string(place.path("ensembles").join("config.json")).unwrap();
    assert!(config.contains("joint-centre"), "{config}");
}

#[test]
fn a_model_brings_its_own_molecule() {
    let place = Workplace::new();
    place.molecule("ethane.npz", &[1, 6, 6, 1], 60);
    let line = "--data ethane.npz --prior standardised --atom-features environment --edges all --hidden 8 --layers 1 \
                --noise-levels 25 --frames-out 3 --epochs 1 --batch 4 --validation-windows 0";
    let trained = place.train("own", line).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let folder = place.path("own");
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["network"]["prior"]["kind"], "standardised");
    assert_eq!(config["molecule"]["topology"]["elements"], serde_json::json!([1, 6, 6, 1]));
    assert_eq!(config["systems"]["features"], "environment");
    // The same samples whether the molecule is brought or not, and shards of them.
    place.drawn(&folder, "brought.npz", "--from ethane.npz --num 6 --seed 3 --steps 4");
    place.drawn(&folder, "own.npz", "--num 6 --seed 3 --steps 4");
    place.drawn(&folder, "part.npz", "--num 6 --seed 3 --steps 4 --shard 2/3");
    let [brought, own, part] = ["brought.npz", "own.npz", "part.npz"].map(|name| joined(&place.path(name)));
    assert_eq!(own.coordinates(), brought.coordinates());
    assert_eq!(part.coordinates(), own.window(4 * 3, 6 * 3).coordinates());
    assert_eq!(own.topology().bonds(), brought.topology().bonds());
    // Frames that are known: samples come nearer to them than without, and no batch or shard changes one.
    let guided = "--from ethane.npz --windows 3 --num 2 --seed 3 --steps 20 --known-frames 0,2";
    place.drawn(
        &folder,
        "free.npz",
        "--from ethane.npz --windows 3 --num 2 --seed 3 --steps 20 --truth truth.npz",
    );
    place.drawn(&folder, "guided.npz", guided);
    place.drawn(&folder, "third.npz", &format!("{guided} --shard 2/3 --batch 1"));
    let [free, guided_samples, third, truth] =
        ["free.npz", "guided.npz", "third.npz", "truth.npz"].map(|name| joined(&place.path(name)));
    assert_eq!(third.coordinates(), guided_samples.window(4 * 3, 6 * 3).coordinates());
    let distance = |samples: &Trajectory| -> f64 {
        let of = |(sample, t): (usize, usize)| {
            let (made, true_frame) = (samples.frame(3 * sample + t), truth.frame(3 * (sample / 2) + t));
            let far = made.as_flattened().iter().zip(true_frame.as_flattened());
            far.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
        };
        (0..6).flat_map(|sample| [(sample, 0), (sample, 2)]).map(of).sum::<f64>().sqrt()
    };
    assert!(distance(&guided_samples) < 0.8 * distance(&free));
    for (line, reason) in [
        ("--known-frames 0", "name the file whose frames are known"),
        ("--from ethane.npz --known-frames 3", "behind the last frame"),
        ("--atoms heavy", "name a trajectory file"),
        ("--topology ethane.npz", "name a trajectory file"),
        ("--from ethane.npz --known-frames 0 --guidance 0", "positive"),
        ("--from ethane.npz --known-frames 0 --engine burn", "fused engine"),
        ("--from ethane.npz --guidance 1", "--known-frames"),
    ] {
        assert_refused(&place.generate(&folder, "x.npz", &format!("{line} --num 2")), 2, reason);
    }
    assert_refused(
        &place.generate(&place.molecules(), "x.npz", "--from ethane.npz --known-frames 0"),
        2,
        "unconditional",
    );
    // Others do not, and say what they need.
    let kind = SystemKind::Molecules { edges: MolecularEdges::All, features: AtomFeatures::Charge };
    let bare = place.model("bare", kind, Prior::JointCentre, Some(1.0));
    assert_refused(&place.generate(&bare, "x.npz", "--num 2"), 2, "name a trajectory file");
    // A molecule that was written by hand and is none.
    reconfigure(&folder, |config| config["molecule"]["topology"]["bonds"][0][1] = 7.into());
    assert_refused(&place.generate(&folder, "x.npz", "--num 2"), 4, "molecule");
    reconfigure(&folder, |config| {
        config["molecule"]["topology"]["bonds"][0][1] = 1.into();
        config["molecule"]["positions"].as_array_mut().unwrap().pop();
    });
    assert_refused(&place.generate(&folder, "x.npz", "--num 2"), 4, "3 positions of 4 atoms");
}

#[test]
fn gaps_between_given_frames_are_filled() {
    let place = Workplace::new();
    let line = "--simulate springs --runs 24 --validation-runs 0 --hidden 8 --layers 1 --frames-in 3 --frames-behind 2 --frames-out 4 --epochs 2 --lr 1e-3";
    let trained = place.train("bodies", line).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let model = place.path("bodies");
    let inspected = run(["inspect".as_ref(), model.as_os_str()]);
    assert!(stdout(&inspected).contains("4 made between 3 and 2 given"), "{}", stdout(&inspected));
    let line = "--simulate springs --runs 5 --simulation-seed 9 --num 2 --truth truth.npz";
    place.drawn(&model, "gaps.npz", line);
    let set = |name: &str| SampleSet::read(&place.path(name), &Selection::All).unwrap();
    let (made, truth) = (set("gaps.npz"), set("truth.npz"));
    assert_eq!((made.samples(), made.frames(), truth.samples(), truth.frames()), (10, 4, 5, 4));
    let all =
        place.drawn(&model, "all.npz", &format!("{} --with-given", line.replace("truth.npz", "again.npz")));
    assert!(!all.is_empty() && set("all.npz").frames() == 9);
    assert_eq!(
        set("all.npz").trajectories()[3].frame(4),
        made.trajectories()[3].frame(1),
        "in order of time"
    );
    let simulated = equidrift()
        .args(["simulate", "springs", "--runs", "5", "--seed", "9", "-o"])
        .arg(place.path("runs.npz"))
        .output()
        .unwrap();
    assert_eq!(code(&simulated), 0, "{}", stderr(&simulated));
    let judge = |samples: &str, more: &str| -> Value {
        let line =
            "--reference runs.npz --json --bootstrap 10 --condition-frames 3 --condition-frames-behind 2";
        let judged = equidrift()
            .args(["evaluate", "trajectories", samples])
            .args(line.split_whitespace().chain(more.split_whitespace()))
            .current_dir(place.folder.path())
            .output()
            .unwrap();
        assert_eq!(code(&judged), 0, "{}", stderr(&judged));
        serde_json::from_str(&stdout(&judged)).unwrap()
    };
    let judged = judge("gaps.npz", "");
    let with_given = judge("all.npz", "--samples-with-given");
    assert_eq!(judged["forecast"]["rows"], with_given["forecast"]["rows"], "the given frames are left out");
    let row = |name: &str| {
        let rows = judged["forecast"]["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} in {judged}"));
        row["ade"]["value"].as_f64().unwrap()
    };
    // A spring's motion is smooth: what lies between is known better than what follows.
    assert!(row("linear interpolation") < row("last velocity"));
    assert!(row("samples") < row("last velocity"));

    // Of a file that lacks the frames.
    let data = place.molecule("run.npz", &[6, 6, 8], 60);
    let line = format!(
        "--data {} --validation-windows 0 --hidden 8 --layers 1 --frames-in 3 --frames-behind 2 --frames-out 4 --epochs 1",
        data.display()
    );
    let trained = place.train("molecule", &line).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let model = place.path("molecule");
    place.drawn(&model, "filled.npz", "--from run.npz --gap-behind 9 --num 3 --with-given");
    let (filled, run_itself) = (set("filled.npz"), set("run.npz"));
    assert_eq!((filled.samples(), filled.frames()), (3, 9));
    let of_run = |frame: usize| run_itself.trajectories()[0].frame(frame);
    for sample in filled.trajectories() {
        for (frame, of) in [(0, 7), (2, 9), (7, 10), (8, 11)] {
            assert_eq!(sample.frame(frame), of_run(of), "frame {frame} is given");
        }
    }
    for (line, told) in [
        ("--from run.npz", "say behind which frame"),
        ("--from run.npz --gap-behind 1", "frames"),
        ("--from run.npz --gap-behind 58", "frames"),
        ("--from run.npz --gap-behind 18446744073709551615", "frames"),
        ("--from run.npz --gap-behind 9 --horizon 8", "gaps of as many frames"),
    ] {
        let result = place.generate(&model, "no.npz", line);
        assert!(code(&result) != 0 && stderr(&result).contains(told), "{line}: {}", stderr(&result));
    }
}

#[test]
fn walkers_are_in_the_plane() {
    let place = Workplace::new();
    place.walkers(26);
    let model = place.model("walk", SystemKind::Pedestrians { most: 2 }, Prior::CentreOfMass, None);
    place.drawn(&model, "walk.npz", "--from walk.csv --windows 3 --num 2 --truth truth.npz");
    let (walk, truth) = (joined(&place.path("walk.npz")), joined(&place.path("truth.npz")));
    assert_eq!((walk.frames(), walk.atoms(), truth.frames()), (72, 1, 36));
    assert_eq!(truth.frame(0)[0], [4.0, 1.0, 0.0], "the ninth frame of the first walker");
    assert!(walk.positions().iter().all(|point| point[2] == 0.0));
    // In the plane is not in space.
    place.molecule("ethane.npz", &[1, 6, 6, 1], 60);
    assert_refused(&place.generate(&model, "x.xtc", "--from ethane.npz"), 4, "in space");
    assert_refused(&place.generate(&place.molecules(), "x.xtc", "--from walk.csv"), 4, "in the plane");
    assert_refused(&place.generate(&model, "x.xtc", "--from walk.csv ethane.npz"), 2, "common set");

    let mut train =
        place.train("trained", "--walkers 2 --hidden 8 --layers 1 --noise-levels 25 --epochs 1 --data");
    let trained = train.arg(place.walkers(60)).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    // 48 frames before the cut are 29 windows of two walkers.
    assert!(
        stderr(&trained).contains("training on 58 windows of 1 runs of pedestrians (2 nodes)"),
        "{}",
        stderr(&trained)
    );
    let mut train = place.train("x", "--hidden 8 --frames-in 3 --data");
    assert_refused(&train.arg(place.path("walk.csv")).output().unwrap(), 2, "8 and 12");
}

#[test]
fn models_of_other_things_are_told_apart() {
    let place = Workplace::new();
    let springs = place.springs();
    assert_refused(&generate(&springs, None, "--num 1").output().unwrap(), 4, "trajectories");
    let (_folder, molecules) = small_model();
    assert_refused(&place.generate(&molecules, "x.xtc", "--simulate springs --runs 1"), 4, "gdss");
    assert_refused(&place.generate(&springs, "x.xtc", "--simulate charged --runs 1"), 4, "charged bodies");
    assert_refused(&place.generate(&springs, "x.xtc", "--simulate springs --windows 2"), 2, "windows");
    let request = place.path("request.json");
    fs::write(
        &request,
        r#"{"num": 2, "trajectories": {"source": {"simulate": "springs", "runs": 2}, "horizon": 3}}"#,
    )
    .unwrap();
    place.drawn(&springs, "asked.npz", "--config request.json --num 3");
    assert_eq!(joined(&place.path("asked.npz")).frames(), 2 * 3 * 3);
    fs::write(&request, r#"{"trajectories": {"sauce": {}}}"#).unwrap();
    assert_refused(&place.generate(&springs, "x.xtc", "--config request.json"), 3, "sauce");
}
