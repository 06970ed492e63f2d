//! Data sets that are recipes, drawn here.

use equidrift_graph::Graph;
use equidrift_graph::generators::{Ego, draw_set, recipe};
use equidrift_graph::random::Random;

use super::error::DatasetError;
use super::graphs::{GraphColumns, MOST_GRAPHS};
use super::inputs::{self, Fetching};
use super::manifest::{DatasetManifest, RecipeManifest};
use super::metadata::{Drawn, Source};
use super::network::read_network;
use super::prepare::option;
use super::read_graphs::ContentDigest;
use super::request::{PrepareProgress, PrepareRequest, PrepareWatcher};
use crate::error::Error;

/// The recipe that needs a network.
pub(super) const EGO: &str = "ego";

/// Draws the graphs of a recipe. `None` if a stop was asked.
///
/// # Errors
/// A data set without a recipe; for ego networks a network that is missing, cannot be read or has too few neighbourhoods.
pub(super) fn generate(
    request: &PrepareRequest,
    manifest: &DatasetManifest,
    watcher: &mut dyn PrepareWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<(GraphColumns, Source)>, Error> {
    let Some(drawing) = &request.generate else {
        return Err(option("--generate", "is not asked for").into());
    };
    let Some(RecipeManifest { name, num, .. }) = &manifest.recipe else {
        let reason = format!("{} is no recipe, only its files can be prepared", manifest.title);
        return Err(DatasetError::Option { option: "--generate", reason }.into());
    };
    if !request.atoms.is_empty() || request.column.is_some() || request.most_nodes.is_some() {
        return Err(option("--generate", "draws what the recipe says: no other limits can be set").into());
    }
    let drawn = Drawn { recipe: name.clone(), num: drawing.num.unwrap_or(*num), seed: drawing.seed };
    if drawn.num == 0 || drawn.num > MOST_GRAPHS {
        let reason = format!("a data set has 1 to {MOST_GRAPHS} graphs");
        return Err(DatasetError::Option { option: "--num", reason }.into());
    }
    if name == EGO {
        return neighbourhoods(request, manifest, drawn, watcher, stop);
    }
    if !request.from.is_empty() {
        return Err(option("--from", "this recipe needs no files").into());
    }
    let Some(columns) = draw(&drawn, watcher, stop)? else { return Ok(None) };
    let (columns, content) = columns;
    Ok(Some((columns, source(&drawn, name.clone(), None, content))))
}

/// Draws the graphs of a recipe that needs no network, with their digest. `None` if a stop was asked.
pub(super) fn draw(
    drawn: &Drawn,
    watcher: &mut dyn PrepareWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<(GraphColumns, Option<String>)>, Error> {
    let unknown = || {
        let reason = format!("this programme has no recipe {:?}", drawn.recipe);
        DatasetError::Option { option: "--generate", reason }
    };
    let recipe = recipe(&drawn.recipe).ok_or_else(unknown)?;
    collect(drawn, draw_set(&*recipe, 0..drawn.num, drawn.seed), watcher, stop)
}

/// Graphs in columns.
fn collect(
    drawn: &Drawn,
    graphs: impl Iterator<Item = Graph>,
    watcher: &mut dyn PrepareWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<(GraphColumns, Option<String>)>, Error> {
    let (mut columns, mut content) = (GraphColumns::new(), ContentDigest::new());
    for (row, graph) in (0_u32..).zip(graphs) {
        if stop() {
            return Ok(None);
        }
        content.add(&graph);
        if !columns.push(row, &graph) {
            let path = drawn.recipe.clone().into();
            let what = "graphs, nodes or edges together";
            return Err(DatasetError::TooMany { path, what, maximum: MOST_GRAPHS }.into());
        }
        let path = std::path::Path::new(&drawn.recipe);
        watcher.progress(PrepareProgress::Read { path, records: u64::from(row) + 1, of: Some(drawn.num) });
    }
    Ok(Some((columns, content.finish())))
}

fn source(drawn: &Drawn, file: String, sha256: Option<String>, content_sha256: Option<String>) -> Source {
    let (rows, entries, records) = (drawn.num, drawn.num, drawn.num);
    Source { file, sha256, content_sha256, drawn: Some(drawn.clone()), rows, entries, records }
}

/// The neighbourhoods of all nodes of a network, in an order drawn by the seed, the first so many of them.
fn neighbourhoods(
    request: &PrepareRequest,
    manifest: &DatasetManifest,
    drawn: Drawn,
    watcher: &mut dyn PrepareWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<(GraphColumns, Source)>, Error> {
    let [network] = request.from.as_slice() else {
        return Err(option("--from", "one file with a network is needed").into());
    };
    let mut fetched = |bytes| watcher.progress(PrepareProgress::Fetched { bytes });
    let mut fetching = Fetching { limit: request.download_limit, stop, progress: &mut fetched };
    let Some(input) = inputs::resolve(network, &mut fetching)? else { return Ok(None) };
    let network = read_network(&input.path, request.format)?;
    watcher.note(&format!("{}: {}", input.path.display(), network.found()));
    let ego = Ego::default();
    let mut graphs: Vec<Graph> = Vec::new();
    for graph in ego.networks(&network.graph) {
        if stop() {
            return Ok(None);
        }
        graphs.push(graph);
    }
    if (graphs.len() as u64) < drawn.num {
        let found = graphs.len();
        let reason = format!("the network has {found} neighbourhoods of the size of {}", manifest.title);
        return Err(DatasetError::Option { option: "--num", reason }.into());
    }
    Random::keyed(drawn.seed, &[]).shuffle(&mut graphs);
    graphs.truncate(usize::try_from(drawn.num).unwrap_or(usize::MAX));
    let Some((columns, content)) = collect(&drawn, graphs.into_iter(), watcher, stop)? else {
        return Ok(None);
    };
    let digest = input.sha256()?;
    Ok(Some((columns, source(&drawn, input.name(), Some(digest), content))))
}
