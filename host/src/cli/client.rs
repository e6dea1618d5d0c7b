//! Requests to a running host.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request, Response};
use serde_json::Value;
use ureq::{Agent, Body, SendBody};

/// Longest wait for an answer; compiling a large component takes seconds.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Longest silence while events are followed; the host says every few seconds that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Largest answer, and largest event, that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// One host and one credential.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
    url: String,
    token: String,
}

impl Client {
    /// For the host at `url`.
    pub(super) fn new(url: &str, token: Option<&str>) -> Result<Self> {
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let token =
            token.context("no token: set MILLWORK_TOKEN, such as to \"$(cat DIR/operator-token)\"")?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build();
        Ok(Self {
            agent: config.into(),
            url: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
        })
    }

    /// The tenant that was named, else the credential's.
    pub(super) fn tenant(&self, named: Option<&str>) -> Result<String> {
        let own =
            || tenant_of(&self.token).context("the token belongs to no tenant: say which with --tenant");
        named.map_or_else(own, |tenant| Ok(tenant.to_owned()))
    }

    /// Asks.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let request = self.request(Method::GET, path).body(())?;
        self.answer(self.agent.run(request))
    }

    /// Sends JSON.
    pub(super) fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let request = self
            .request(method, path)
            .header("content-type", "application/json");
        self.answer(self.agent.run(request.body(serde_json::to_vec(body)?)?))
    }

    /// Asks for a change without waiting until it is made. No body is sent where there is nothing to say.
    pub(super) fn begin(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let request = self.request(method, path).header("prefer", "respond-async");
        if body.is_null() {
            return self.answer(self.agent.run(request.body(())?));
        }
        let request = request.header("content-type", "application/json");
        self.answer(self.agent.run(request.body(serde_json::to_vec(body)?)?))
    }

    /// What a path gives, for as long as something comes.
    fn stream(&self, path: &str) -> Result<impl Read + use<>> {
        let request = self.request(Method::GET, path).body(())?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(None)
            .timeout_per_read(Some(SILENCE_MAX))
            .build();
        let response = self.agent.run(request);
        let response = response.map_err(|error| anyhow!("no answer from {}: {error}", self.url))?;
        if response.status().is_success() {
            return Ok(response.into_body().into_reader());
        }
        match self.answer(Ok(response)) {
            Err(refusal) => Err(refusal),
            Ok(_) => bail!("{} answers with what is no stream", self.url),
        }
    }

    /// Follows server-sent events, each with JSON as its data, until `each` has seen enough or the host ends them.
    pub(super) fn follow(&self, path: &str, mut each: impl FnMut(Value) -> ControlFlow<()>) -> Result<()> {
        let mut reader = BufReader::new(self.stream(path)?);
        let mut line = String::new();
        loop {
            line.clear();
            let read = (&mut reader).take(ANSWER_BYTES_MAX).read_line(&mut line);
            if read.context("the host has ended the connection")? == 0 {
                return Ok(());
            }
            // The host writes the data of an event in one line; names, ids and comments are passed over.
            let Some(data) = line.strip_prefix("data:") else {
                continue;
            };
            if each(serde_json::from_str(data)?).is_break() {
                return Ok(());
            }
        }
    }

    /// Writes what comes, as it comes, for as long as it comes.
    pub(super) fn download(&self, path: &str, mut to: impl Write) -> Result<()> {
        let mut from = self.stream(path)?;
        io::copy(&mut from, &mut to).context("the host has ended the connection")?;
        Ok(to.flush()?)
    }

    /// Sends what a reader gives, and waits for the answer as long as the host takes for it.
    pub(super) fn upload_from(&self, path: &str, media_type: &str, from: &mut impl Read) -> Result<Value> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", media_type);
        let request = request.body(SendBody::from_reader(from))?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        self.answer(self.agent.run(request))
    }

    /// Sends a component.
    pub(super) fn upload(&self, path: &str, wasm: Vec<u8>) -> Result<Value> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/wasm");
        self.answer(self.agent.run(request.body(wasm)?))
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let authorization = format!("Bearer {}", self.token);
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("authorization", authorization)
    }

    fn answer(&self, response: Result<Response<Body>, ureq::Error>) -> Result<Value> {
        let mut response = response.map_err(|error| anyhow!("no answer from {}: {error}", self.url))?;
        let status = response.status();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|_| anyhow!("{} answers {status}, but not as Millwork does", self.url))?;
        if status.is_success() {
            Ok(answer)
        } else {
            bail!(sentence(&answer))
        }
    }
}

/// A problem as one sentence: `name is too long (too-long)`.
fn sentence(problem: &Value) -> String {
    let text = |key| problem.get(key).and_then(Value::as_str);
    let detail = text("detail").or(text("title")).unwrap_or("the host refuses");
    let errors = problem
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let errors: Vec<_> = errors
        .filter_map(|error| error.get("message")?.as_str())
        .collect();
    let errors = if errors.len() > 1 {
        format!(": {}", errors.join("; "))
    } else {
        String::new()
    };
    format!("{detail}{errors} ({})", text("code").unwrap_or("no code"))
}

/// The tenant that a token names. It is not verified here: the host does that.
fn tenant_of(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.get("tenant")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_are_one_sentence_with_the_code() {
        let one = json!({"detail": "tenant acme exists already", "code": "tenant-exists"});
        assert_eq!(sentence(&one), "tenant acme exists already (tenant-exists)");
        let two = json!({"detail": "2 rules are broken", "code": "schema",
            "errors": [{"message": "a is missing"}, {"message": "b is no text"}]});
        assert_eq!(
            sentence(&two),
            "2 rules are broken: a is missing; b is no text (schema)"
        );
    }

    #[test]
    fn the_tenant_is_the_tokens_unless_named() {
        let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(r#"{"tenant":"acme"}"#));
        let client = Client::new("http://h/", Some(&token)).unwrap();
        assert_eq!(client.tenant(None).unwrap(), "acme");
        assert_eq!(client.tenant(Some("zenith")).unwrap(), "zenith");
        assert!(
            Client::new("http://h", Some("opaque"))
                .unwrap()
                .tenant(None)
                .is_err()
        );
        assert!(Client::new("http://h", Some(" ")).is_err());
    }
}
