//! What a server says that did not do as it was asked.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::capability::blobs::BlobError;

/// A failure of one operation.
pub(super) type Refused<E> = SdkError<E, HttpResponse>;

/// Longest explanation that an error repeats, in characters.
const REASON_CHARS_MAX: usize = 300;

/// The status of its answer, if there was one.
pub(super) fn status<E>(error: &Refused<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether what was named is not there. A version that is none is malformed to some servers, and the mark of a removal
/// allows no reading.
pub(super) fn is_absent<E>(error: &Refused<E>, version: Option<&str>) -> bool {
    match status(error) {
        Some(404) => true,
        Some(400 | 405) => version.is_some(),
        _ => false,
    }
}

/// For the log and whoever may try again.
pub(super) fn failed<E>(error: &Refused<E>) -> BlobError
where
    Refused<E>: std::error::Error + ProvideErrorMetadata,
{
    let told = match (status(error), error.code()) {
        (Some(status), Some(code)) => format!(
            "{status} {code}: {}",
            error.message().unwrap_or("without a message")
        ),
        _ => DisplayErrorContext(error).to_string(),
    };
    let told: String = told.chars().take(REASON_CHARS_MAX).collect();
    BlobError::Failed(format!("s3: {told}"))
}
