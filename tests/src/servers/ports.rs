//! Free ports of 127.0.0.1 that a server keeps over a restart: below those which the system gives to outgoing connections,
//! so that no connection takes one while the server is down.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first port that is tried.
const FIRST: usize = 20_000;
/// Ports that are tried; the system's begin at 32,768.
const COUNT: usize = 12_000;
/// So far apart do processes with neighbouring numbers begin.
const STRIDE: usize = 61;

/// So many ports, which nobody listens on.
///
/// # Panics
/// When there are none.
pub(super) fn free(count: usize) -> Vec<u16> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let start = process::id() as usize * STRIDE;
    let mut found = Vec::new();
    for _ in 0..COUNT {
        if found.len() == count {
            return found;
        }
        let at = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + at).expect("a port");
        if is_free(port) {
            found.push(port);
        }
    }
    panic!("no free ports on 127.0.0.1");
}

/// Whether nobody listens on any of them.
pub(super) fn are_free(ports: &[u16]) -> bool {
    ports.iter().all(|port| is_free(*port))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
