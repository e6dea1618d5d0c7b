//! A small HTTP client: one host, one credential, answers that can be held against expectations in one line.

use std::time::Duration;

use http::{HeaderMap, Method, Request};
use serde_json::Value;
use ureq::Agent;

/// Longest wait for an answer; compiling a large component takes seconds.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Connections kept open for the next request.
const IDLE_CONNECTIONS: usize = 256;
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// One host and one credential. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// A request that is being put together.
#[must_use]
pub struct Ask<'a> {
    client: &'a Client,
    builder: http::request::Builder,
    body: Vec<u8>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// As it came.
    pub body: Vec<u8>,
}

impl Client {
    /// For the host at `url`, such as `http://127.0.0.1:8080`.
    #[must_use]
    pub fn new(url: &str, token: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_global(Some(TIMEOUT))
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            token: token.map(str::to_owned),
        }
    }

    /// The same host with another credential, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            ..self.clone()
        }
    }

    /// Where the host is: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The credential.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// Starts a request; `path` begins with a slash.
    pub fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        Ask {
            client: self,
            builder,
            body: Vec::new(),
        }
    }

    /// Reads.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path).send()
    }

    /// Sends JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.ask("POST", path).json(body).send()
    }

    /// Sends JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.ask("PUT", path).json(body).send()
    }

    /// Sends JSON.
    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Reply {
        self.ask("PATCH", path).json(body).send()
    }

    /// Removes.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path).send()
    }
}

impl Ask<'_> {
    /// With this header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// With an idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string().into_bytes())
    }

    /// With a body of no type, unless a header says one.
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// With any body.
    pub fn bytes(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", content_type)
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Panics
    /// When no answer comes.
    #[track_caller]
    pub fn send(self) -> Reply {
        match self.try_send() {
            Ok(reply) => reply,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn try_send(self) -> Result<Reply, ureq::Error> {
        let agent = &self.client.agent;
        let response = if self.body.is_empty() {
            agent.run(self.builder.body(())?)?
        } else {
            agent.run(self.builder.body(self.body)?)?
        };
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }
}

impl Reply {
    /// A header's value, if it is there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The code of a problem; empty when it is none.
    #[must_use]
    pub fn code(&self) -> String {
        self.json()
            .get("code")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// The body of a success.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn done(&self) -> Value {
        assert!(
            matches!(self.status, 200 | 201),
            "{} {}",
            self.status,
            self.text()
        );
        self.json()
    }

    /// The body of a problem with this status and code, in the form of RFC 9457.
    ///
    /// # Panics
    /// When it is another answer.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{}",
            self.text()
        );
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            body.get("status").and_then(Value::as_u64),
            Some(u64::from(status))
        );
        assert_eq!(
            body.get("type").and_then(Value::as_str),
            Some(format!("urn:millwork:problem:{code}").as_str())
        );
        for member in ["title", "detail", "instance"] {
            let text = body.get(member).and_then(Value::as_str).unwrap_or_default();
            assert!(!text.is_empty(), "{member} is missing: {body}");
        }
        body
    }
}
