//! As much of each protocol as tells whether a server answers; nothing here waits longer than [`SILENCE_MAX`].

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest silence of a server that is taken for an answer to come.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Bytes that are read before an answer is given up.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Whether the server on this port, after these bytes, says all of these within its first bytes.
pub(super) fn says(port: u16, request: &[u8], expected: &[&[u8]]) -> bool {
    exchange(port, request, expected).is_some()
}

/// Whether `GET path` is answered with 200 and a body that has this in it.
pub(super) fn serves(port: u16, path: &str, expected: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    says(port, request.as_bytes(), &[b"HTTP/1.1 200", expected.as_bytes()])
}

fn exchange(port: u16, request: &[u8], expected: &[&[u8]]) -> Option<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, SILENCE_MAX).ok()?;
    stream.set_read_timeout(Some(SILENCE_MAX)).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    let mut buffer = [0_u8; 4_096];
    while answer.len() < ANSWER_BYTES_MAX {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        answer.extend_from_slice(buffer.get(..count)?);
        if expected.iter().all(|part| has(&answer, part)) {
            return Some(());
        }
    }
    None
}

fn has(answer: &[u8], part: &[u8]) -> bool {
    part.is_empty() || answer.windows(part.len()).any(|window| window == part)
}
