//! Bad files: a message that says where, no panic, no large allocation.

use equidrift_graph::{Format, Graph, GraphError, ReadOptions};

use crate::files::{FORMATS, read, read_with, some_graphs, write};

/// The one bad graph of a text whose other graphs are good: its number, line and message.
fn bad_graph(text: &str, format: Format) -> (u64, Option<u64>, String, usize) {
    let results = read(text, format).unwrap_or_else(|error| panic!("{text}: {error}"));
    let good = results.iter().filter(|result| result.is_ok()).count();
    let mut bad = results.into_iter().filter_map(Result::err);
    match bad.next() {
        Some(GraphError::BadGraph { graph, line, source, .. }) => {
            assert!(bad.next().is_none(), "{text}: two are bad");
            (graph, line, source.to_string(), good)
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn one_bad_graph_leaves_the_others() {
    let lines = |bad: &str| format!("{{\"n\":2,\"edges\":[[0,1]]}}\n\n{bad}\n{{\"n\":1,\"edges\":[]}}\n");
    for (bad, reason) in [
        (r#"{"n":2,"edges":[[1,1]]}"#, "node 1 is joined to itself"),
        (r#"{"n":3,"edges":[[0,1],[1,2],[1,0]]}"#, "edge 0-1 is there twice"),
        (r#"{"n":2,"edges":[[0,2]]}"#, "edge 0-2 is not possible in a graph of 2 nodes"),
        (r#"{"n":2,"edges":[[0,-1]]}"#, "names node \"-1\""),
        (r#"{"n":2,"edges":[[0,99999999999999999999]]}"#, "name of a node"),
        (r#"{"n":-2,"edges":[]}"#, "JSON"),
        (r#"{"n":1000000000000,"edges":[]}"#, "a graph of 1000000000000 nodes; at most 10000000 are read"),
        (r#"{"n":2}"#, "no graph: edges is missing"),
        (r#"{"edges":[]}"#, "no graph: n is missing"),
        (r#"{"n":2,"edges":[[0]]}"#, "an edge"),
        (r#"{"n":2,"edges":[{"source":0}]}"#, "missing field `target`"),
        (r#"{"n":2,"edges":7}"#, "a sequence"),
        (r#"{"directed":true,"nodes":[],"edges":[]}"#, "a directed graph"),
        (r#"{"multigraph":true,"nodes":[],"edges":[]}"#, "a multi graph"),
        (r#"{"nodes":[{"id":0}],"edges":[{"source":0,"target":"a"}]}"#, "edge 0 (from 0) names node \"a\""),
        (r#"{"nodes":[{"id":0},{"id":0}],"edges":[]}"#, "node \"0\" is there twice"),
        (r#"{"n":2,"edges":[[0,1]"#, "EOF"),
        ("12", "JSON"),
        ("{\"n\":2,\"edges\":[]} x", "JSON"),
    ] {
        let (graph, line, message, good) = bad_graph(&lines(bad), Format::JsonLines);
        assert_eq!((graph, line, good), (1, Some(3), 2), "{bad}");
        assert!(message.contains(reason), "{bad}: {message}");
    }
}

#[test]
fn a_json_document_tells_the_number_of_its_bad_graph() {
    let (graph, line, message, good) = bad_graph(
        r#"{"graphs":[{"n":2,"edges":[[0,1]]},{"n":2,"edges":[[0,0]]},{"n":1,"edges":[]}]}"#,
        Format::Json,
    );
    assert_eq!((graph, line, good), (1, None, 2));
    assert!(message.contains("node 0 is joined to itself"), "{message}");
    for (text, reason) in [
        ("", "EOF"),
        ("{}", "neither a graph nor"),
        ("{\"graphs\":[],\"n\":1}", "both"),
        (
            "{\"graphs\":[\n{\"n\":2,\"edges\":[[0,1]]},\n{\"n\":2,\"ed",
            "EOF while parsing a string at line 3",
        ),
        ("{\"graphs\":[\n{\"n\":2,\"edges\":\"x\"}]}", "line 2"),
        ("[{\"n\":2,\"edges\":[]}] []", "trailing"),
        ("\"text\"", "a list of graphs"),
        ("{\"graphs\":[],\"splits\":{\"test\":[0]}}", "JSON"),
    ] {
        match read(text, Format::Json) {
            Err(error @ GraphError::Document { .. }) => {
                assert!(error.to_string().contains(reason), "{text}: {error}");
            }
            other => panic!("{text}: {:?}", other.map(|graphs| graphs.len())),
        }
    }
    // Deeper than any stack.
    assert!(read("[".repeat(1_000_000), Format::Json).is_err());
    assert!(read(format!("{{\"x\":{}", "[".repeat(1_000_000)), Format::Json).is_err());
}

#[test]
fn edge_lists_tell_the_line() {
    for (bad, line, reason) in [
        ("1 x", 4, "two node numbers"),
        ("7", 4, "two node numbers"),
        ("-1 2", 4, "two node numbers"),
        ("0 18446744073709551615", 4, "two node numbers"),
        ("0 3", 4, "edge 0-3 is not possible"),
        ("2 2", 4, "node 2 is joined to itself"),
        ("0 2\n2 0", 5, "edge 0-2 is there twice"),
    ] {
        let edges = 1 + bad.lines().count();
        let text =
            format!("# nodes 1 edges 0\n# nodes 3 edges {edges}\n0 1\n{bad}\n# nodes 2 edges 1\n0 1\n");
        let (graph, at, message, good) = bad_graph(&text, Format::EdgeList);
        assert_eq!((graph, at, good), (1, Some(line), 2), "{bad}");
        assert!(message.contains(reason), "{bad}: {message}");
    }
    // Without a first line.
    assert_eq!(bad_graph("0 1\n0 99999999999\n", Format::EdgeList).1, Some(2));
    assert!(bad_graph("# nodes 4 edges 3\n0 1\n1 2\n", Format::EdgeList).2.contains("cut off"));
    let long = format!("0 1\n{}\n", "9".repeat(100_000));
    assert!(bad_graph(&long, Format::EdgeList).2.contains("too long"));
    assert!(bad_graph("# nodes 1000000000000 edges 0\n", Format::EdgeList).2.contains("1000000000000"));
}

#[test]
fn graphml_tells_the_line() {
    let document = |inner: &str, kind: &str| {
        format!(
            "<graphml>\n<graph edgedefault='undirected'/>\n<graph edgedefault='{kind}'>\n{inner}</graph>\n\
             <graph edgedefault='undirected'><node id='a'/></graph></graphml>"
        )
    };
    let nodes = "<node id='a'/><node id='b'/>\n";
    for (inner, kind, reason) in [
        ("<edge source='a' target='a'/>", "undirected", "joined to itself"),
        ("<edge source='a' target='b'/><edge source='b' target='a'/>", "undirected", "there twice"),
        ("<edge source='a' target='c'/>", "undirected", "names node \"c\""),
        ("<node id='a'/>", "undirected", "node \"a\" is there twice"),
        ("<edge source='a' target='b'/>", "directed", "a directed graph"),
        ("<edge source='a' target='b' directed='true'/>", "undirected", "a directed graph"),
        ("<hyperedge><endpoint node='a'/></hyperedge>", "undirected", "a hyper graph"),
        (
            "<node id='c'><graph edgedefault='undirected'><node id='d'/></graph></node>",
            "undirected",
            "nested",
        ),
    ] {
        let (graph, line, message, good) =
            bad_graph(&document(&format!("{nodes}{inner}"), kind), Format::GraphMl);
        assert_eq!((graph, line, good), (1, Some(3), 2), "{inner}");
        assert!(message.contains(reason), "{inner}: {message}");
    }
    for (text, line, reason) in [
        ("", 1, "no `graphml`"),
        ("not xml at all", 1, "no `graphml`"),
        ("<html/>", 1, "expected one `graphml`"),
        ("<graphml/>\n<graphml/>", 2, "expected one `graphml`"),
        ("<graphml>\n<graph edgedefault='undirected'>\n<node id='a'/>", 3, "cut off"),
        ("<graphml>\n<graph>\n<node i", 3, "GraphML"),
        ("<graphml>\n<graph>\n</graphml>", 3, "GraphML"),
        ("<graphml>\n<graph><node/></graph></graphml>", 2, "without `id`"),
        ("<graphml><graph><edge source='a'/></graph></graphml>", 1, "without `target`"),
        ("<!DOCTYPE g [<!ENTITY a 'aaaa'>]><graphml><graph><node id='&a;'/></graph></graphml>", 1, "GraphML"),
    ] {
        match read(text, Format::GraphMl).unwrap().pop() {
            Some(Err(GraphError::Document { line: Some(found), source, .. })) => {
                assert_eq!(found, line, "{text}: {source}");
                assert!(source.to_string().contains(reason), "{text}: {source}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_small_file_cannot_claim_much_memory() {
    let claim = "{\"n\":9000000,\"edges\":[]}\n".repeat(50);
    let results = read(claim, Format::JsonLines).unwrap();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results[1].as_ref().unwrap_err().to_string().contains("claim more than 10000000 nodes"));
    let options = ReadOptions { format: Some(Format::JsonLines), max_nodes: 20 };
    assert!(read_with("{\"n\":21,\"edges\":[]}", options).unwrap()[0].is_err());
    assert!(read_with("{\"n\":20,\"edges\":[]}", options).unwrap()[0].is_ok());
}

#[test]
fn cut_and_changed_files_never_panic() {
    let graphs = some_graphs();
    for format in FORMATS {
        let text = write(&graphs, format);
        for end in 0..text.len() {
            let found =
                read(&text[..end], format).map(|results| results.into_iter().filter_map(Result::ok).count());
            assert!(found.unwrap_or(0) <= graphs.len(), "{format:?} cut at {end}");
        }
        // Every byte replaced by some others.
        for place in 0..text.len() {
            for byte in [b'0', b'"', b'<', b'}', b' ', 0, 0xff] {
                let mut changed = text.clone();
                changed[place] = byte;
                let graphs: Vec<Graph> =
                    read(changed, format).into_iter().flatten().filter_map(Result::ok).collect();
                drop(graphs);
            }
        }
    }
}
