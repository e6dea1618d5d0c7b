//! The baseline of HTTP: a server that parses a JSON body and answers with as many bytes as the host does.
//!
//! A process of its own, with the host's runtime and its way of accepting connections, and nothing else.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::any;
use millwork_host::config::HttpLimits;
use millwork_host::http;
use serde_json::{Value, json};

/// Starts this program as the echo; the bytes of an answer follow.
pub(crate) const ARGUMENT: &str = "--echo";

/// A running echo; ended when dropped.
pub(crate) struct Echo {
    child: Child,
    pub(crate) address: String,
}

impl Echo {
    /// An echo whose answers have about `answer_bytes`.
    pub(crate) fn start(answer_bytes: usize) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args([ARGUMENT, &answer_bytes.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the echo starts");
        let out = child.stdout.take().expect("its output is a pipe");
        let address = BufReader::new(out)
            .lines()
            .next()
            .expect("a line")
            .expect("its address");
        Self { child, address }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself, which the load has noticed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the process is ended.
pub(crate) fn serve(answer_bytes: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async move {
        let limits = HttpLimits::default();
        let serving = http::listen(([127, 0, 0, 1], 0).into(), limits)
            .await
            .expect("a free port");
        println!("{}", serving.address().expect("an address"));
        let router =
            Router::new().fallback(any(move |body: Bytes| async move { answer(&body, answer_bytes) }));
        serving.run(router, std::future::pending()).await;
    });
}

fn answer(body: &[u8], answer_bytes: usize) -> Response {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let filler = "x".repeat(answer_bytes.saturating_sub(body.len() + 20));
    let text = json!({ "echo": parsed, "filler": filler }).to_string();
    let mut response = Response::new(Body::from(text));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, "application/json".parse().expect("a media type"));
    response
}
