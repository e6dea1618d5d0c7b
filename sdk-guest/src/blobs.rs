//! Files and other large bytes, in buckets that the manifest declares.
//!
//! ```
//! use millwork_sdk::blobs::{self, blob};
//!
//! # fn main() -> Result<(), blobs::Error> {
//! # millwork_sdk::testing::ReadModels::default();
//! let paper = blob("documents", "contracts/2026/ACME.txt");
//! let first = paper.put(b"signed", "text/plain")?;
//! paper.put(b"signed twice", "text/plain")?;
//! assert_eq!(paper.read(0, 6)?, b"signed");
//! assert_eq!(paper.version(&first.version).read_all(1_024)?, b"signed");
//! # Ok(())
//! # }
//! ```
//!
//! Subscriptions and lifecycle write and read; queries read and make links, which is how browsers get at large files. What
//! is written is durable; a call that is tried again writes one version more.

use std::time::Duration;

use crate::bindings::lifecycle::millwork::blobs::blobs as wit;
use crate::host;
use crate::timestamp::Timestamp;

/// Most bytes that one write may hold; larger blobs are uploaded by a link.
pub const PUT_BYTES_MAX: usize = 4 << 20;
/// Most bytes that one read gives.
pub const READ_BYTES_MAX: u32 = 1 << 20;
/// Most blobs or versions that one page may hold.
pub const PAGE_MAX: u32 = 1_000;

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The manifest does not declare the bucket or has no permission for this, or the call may not do it.
    #[error("denied: {0}")]
    Denied(String),
    /// Key, prefix, version, media type, digest or cursor is not understood.
    #[error("malformed: {0}")]
    Malformed(String),
    /// There is no blob under this key, or it has no such version.
    #[error("there is no such blob")]
    NotFound,
    /// Over a limit that the message names.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The blobs cannot be reached.
    #[error("the blobs cannot be reached")]
    Unavailable,
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Denied(m) => Self::Denied(m),
            wit::Error::Malformed(m) => Self::Malformed(m),
            wit::Error::NotFound => Self::NotFound,
            wit::Error::TooLarge(m) => Self::TooLarge(m),
            wit::Error::Unavailable => Self::Unavailable,
        }
    }
}

/// One version of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Names it, for as long as it is kept.
    pub version: String,
    /// Bytes.
    pub size: u64,
    /// As it was given.
    pub media_type: String,
    /// 64 lowercase hexadecimal digits.
    pub sha256: String,
    /// When it was written, exact to the second.
    pub written_at: Timestamp,
}

/// A blob, or a version of one, in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key; of a version, its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was written, exact to the second.
    pub written_at: Timestamp,
}

/// Some of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// May be fewer than asked for, also none, with more to come.
    pub entries: Vec<Entry>,
    /// The cursor of the next page; absent on the last.
    pub next: Option<String>,
}

/// What will be uploaded, of which nothing may then differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// `type/subtype`.
    pub media_type: String,
    /// Bytes, at most 1 GiB.
    pub size: u64,
    /// 64 lowercase hexadecimal digits.
    pub sha256: String,
}

/// A request that whoever has it may send, without any other credential, until it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Absolute; or a path on the host that the tenant uses.
    pub url: String,
    /// Headers that must be sent with it, exactly so.
    pub headers: Vec<(String, String)>,
    /// When it ends.
    pub ends_at: Timestamp,
}

/// A blob by its bucket and key, whether there is one or not.
#[must_use]
pub fn blob<'a>(bucket: &'a str, key: &'a str) -> Blob<'a> {
    Blob {
        bucket,
        key,
        version: None,
    }
}

/// Blobs whose keys begin with `prefix`, by key in the order of its bytes; `limit` is 1 to [`PAGE_MAX`].
///
/// # Errors
/// See [`enum@Error`].
pub fn page(bucket: &str, prefix: &str, cursor: Option<&str>, limit: u32) -> Result<Page, Error> {
    let page = host::blobs::page(bucket, prefix, cursor, limit)?;
    let entries = page
        .entries
        .into_iter()
        .map(|entry| listed(entry.key, entry.size, entry.written_at));
    Ok(Page {
        entries: entries.collect(),
        next: page.next,
    })
}

