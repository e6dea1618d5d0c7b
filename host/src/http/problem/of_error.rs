//! Which problem each [`Error`] is.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use millwork_registry::Error as Refusal;

use super::{Kind, Problem};
use crate::artifact::ArtifactError;
use crate::capability::blobs::BlobError;
use crate::capability::blobs::link::LinkError;
use crate::capability::sessions::SessionError;
use crate::engine::CallError;
use crate::error::{Error, Rejection, Violation};
use crate::migrate::ArchiveError;

/// The credential is absent, not wrong: RFC 6750 wants no error code then.
pub(in crate::http) const NO_CREDENTIAL: &str = "a bearer token is needed";

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Rejected(rejection) => rejected(rejection),
            Error::Schema(violations) => violated("schema", violations),
            Error::Malformed(detail) => Self::new(Kind::Malformed, "malformed", detail),
            Error::NotFound { .. } => Self::new(Kind::NotFound, "not-found", text),
            Error::NoTenant(_) => Self::new(Kind::NotFound, "no-tenant", text),
            Error::Exists { .. } => Self::new(Kind::Conflict, "exists", text),
            Error::VersionMismatch { .. } => Self::new(Kind::VersionMismatch, "version-mismatch", text),
            Error::ClaimTaken(_) => Self::new(Kind::Conflict, "claim-taken", text),
            Error::KeyReused(_) => Self::new(Kind::Invalid, "idempotency-key-reused", text),
            Error::Contention(_) => Self::new(Kind::Unavailable, "contention", text).retry_after(1),
            Error::Behind { .. } => Self::new(Kind::Unavailable, "read-model-behind", text).retry_after(1),
            Error::Unauthenticated(why) => unauthenticated(why),
            Error::Forbidden(_) => Self::new(Kind::Forbidden, "forbidden", text),
            Error::Component { ref source, .. } => component(source, &error),
            Error::Contract { .. } => Self::internal("component-contract", text),
            Error::Registry(refusal) => registry(&refusal),
            Error::Artifact(failure) => artifact(&failure),
            Error::Load { .. } => Self::new(Kind::Invalid, "release-unusable", text),
            Error::Activation { reason, .. } => Self::new(Kind::Conflict, reason.code, text),
            Error::ModuleBroken(_) => Self::new(Kind::Unavailable, "module-broken", text).retry_after(60),
            Error::Quarantined { left, .. } => {
                Self::new(Kind::Unavailable, "module-quarantined", text).retry_after(seconds(left))
            }
            Error::SwapUnderWay { .. } => Self::new(Kind::Conflict, "swap-under-way", text),
            Error::SwapStage { .. } => Self::new(Kind::Conflict, "swap-stage", text),
            Error::Diverges(_) => Self::new(Kind::Conflict, "replay-diverges", text),
            Error::OneWay(_) => Self::new(Kind::Conflict, "one-way", text),
            Error::CanaryFailed(_) => Self::new(Kind::Conflict, "canary-failed", text),
            Error::SwapCancelled { .. } => Self::new(Kind::Conflict, "swap-cancelled", text),
            Error::NotDelivered { .. } => Self::new(Kind::Conflict, "not-delivered", text),
            Error::NotRepeatable(_) => Self::new(Kind::Invalid, "read-model-not-repeatable", text),
            Error::Moving(_) => Self::new(Kind::Unavailable, "tenant-moving", text).retry_after(30),
            Error::NotFrozen(_) => Self::new(Kind::Conflict, "tenant-not-frozen", text),
            Error::Busy(_) => Self::new(Kind::Unavailable, "tenant-busy", text).retry_after(1),
            Error::Homeless(_) => Self::new(Kind::Unavailable, "tenant-homeless", text).retry_after(1),
            Error::Archive(refusal) => archive(&refusal),
            Error::Unavailable(_) => unavailable(text),
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        let code = match error {
            LinkError::Invalid => "link-invalid",
            LinkError::Expired => "link-expired",
        };
        Self::new(Kind::Forbidden, code, error.to_string())
    }
}

impl From<BlobError> for Problem {
    fn from(error: BlobError) -> Self {
        let text = error.to_string();
        match error {
            BlobError::NotFound => Self::new(Kind::NotFound, "no-blob", text),
            BlobError::Differs(_) => Self::new(Kind::Invalid, "blob-differs", text),
            BlobError::TooLarge(_) => Self::new(Kind::TooLarge, "body-too-large", text),
            BlobError::Malformed(_) => Self::new(Kind::Malformed, "malformed", text),
            BlobError::Failed(_) => unavailable(text),
        }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        let why = "what keeps the sessions does not answer; try again later";
        let mut problem = Self::new(Kind::Unavailable, "sessions-unavailable", why).retry_after(1);
        problem.0.cause = Some(error.to_string());
        problem
    }
}

/// Whole seconds, rounded up.
fn seconds(left: Duration) -> u16 {
    u16::try_from(left.as_secs().saturating_add(1)).unwrap_or(u16::MAX)
}

