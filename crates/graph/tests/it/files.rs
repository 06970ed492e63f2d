//! What is written reads back, and the data sets are what their README says.

use std::io::Write;
use std::path::Path;

use equidrift_graph::file::{Splits, compact};
use equidrift_graph::{
    Format, Graph, GraphError, GraphFile, GraphWriter, ReadOptions, graph_from_edges, sorted_edges,
};

use crate::reference::data_file;

pub(crate) const FORMATS: [Format; 4] = [Format::Json, Format::JsonLines, Format::GraphMl, Format::EdgeList];

/// Reads a text in a format.
pub(crate) fn read(
    text: impl Into<Vec<u8>>,
    format: Format,
) -> Result<Vec<Result<Graph, GraphError>>, GraphError> {
    read_with(text, ReadOptions { format: Some(format), ..ReadOptions::default() })
}

pub(crate) fn read_with(
    text: impl Into<Vec<u8>>,
    options: ReadOptions,
) -> Result<Vec<Result<Graph, GraphError>>, GraphError> {
    let input = Box::new(std::io::Cursor::new(text.into()));
    Ok(GraphFile::from_reader(Path::new("test"), input, options.format.unwrap(), options)?.collect())
}

pub(crate) fn write(graphs: &[Graph], format: Format) -> Vec<u8> {
    let mut writer = GraphWriter::new(format, Vec::new()).unwrap();
    for graph in graphs {
        writer.write(graph).unwrap();
    }
    writer.finish().unwrap()
}

/// Nodes and edges.
pub(crate) fn content(graph: &Graph) -> (usize, Vec<(usize, usize)>) {
    (graph.node_count(), sorted_edges(graph))
}

/// With isolated nodes, without edges, without nodes.
pub(crate) fn some_graphs() -> Vec<Graph> {
    [
        graph_from_edges(5, [(3, 1), (0, 1)]),
        graph_from_edges(4, []),
        graph_from_edges(0, []),
        graph_from_edges(12, (0..11).map(|node| (node, node + 1))),
    ]
    .into_iter()
    .collect::<Result<_, _>>()
    .unwrap()
}

#[test]
fn written_graphs_read_back_in_every_format() {
    let graphs = some_graphs();
    for format in FORMATS {
        for count in 0..=graphs.len() {
            let back = read(write(&graphs[..count], format), format).unwrap();
            let back: Vec<Graph> = back.into_iter().collect::<Result<_, _>>().unwrap();
            let expected: Vec<_> = graphs[..count].iter().map(content).collect();
            assert_eq!(back.iter().map(content).collect::<Vec<_>>(), expected, "{format:?}, {count} graphs");
        }
    }
}

#[test]
fn records_can_be_written_apart_and_joined() {
    let graphs = some_graphs();
    for format in FORMATS {
        let mut joined = format.opening().as_bytes().to_vec();
        for (index, graph) in (0..).zip(&graphs) {
            let mut record = Vec::new();
            format.write_record(index, graph, &mut record).unwrap();
            joined.extend(record);
        }
        joined.extend(format.closing().as_bytes());
        assert_eq!(joined, write(&graphs, format), "{format:?}");
    }
}

#[test]
fn the_layouts_are_as_documented() {
    let graph = graph_from_edges(3, [(2, 0)]).unwrap();
    let text = |format| String::from_utf8(write(std::slice::from_ref(&graph), format)).unwrap();
    assert_eq!(text(Format::EdgeList), "# nodes 3 edges 1\n0 2\n");
    assert_eq!(text(Format::JsonLines), "{\"n\":3,\"edges\":[[0,2]]}\n");
    assert_eq!(
        text(Format::Json),
        "[\n{\"directed\":false,\"multigraph\":false,\"graph\":{},\"nodes\":[{\"id\":0},{\"id\":1},{\"id\":2}],\
         \"edges\":[{\"source\":0,\"target\":2}]}\n]\n"
    );
    assert!(text(Format::GraphMl).contains("    <edge source=\"0\" target=\"2\"/>\n"));
}

