//! A door to a MongoDB that lets some commits in and their answers not out, as a network does that fails in between.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// How a commit is known on the wire.
const COMMIT: &[u8] = b"commitTransaction";

/// See the module.
pub(super) struct Swallowing {
    url: String,
    left: Arc<AtomicUsize>,
}

impl Swallowing {
    /// A door to the server at `url` that swallows the answers to the first `commits`.
    pub(super) fn start(url: &str, commits: usize) -> Self {
        let address = url.split_once("://").unwrap().1.split('/').next().unwrap();
        let address = address.rsplit('@').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let left = Arc::new(AtomicUsize::new(commits));
        let shared = Arc::clone(&left);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&address) else {
                    continue;
                };
                pass(client, server, &shared);
            }
        });
        Self {
            url: url.replace(url.split_once("://").unwrap().1.split('/').next().unwrap(), &own),
            left,
        }
    }

    /// Where clients find it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// How many more answers it will swallow.
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

/// Passes one connection's bytes in both directions, until the answer to a commit is to be swallowed.
fn pass(client: TcpStream, server: TcpStream, left: &Arc<AtomicUsize>) {
    let swallows = Arc::new(AtomicBool::new(false));
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (left, armed) = (Arc::clone(left), Arc::clone(&swallows));
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let commits = bytes[..count].windows(COMMIT.len()).any(|part| part == COMMIT);
            let one_less = |left: usize| left.checked_sub(1);
            if commits
                && left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                    .is_ok()
            {
                armed.store(true, Ordering::SeqCst);
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (server, client);
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if swallows.load(Ordering::SeqCst) || to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
