use std::path::Path;

use equidrift_backend::weights::{HostTensor, TensorFile, Values, WeightsError};

fn sample() -> TensorFile {
    TensorFile {
        tensors: [
            (
                "a.weight".to_owned(),
                HostTensor::f32([2, 3], vec![1.0, -2.5, 3.0, 0.0, f32::MIN_POSITIVE, 7.0]),
            ),
            ("b \"quoted\" \u{e9}".to_owned(), HostTensor::f64([2], vec![std::f64::consts::PI, -0.0])),
            ("scalar".to_owned(), HostTensor::f32([], vec![4.0])),
            ("empty".to_owned(), HostTensor::f32([0, 5], Vec::new())),
        ]
        .into(),
        metadata: [("note".to_owned(), "line\nbreak".to_owned()), ("z".to_owned(), "1".to_owned())].into(),
    }
}

/// A file with this header text and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn parse(bytes: &[u8]) -> Result<TensorFile, WeightsError> {
    TensorFile::from_bytes(bytes, Path::new("evil.safetensors"))
}

#[test]
fn round_trip_in_memory_and_on_disk() {
    let original = sample();
    let bytes = original.to_bytes().unwrap();
    assert_eq!(bytes, sample().to_bytes().unwrap(), "equal contents, equal bytes");
    assert_eq!(parse(&bytes).unwrap(), original);
    // The crate that defines the format reads it too, with every tensor aligned.
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), 4);
    assert_eq!(theirs.tensor("a.weight").unwrap().shape(), [2, 3]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    original.write(&path).unwrap();
    original.write(&path).unwrap();
    assert_eq!(TensorFile::read(&path).unwrap(), original);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn a_header_that_claims_ten_gigabytes() {
    for claimed in [10_u64 << 30, u64::MAX, 65 << 20] {
        let mut bytes = claimed.to_le_bytes().to_vec();
        bytes.extend([b'{'; 100]);
        let error = parse(&bytes).unwrap_err();
        assert!(
            matches!(error, WeightsError::HeaderTooLong { claimed: c, allowed: 100, .. } if c == claimed)
        );
        assert!(error.to_string().contains("evil.safetensors"), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(TensorFile::read(&path), Err(WeightsError::HeaderTooLong { .. })));
    }
}

#[test]
fn a_tensor_that_claims_ten_gigabytes() {
    let header = r#"{"w":{"dtype":"F32","shape":[2684354560],"data_offsets":[0,10737418240]}}"#;
    let error = parse(&file(header, &[0; 16])).unwrap_err();
    let expected = 8 + header.len() as u64 + 10_737_418_240;
    assert!(matches!(error, WeightsError::Truncated { expected: e, .. } if e == expected), "{error}");
    // A shape whose size overflows.
    let header = r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]}}"#;
    assert!(matches!(parse(&file(header, &[0; 16])), Err(WeightsError::Header { .. })));
}

#[test]
fn every_truncation_and_every_flipped_header_byte_is_survived() {
    let bytes = sample().to_bytes().unwrap();
    for length in 0..bytes.len() {
        let error = parse(&bytes[..length]).unwrap_err();
        assert!(error.to_string().contains("evil.safetensors"), "{error}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(parse(&longer), Err(WeightsError::TrailingBytes { .. })));
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for at in 0..header {
        for flip in [1, 0x20, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let _ = parse(&changed); // an error or another valid file, never a panic
        }
    }
}

#[test]
fn headers_that_lie() {
    let cases = [
        ("not json", "x"),
        ("{}x", "trailing text"),
        ("[]", "a list"),
        (r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}"#, "size differs from shape"),
        (r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "hole at the start"),
        (r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#, "ends before it begins"),
        (r#"{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, "negative extent"),
        (r#"{"w":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, "unknown type"),
        (
            r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
            "overlap",
        ),
    ];
    for (header, what) in cases {
        let error = parse(&file(header, &[0; 8])).unwrap_err();
        assert!(matches!(error, WeightsError::Header { .. }), "{what}: {error}");
    }
    let twice = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let error = parse(&file(twice, &[0; 4])).unwrap_err();
    assert!(matches!(&error, WeightsError::DuplicateName { name, .. } if name == "w"), "{error}");
    let complex = r#"{"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#;
    let error = parse(&file(complex, &[0; 8])).unwrap_err();
    assert!(matches!(&error, WeightsError::UnsupportedType { name, .. } if name == "w"), "{error}");
    // Nested far too deep.
    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert!(matches!(parse(&file(&deep, &[])), Err(WeightsError::Header { .. })));
}

#[test]
fn every_element_type_is_widened() {
    let cases: [(&str, &[u8], Values); 12] = [
        ("F64", &1.5_f64.to_le_bytes(), Values::F64(vec![1.5])),
        ("F32", &1.5_f32.to_le_bytes(), Values::F32(vec![1.5])),
        ("F16", &[0x00, 0xc1], Values::F32(vec![-2.5])),
        ("BF16", &[0x20, 0xc0], Values::F32(vec![-2.5])),
        ("BOOL", &[1], Values::F32(vec![1.0])),
        ("U8", &[200], Values::F32(vec![200.0])),
        ("I8", &[0xff], Values::F32(vec![-1.0])),
        ("U16", &[0xff, 0xff], Values::F32(vec![65535.0])),
        ("I16", &[0xff, 0xff], Values::F32(vec![-1.0])),
        ("I32", &(-7_i32).to_le_bytes(), Values::F64(vec![-7.0])),
        ("U32", &u32::MAX.to_le_bytes(), Values::F64(vec![4_294_967_295.0])),
        ("I64", &(-7_i64).to_le_bytes(), Values::F64(vec![-7.0])),
    ];
    for (dtype, data, expected) in cases {
        let header =
            format!(r#"{{"w":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,{}]}}}}"#, data.len());
        assert_eq!(parse(&file(&header, data)).unwrap().tensors["w"].values, expected, "{dtype}");
    }
}

#[test]
fn what_is_not_a_file_and_what_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(TensorFile::read(folder.path()), Err(WeightsError::NotAFile { .. })));
    assert!(matches!(TensorFile::read(folder.path().join("absent")), Err(WeightsError::Io { .. })));
    #[cfg(unix)]
    assert!(matches!(TensorFile::read("/dev/zero"), Err(WeightsError::NotAFile { .. })), "endless");
    let error = sample().write(folder.path().join("no/such/folder/w.safetensors")).unwrap_err();
    assert!(matches!(error, WeightsError::Io { .. }), "{error}");
    let broken = HostTensor { shape: vec![3], values: Values::F32(vec![1.0]) };
    let broken = TensorFile { tensors: [("w".to_owned(), broken)].into(), ..TensorFile::default() };
    assert!(matches!(broken.to_bytes(), Err(WeightsError::Inconsistent { values: 1, .. })));
}