fn rejected(rejection: Rejection) -> Problem {
    match rejection {
        Rejection::Invalid(violations) => violated("invalid", violations),
        Rejection::NotFound(reason) => Problem::new(Kind::NotFound, reason.code, reason.message),
        Rejection::Conflict(reason) => Problem::new(Kind::Conflict, reason.code, reason.message),
        Rejection::Forbidden(reason) => Problem::new(Kind::Forbidden, reason.code, reason.message),
    }
}

/// Most characters of one violation's message: validators quote the value, which may be as large as a body.
const MESSAGE_CHARS_MAX: usize = 400;

fn violated(code: &'static str, mut errors: Vec<Violation>) -> Problem {
    errors.iter_mut().for_each(|error| shorten(&mut error.message));
    let detail = match errors.as_slice() {
        [one] if one.pointer.is_empty() => one.message.clone(),
        [one] => format!("{}: {}", one.pointer, one.message),
        all => format!("{} rules are broken; see errors", all.len()),
    };
    let mut problem = Problem::new(Kind::Invalid, code, detail);
    problem.0.errors = errors;
    problem
}

fn shorten(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
        message.truncate(end);
        message.push('…');
    }
}

fn unauthenticated(why: &'static str) -> Problem {
    let invalid_token = (why != NO_CREDENTIAL).then_some(why);
    let code = if invalid_token.is_some() {
        "token-invalid"
    } else {
        "token-missing"
    };
    Problem::new(Kind::Unauthenticated, code, why).challenge(invalid_token)
}

fn component(source: &CallError, error: &Error) -> Problem {
    let cause = chain(error);
    match source {
        CallError::Unavailable(_) => unavailable(cause),
        CallError::Trap { backtrace, .. } => {
            Problem::internal(source.code(), format!("{cause}\n{backtrace}"))
        }
        _ => Problem::internal(source.code(), cause),
    }
}

/// Every error of the chain, outermost first. `Display` of an outer one may already tell the inner one.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(inner) = next {
        let told = inner.to_string();
        if !text.contains(&told) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, ": {told}");
        }
        next = inner.source();
    }
    text
}

fn unavailable(cause: String) -> Problem {
    let detail = "something the host needs does not answer; try again later";
    let mut problem = Problem::new(Kind::Unavailable, "unavailable", detail).retry_after(1);
    problem.0.cause = Some(cause);
    problem
}

fn artifact(failure: &ArtifactError) -> Problem {
    let kind = match failure {
        ArtifactError::NotFound(_) => Kind::NotFound,
        ArtifactError::TooLarge { .. } => Kind::TooLarge,
        // Said in words: what does not answer is not part of this host.
        ArtifactError::Unreachable { .. } | ArtifactError::Failed { .. } => Kind::Unavailable,
        ArtifactError::Malformed(_) | ArtifactError::Denied { .. } | ArtifactError::NotComponent { .. } => {
            Kind::Invalid
        }
    };
    Problem::new(kind, failure.code(), failure.to_string())
}

fn archive(refusal: &ArchiveError) -> Problem {
    match refusal {
        ArchiveError::Damaged(_) | ArchiveError::Newer(_) => {
            Problem::new(Kind::Invalid, refusal.code(), refusal.to_string())
        }
        ArchiveError::TooLarge(_) => Problem::new(Kind::TooLarge, refusal.code(), refusal.to_string()),
        ArchiveError::Unverified(_) => Problem::internal(refusal.code(), refusal.to_string()),
        ArchiveError::Io(_) => unavailable(refusal.to_string()),
    }
}

fn registry(refusal: &Refusal) -> Problem {
    let kind = match refusal {
        Refusal::NoRelease { .. } | Refusal::NotEnabled { .. } => Kind::NotFound,
        Refusal::NoGeneration { .. } | Refusal::NoTenant(_) | Refusal::NoSwap { .. } => Kind::NotFound,
        Refusal::NoKey(_) => Kind::NotFound,
        Refusal::ReleaseExists { .. } | Refusal::TenantExists(_) => Kind::Conflict,
        Refusal::PublisherUnknown { .. } | Refusal::KeyRevoked { .. } => Kind::Conflict,
        Refusal::NameTaken { .. } | Refusal::Yanked { .. } => Kind::Conflict,
        Refusal::DependenciesUnmet(_) | Refusal::RoutesCollide(_) => Kind::Conflict,
        Refusal::Conflict(_) | Refusal::NoVersionFits(_) => Kind::Conflict,
        Refusal::NotGranted { .. } | Refusal::GenerationOutdated { .. } => Kind::Conflict,
        Refusal::SwapStage { .. } | Refusal::SwapTakenOver { .. } => Kind::Conflict,
        Refusal::TooLarge { .. } => Kind::TooLarge,
        Refusal::Damaged { .. } => return Problem::internal(refusal.code(), refusal.to_string()),
        Refusal::Unavailable(_) => {
            let problem = Problem::new(Kind::Unavailable, refusal.code(), refusal.to_string());
            return problem.retry_after(1);
        }
        Refusal::Io { .. } => return unavailable(refusal.to_string()),
        _ => Kind::Invalid,
    };
    Problem::new(kind, refusal.code(), refusal.to_string())
}
