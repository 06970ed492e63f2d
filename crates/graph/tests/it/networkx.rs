//! NetworkX reads what we write and we read what it writes, where Python with it is at hand.

use std::path::Path;
use std::process::Command;

use equidrift_graph::{Format, Graph, GraphFile, GraphWriter, graph_from_edges};

use crate::files::content;

/// Reads the first graph of a file in each format, adds an edge 0-4, and writes it in NetworkX's own way.
const SCRIPT: &str = r#"
import json, sys, networkx as nx
folder = sys.argv[1]
graphs = {
    "graphml": nx.read_graphml(f"{folder}/in.graphml", node_type=int),
    "json": nx.node_link_graph(json.load(open(f"{folder}/in.json"))[0], edges="edges"),
    "edgelist": nx.read_edgelist(f"{folder}/in.edgelist", nodetype=int),
}
for name, graph in graphs.items():
    assert sorted(map(sorted, graph.edges)) == [[0, 1], [1, 3], [2, 3]], (name, list(graph.edges))
    assert not graph.is_directed() and not graph.is_multigraph(), name
    assert len(graph) == (4 if name == "edgelist" else 5), (name, list(graph))
    graph.add_edge(0, 4, weight=2.5)
nx.write_graphml(graphs["graphml"], f"{folder}/out.graphml")
json.dump(nx.node_link_data(graphs["json"], edges="links"), open(f"{folder}/out.json", "w"))
nx.write_edgelist(graphs["edgelist"], f"{folder}/out.edgelist")
"#;

#[test]
fn networkx_and_we_read_one_another() {
    let python = std::env::var("EQUIDRIFT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let present = Command::new(&python).args(["-c", "import networkx"]).output();
    if !present.is_ok_and(|output| output.status.success()) {
        println!("skipped: no Python with networkx");
        return;
    }
    let folder = std::env::temp_dir().join(format!("equidrift-networkx-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let graph = graph_from_edges(5, [(3, 1), (0, 1), (3, 2)]).unwrap();
    for (suffix, format) in
        [("graphml", Format::GraphMl), ("json", Format::Json), ("edgelist", Format::EdgeList)]
    {
        let file = std::fs::File::create(folder.join(format!("in.{suffix}"))).unwrap();
        let mut writer = GraphWriter::new(format, file).unwrap();
        writer.write(&graph).unwrap();
        writer.finish().unwrap();
    }
    let output = Command::new(&python).args(["-c", SCRIPT]).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for suffix in ["graphml", "json", "edgelist"] {
        let back = graphs(&folder.join(format!("out.{suffix}")));
        assert_eq!(back.len(), 1, "{suffix}");
        assert_eq!(content(&back[0]), (5, vec![(0, 1), (0, 4), (1, 3), (2, 3)]), "{suffix}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn graphs(path: &Path) -> Vec<Graph> {
    GraphFile::open(path).unwrap().collect::<Result<_, _>>().unwrap()
}
