//! How the business says no.

use crate::bindings::lifecycle::millwork::module::types::Reason;
pub use crate::bindings::lifecycle::millwork::module::types::{Rejection, Violation};

impl Rejection {
    /// One place of the body breaks a rule that no schema can state (HTTP 422). `pointer` is a JSON Pointer (RFC 6901)
    /// into it, `code` stable for programs, `message` one sentence for people.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation {
            pointer: pointer.into(),
            code: code.to_owned(),
            message: message.into(),
        }])
    }

    /// What the command names does not exist (404).
    #[must_use]
    pub fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::NotFound(reason(code, message))
    }

    /// The state, a claim or another fact forbids it now (409).
    #[must_use]
    pub fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::Conflict(reason(code, message))
    }

    /// This user may not (403).
    #[must_use]
    pub fn forbidden(code: &str, message: impl Into<String>) -> Self {
        Self::Forbidden(reason(code, message))
    }

    /// The stable code, of the first violation where there are several.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Invalid(violations) => violations.first().map_or("", |v| v.code.as_str()),
            Self::NotFound(r) | Self::Conflict(r) | Self::Forbidden(r) => &r.code,
        }
    }
}

fn reason(code: &str, message: impl Into<String>) -> Reason {
    Reason {
        code: code.to_owned(),
        message: message.into(),
    }
}

/// Finds all violations of a body before it is refused, so that the caller can mend them at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes one; see [`Rejection::invalid`].
    pub fn add(&mut self, pointer: impl Into<String>, code: &str, message: &str) {
        self.0.push(Violation {
            pointer: pointer.into(),
            code: code.to_owned(),
            message: message.to_owned(),
        });
    }

    /// Ends the search.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] when any was found.
    pub fn check(self) -> Result<(), Rejection> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Rejection::Invalid(self.0))
        }
    }
}
