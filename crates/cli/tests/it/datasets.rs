//! `datasets`: known sets and files of all sorts become one file that trains to the same weights; what is wrong is named.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{assert_refused, code, data_file, equidrift, stderr, stdout};

const MOLECULES: &str = "CCO\nCC(C)=O\nC1CC1\nN#CC\nOC=O\nCC#C\nFCC\nCNC\nC1=CC=CC=C1\nCC(N)=O\nO=C=O\nCOC\n";

struct Workplace {
    folder: TempDir,
}

impl Workplace {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// `datasets` with these arguments, in the folder.
    fn datasets(&self, line: &str) -> Command {
        let mut command = equidrift();
        command.arg("datasets").args(line.split_whitespace());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.datasets(line).output().unwrap()
    }

    fn good(&self, line: &str) -> Output {
        let output = self.run(line);
        assert_eq!(code(&output), 0, "{line}: {}", stderr(&output));
        output
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_slice(&self.good(&format!("{line} --json")).stdout).unwrap()
    }
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn known_sets_are_listed_with_their_origin_and_splits() {
    let place = Workplace::new();
    let table = stdout(&place.good("list"));
    for name in [
        "qm9",
        "zinc250k",
        "moses",
        "guacamol",
        "community_small",
        "ego_small",
        "enzymes",
        "grid",
        "comm20",
        "planar",
        "sbm",
        "trees",
    ] {
        assert!(table.lines().any(|line| line.starts_with(name)), "{name} in {table}");
        let page = stdout(&place.good(&format!("show {name}")));
        assert!(page.contains("origin") && page.contains("licence") && page.contains("split"), "{page}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 140));
    let manifests = place.json("list");
    assert_eq!(manifests.as_array().unwrap().len(), 12);
    let qm9 = place.json("show QM9");
    assert_eq!(qm9["split"]["digress"]["counts"]["train"], 97_734);
    assert_refused(&place.run("show qm8"), 2, "known data sets: qm9");
}

#[test]
fn every_form_of_the_same_molecules_gives_the_same_records() {
    let place = Workplace::new();
    place.file("a.smi", MOLECULES);
    place.file("b.smi.gz", packed(MOLECULES));
    let table: String = std::iter::once("name,structure\r\n".to_owned())
        .chain(MOLECULES.lines().enumerate().map(|(row, smiles)| format!("\"m, {row}\",{smiles}\r\n")))
        .collect();
    place.file("c.csv", &table);
    place.file("d.csv.gz", packed(&table));
    let windows = format!("\u{feff}{}", MOLECULES.replace('\n', " name\r\n"));
    place.file("e.smi", windows);
    let mut digests = Vec::new();
    for line in ["a.smi", "b.smi.gz", "c.csv --column structure", "d.csv.gz --column Structure", "e.smi"] {
        place.good(&format!("prepare {line} -o out.eds"));
        let shown = place.json("show out.eds");
        assert_eq!(shown["records"], 12, "{line}");
        digests.push(shown["metadata"]["sources"][0]["content_sha256"].clone());
        place.good("verify out.eds --from a.smi");
    }
    assert!(digests[0].is_string() && digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    // Without -o the file is named after the data.
    place.good("prepare b.smi.gz");
    assert!(place.path("b.eds").exists());
}

#[test]
fn a_file_fetched_from_an_address_is_checked_like_any_other() {
    let place = Workplace::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            let (status, body) = match text.contains("/mine.smi") {
                true => ("200 OK", MOLECULES),
                false => ("404 Not Found", "no such file"),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    let url = format!("http://{address}/data/mine.smi");
    place.good(&format!("prepare {url} -o fetched.eds"));
    place.file("mine.smi", MOLECULES);
    place.good("prepare mine.smi -o local.eds");
    assert!(fs::read(place.path("fetched.eds")).unwrap() == fs::read(place.path("local.eds")).unwrap());
    place.good(&format!("prepare file://{} -o local.eds", place.path("mine.smi").display()));
    assert!(fs::read(place.path("fetched.eds")).unwrap() == fs::read(place.path("local.eds")).unwrap());

    assert_refused(&place.run(&format!("prepare http://{address}/other.smi")), 3, "404");
    let digest = "0".repeat(64);
    assert_refused(&place.run(&format!("prepare {url} --sha256 {digest}")), 3, "expected 0000");
    let bare = place.datasets(&format!("prepare {url}")).env("PATH", place.folder.path()).output().unwrap();
    assert_refused(&bare, 1, "neither curl nor wget");
}

#[test]
fn records_that_cannot_be_used_are_named_counted_and_left_out() {
    let place = Workplace::new();
    let long = "C".repeat(70_000);
    let text = format!("CCO\nC1CC\n[Xx]C\nCCCl\nCC{long}\nCCCCCCCC\nC(C)(C)(C)(C)C\n\nCC.CC\n");
    let bytes = [text.as_bytes(), b"\xff\xfe\n"].concat();
    place.file("bad.smi", bytes);
    let prepared = place.good("prepare bad.smi --atoms C,O --max-nodes 7");
    let told = stderr(&prepared);
    for reason in [
        "bad.smi:2: ",
        "bad.smi:3: ",
        "bad.smi:4: atom Cl is not let in",
        "bad.smi:5: the line is longer than",
        "bad.smi:6: 8 heavy atoms; at most 7",
        "bad.smi:7: ",
        "bad.smi:10: the line is not UTF-8",
        "7 records left out: 2 unreadable, 3 no molecule, 1 other atoms, 1 too large",
        "bad.eds: 2 molecules",
    ] {
        assert!(told.contains(reason), "{reason} in {told}");
    }
    let shown = place.json("show bad.eds");
    assert_eq!(shown["metadata"]["sources"][0]["rows"], 10);
    assert_eq!(shown["metadata"]["dropped"]["by_reason"]["no-molecule"], 3);
    let verified = place.run("verify bad.eds");
    assert_refused(&verified, 3, "records left out");
    assert!(stdout(&verified).contains("WRONG  records left out"));
    assert_refused(&place.run("prepare bad.smi --on-bad-record fail -o x.eds"), 3, "bad.smi:2");
    assert!(!place.path("x.eds").exists());
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused() {
    let place = Workplace::new();
    place.file("empty.smi", "");
    place.file("blank.smi", "\n\n# nothing\n");
    place.file("words.smi", "once upon a time\n");
    place.file("table.csv", "id,logP\n1,2\n");
    place.file("mine.smi", MOLECULES);
    place.file("mine.pkl", "x");
    place.file("rows.txt", "0\n99\n");
    place.file("words.txt", "0\none\n");
    place.file("graphs.json", "{\"graphs\": [{\"n\": 2, \"edges\": [[0, 0]]}, {\"n\": 2}]}");
    place.file("cut.eds", &b"equidrift"[..]);
    let mut cut = packed(&MOLECULES.repeat(3000));
    cut.truncate(cut.len() / 2);
    place.file("cut.smi.gz", cut);
    place.file("qm9.smi", MOLECULES);
    for (line, expected, message) in [
        ("prepare empty.smi", 3, "nothing in it can be used"),
        ("prepare blank.smi", 3, "nothing in it can be used"),
        ("prepare words.smi", 3, "line 1"),
        ("prepare table.csv", 3, "no column `smiles` or `canonical_smiles`; the header has id, logP"),
        ("prepare table.csv --column mol", 3, "no column `mol`"),
        ("prepare mine.pkl", 2, "unknown format"),
        ("prepare missing.smi", 2, "no data set or file `missing.smi`"),
        ("prepare qm9", 2, "where are the files of QM9"),
        ("prepare qm9 --from nowhere", 3, "nowhere"),
        ("prepare qm9 --from .", 3, "12 rows, expected 133885"),
        ("prepare moses --from mine.smi", 3, "cannot tell which file of MOSES"),
        ("prepare trees --from .", 2, "--generate"),
        ("prepare qm9 --from . --split gdss", 2, "--split"),
        ("prepare mine.smi --from mine.smi", 2, "--from"),
        ("prepare mine.smi --split random", 2, "gdss, pard_arm, digress, spectre"),
        ("prepare mine.smi --test-rows rows.txt", 3, "names row 99, beyond the data's last row 11"),
        ("prepare mine.smi --test-rows words.txt", 3, "words.txt:2: expected a row number"),
        ("prepare mine.smi --sha256 12", 2, "64 hexadecimal digits"),
        ("prepare mine.smi --atoms C,Xx", 2, "Xx"),
        ("prepare mine.smi --format pickle", 2, "smi, csv, sdf"),
        ("prepare mine.smi -o nowhere/out.eds", 1, "nowhere"),
        ("prepare mine.smi -o mine.smi", 2, "suffix .eds"),
        ("prepare cut.eds --format smi -o cut.eds", 2, "both an input and the output"),
        ("prepare cut.smi.gz", 3, "the file is truncated"),
        ("prepare graphs.json", 3, "nothing in it can be used"),
        ("show cut.eds", 3, "no intact prepared data set"),
        ("show mine.smi", 3, "no prepared data set"),
        ("verify cut.eds", 3, "no intact prepared data set"),
        ("verify qm9 --from .", 3, "12 rows, expected 133885"),
    ] {
        assert_refused(&place.run(line), expected, message);
    }
    let left: Vec<_> = fs::read_dir(place.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".partial")), "{left:?}");
}

#[test]
fn a_prepared_file_that_was_changed_is_noticed() {
    let place = Workplace::new();
    place.file("mine.smi", MOLECULES);
    place.good("prepare mine.smi --split digress");
    place.good("verify mine.eds --from mine.smi");
    place.file("mine.smi", MOLECULES.replace("COC", "CSC"));
    let verified = place.run("verify mine.eds --from mine.smi");
    assert_refused(&verified, 3, "prepared again from the files");
    let mut bytes = fs::read(place.path("mine.eds")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    place.file("mine.eds", bytes);
    assert_refused(&place.run("verify mine.eds"), 3, "it was altered");
}

#[test]
fn graphs_of_every_format_are_prepared_and_bad_ones_left_out() {
    let place = Workplace::new();
    place.file(
        "set.json",
        r#"{"graphs": [{"n": 3, "edges": [[0, 1], [1, 2]]}, {"n": 2, "edges": [[0, 1]]}]}"#,
    );
    place.file("set.jsonl", "{\"n\":3,\"edges\":[[0,1],[1,2]]}\n{\"n\":2,\"edges\":[[0,1]]}\n");
    place.file("set.edges", "# nodes 3 edges 2\n0 1\n1 2\n# nodes 2 edges 1\n0 1\n");
    place.file(
        "set.graphml",
        "<graphml><graph edgedefault=\"undirected\"><node id=\"a\"/><node id=\"b\"/><node id=\"c\"/>\
         <edge source=\"a\" target=\"b\"/><edge source=\"b\" target=\"c\"/></graph>\
         <graph edgedefault=\"undirected\"><node id=\"a\"/><node id=\"b\"/><edge source=\"a\" target=\"b\"/></graph></graphml>",
    );
    for name in ["set.json", "set.jsonl", "set.edges", "set.graphml"] {
        place.good(&format!("prepare {name} --split gdss -o {name}.eds"));
        place.good(&format!("verify {name}.eds --from set.json"));
    }
    let bad = "{\"n\":3,\"edges\":[[0,1]]}\n{\"n\":2,\"edges\":[[1,1]]}\n{\"n\":2,\"edges\":[[0,1],[1,0]]}\n\
               {\"n\":9,\"edges\":[]}\nnonsense\n{\"n\":1,\"edges\":[]}\n";
    place.file("bad.jsonl", bad);
    let told = stderr(&place.good("prepare bad.jsonl --max-nodes 8"));
    for reason in [
        "bad.jsonl:2: node 1 is joined to itself",
        "bad.jsonl:3: ",
        "bad.jsonl:4: ",
        "4 records left out",
        "2 graphs",
    ] {
        assert!(told.contains(reason), "{reason} in {told}");
    }
    assert_refused(&place.run("prepare bad.jsonl --on-bad-record fail"), 3, "joined to itself");
    assert_refused(&place.run("prepare set.json --atoms C"), 2, "molecules");
}

/// Narrow networks, so that a run takes a second.
const CONFIG: &str = "\
batch = 24
steps = 10
epochs = 3
[networks.x]
nhid = 8
[networks.adj]
nhid = 8
adim = 8
num_layers = 2
c_hid = 4
c_final = 2
";

fn train(place: &Workplace, line: &str, output: &str) -> Output {
    let mut command = equidrift();
    command.current_dir(place.folder.path()).args(["train", "molecules", "--config", "run.toml"]);
    command.args(line.split_whitespace()).args(["-o", output]).output().unwrap()
}

#[test]
fn training_on_a_prepared_file_gives_the_same_model_as_training_on_its_source() {
    let place = Workplace::new();
    place.file("run.toml", CONFIG);
    // Bad lines and other atoms among them, so that rows and lines are not the same thing.
    let text = format!("{MOLECULES}C1CC\n\n{}CCCl\n", MOLECULES.repeat(9));
    place.file("data.smi", text);
    place.file("rows.txt", "0\n3\n20\n101\n");
    place.good("prepare data.smi --test-rows rows.txt");
    let same = |plain: &str, prepared: &str| {
        let output = train(&place, plain, "plain");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let output = train(&place, prepared, "prepared");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        for file in ["model.safetensors", "config.json"] {
            let read = |folder: &str| fs::read(place.path(folder).join(file)).unwrap();
            assert!(read("plain") == read("prepared"), "{file}: {plain} against {prepared}");
        }
        let told = stderr(&output);
        fs::remove_dir_all(place.path("plain")).unwrap();
        // A run of one continues as a run of the other: the same data.
        let resumed = train(&place, &format!("{plain} --epochs 4 --resume"), "prepared");
        assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
        fs::remove_dir_all(place.path("prepared")).unwrap();
        told
    };
    let told = same("--data data.smi --test-rows rows.txt", "--data data.eds --split rows");
    assert!(told.contains("training on 117 of 121 molecules (4 test rows"), "{told}");
    assert!(told.contains(":13: "), "{told}");
    same("--data data.smi", "--data data.eds");
    let skip = "--atoms C,N,O,F --on-unknown-atom skip";
    same(&format!("--data data.smi {skip}"), &format!("--data data.eds {skip}"));
    let refused = train(&place, "--data data.eds --split rows:val", "refused");
    assert_refused(&refused, 2, "it has rows:train, rows:test");
    assert_refused(&train(&place, "--data data.smi --split rows", "refused"), 2, "no prepared data set");
    assert_refused(&train(&place, "--data data.eds --test-rows rows.txt", "refused"), 2, "--split");
    assert_refused(&train(&place, "--data data.eds --atoms C,N,O,F", "refused"), 3, "Cl");
    assert_refused(&train(&place, "--data data.eds --on-bad-line fail", "refused"), 3, ":13: ");
    place.file("graphs.jsonl", "{\"n\":2,\"edges\":[[0,1]]}\n");
    place.good("prepare graphs.jsonl");
    assert_refused(&train(&place, "--data graphs.eds", "refused"), 4, "a data set of graphs");
}

#[test]
fn graphs_train_from_a_prepared_file_as_from_its_source() {
    let place = Workplace::new();
    place.file("run.toml", CONFIG);
    let graphs: Vec<String> = (3..23)
        .map(|nodes| {
            let edges: Vec<String> =
                (1..nodes).map(|node| format!("[{},{node}]", (node - 1) / (1 + nodes % 3))).collect();
            format!("{{\"n\":{nodes},\"edges\":[{}]}}", edges.join(","))
        })
        .collect();
    let (test, train): (Vec<usize>, Vec<usize>) = (0..20).partition(|graph| *graph < 4);
    let text = format!(
        "{{\"graphs\":[{}],\"splits\":{{\"gdss\":{{\"test\":{test:?},\"train\":{train:?}}}}}}}",
        graphs.join(",")
    );
    place.file("trees.json", text);
    place.good("prepare trees.json -o mine.eds");
    let run = |data: &str, output: &str| {
        let mut command = equidrift();
        command.current_dir(place.folder.path()).args(["train", "graphs", "--config", "run.toml"]);
        let trained = command.args(["--data", data, "-o", output]).output().unwrap();
        assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    };
    run("trees.json:gdss:train", "plain");
    run("mine.eds:gdss:train", "prepared");
    for file in ["model.safetensors", "config.json"] {
        let read = |folder: &str| fs::read(place.path(folder).join(file)).unwrap();
        assert!(read("plain") == read("prepared"), "{file}");
    }
}

#[test]
fn recipes_are_drawn_the_same_each_time() {
    let place = Workplace::new();
    for (name, num) in
        [("planar", 12), ("community_small", 20), ("comm20", 20), ("grid", 5), ("sbm", 5), ("trees", 15)]
    {
        place.good(&format!("prepare {name} --generate --num {num} --seed 7 -o a.eds"));
        place.good(&format!("prepare {name} --generate --num {num} --seed 7 -o b.eds"));
        assert!(fs::read(place.path("a.eds")).unwrap() == fs::read(place.path("b.eds")).unwrap(), "{name}");
        assert_eq!(place.json("show a.eds")["records"], num);
        let verified = stdout(&place.good("verify a.eds"));
        assert!(verified.contains("ok     drawn again"), "{verified}");
        place.good(&format!("prepare {name} --generate --num {num} --seed 8 -o b.eds"));
        let digest = |file: &str| place.json(&format!("show {file}"))["metadata"]["data_sha256"].clone();
        assert!(name == "grid" || digest("a.eds") != digest("b.eds"), "{name}");
    }
    // Full size: the published sizes of the splits.
    let told = stderr(&place.good("prepare planar --generate"));
    assert!(told.contains("split digress: train 128, val 32, test 40"), "{told}");

    // A network with loops, both directions and names: a wheel of 30 triangles around hubs.
    let mut network = String::from("% a network\n");
    for hub in 0..30 {
        for spoke in 0..4 {
            network.push_str(&format!("hub{hub} s{hub}-{spoke} 1.0\ns{hub}-{spoke} hub{hub}\n"));
        }
        network.push_str(&format!("hub{hub} hub{}\nhub{hub} hub{hub}\n", (hub + 1) % 30));
    }
    place.file("network.edges", network);
    let told = stderr(&place.good("prepare ego_small --generate --num 20 --from network.edges"));
    assert!(told.contains("150 nodes, 150 edges (30 loops and 120 repeated edges left out)"), "{told}");
    place.good("verify ego_small.eds --from network.edges");
    assert_eq!(place.json("show ego_small.eds")["parts"]["gdss"]["test"], 4);
    assert_refused(
        &place.run("prepare ego_small --generate --num 31 --from network.edges"),
        2,
        "30 neighbourhoods",
    );
    assert_refused(&place.run("prepare ego_small --generate"), 2, "one file with a network");
    assert_refused(&place.run("prepare qm9 --generate"), 2, "QM9 is no recipe");
    assert_refused(&place.run("prepare planar --generate --from ."), 2, "--from");
    assert_refused(&place.run("prepare planar --num 3"), 2, "--generate");
}

#[test]
fn the_known_sets_at_hand_verify() {
    let place = Workplace::new();
    let Some(file) = data_file("molecules/qm9.smi") else { return };
    let folder = |path: &Path| path.parent().unwrap().display().to_string();
    let molecules = folder(&file);
    let told = stderr(&place.good(&format!("prepare qm9 --from {molecules}")));
    assert!(told.contains("split digress: train 97734, val 20042, test 13055"), "{told}");
    assert!(told.contains("split gdss: train 120803, test 13082"), "{told}");
    let checks = place.json(&format!("verify qm9.eds --from {molecules}"));
    assert_eq!(checks["passed"], true, "{checks}");
    // Without the lists only the splits that need none are made.
    let told = stderr(&place.good(&format!("prepare qm9 --from {}", file.display())));
    assert!(told.contains("split gdss is left out") && told.contains("split digress is left out"), "{told}");
    let Some(file) = data_file("graphs/planar.json") else { return };
    let graphs = folder(&file);
    for name in ["community_small", "enzymes", "grid", "comm20", "planar", "sbm"] {
        let checks = place.json(&format!("verify {name} --from {graphs}"));
        assert_eq!(checks["passed"], true, "{checks}");
    }
    // The same graphs in another packing are accepted, one edge less is noticed.
    let text = fs::read_to_string(file).unwrap();
    place.file("planar.json", text.replacen('[', " [", 1));
    place.good("verify planar --from planar.json");
    let (before, edges) = text.split_once("\"edges\":[").unwrap();
    let (_, others) = edges.split_once("],").unwrap();
    place.file("planar.json", format!("{before}\"edges\":[{others}"));
    assert_refused(&place.run("verify planar --from planar.json"), 3, "not the expected content");
}