#[test]
fn other_peoples_files_are_read() {
    let texts: [(&str, Format); 7] = [
        (
            r#"{"nodes": [{"id": 7}, {"id": 3}, {"id": "x"}], "links": [{"source": 3, "target": 7}]}"#,
            Format::Json,
        ),
        (r#"{"graph": {"name": "a"}, "n": 3, "edges": [[0, 1, {"weight": 2.5}]]}"#, Format::JsonLines),
        (r#"[{"n": 3, "label": [1], "edges": [{"source": 1, "target": 0, "key": 0}]}]"#, Format::Json),
        ("\u{feff}# SNAP\r\n#nodes 3 edges 1\r\n\r\n1\t0 0.25\r\n", Format::EdgeList),
        ("% no comment\n", Format::EdgeList),
        (
            "<g:graphml xmlns:g='x'><g:key id='k'/><g:graph edgedefault='undirected'><g:desc>a &lt; b</g:desc>\
             <g:edge source='n&amp;' target='b'><g:data key='k'>1</g:data></g:edge><g:node id='n&amp;'/><g:node id='b'/>\
             <g:node id='c'><g:data key='k'/></g:node></g:graph></g:graphml>",
            Format::GraphMl,
        ),
        ("<graphml><!-- none --><graph edgedefault='undirected'/></graphml>", Format::GraphMl),
    ];
    let expected = [Some((3, 1)), Some((3, 1)), Some((3, 1)), Some((3, 1)), None, Some((3, 1)), Some((0, 0))];
    for ((text, format), expected) in texts.into_iter().zip(expected) {
        let graphs = read(text, format).unwrap_or_else(|error| panic!("{text}: {error}"));
        let graph = graphs[0].as_ref().map(|graph| (graph.node_count(), graph.edge_count())).ok();
        assert_eq!((graphs.len(), graph), (1, expected), "{text}");
    }
}

#[test]
fn compressed_files_and_suffixes() {
    let folder = std::env::temp_dir().join(format!("equidrift-graph-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("graphs.graphml.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&write(&some_graphs(), Format::GraphMl)).unwrap();
    let bytes = encoder.finish().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(GraphFile::open(&path).unwrap().count(), 4);
    // Cut off inside: no panic, no graph that is not there.
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(GraphFile::open(&path).unwrap().last().unwrap(), Err(GraphError::File { .. })));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_set_is_written_with_its_splits() {
    let graphs = some_graphs();
    let mut splits = Splits::default();
    splits.insert("mine", "test", vec![3, 0]);
    splits.insert("mine", "train", vec![1]);
    let mut text = Vec::new();
    compact::write_set("a \"set\"", &graphs, &splits, &mut text).unwrap();
    let open = |text: &[u8]| {
        let input = Box::new(std::io::Cursor::new(text.to_vec()));
        GraphFile::from_reader(Path::new("test"), input, Format::Json, ReadOptions::default()).unwrap()
    };
    assert_eq!(open(&text).splits(), &splits);
    let mut numbered = open(&text).part("mine:test").unwrap();
    assert_eq!(numbered.number(), None);
    let numbers: Vec<_> = std::iter::from_fn(|| numbered.next().map(|_| numbered.number())).collect();
    assert_eq!(numbers, [Some(3), Some(0)]);
    let part: Vec<Graph> = open(&text).part("mine:test").unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(part.iter().map(content).collect::<Vec<_>>(), [content(&graphs[3]), content(&graphs[0])]);
    let Err(error) = open(&text).part("mine:val") else { panic!("there is no such part") };
    assert_eq!(error.to_string(), "test: no split `mine:val`; the file has mine:test, mine:train");
    let beyond = String::from_utf8(text).unwrap().replace("[3,0]", "[0,4]");
    let Err(error) = open(beyond.as_bytes()).part("test") else { panic!("there is no graph 4") };
    assert!(matches!(error, GraphError::SplitBeyondEnd { graph: 4, graphs: 4, .. }), "{error}");
}

#[test]
fn the_data_sets_are_what_their_readme_says() {
    // Name, graphs, least and most nodes, least and most edges, a split and the sizes of its train and test parts.
    let sets = [
        ("community_small", 100, (12, 20), (21, 60), ("gdss", 80, 20)),
        ("enzymes", 587, (10, 125), (16, 149), ("gdss", 470, 117)),
        ("grid", 100, (110, 361), (199, 684), ("gdss", 80, 20)),
        ("comm20", 100, (12, 20), (21, 61), ("digress", 68, 17)),
        ("planar", 200, (64, 64), (173, 181), ("spectre", 128, 40)),
        ("sbm", 200, (44, 187), (129, 1129), ("spectre", 128, 40)),
    ];
    for (name, count, nodes, edges, (scheme, train, test)) in sets {
        let Some(path) = data_file(&format!("graphs/{name}.json")) else { return };
        let graphs: Vec<Graph> = GraphFile::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
        let range = |number: fn(&Graph) -> usize| {
            (graphs.iter().map(number).min().unwrap(), graphs.iter().map(number).max().unwrap())
        };
        assert_eq!(graphs.len(), count, "{name}");
        assert_eq!((range(Graph::node_count), range(Graph::edge_count)), (nodes, edges), "{name}");
        for (part, size) in [("train", train), ("test", test)] {
            let part = GraphFile::open(&path).unwrap().part(&format!("{scheme}:{part}")).unwrap();
            assert_eq!(part.count(), size, "{name}");
        }
    }
}

#[test]
fn graphs_in_memory_are_read_like_a_file() {
    let mut splits = Splits::default();
    splits.insert("half", "test", vec![1]);
    let file = |max_nodes| {
        let options = ReadOptions { format: None, max_nodes };
        GraphFile::of_graphs(Path::new("memory"), some_graphs(), splits.clone(), options)
    };
    let all: Vec<Graph> = file(100).collect::<Result<_, _>>().unwrap();
    assert_eq!(
        all.iter().map(content).collect::<Vec<_>>(),
        some_graphs().iter().map(content).collect::<Vec<_>>()
    );
    let part: Vec<Graph> = file(100).part("half:test").unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(part.iter().map(content).collect::<Vec<_>>(), [content(&some_graphs()[1])]);
    let small: Vec<_> = file(3).collect();
    assert!(small[0].as_ref().unwrap_err().is_bad_graph(), "five nodes");
    assert!(small[2].is_ok(), "reading goes on");
}