/// See [`blob`].
#[derive(Debug, Clone, Copy)]
pub struct Blob<'a> {
    bucket: &'a str,
    key: &'a str,
    version: Option<&'a str>,
}

impl<'a> Blob<'a> {
    /// This version of it, to be read.
    #[must_use]
    pub fn version(self, version: &'a str) -> Self {
        Self {
            version: Some(version),
            ..self
        }
    }

    /// Writes it, new or not: at most [`PUT_BYTES_MAX`].
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn put(&self, body: &[u8], media_type: &str) -> Result<Info, Error> {
        Ok(host::blobs::put(self.bucket, self.key, body, media_type)?.into())
    }

    /// At most `length` bytes, 1 to [`READ_BYTES_MAX`], from `offset` on; none beyond its end.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn read(&self, offset: u64, length: u32) -> Result<Vec<u8>, Error> {
        Ok(host::blobs::read(
            self.bucket,
            self.key,
            self.version,
            offset,
            length,
        )?)
    }

    /// All of it.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when it has more than `bytes_max`; else see [`enum@Error`].
    pub fn read_all(&self, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let info = self.stat()?;
        if info.size > bytes_max {
            let why = format!("the blob has {} bytes, more than {bytes_max}", info.size);
            return Err(Error::TooLarge(why));
        }
        // That version, whoever writes another meanwhile.
        let named = self.version.map_or(info.version.as_str(), |version| version);
        let this = blob(self.bucket, self.key).version(named);
        let mut all = Vec::new();
        while (all.len() as u64) < info.size {
            let piece = this.read(all.len() as u64, READ_BYTES_MAX)?;
            if piece.is_empty() {
                return Err(Error::NotFound);
            }
            all.extend(piece);
        }
        Ok(all)
    }

    /// What is known of it.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn stat(&self) -> Result<Info, Error> {
        Ok(host::blobs::stat(self.bucket, self.key, self.version)?.into())
    }

    /// Takes the key away, if there is a blob; its versions stay.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn remove(&self) -> Result<(), Error> {
        Ok(host::blobs::remove(self.bucket, self.key)?)
    }

    /// Its versions, the last one first; `limit` is 1 to [`PAGE_MAX`].
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn versions(&self, cursor: Option<&str>, limit: u32) -> Result<Page, Error> {
        let page = host::blobs::versions(self.bucket, self.key, cursor, limit)?;
        let entries = page
            .versions
            .into_iter()
            .map(|version| listed(version.version, version.size, version.written_at));
        Ok(Page {
            entries: entries.collect(),
            next: page.next,
        })
    }

    /// A `GET` of it as it is now, as a download; for 7 days at most.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn download(&self, ttl: Duration) -> Result<Link, Error> {
        let link = host::blobs::presign_get(self.bucket, self.key, self.version, seconds(ttl))?;
        Ok(link.into())
    }

    /// A `PUT` that writes it, for 7 days at most.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn upload(&self, upload: &Upload, ttl: Duration) -> Result<Link, Error> {
        let upload = wit::Upload {
            media_type: upload.media_type.clone(),
            size: upload.size,
            sha256: upload.sha256.clone(),
        };
        let link = host::blobs::presign_put(self.bucket, self.key, &upload, seconds(ttl))?;
        Ok(link.into())
    }
}

fn listed(name: String, size: u64, written_at: u64) -> Entry {
    Entry {
        name,
        size,
        written_at: Timestamp::from_millis(written_at),
    }
}

fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}

impl From<wit::Info> for Info {
    fn from(info: wit::Info) -> Self {
        Self {
            version: info.version,
            size: info.size,
            media_type: info.media_type,
            sha256: info.sha256,
            written_at: Timestamp::from_millis(info.written_at),
        }
    }
}

impl From<wit::Link> for Link {
    fn from(link: wit::Link) -> Self {
        Self {
            url: link.url,
            headers: link.headers,
            ends_at: Timestamp::from_millis(link.ends_at),
        }
    }
}
