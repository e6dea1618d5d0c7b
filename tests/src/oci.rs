//! An OCI registry as a process of its own, on a free port and with a folder of its own: Debian's `docker-registry`. And a
//! registry that lies, which no real one would do for us.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tempfile::TempDir;

use crate::artifacts;
use crate::client::Client;
use crate::report::not_run;

/// What the registry says once it listens, before its address.
const LISTENING: &str = "listening on ";
/// The only user of a registry that has one.
pub const USER: (&str, &str) = ("publisher", "secret");
/// The user's password, by bcrypt.
const USER_FILE: &str = "publisher:$2b$05$LyVp5mUdO8woZpMGIV91meiaYeirbOMAAbaOb02YGXhAyqTy9zJSC\n";

/// A running registry. Dropped, it is killed and its folder removed.
pub struct OciRegistry {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl OciRegistry {
    /// A registry open to everybody; nothing when its program is not here, which is then said.
    #[must_use]
    pub fn open() -> Option<Self> {
        Self::start("")
    }

    /// A registry for [`USER`] alone.
    #[must_use]
    pub fn closed() -> Option<Self> {
        Self::start("auth: { htpasswd: { realm: tests, path: FOLDER/users } }\n")
    }

    fn start(auth: &str) -> Option<Self> {
        let Some(program) = artifacts::docker_registry() else {
            not_run(
                "docker-registry",
                "it is not here; `cargo xtask test` says how to get it",
            );
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder for the registry");
        let text = format!(
            "version: 0.1\nlog: {{ level: info, formatter: json }}\n\
             storage: {{ filesystem: {{ rootdirectory: FOLDER/data }} }}\nhttp: {{ addr: '127.0.0.1:0' }}\n{auth}"
        );
        let text = text.replace("FOLDER", &folder.path().to_string_lossy());
        let config = folder.path().join("registry.yml");
        fs::write(&config, text).expect("a configuration");
        fs::write(folder.path().join("users"), USER_FILE).expect("a file of users");
        let mut child = Command::new(&program)
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let address = address(&mut child);
        Some(Self {
            child,
            address,
            _folder: folder,
        })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// As any client sees it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address), None)
    }
}

impl Drop for OciRegistry {
    fn drop(&mut self) {
        // It may have ended by itself, which is what the test has found already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the registry says that it listens. What it says afterwards is read and dropped, so that it never waits for us.
fn address(child: &mut Child) -> String {
    let log = child.stderr.take().expect("its log");
    let mut lines = BufReader::new(log).lines();
    let mut said = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        let message = serde_json::from_str::<Value>(&line).unwrap_or_default();
        let message = message.get("msg").and_then(Value::as_str).unwrap_or_default();
        if let Some(address) = message.strip_prefix(LISTENING) {
            let address = address.to_owned();
            thread::spawn(move || lines.for_each(drop));
            return address;
        }
        said.push(line);
    }
    panic!("the registry did not start:\n{}", said.join("\n"));
}

/// Answers requests with what a test gives for their paths. Dropped, it ends.
pub struct Liar {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    /// Starts it. `answer` gives status, content type and body for a path; a body may be too long to be sent in one go.
    #[must_use]
    pub fn start(answer: impl Fn(&str) -> (u16, &'static str, Vec<u8>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serve = move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(stream) = stream {
                    // Whoever hangs up before the end has seen enough.
                    let _ = serve_one(stream, &answer);
                }
            }
        };
        Self {
            address,
            stop,
            thread: Some(thread::spawn(serve)),
        }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes it up.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request a connection.
fn serve_one(
    mut stream: TcpStream,
    answer: &impl Fn(&str) -> (u16, &'static str, Vec<u8>),
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0_u8];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, content_type, body) = answer(path);
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}
