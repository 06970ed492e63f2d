//! What is written here is read by `MDAnalysis`, ASE, h5py and NumPy, where Python has them (`EQUIDRIFT_PYTHON`, by default
//! `python3`); what they write is read here.

use std::process::{Command, Stdio};

use equidrift_trajectory::{WriteOptions, file};

use crate::files::{largest_difference, sample};

fn interpreter() -> String {
    std::env::var("EQUIDRIFT_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Whether Python has these modules; prints why a test is skipped if not.
pub(crate) fn has(modules: &[&str]) -> bool {
    let code =
        format!("import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in {modules:?}))");
    let found = Command::new(interpreter())
        .args(["-c", &code])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("skipped: no Python with {}", modules.join(", "));
    }
    found
}

pub(crate) fn run(script: &str, folder: &std::path::Path) {
    let output =
        Command::new(interpreter()).args(["-W", "ignore", "-c", script]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// The expected numbers stand in the `.npz` file, whose layout NumPy itself checks.
const MDANALYSIS: &str = r#"
import sys, numpy as np, MDAnalysis as mda
from MDAnalysis.lib.mdamath import triclinic_vectors
folder = sys.argv[1]
for atoms, periodic in ((9, False), (30, True)):
    truth = np.load(f"{folder}/{atoms}.npz")
    R = truth["R"]
    assert R.dtype == np.float32 and R.shape == (8, atoms, 3)
    assert float(truth["dt_fs"]) == 2.5 and truth["z"].shape == (atoms,) and truth["bonds"].shape == (atoms - 1, 2)
    for suffix, allowed in (("xtc", 0.00501 if atoms > 9 else 3e-6), ("pdb", 0.000501), ("h5md", 1e-6)):
        path = f"{folder}/{atoms}.{suffix}"
        u = mda.Universe(f"{folder}/{atoms}.pdb", path)
        assert len(u.trajectory) == 8, (suffix, len(u.trajectory))
        for t, ts in enumerate(u.trajectory):
            worst = abs(ts.positions - R[t]).max()
            assert worst <= allowed, (suffix, t, worst)
            if suffix != "pdb":
                # MDAnalysis counts picoseconds.
                assert abs(ts.time - 0.0025 * t) < 1e-6, (suffix, t, ts.time)
            if periodic and (suffix != "pdb" or t == 0):
                a = np.linalg.norm(truth["cell"][t], axis=1)
                assert abs(ts.dimensions[:3] - a).max() < 2e-3, (suffix, ts.dimensions, a)
                assert abs(ts.dimensions[3:] - [80, 95, 100]).max() < 2e-2, (suffix, ts.dimensions)
            if not periodic:
                assert ts.dimensions is None or not ts.dimensions.any(), (suffix, ts.dimensions)
    u = mda.Universe(f"{folder}/{atoms}.pdb")
    assert [e.capitalize() for e in u.atoms.elements[:5]] == ["C", "H", "O", "N", "Cl"], u.atoms.elements
    assert len(u.bonds) == atoms - 1 and u.atoms.names[3] == "A3" and u.residues.resnames[0] == "ALA"
    with mda.Writer(f"{folder}/back{atoms}.xtc", atoms) as w:
        for ts in mda.Universe(f"{folder}/{atoms}.pdb", f"{folder}/{atoms}.h5md").trajectory:
            u.atoms.positions = ts.positions
            u.trajectory.ts.time = ts.time
            u.dimensions = ts.dimensions
            w.write(u.atoms)
    g = mda.Universe(f"{folder}/{atoms}.pdb", f"{folder}/{atoms}.h5md")
    with mda.Writer(f"{folder}/back{atoms}.h5md", atoms, n_frames=8, positions=True, velocities=False, forces=False, lengthunit="nm", timeunit="ps") as w:
        for ts in g.trajectory:
            w.write(g.atoms)
print("MDAnalysis", mda.__version__, "reads xtc, pdb and h5md")
"#;

#[test]
fn mdanalysis_and_we_read_one_another() {
    if !has(&["MDAnalysis", "h5py"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let samples = [sample(9, 8, false), sample(30, 8, true)];
    for trajectory in &samples {
        for suffix in ["xtc", "pdb", "h5md", "npz"] {
            let path = folder.path().join(format!("{}.{suffix}", trajectory.atoms()));
            file::write(&path, trajectory, &WriteOptions::default()).unwrap();
        }
    }
    run(MDANALYSIS, folder.path());
    for trajectory in &samples {
        for (suffix, allowed) in [("xtc", 0.0101), ("h5md", 1e-4)] {
            let path = folder.path().join(format!("back{}.{suffix}", trajectory.atoms()));
            let read = file::read(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(largest_difference(trajectory, &read) < allowed, "{suffix}");
            assert!((read.time_step().unwrap() - 2.5).abs() < 1e-3, "{suffix}: {:?}", read.times());
            assert_eq!(read.cells().len(), trajectory.cells().len(), "{suffix}");
        }
    }
}

const ASE: &str = r#"
import sys, numpy as np, ase, ase.io
folder = sys.argv[1]
for atoms in (9, 30):
    truth = np.load(f"{folder}/{atoms}.npz")
    frames = ase.io.read(f"{folder}/{atoms}.extxyz", ":")
    assert len(frames) == 8
    for t, frame in enumerate(frames):
        assert (frame.positions.astype(np.float32) == truth["R"][t]).all()
        assert (frame.numbers == truth["z"]).all() and frame.info["time_fs"] == 2.5 * t
        assert frame.pbc.all() == (atoms == 30)
        if atoms == 30:
            assert abs(frame.cell.array - truth["cell"][t]).max() < 1e-12
        frame.arrays["forces"] = frame.positions * 2
    ase.io.write(f"{folder}/back{atoms}.extxyz", frames)
    models = ase.io.read(f"{folder}/{atoms}.pdb", ":")
    # ASE takes the line END, with which the format ends a file, for one more model.
    assert len(models) == 9 and len(models.pop()) == 0
    assert all(abs(m.positions - truth["R"][t]).max() < 6e-4 for t, m in enumerate(models))
    ase.io.write(f"{folder}/back{atoms}.pdb", models)
print("ASE", ase.__version__, "reads extxyz and pdb")
"#;

#[test]
fn ase_and_we_read_one_another() {
    if !has(&["ase", "numpy"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let samples = [sample(9, 8, false), sample(30, 8, true)];
    for trajectory in &samples {
        for suffix in ["extxyz", "pdb", "npz"] {
            let path = folder.path().join(format!("{}.{suffix}", trajectory.atoms()));
            file::write(&path, trajectory, &WriteOptions::default()).unwrap();
        }
    }
    run(ASE, folder.path());
    for trajectory in &samples {
        for (suffix, allowed) in [("extxyz", 1e-7), ("pdb", 0.0011)] {
            let path = folder.path().join(format!("back{}.{suffix}", trajectory.atoms()));
            let read = file::read(&path).unwrap_or_else(|error| panic!("{error}"));
            let difference = largest_difference(trajectory, &read);
            assert!(difference < allowed, "{suffix}: {difference}");
            assert_eq!(read.topology().elements(), trajectory.topology().elements(), "{suffix}");
        }
    }
}

const H5PY: &str = r#"
import sys, numpy as np, h5py
folder = sys.argv[1]
with h5py.File(f"{folder}/30.h5md") as f:
    truth = np.load(f"{folder}/30.npz")
    group = f["particles/trajectory"]
    value = group["position/value"]
    assert value.dtype == np.float32 and (value[:] == truth["R"]).all()
    assert value.attrs["unit"] == "Angstrom" and group["position/time"].attrs["unit"] == "fs"
    assert (group["position/time"][:] == 2.5 * np.arange(8)).all()
    assert (group["species"][:] == truth["z"]).all()
    assert (f["connectivity/bonds"][:] == truth["bonds"]).all()
    assert abs(group["box/edges/value"][:] - truth["cell"]).max() < 1e-12
    assert list(group["box"].attrs["boundary"]) == ["periodic"] * 3 and group["box"].attrs["dimension"] == 3
    assert list(f["h5md"].attrs["version"]) == [1, 1] and f["h5md/creator"].attrs["name"] == "equidrift"
# Another programme's file: nanometres, picoseconds, a fixed step, a fixed box, strings of fixed width.
with h5py.File(f"{folder}/foreign.h5md", "w") as f:
    group = f.create_group("particles/all")
    position = group.create_dataset("position/value", data=truth["R"].astype(float) / 10, chunks=(3, 7, 3), compression="gzip")
    position.attrs["unit"] = np.bytes_("nm")
    time = group.create_dataset("position/time", data=0.0025)
    time.attrs["unit"] = np.bytes_("ps")
    time.attrs["offset"] = 1.0
    group.create_dataset("position/step", data=1)
    edges = group.create_dataset("box/edges", data=[1.0, 2.0, 3.0])
    edges.attrs["unit"] = "nm"
print("h5py", h5py.__version__, "reads h5md")
"#;

#[test]
fn h5py_and_we_read_one_another() {
    if !has(&["h5py", "numpy"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trajectory = sample(30, 8, true);
    for suffix in ["h5md", "npz"] {
        file::write(&folder.path().join(format!("30.{suffix}")), &trajectory, &WriteOptions::default())
            .unwrap();
    }
    run(H5PY, folder.path());
    let read = file::read(&folder.path().join("foreign.h5md")).unwrap_or_else(|error| panic!("{error}"));
    assert!(largest_difference(&trajectory, &read) < 2e-6);
    assert!((read.time_step().unwrap() - 2.5).abs() < 1e-9 && (read.times()[0] - 1000.0).abs() < 1e-9);
    let [a, b, c] = read.cells()[7].lengths_and_angles().0;
    assert!((a - 10.0).abs() + (b - 20.0).abs() + (c - 30.0).abs() < 1e-9);
}
