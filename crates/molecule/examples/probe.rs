//! probe
use equidrift_molecule::descriptors::*;
use equidrift_molecule::metrics::profile::*;
use equidrift_molecule::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let v: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    v[11].parse::<f64>().unwrap() * 0.01 + v[12].parse::<f64>().unwrap() * 0.01
}
fn main() {
    let text = std::fs::read_to_string("/tmp/mol/g20k.smi").unwrap();
    let lines: Vec<&str> = text.lines().take(10000).collect();
    let n = lines.len() as f64;
    let can: Vec<String> = lines.iter().map(|s| Chematic.canonicalise(s).unwrap()).collect();
    let sc = FragmentScores::read(std::path::Path::new("/work/shared/data/metrics/sa_fragment_scores.npz"))
        .unwrap();
    for (moses, sa) in [(true, true), (true, false), (false, true), (false, false), (true, true)] {
        let mut p =
            Profiler::new(ProfileScope { moses, guacamol: false, fragment_scores: sa.then_some(&sc) });
        let c = cpu();
        for s in &can {
            let _ = p.profile(s).unwrap();
        }
        println!("moses {moses} sa {sa}: {:.1} us", (cpu() - c) * 1e6 / n);
    }
}
