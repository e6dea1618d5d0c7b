//! Links: requests that whoever has them may send, and those of them that this host itself answers.
//!
//! A link to this host is a path with all that it allows in it, and an HMAC (RFC 2104) with SHA-256 under a key of the host
//! over that, so that nothing of it can be changed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use millwork_registry::id::TenantId;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Address, Bucket, Content};
use crate::secret_file;

/// Below it, the host answers links.
pub const PREFIX: &str = "/blobs";
/// Name of the key's file in the data folder.
pub const KEY_FILE: &str = "links-key";

const KEY_BYTES: usize = 32;

/// A request that whoever has it may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Absolute, or a path on this host.
    pub url: String,
    /// Headers that must be sent, exactly so.
    pub headers: Vec<(String, String)>,
    /// In milliseconds since 1970.
    pub ends_at: u64,
}

/// What a link to this host allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Whose blob.
    #[serde(rename = "t")]
    pub tenant: TenantId,
    /// The module that owns the bucket.
    #[serde(rename = "m")]
    pub module: String,
    /// The bucket.
    #[serde(rename = "b")]
    pub bucket: String,
    /// The key.
    #[serde(rename = "k")]
    pub key: String,
    /// What may be done.
    #[serde(rename = "a")]
    pub act: Act,
    /// When it was made, in milliseconds since 1970: before the tenant that has the id now, perhaps.
    #[serde(rename = "i")]
    pub made_at: u64,
    /// In milliseconds since 1970.
    #[serde(rename = "e")]
    pub ends_at: u64,
    /// How long what is in the bucket lasts, in seconds.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub expire_after_s: Option<u64>,
}

/// What a link is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Read this version.
    Get(String),
    /// Write this: media type, size, sha256.
    Put(String, u64, String),
}

/// Why a link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// This host has not signed it, or something of it was changed.
    #[error("the link is none that this host has given")]
    Invalid,
    /// Its time is over.
    #[error("the link has ended")]
    Expired,
}

/// The key that signs links. Whoever has it can read and write every blob on this host's files.
pub struct LinkKey([u8; KEY_BYTES]);

impl LinkKey {
    /// The key in the data folder; made there on the first start.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds no key.
    pub fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(KEY_FILE);
        if !path.try_exists()? {
            let mut key = [0; KEY_BYTES];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            secret_file::write(&path, &key)?;
        }
        let read = fs::read(&path)?;
        let key = <[u8; KEY_BYTES]>::try_from(read.as_slice());
        key.map(Self)
            .map_err(|_| io::Error::other(format!("{}: holds no key of {KEY_BYTES} bytes", path.display())))
    }

    /// The path of a link.
    #[must_use]
    pub fn sign(&self, allowed: &Allowed) -> String {
        // Texts and numbers are always written.
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(allowed).unwrap_or_default());
        let signature = self
            .mac(&claims)
            .map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        format!("{PREFIX}/{claims}.{}", signature.unwrap_or_default())
    }

    /// What a link allows, from what stands after the prefix and its slash.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn verify(&self, text: &str, now_ms: u64) -> Result<Allowed, LinkError> {
        let (claims, signature) = text.split_once('.').ok_or(LinkError::Invalid)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| LinkError::Invalid)?;
        let mac = self.mac(claims).ok_or(LinkError::Invalid)?;
        // Takes as long wherever the first difference is.
        mac.verify_slice(&signature).map_err(|_| LinkError::Invalid)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| LinkError::Invalid)?;
        let allowed: Allowed = serde_json::from_slice(&claims).map_err(|_| LinkError::Invalid)?;
        if allowed.ends_at <= now_ms {
            return Err(LinkError::Expired);
        }
        Ok(allowed)
    }

    /// Nothing never: HMAC takes keys of every length.
    fn mac(&self, claims: &str) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(claims.as_bytes());
        Some(mac)
    }
}

impl Allowed {
    /// For one blob.
    #[must_use]
    pub fn at(at: Address<'_>, act: Act, made_at: u64, ends_at: u64) -> Self {
        Self {
            tenant: at.tenant.clone(),
            module: at.bucket.module.clone(),
            bucket: at.bucket.name.clone(),
            key: at.key.to_owned(),
            act,
            made_at,
            ends_at,
            expire_after_s: at.bucket.expire_after.map(|after| after.as_secs()),
        }
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        Bucket {
            module: self.module.clone(),
            name: self.bucket.clone(),
            expire_after: self.expire_after_s.map(Duration::from_secs),
        }
    }
}

impl Act {
    /// What is to be written, if it is that.
    #[must_use]
    pub fn content(&self) -> Option<Content> {
        match self {
            Self::Get(_) => None,
            Self::Put(media_type, size, sha256) => Some(Content {
                media_type: media_type.clone(),
                size: *size,
                sha256: sha256.clone(),
            }),
        }
    }
}

/// The last part of a key as a download's name: RFC 6266, with the encoding of RFC 8187.
#[must_use]
pub fn disposition(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap_or_default();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Allowed {
        Allowed {
            tenant: TenantId::new("acme").unwrap(),
            module: "archivist".to_owned(),
            bucket: "documents".to_owned(),
            key: "a/ä.pdf".to_owned(),
            act: Act::Get("v1".to_owned()),
            made_at: 1,
            ends_at: 1_000,
            expire_after_s: Some(3_600),
        }
    }

    fn parts(key: &LinkKey, allowed: &Allowed) -> (String, String) {
        let path = key.sign(allowed);
        let (claims, signature) = path
            .strip_prefix("/blobs/")
            .and_then(|text| text.split_once('.'))
            .unwrap();
        (claims.to_owned(), signature.to_owned())
    }

    #[test]
    fn a_link_says_what_was_signed_until_it_ends() {
        let key = LinkKey([7; KEY_BYTES]);
        let (claims, signature) = parts(&key, &allowed());
        let text = format!("{claims}.{signature}");
        assert_eq!(key.verify(&text, 999), Ok(allowed()));
        assert_eq!(allowed().bucket().expire_after, Some(Duration::from_secs(3_600)));
        assert_eq!(key.verify(&text, 1_000), Err(LinkError::Expired));
    }

    #[test]
    fn what_was_changed_or_signed_by_others_is_refused() {
        let (key, other) = (LinkKey([7; KEY_BYTES]), LinkKey([8; KEY_BYTES]));
        let (claims, signature) = parts(&key, &allowed());
        let changed = Allowed {
            tenant: TenantId::new("globex").unwrap(),
            ..allowed()
        };
        let (other_claims, _) = parts(&key, &changed);
        let (_, foreign) = parts(&other, &allowed());
        for text in [
            format!("{other_claims}.{signature}"),
            format!("{claims}.{foreign}"),
            format!("{claims}."),
            claims.clone(),
            format!("{claims}.{}", &signature[1..]),
            String::new(),
            ".".to_owned(),
        ] {
            assert_eq!(key.verify(&text, 0), Err(LinkError::Invalid), "{text}");
        }
    }

    #[test]
    fn the_key_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = LinkKey::open(folder.path()).unwrap().sign(&allowed());
        assert_eq!(LinkKey::open(folder.path()).unwrap().sign(&allowed()), path);
        fs::write(folder.path().join(KEY_FILE), b"short").unwrap();
        assert!(LinkKey::open(folder.path()).is_err());
    }

    #[test]
    fn names_of_downloads_are_escaped() {
        assert_eq!(
            disposition("a/b \"c\".pdf"),
            "attachment; filename*=UTF-8''b%20%22c%22.pdf"
        );
    }
}
