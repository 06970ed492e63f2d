//! How much memory graphs of a Pard model take while they are generated, reckoned before any of it is asked for.
//!
//! What grows is what belongs to pairs of nodes: of every graph of a batch `N^2` entries of the widest layers, several of which
//! are there at the same time, masks and classes, and what is kept of finished blocks. `benches/pard_cost_curve.rs` measures it.

use std::fs;

use equidrift_pard::{NetworkConfig, PardError};

/// Numbers that are kept for each pair and channel of the pairs at the same time, at most.
const COPIES: u64 = 11;
/// Numbers that are kept of finished blocks for each pair, layer and channel: two factors in each of two networks.
const KEPT: u64 = 4;
/// Bytes for each pair that do not depend on widths: classes, targets, laws and draws on the host.
const HOST: u64 = 512;
/// What a batch takes however small its graphs are.
const FIXED: u64 = 8 << 20;
/// Share of the free memory that is taken where no limit is given, in hundredths.
const SHARE: u64 = 75;
/// What may be used where the system does not say how much is free.
const UNKNOWN: u64 = 4 << 30;

/// An upper estimate of the bytes for one graph of `nodes` nodes, apart from the parameters.
#[must_use]
pub fn pard_graph_bytes(network: &NetworkConfig, nodes: usize) -> u64 {
    let pairs = (nodes as u64).saturating_mul(nodes as u64);
    pairs.saturating_mul(pair_bytes(network)).saturating_add(FIXED)
}

/// The same for one pair of nodes.
pub(super) fn pair_bytes(network: &NetworkConfig) -> u64 {
    let channels = network.pair_width() + network.heads + network.walks + 2 * network.edge_classes;
    let blocks = if network.relative_blocks { network.max_blocks + 1 } else { 0 };
    let kept = if network.keeps_finished_blocks() {
        KEPT * (network.layers * network.pair_width()) as u64
    } else {
        0
    };
    4 * (COPIES * channels as u64 + 2 * blocks as u64 + kept) + HOST
}

/// Bytes that may be used: `limit`, or three quarters of what is free, as the system and the process's control group say.
pub(super) fn allowed_bytes(limit: Option<u64>) -> u64 {
    if let Some(limit) = limit {
        return limit;
    }
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = meminfo.lines().find_map(|line| {
        let kib = line.strip_prefix("MemAvailable:")?.trim().trim_end_matches(" kB");
        kib.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|most| most.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    let free = free.into_iter().chain(group).min().unwrap_or(UNKNOWN);
    free / 100 * SHARE
}

/// How many workers may run at the same time and how many pairs a batch of each may hold, so that they use at most `allowed`
/// bytes together; `workers` and `pairs` are what is wanted.
///
/// # Errors
/// [`PardError::Memory`] if not even one graph of `nodes` nodes fits.
pub(super) fn workers_and_pairs(
    network: &NetworkConfig,
    nodes: usize,
    allowed: u64,
    (workers, pairs): (usize, usize),
) -> Result<(usize, usize), PardError> {
    let needed = pard_graph_bytes(network, nodes);
    if needed > allowed {
        return Err(PardError::Memory { nodes, needed, allowed });
    }
    let workers = (workers as u64).min(allowed / needed.max(1)).max(1);
    let fitting = (allowed / workers).saturating_sub(FIXED) / pair_bytes(network);
    Ok((workers as usize, pairs.min(usize::try_from(fitting).unwrap_or(usize::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn workers_and_batches_are_cut_to_what_fits_and_one_graph_too_large_is_refused() {
        let model = Model::open("qm9-pard").unwrap();
        let network = &model.pard().unwrap().config().network;
        let one = pard_graph_bytes(network, 100);
        assert_eq!(workers_and_pairs(network, 100, 100 * one, (4, 1 << 18)).unwrap().0, 4);
        let (workers, pairs) = workers_and_pairs(network, 100, 3 * one, (4, 1 << 18)).unwrap();
        assert_eq!((workers, pairs / 10_000), (3, 1));
        assert!(workers as u64 * pairs as u64 * pair_bytes(network) <= 3 * one);
        let error = workers_and_pairs(network, 2_000, 1 << 30, (2, 1 << 18)).unwrap_err();
        assert!(matches!(error, PardError::Memory { nodes: 2_000, allowed, .. } if allowed == 1 << 30));
        let text = error.to_string();
        assert!(text.contains("2000 nodes") && text.contains("1024 MiB"), "{text}");
        assert!(allowed_bytes(None) > 0 && allowed_bytes(Some(7)) == 7);
        assert_eq!(pard_graph_bytes(network, usize::MAX), u64::MAX, "no overflow");
    }
}
