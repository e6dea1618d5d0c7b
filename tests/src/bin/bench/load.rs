//! A load over HTTP: some connections, each with one request under way at any time.
//!
//! It shares the cores with the server, so it costs as little as it can: one thread, requests written as they are made,
//! of an answer only the status, the length and the position looked at.

use std::io::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use millwork_host::http::position;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::report::Times;

/// Writes the next request, head and body, into an empty buffer.
pub(crate) type Make = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// A load to be put on a server.
#[derive(Clone)]
pub(crate) struct Load {
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    pub(crate) connections: usize,
    /// Ends with the first of these.
    pub(crate) length: Duration,
    pub(crate) requests_max: u64,
    pub(crate) make: Make,
    /// How long each connection waits after an answer.
    pub(crate) pause: Duration,
    /// Whether the bodies of all answers are kept.
    pub(crate) keep_bodies: bool,
}

/// What came of a load.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) took: Duration,
    pub(crate) latencies: Times,
    /// The last position that an answer told.
    pub(crate) position: u64,
    /// Bytes of the last body.
    pub(crate) body_bytes: usize,
    pub(crate) bodies: Vec<Vec<u8>>,
}

impl Load {
    /// Puts the load on, and waits for its end.
    ///
    /// # Panics
    /// When a request does not succeed.
    pub(crate) fn run(&self) -> Done {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(self.all())
    }

    async fn all(&self) -> Done {
        let begun = Arc::new(AtomicU64::new(0));
        let mut open = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let stream = TcpStream::connect(&self.address)
                .await
                .expect("the server listens");
            stream.set_nodelay(true).expect("a socket");
            open.push(Connection {
                stream,
                buffer: Vec::new(),
            });
        }
        let started = Instant::now();
        let tasks: Vec<_> = open
            .into_iter()
            .map(|connection| tokio::spawn(connection.use_up(self.clone(), started, Arc::clone(&begun))))
            .collect();
        let mut done = Done::default();
        for task in tasks {
            done.add(task.await.expect("a connection's task").expect("an answer"));
        }
        done.took = started.elapsed();
        done
    }
}

impl Done {
    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.count() / self.took.as_secs_f64()
    }

    /// Takes in what came of another load.
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.position = self.position.max(other.position);
        self.body_bytes = self.body_bytes.max(other.body_bytes);
        self.bodies.extend(other.bodies);
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn use_up(mut self, load: Load, started: Instant, begun: Arc<AtomicU64>) -> Result<Done> {
        let mut done = Done::default();
        let mut request = Vec::new();
        while started.elapsed() < load.length && begun.fetch_add(1, Ordering::Relaxed) < load.requests_max {
            request.clear();
            (load.make)(&mut request);
            let sent = Instant::now();
            self.stream.write_all(&request).await?;
            let head_bytes = self.answer().await?;
            done.latencies.push(sent.elapsed());
            let (head, body) = self.buffer.split_at(head_bytes);
            if let Some(token) = header(head, "millwork-position") {
                done.position = done.position.max(position::decode(token).expect("a position"));
            }
            done.body_bytes = body.len();
            if load.keep_bodies {
                done.bodies.push(body.to_vec());
            }
            if !load.pause.is_zero() {
                tokio::time::sleep(load.pause).await;
            }
        }
        Ok(done)
    }

    /// Reads one answer into the buffer; gives the length of its head.
    async fn answer(&mut self) -> Result<usize> {
        self.buffer.clear();
        let (mut head_bytes, mut whole) = (0, usize::MAX);
        while self.buffer.len() < whole {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::other("the server closed the connection"));
            }
            if head_bytes == 0
                && let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")
            {
                head_bytes = end + 4;
                let head = self.buffer.split_at(head_bytes).0;
                let length = header(head, "content-length").and_then(|length| length.parse::<usize>().ok());
                whole = head_bytes + length.expect("every answer tells its length");
            }
        }
        if self.buffer.starts_with(b"HTTP/1.1 2") {
            return Ok(head_bytes);
        }
        Err(Error::other(String::from_utf8_lossy(&self.buffer).into_owned()))
    }
}

/// The value of a header that a server wrote in lower case.
fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let lines = std::str::from_utf8(head).ok()?.split("\r\n");
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}
