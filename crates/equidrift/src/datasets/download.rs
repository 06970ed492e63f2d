//! Fetching an address by the programmes that every system has, curl or wget.
//!
//! The address is one the user names; nothing is ever fetched unasked. What arrives is counted and hashed on the way into a
//! temporary folder, so a server cannot fill the disk, and the programme is ended when the limit is passed or a stop is
//! asked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::columns::hexadecimal;
use super::error::DatasetError;
use crate::error::Error;

/// The programmes that are tried, with the arguments that make them write an address to standard output, follow at most ten
/// redirections, stay with http and https, and give up when nothing arrives for a minute.
const PROGRAMMES: [(&str, &[&str]); 2] = [
    (
        "curl",
        &[
            "--fail",
            "--silent",
            "--show-error",
            "--globoff",
            "--location",
            "--max-redirs",
            "10",
            "--proto",
            "=http,https",
            "--proto-redir",
            "=http,https",
            "--connect-timeout",
            "60",
            "--speed-limit",
            "1",
            "--speed-time",
            "60",
            "--url",
        ],
    ),
    ("wget", &["--no-verbose", "--output-document=-", "--max-redirect=10", "--timeout=60", "--tries=3"]),
];

/// The longest complaint of such a programme that is kept, in bytes.
const LONGEST_COMPLAINT: u64 = 4096;

/// A fetched file; it is deleted when this is dropped.
#[derive(Debug)]
pub(crate) struct Download {
    /// The file, under the name it has in the address.
    pub(crate) path: PathBuf,
    /// Its digest.
    pub(crate) sha256: String,
    _folder: TempDir,
}

/// Whether a text is an address that can be fetched.
pub(crate) fn is_address(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// The file name in an address: its last segment, without a query.
pub(crate) fn name_in_address(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name = path.split_once("://").map_or(path, |(_, rest)| rest);
    let name = name.split_once('/').and_then(|(_, path)| path.rsplit('/').next()).unwrap_or_default();
    let name: String = percent_decoded(name)
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '/' | '\\'))
        .take(100)
        .collect();
    if name.trim_matches('.').is_empty() { "download".to_owned() } else { name }
}

/// A text with `%41` made `A`; what is no such code stays.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let digits = bytes.get(place + 1..place + 3).and_then(|two| std::str::from_utf8(two).ok());
        let code = digits
            .filter(|two| byte == b'%' && two.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        decoded.push(code.unwrap_or(byte));
        place += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Fetches an address. `None` where `stop` answered true.
///
/// # Errors
/// [`DatasetError::NoDownloader`], [`DatasetError::Download`], [`DatasetError::DownloadSize`]; [`Error::Write`] for the
/// temporary file.
pub(crate) fn fetch(
    url: &str,
    limit: u64,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<Download>, Error> {
    let failed = |reason: String| DatasetError::Download { url: url.to_owned(), reason };
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(failed("the address has white space in it".to_owned()).into());
    }
    let folder = tempfile::Builder::new().prefix("equidrift-").tempdir();
    let folder = folder.map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
    let path = folder.path().join(name_in_address(url));
    let write = |source| Error::Write { path: path.clone(), source };
    let mut file = File::create(&path).map_err(write)?;
    let Some(mut child) = start(url).map_err(|error| failed(error.to_string()))? else {
        return Err(DatasetError::NoDownloader { url: url.to_owned() }.into());
    };
    // Both are piped by `start`.
    let (Some(mut content), Some(complaints)) = (child.0.stdout.take(), child.0.stderr.take()) else {
        return Err(failed("its output cannot be read".to_owned()).into());
    };
    let complaint = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut complaints = complaints;
        let _ = (&mut complaints).take(LONGEST_COMPLAINT).read_to_end(&mut text);
        // What is too much is read all the same, so that the programme does not wait for ever.
        let _ = io::copy(&mut complaints, &mut io::sink());
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let read = content.read(&mut piece).map_err(|error| failed(error.to_string()))?;
        if read == 0 {
            break;
        }
        length += read as u64;
        if length > limit {
            return Err(DatasetError::DownloadSize { url: url.to_owned(), limit }.into());
        }
        if stop() {
            return Ok(None);
        }
        hasher.update(&piece[..read]);
        file.write_all(&piece[..read]).map_err(write)?;
        progress(length);
    }
    let status = child.0.wait().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let complaint = complaint.join().unwrap_or_default();
        let last = complaint.lines().last().unwrap_or_default();
        return Err(failed(if last.is_empty() { status.to_string() } else { last.to_owned() }).into());
    }
    file.flush().map_err(write)?;
    Ok(Some(Download { path, sha256: hexadecimal(&hasher.finalize()), _folder: folder }))
}

/// A process that is ended when it is no longer wanted.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the first of the programmes that exists.
fn start(url: &str) -> io::Result<Option<Running>> {
    for (programme, arguments) in PROGRAMMES {
        let child = Command::new(programme)
            .args(arguments)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => return Ok(Some(Running(child))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that answers each connection with one of these, in order.
    fn serve(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(&answer);
            }
        });
        format!("http://{address}/folder/mole%20cules.smi?version=2")
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    #[test]
    fn a_file_arrives_with_its_name_and_digest() {
        let url = serve(vec![ok(b"CCO\nC#N\n")]);
        let mut seen = 0;
        let download = fetch(&url, 1000, &|| false, &mut |bytes| seen = bytes).unwrap().unwrap();
        assert_eq!(download.path.file_name().unwrap(), "mole cules.smi");
        assert_eq!(std::fs::read(&download.path).unwrap(), b"CCO\nC#N\n");
        assert_eq!(download.sha256, equidrift_backend::checksum::sha256(b"CCO\nC#N\n"));
        assert_eq!(seen, 8);
        let path = download.path.clone();
        drop(download);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_too_long_absent_or_elsewhere_is_an_error() {
        let error = |answer: Vec<u8>, limit| {
            fetch(&serve(vec![answer]), limit, &|| false, &mut |_| {}).unwrap_err().to_string()
        };
        assert!(error(ok(&[b'C'; 5000]), 4999).contains("more than 4999 bytes"));
        let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        assert!(error(missing, 10).contains("404"));
        // Shorter than announced.
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nCCO\n".to_vec();
        assert!(error(cut, 1000).contains("cannot fetch"));
        let away = b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        assert!(error(away.to_vec(), 1000).contains("cannot fetch"));
        assert!(fetch("http://a b/", 10, &|| false, &mut |_| {}).is_err());
    }

    #[test]
    fn a_stop_ends_it() {
        let url = serve(vec![ok(b"CCO\n")]);
        assert!(fetch(&url, 1000, &|| true, &mut |_| {}).unwrap().is_none());
    }

    #[test]
    fn addresses_are_told_from_files() {
        for (text, name) in [
            ("https://example.org/a/qm9.smi.gz", "qm9.smi.gz"),
            ("http://example.org", "download"),
            ("http://example.org/", "download"),
            ("HTTP://example.org/a%2fb.csv#x", "ab.csv"),
            ("http://example.org/..", "download"),
        ] {
            assert!(is_address(text));
            assert_eq!(name_in_address(text), name, "{text}");
        }
        assert!(!is_address("qm9.smi") && !is_address("file:///qm9.smi") && !is_address("ftp://a/b"));
        assert_eq!(percent_decoded("a%20b%zz%4"), "a b%zz%4");
    }
}
