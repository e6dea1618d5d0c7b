//! How failures look to clients: RFC 9457 problem details with a stable code, a sentence, and the correlation id.
//!
//! The only file that names HTTP status codes. A [`Problem`] travels as an extension of an empty response up to
//! [`super::exchange`], which knows the correlation id, logs the cause and calls [`Problem::render`]. What a client reads
//! never holds internals; [`Problem::cause`] does, for the log alone.

mod of_error;

pub(super) use self::of_error::NO_CREDENTIAL;
use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::config::rate::Rate;
use crate::error::Violation;

/// Done; the answer is in the body.
pub(super) const OK: StatusCode = StatusCode::OK;
/// A command has started an aggregate, or an administrator has made something.
pub(super) const CREATED: StatusCode = StatusCode::CREATED;
/// It goes on; the answer says how far it has come.
pub(super) const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
/// The client has this version already.
pub(super) const NOT_MODIFIED: StatusCode = StatusCode::NOT_MODIFIED;

/// Prefix of every problem's `type`. A URN, since it identifies and is not fetched.
pub(super) const TYPE_PREFIX: &str = "urn:millwork:problem:";
/// Media type of problems.
pub(super) const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// What a client may read about a failure inside.
const INTERNAL: &str = "this request failed inside the host; the log has the cause under the correlation id";

/// What is wrong with a request, ready to be told. Boxed, so that results that nearly always succeed stay small.
#[derive(Debug, Clone)]
pub struct Problem(Box<Content>);

#[derive(Debug, Clone)]
struct Content {
    kind: Kind,
    code: Cow<'static, str>,
    detail: String,
    errors: Vec<Violation>,
    header: Option<(HeaderName, HeaderValue)>,
    cause: Option<String>,
}

/// Status and title of problems that clients handle alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Malformed,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    Conflict,
    VersionMismatch,
    TooLarge,
    MediaType,
    Invalid,
    TooMany,
    Internal,
    Unavailable,
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::VersionMismatch => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request is not understood",
            Self::Unauthenticated => "A valid credential is needed",
            Self::Forbidden => "The credential does not allow this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The path has other methods",
            Self::BodyTimeout => "The body took too long to arrive",
            Self::Conflict => "The present state does not allow this",
            Self::VersionMismatch => "Somebody else was faster",
            Self::TooLarge => "The body is too large",
            Self::MediaType => "The body has another media type than is understood",
            Self::Invalid => "The request breaks rules",
            Self::TooMany => "Too many requests",
            Self::Internal => "The request failed inside the host",
            Self::Unavailable => "Not possible at the moment",
        }
    }
}

/// Statuses that answers to commands may have beside success, for the API's documentation.
pub(super) fn of_commands() -> impl Iterator<Item = String> {
    let own = [
        Kind::Conflict,
        Kind::VersionMismatch,
        Kind::TooLarge,
        Kind::MediaType,
    ];
    of_reads().chain(own.into_iter().map(|kind| kind.status().as_str().to_owned()))
}

/// Statuses that answers to views and queries may have beside success.
pub(super) fn of_reads() -> impl Iterator<Item = String> {
    use Kind::{Forbidden, Internal, Invalid, Malformed, NotFound, TooMany, Unauthenticated, Unavailable};
    let kinds = [
        Malformed,
        Unauthenticated,
        Forbidden,
        NotFound,
        Invalid,
        TooMany,
        Internal,
        Unavailable,
    ];
    kinds.into_iter().map(|kind| kind.status().as_str().to_owned())
}

/// Problem details as RFC 9457 writes them.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
}

impl Problem {
    fn new(kind: Kind, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self(Box::new(Content {
            kind,
            code: code.into(),
            detail: detail.into(),
            errors: Vec::new(),
            header: None,
            cause: None,
        }))
    }

    /// The credential is the host's operator's, and modules work for tenants.
    pub(super) fn no_tenant() -> Self {
        Self::new(
            Kind::Forbidden,
            "no-tenant-credential",
            "this credential belongs to no tenant",
        )
    }

    /// A session is shown that has ended, or that never was one of the tenant that it names.
    pub(super) fn session_over() -> Self {
        let why = "the session has ended; sign in again";
        Self::new(Kind::Unauthenticated, "session-over", why).challenge(Some(why))
    }

    /// A cookie came from a page that is not of this host's origin, or not known to be.
    pub(super) fn cross_site() -> Self {
        let why = "with the session's cookie, changes are taken from pages of the same origin alone; send the session as a \
                   bearer token instead";
        Self::new(Kind::Forbidden, "cross-site", why)
    }

    /// A session was to begin another.
    pub(super) fn token_needed() -> Self {
        let why = "a session is begun with a token, and not with another session";
        Self::new(Kind::Forbidden, "token-needed", why)
    }

