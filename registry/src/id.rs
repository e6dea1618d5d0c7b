//! Names and digests, each checked where it is made, so that what holds one need not check again.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// SHA-256 of some bytes, as text `sha256:<hex>`: the name that content has wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// 64 lowercase hexadecimal digits; safe as a part of a file's name.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    /// A digest that was made piece by piece.
    fn from(sha256: [u8; 32]) -> Self {
        Self(hex::encode(sha256))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match text
            .strip_prefix("sha256:")
            .filter(|hex| hex.len() == 64 && hex.bytes().all(is_digit))
        {
            Some(hex) => Ok(Self(hex.to_owned())),
            None => Err(Error::Form {
                what: "digest",
                text,
                expected: "sha256: and 64 lowercase hexadecimal digits",
            }),
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
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

#[cfg(test)]
mod tests {
    use super::{Digest, TenantId};

    #[test]
    fn names_are_safe_in_paths_and_keys() {
        for good in ["a", "acme", "acme-2", &"a".repeat(40)] {
            assert_eq!(TenantId::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "A",
            "2a",
            "-a",
            "a_b",
            "a.b",
            "a/b",
            "..",
            "a b",
            "ä",
            &"a".repeat(41),
        ] {
            assert_eq!(TenantId::new(bad).unwrap_err().code(), "name-malformed", "{bad}");
        }
    }

    #[test]
    fn digests_are_written_as_they_are_read() {
        // FIPS 180-4, the digest of "abc".
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(Digest::try_from(text.to_owned()).unwrap(), Digest::of(b"abc"));
        for bad in [
            "",
            "sha256:",
            &text[7..],
            &text.to_uppercase(),
            &text[..70],
            "sha256:../../../x",
        ] {
            assert!(Digest::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
