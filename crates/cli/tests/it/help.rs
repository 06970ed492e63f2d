//! Every verb explains itself.

use crate::command::{code, run, stdout};

const PAGES: &[(&[&str], &[&str])] = &[
    (
        &["--help"],
        &[
            "generate",
            "datasets",
            "train",
            "evaluate",
            "convert",
            "forward",
            "inspect",
            "samplers",
            "simulate",
            "merge",
            "completions",
        ],
    ),
    (
        &["generate", "molecules", "--help"],
        &[
            "--num",
            "--seed",
            "--batch",
            "--threads",
            "--device",
            "--engine",
            "--model",
            "--sampler",
            "--steps",
            "--tolerance",
            "--plan",
            "--match-prior",
            "--statistics",
            "--snr",
            "--scale-eps",
            "--shard",
            "--resume",
            "--no-repair",
            "--train",
            "--config",
            "--json",
            "--output",
        ],
    ),
    (&["datasets", "list", "--help"], &["--json"]),
    (&["datasets", "show", "--help"], &["NAME_OR_FILE", "--json"]),
    (
        &["datasets", "prepare", "--help"],
        &[
            "NAME_OR_FILE",
            "--from",
            "--output",
            "--format",
            "--column",
            "--sha256",
            "--generate",
            "--num",
            "--seed",
            "--split",
            "--test-rows",
            "--atoms",
            "--max-nodes",
            "--on-bad-record",
            "--max-download",
            "--json",
        ],
    ),
    (&["datasets", "verify", "--help"], &["NAME_OR_FILE", "--from", "--sha256", "--json"]),
    (
        &["generate", "graphs", "--help"],
        &[
            "--num",
            "--seed",
            "--batch",
            "--threads",
            "--model",
            "--sampler",
            "--steps",
            "--shard",
            "--resume",
            "--config",
            "--json",
            "--output",
            "--format",
            ".graphml",
            ".edgelist",
        ],
    ),
    (
        &["train", "molecules", "--help"],
        &[
            "--data",
            "--output",
            "--split",
            "--resume",
            "--config",
            "--accumulate",
            "--optimiser",
            "--schedule",
            "--warmup-steps",
            "--validation-rows",
            "--patience",
            "--keep",
            "--sample-every",
            "--checkpoint-seconds",
            "--csv",
            "--split",
        ],
    ),
    (
        &["train", "graphs", "--help"],
        &[
            "--data",
            "--output",
            "--preset",
            "--resume",
            "--on-bad-graph",
            "--validation-fraction",
            "community_small",
        ],
    ),
    (&["train", "plot", "--help"], &["--output", "DIR"]),
    (
        &["train", "trajectories", "--help"],
        &[
            "--data",
            "--topology",
            "--simulate",
            "--runs",
            "--output",
            "--resume",
            "--init",
            "--frames-in",
            "--frames-out",
            "--every",
            "--prior",
            "--noise-levels",
            "--validation-windows",
            "--splits",
            "--checkpoint-seconds",
        ],
    ),
    (
        &["generate", "trajectories", "--help"],
        &[
            "--from",
            "--topology",
            "--atoms",
            "--simulate",
            "--num",
            "--seed",
            "--windows",
            "--part",
            "--truth",
            "--frames",
            "--horizon",
            "--with-given",
            "--sampler",
            "--steps",
            "--batch",
            "--threads",
            "--shard",
            "--resume",
            "--json",
            ".h5md",
        ],
    ),
    (
        &["evaluate", "molecules", "--help"],
        &[
            "--generated",
            "--reference",
            "--nspdk",
            "--chemnet",
            "--save-statistics",
            "--descriptors",
            "--fragment-scores",
            "--train",
            "--bootstrap",
            "--seed",
            "--threads",
            "--on-bad-line",
            "--report",
            "--json",
            "Standard errors",
            "Bad lines",
        ],
    ),
    (
        &["evaluate", "graphs", "--help"],
        &[
            "--generated",
            "--reference",
            "--split",
            "--train",
            "--train-split",
            "--generated-split",
            "--kernel",
            "--metrics",
            "--kind",
            "--bootstrap",
            "--seed",
            "--threads",
            "--on-bad-graph",
            "--report",
            "--json",
            "sigma 0.1",
            "V.U.N.",
        ],
    ),
    (
        &["evaluate", "trajectories", "--help"],
        &[
            "--reference",
            "--kind",
            "--condition-frames",
            "--frames",
            "--sample-frames",
            "--every",
            "--windows",
            "--part",
            "--train",
            "--train-part",
            "--train-windows",
            "--regression",
            "--select",
            "--torsions",
            "--temperature",
            "--lags",
            "--bootstrap",
            "--seed",
            "--report",
            "--json",
            "window",
        ],
    ),
    (
        &["simulate", "--help"],
        &["springs", "charged", "gravity", "--runs", "--seed", "--bodies", "--frames", "--output"],
    ),
    (
        &["evaluate", "likelihood", "--help"],
        &["--model", "--data", "--rows", "--num", "--tolerance", "--probes", "--seed", "--json"],
    ),
    (&["convert", "gdss", "--help"], &["NAME.json", "--output", "--sizes-from", "--node-counts"]),
    (&["convert", "geotdm", "--help"], &["NAME.json", "--output"]),
    (
        &["forward", "--help"],
        &["--model", "--inputs", "--output", "--engine", "out.adj.score", "out.loss_graph"],
    ),
    (&["inspect", "--help"], &["--json"]),
    (&["samplers", "list", "--help"], &["--json"]),
    (&["samplers", "show", "--help"], &["--steps", "--json"]),
    (
        &["samplers", "compare", "--help"],
        &[
            "--samplers",
            "--sampler",
            "--plan",
            "--calls",
            "--model",
            "--reference",
            "--chemnet",
            "--match-prior",
            "--plot",
        ],
    ),
    (
        &["samplers", "search", "--help"],
        &[
            "--model",
            "--calls",
            "--sampler",
            "--vary",
            "--plan",
            "--evaluations",
            "--output",
            "--resume",
            "--reference",
        ],
    ),
    (
        &["samplers", "statistics", "--help"],
        &["--model", "--data", "--rows", "--num", "--levels", "--output"],
    ),
    (&["merge", "--help"], &["--output", "FILE"]),
    (&["completions", "--help"], &["bash", "zsh", "fish"]),
];

#[test]
fn every_page_names_its_options_and_gives_examples() {
    for (arguments, names) in PAGES {
        let page = run(*arguments);
        assert_eq!(code(&page), 0, "{arguments:?}");
        let text = stdout(&page);
        for name in *names {
            assert!(text.contains(name), "{arguments:?} does not mention {name}:\n{text}");
        }
        assert!(text.contains("Examples:"), "{arguments:?} has no examples");
        assert!(
            text.lines().all(|line| line.chars().count() <= 140),
            "{arguments:?} has lines too long to read"
        );
    }
}

#[test]
fn the_exit_codes_are_documented() {
    let text = stdout(&run(["--help"]));
    for line in [
        "0  done",
        "1  failure",
        "2  usage",
        "3  bad input",
        "4  model",
        "5  fewer valid",
        "130  interrupted",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(stdout(&run(["--version"])).trim(), concat!("equidrift ", env!("CARGO_PKG_VERSION")));
}