    /// No route answers this path.
    pub(super) fn no_route() -> Self {
        Self::new(Kind::NotFound, "no-route", "nothing answers at this path")
    }

    /// The path is there, the method is not; `allow` lists those that are.
    pub(super) fn method_not_allowed(allow: &str) -> Self {
        let mut problem = Self::new(
            Kind::MethodNotAllowed,
            "method-not-allowed",
            format!("this path allows {allow}"),
        );
        problem.0.header = HeaderValue::from_str(allow).ok().map(|value| (ALLOW, value));
        problem
    }

    /// More requests than a tenant or a user may send; `whose` says which of them.
    pub(super) fn rate_limited(whose: &str, rate: Rate, seconds: u16) -> Self {
        let Rate { per_second, burst } = rate;
        Self::new(
            Kind::TooMany,
            "rate-limited",
            format!(
                "requests of one {whose} are limited to {per_second} a second and {burst} at once; try again after {seconds} s"
            ),
        )
        .retry_after(seconds)
    }

    /// Over a limit on bodies, in bytes.
    pub(super) fn body_too_large(limit_bytes: usize) -> Self {
        Self::new(
            Kind::TooLarge,
            "body-too-large",
            format!("a body may have {limit_bytes} bytes here"),
        )
    }

    /// A body of another type than the one that is understood here.
    pub(super) fn media_type(expected: &str) -> Self {
        Self::new(
            Kind::MediaType,
            "media-type",
            format!("the body must be {expected}"),
        )
    }

    /// The connection broke, or the framing is wrong, while the body arrived.
    pub(super) fn body_unreadable() -> Self {
        Self::new(
            Kind::Malformed,
            "body-unreadable",
            "the body could not be read to its end",
        )
    }

    /// The body did not arrive in time.
    pub(super) fn body_timeout() -> Self {
        Self::new(
            Kind::BodyTimeout,
            "body-timeout",
            "the body did not arrive in time",
        )
    }

    /// The host did not finish in time. A command may have been recorded: the idempotency key tells.
    pub(super) fn timeout() -> Self {
        let detail = "the request took too long; a command may still be recorded: repeat it with the same Idempotency-Key";
        Self::new(Kind::Unavailable, "timeout", detail).retry_after(1)
    }

    /// The host is starting or stopping, or has not reached the servers of a profile.
    pub(super) fn not_ready(unreached: Option<&String>) -> Self {
        let said = unreached.map_or_else(
            || "the host is not ready yet".to_owned(),
            |profile| format!("the host has not reached the servers of profile {profile:?} yet"),
        );
        Self::new(Kind::Unavailable, "not-ready", said).retry_after(1)
    }

    /// Something that only a bug in the host can bring about; `cause` is for the log.
    pub(super) fn bug(cause: String) -> Self {
        Self::internal("internal", cause)
    }

    /// For an error status that somebody below the handlers gave without a problem.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::no_route(),
            // Whoever answers so adds the header with the methods.
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                Kind::MethodNotAllowed,
                "method-not-allowed",
                "this path has other methods; see the header Allow",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(Kind::TooLarge, "body-too-large", "the body is too large")
            }
            status if status.is_client_error() => {
                Self::new(Kind::Malformed, "malformed", "the request is not understood")
            }
            status => Self::internal("internal", format!("a bare response of status {status}")),
        }
    }

    fn internal(code: impl Into<Cow<'static, str>>, cause: String) -> Self {
        let mut problem = Self::new(Kind::Internal, code, INTERNAL);
        problem.0.cause = Some(cause);
        problem
    }

    fn retry_after(mut self, seconds: u16) -> Self {
        self.0.header = Some((RETRY_AFTER, HeaderValue::from(seconds)));
        self
    }

    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// What happened inside, for the log: set for failures that are not the caller's.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The response that clients read; `instance` is the correlation id.
    pub(super) fn render(&self, instance: &str) -> Response {
        let details = Details {
            kind: format!("{TYPE_PREFIX}{}", self.0.code),
            title: self.0.kind.title(),
            status: self.0.kind.status().as_u16(),
            detail: &self.0.detail,
            code: &self.0.code,
            instance,
            errors: &self.0.errors,
        };
        // Serializing texts and numbers to memory cannot fail; an empty body would still carry the status.
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.0.kind.status();
        response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
        if let Some((name, value)) = &self.0.header {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// What RFC 6750 asks for beside a refused credential.
    fn challenge(mut self, invalid_token: Option<&str>) -> Self {
        let text = match invalid_token {
            Some(why) => {
                format!(r#"Bearer realm="millwork", error="invalid_token", error_description="{why}""#)
            }
            None => r#"Bearer realm="millwork""#.to_owned(),
        };
        self.0.header = HeaderValue::from_str(&text)
            .ok()
            .map(|value| (WWW_AUTHENTICATE, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests;
