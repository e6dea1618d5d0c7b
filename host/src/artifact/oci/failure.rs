//! What a registry's failure means for whoever asked.

use std::error::Error;

use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};

use super::super::ArtifactError;
use super::reference::Target;

/// Most characters of what a registry says that are passed on.
const DETAIL_CHARS_MAX: usize = 300;
/// HTTP status by which registries say no, where they say nothing else.
const NOT_FOUND: u16 = 404;
/// The same, for a user who is not known or may not.
const DENIED: [u16; 2] = [401, 403];

pub(super) fn of(target: &Target, error: &OciDistributionError) -> ArtifactError {
    let registry = || target.reference.registry().to_owned();
    let detail = || told(error);
    let not_found = || ArtifactError::NotFound(target.reference.whole());
    let denied = || ArtifactError::Denied {
        registry: registry(),
        detail: detail(),
    };
    match error {
        OciDistributionError::RequestError(_) => target.unreachable(detail()),
        OciDistributionError::ImageManifestNotFoundError(_) => not_found(),
        OciDistributionError::RegistryError { envelope, .. } if is_absent(envelope) => not_found(),
        OciDistributionError::RegistryError { envelope, .. } if is_denied(envelope) => denied(),
        OciDistributionError::ServerError { code, .. } if *code == NOT_FOUND => not_found(),
        OciDistributionError::ServerError { code, .. } if DENIED.contains(code) => denied(),
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            denied()
        }
        _ => ArtifactError::Failed {
            registry: registry(),
            detail: detail(),
        },
    }
}

fn is_absent(envelope: &OciEnvelope) -> bool {
    envelope.errors.iter().any(|error| {
        matches!(
            error.code,
            OciErrorCode::ManifestUnknown
                | OciErrorCode::NameUnknown
                | OciErrorCode::BlobUnknown
                | OciErrorCode::NotFound
        )
    })
}

fn is_denied(envelope: &OciEnvelope) -> bool {
    envelope
        .errors
        .iter()
        .any(|error| matches!(error.code, OciErrorCode::Unauthorized | OciErrorCode::Denied))
}

/// The error and its causes, in one line.
fn told(error: &OciDistributionError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_told = cause.to_string();
        if !text.contains(&cause_told) {
            text.push_str(": ");
            text.push_str(&cause_told);
        }
        next = cause.source();
    }
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(DETAIL_CHARS_MAX)
        .collect()
}
