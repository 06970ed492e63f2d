//! ChemNet against activations computed with the original's weights in PyTorch, and files that are not its weights.

use std::path::PathBuf;

use equidrift_molecule::MoleculeError;
use equidrift_molecule::metrics::ChemNet;

use crate::npz;
use crate::reference::data_dir;

/// The weights, where they are at hand.
pub(crate) fn chemnet() -> Option<(PathBuf, ChemNet)> {
    let folder = data_dir("metrics")?;
    let net = ChemNet::read(&folder.join("chemnet_v0.13.npz")).unwrap();
    Some((folder, net))
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn activations_are_those_of_the_original() {
    let Some((folder, net)) = chemnet() else { return };
    let text = std::fs::read_to_string(folder.join("chemnet_reference.smi")).unwrap();
    let smiles: Vec<&str> = text.lines().collect();
    let expected = npz::read_f32(&folder.join("chemnet_reference.npz"), "activations");
    let found = net.encode(&smiles, 2, &|_| {});
    assert_eq!((found.len(), smiles.len()), (8 * 512, 8));
    let scale = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let error = largest_difference(&found, &expected);
    println!("largest difference {error:e}, largest activation {scale}");
    assert!(scale > 0.1 && error < 1e-5, "{error:e}");
}

#[test]
fn a_string_is_encoded_alike_in_any_batch() {
    let Some((_, net)) = chemnet() else { return };
    let mut smiles: Vec<String> =
        (0..260).map(|i| format!("C{}(=O)N{}C#N", "C".repeat(i % 7), "O".repeat(i / 90))).collect();
    smiles.extend(["c1ccccc1".repeat(60), String::new(), "N".to_owned(), "é[Fe+2]".to_owned()]);
    let encoded = std::sync::atomic::AtomicUsize::new(0);
    let together = net.encode(&smiles, 2, &|more| {
        encoded.fetch_add(more, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(encoded.into_inner(), smiles.len());
    for row in [0, 1, 95, 96, 130, 180, 258, 259, 260, 261, 262, 263] {
        let alone = net.encode(&smiles[row..=row], 1, &|_| {});
        let error = largest_difference(&together[row * 512..][..512], &alone);
        assert!(error < 2e-6, "{}: {error:e}", smiles[row]);
    }
    assert!(net.encode::<&str>(&[], 2, &|_| {}).is_empty());
}

#[test]
fn a_file_that_is_not_the_weights_is_refused() {
    let Some(folder) = data_dir("metrics") else { return };
    let refused = |path: &std::path::Path, expected: &str| match ChemNet::read(path) {
        Err(MoleculeError::Weights { reason, .. }) => assert!(reason.contains(expected), "{reason}"),
        other => panic!("{other:?}"),
    };
    refused(&folder.join("chemnet_reference.npz"), "no array \"0.conv1d.weight\"");
    refused(&folder.join("chemnet_reference.smi"), "no .npz archive");
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = std::fs::read(folder.join("chemnet_v0.13.npz")).unwrap();
    let write = |bytes: &[u8]| std::fs::write(file.path(), bytes).unwrap();
    write(&bytes[..bytes.len() / 2]);
    refused(file.path(), "no .npz archive");
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 0x10;
    write(&damaged);
    refused(file.path(), "cannot be unpacked");
    // The first array's shape, of an archive that is not compressed.
    let stored =
        stored_archive("0.conv1d.weight.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
    write(&stored);
    refused(file.path(), "shape");
    write(&stored_archive("0.conv1d.weight.npy", "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }"));
    refused(file.path(), "float32");
    assert!(matches!(ChemNet::read(&folder.join("nothing.npz")), Err(MoleculeError::File { .. })));
}

/// An archive of one array of three numbers that is not compressed.
fn stored_archive(name: &str, header: &str) -> Vec<u8> {
    let mut npy = b"\x93NUMPY\x01\x00".to_vec();
    npy.extend_from_slice(&(header.len() as u16).to_le_bytes());
    npy.extend_from_slice(header.as_bytes());
    npy.extend_from_slice(&[0; 12]);
    let mut checksum = flate2::Crc::new();
    checksum.update(&npy);
    // What the local header and the directory have in common: versions, flags, method, time, checksum, lengths.
    let mut shared = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for number in [checksum.sum(), npy.len() as u32, npy.len() as u32] {
        shared.extend_from_slice(&number.to_le_bytes());
    }
    shared.extend_from_slice(&(name.len() as u16).to_le_bytes());
    shared.extend_from_slice(&[0, 0]);
    let local = [&b"PK\x03\x04"[..], &shared, name.as_bytes(), &npy].concat();
    let directory = [&b"PK\x01\x02\x14\x00"[..], &shared, &[0; 14], name.as_bytes()].concat();
    let mut end = b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00".to_vec();
    end.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    end.extend_from_slice(&(local.len() as u32).to_le_bytes());
    end.extend_from_slice(&[0, 0]);
    [local, directory, end].concat()
}
