//! Names and digests, each checked where it is made, so that what holds one need not check again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Longest name of a tenant or a component, in bytes.
pub const NAME_BYTES_MAX: usize = 40;

/// A tenant: lowercase letters, digits and hyphens, at most [`NAME_BYTES_MAX`], starting with a letter.
///
/// Safe as a folder name and as part of a key, which is why the form is so narrow.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    /// Checks the form.
    ///
    /// # Errors
    /// [`Error::Name`] when the text has another form.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        check_name("tenant", &text)?;
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::new(text)
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0
    }
}

/// The form of tenants' and components' names.
pub(crate) fn check_name(what: &'static str, text: &str) -> Result<(), Error> {
    let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let holds = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if starts_well && holds && text.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Name {
        what,
        text: text.to_owned(),
    })
}
