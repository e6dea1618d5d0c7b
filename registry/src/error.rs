//! What can go wrong in the registry.

use std::fmt;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name has not the form that keeps it safe in paths and keys; the caller corrects it.
    #[error(
        "{what} name {text:?} must start with a lowercase letter and hold only lowercase letters, digits and \
         hyphens, 40 at most"
    )]
    Name {
        /// Whose name.
        what: &'static str,
        /// The text refused.
        text: String,
    },
    /// A text has not the form of what it stands for; the caller corrects it.
    #[error("{what} {text:?} must be {expected}")]
    Form {
        /// What the text stands for.
        what: &'static str,
        /// The text refused.
        text: String,
        /// The form, in words.
        expected: &'static str,
    },
    /// The manifest is no YAML, or has other keys or types than a manifest; the publisher corrects it.
    #[error("manifest: {0}")]
    ManifestSyntax(String),
    /// The manifest contradicts itself; the publisher corrects all of it at once.
    #[error("manifest: {0}")]
    ManifestInvalid(Problems),
    /// A value does not fit a schema of the manifest; whoever made the value corrects it.
    #[error("{what}: {message}")]
    SchemaMismatch {
        /// What the value is.
        what: &'static str,
        /// Where it differs and how.
        message: String,
    },
}

impl Error {
    /// A word for programs: never changes for one kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name-malformed",
            Self::Form { .. } => "text-malformed",
            Self::ManifestSyntax(_) => "manifest-malformed",
            Self::ManifestInvalid(_) => "manifest-invalid",
            Self::SchemaMismatch { .. } => "schema-mismatch",
        }
    }
}

/// One thing that is wrong in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Keys from the top, dotted: `aggregates.Invoice.commands.CreateInvoice.facts.client`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong in a manifest, in the order of its keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes one more.
    pub(crate) fn add(&mut self, place: impl fmt::Display, message: impl fmt::Display) {
        self.0.push(Problem {
            place: place.to_string(),
            message: message.to_string(),
        });
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
