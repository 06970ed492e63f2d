use equidrift_backend::atomic::{PARTIAL_PREFIX, link_atomically, write_atomically};
use equidrift_backend::checksum::{
    ChecksumError, SUMS_FILE, read_sums, sha256, sha256_file, verify_bytes, write_sums,
};
use std::io::Write;

#[test]
fn known_answer() {
    // FIPS 180-4, example of one block.
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_changed_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a b.txt"), "content").unwrap();
    write_sums(folder.path(), &["a b.txt"]).unwrap();
    let sums = read_sums(folder.path()).unwrap();
    assert_eq!(sums["a b.txt"], sha256_file(&folder.path().join("a b.txt")).unwrap());
    verify_bytes(folder.path(), "a b.txt", b"content", &sums).unwrap();
    let error = verify_bytes(folder.path(), "a b.txt", b"Content", &sums).unwrap_err();
    assert!(
        matches!(error, ChecksumError::Mismatch { .. }) && error.to_string().contains("a b.txt"),
        "{error}"
    );
    let error = verify_bytes(folder.path(), "other", b"content", &sums).unwrap_err();
    assert!(matches!(error, ChecksumError::NotListed { .. }), "{error}");
}

#[test]
fn malformed_lists_name_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let digest = sha256(b"x");
    for bad in
        ["nonsense", "abc  name", &digest, &format!("{digest} "), &format!("{digest} \u{e9}"), "\u{e9}  x"]
    {
        std::fs::write(folder.path().join(SUMS_FILE), format!("{digest}  ok\n\n{bad}\n")).unwrap();
        let error = read_sums(folder.path()).unwrap_err();
        assert!(matches!(error, ChecksumError::Malformed { line: 3, .. }), "{bad:?}: {error}");
    }
    std::fs::write(folder.path().join(SUMS_FILE), format!("{} *binary\n", digest.to_uppercase())).unwrap();
    assert_eq!(read_sums(folder.path()).unwrap()["binary"], digest);
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    write_atomically(&path, |file| file.write_all(b"old")).unwrap();
    let failed = write_atomically(&path, |file| {
        file.write_all(&[7; 100_000])?;
        Err(std::io::Error::other("disk full"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "disk full");
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_gets_a_second_name_whatever_had_it_before() {
    let folder = tempfile::tempdir().unwrap();
    let (last, best) = (folder.path().join("last"), folder.path().join("best"));
    std::fs::write(&best, b"old").unwrap();
    for content in ["first", "second"] {
        write_atomically(&last, |file| file.write_all(content.as_bytes())).unwrap();
        link_atomically(&last, &best).unwrap();
        link_atomically(&last, &best).unwrap(); // already the same file
        assert_eq!(std::fs::read_to_string(&best).unwrap(), content);
    }
    write_atomically(&last, |file| file.write_all(b"third")).unwrap();
    assert_eq!(std::fs::read_to_string(&best).unwrap(), "second", "replaced, not changed");
    // What a kill left is no obstacle.
    std::fs::write(folder.path().join(format!("{PARTIAL_PREFIX}best")), b"half").unwrap();
    link_atomically(&last, &best).unwrap();
    assert_eq!(std::fs::read_to_string(&best).unwrap(), "third");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    assert!(link_atomically(&folder.path().join("none"), &best).is_err());
    assert_eq!(std::fs::read_to_string(&best).unwrap(), "third");
}
