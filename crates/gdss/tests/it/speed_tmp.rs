use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{EngineKind, GraphBatch};
use crate::checkpoints::checkpoints;
#[test]
fn speed_tmp() {
    for c in checkpoints() {
        if !["qm9", "zinc250k", "community_small"].contains(&c.name.as_str()) { continue; }
        let m = c.model();
        let g = &c.golden;
        let n = g.tensors["in.x"].shape[1]; let f = g.tensors["in.x"].shape[2];
        for (b, kind) in [(64, EngineKind::Burn), (1024, EngineKind::Burn), (64, EngineKind::Fused), (1024, EngineKind::Fused)] {
            if n > 9 && b > 64 { continue; }
            let rep = |v: Vec<f32>| -> Vec<f32> { v.iter().cycle().take(v.len() / 4 * b).copied().collect() };
            let (x, a, k) = (rep(g.tensors["in.x"].to_f32()), rep(g.tensors["in.adj"].to_f32()), rep(g.tensors["in.flags"].to_f32()));
            let e = m.engine(kind, DeviceKind::Cpu).unwrap();
            let mut best = f64::MAX;
            for _ in 0..6 {
                let t = std::time::Instant::now();
                e.evaluate(&GraphBatch { batch: b, nodes: n, features: f, x: &x, adj: &a, mask: &k }).unwrap();
                best = best.min(t.elapsed().as_secs_f64());
            }
            println!("SPEED {} {kind} b={b}: {:.2} ms, {:.1} us/graph", c.name, best * 1e3, best * 1e6 / b as f64);
        }
    }
}
