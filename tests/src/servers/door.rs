//! A door to a server that can be shut: what goes through it is cut off, as by a network that fails, until it is opened
//! again.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// See the module.
pub struct Door {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    shut: bool,
    /// Both ends of all that goes through.
    open: Vec<TcpStream>,
}

impl Door {
    /// A door to the one server at `url`.
    ///
    /// # Panics
    /// When the URL names no address, or there is no free port.
    #[must_use]
    pub fn to(url: &str) -> Self {
        let rest = url.split_once("://").expect("a URL").1;
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        let address = place.rsplit('@').next().unwrap_or_default().to_owned();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let own = listener.local_addr().expect("an address").to_string();
        let shared = Arc::<Mutex<Shared>>::default();
        let door = Self {
            url: url.replacen(&address, &own, 1),
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // One that cannot go on is dropped, and so cut off.
                if let Ok(server) = TcpStream::connect(&address) {
                    let _ = let_through(&shared, &client, &server);
                }
            }
        });
        door
    }

    /// Where clients find it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Cuts off all that goes through, and lets nobody in.
    pub fn shut(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.shut = true;
        for stream in shared.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets everybody in again.
    pub fn open(&self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).shut = false;
    }
}

fn let_through(shared: &Mutex<Shared>, client: &TcpStream, server: &TcpStream) -> std::io::Result<()> {
    {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.shut {
            return Ok(());
        }
        shared.open.push(client.try_clone()?);
        shared.open.push(server.try_clone()?);
    }
    pass(client.try_clone()?, server.try_clone()?);
    pass(server.try_clone()?, client.try_clone()?);
    Ok(())
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut bytes = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if to.write_all(bytes.get(..count).unwrap_or_default()).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
