//! Files and other large bytes, by bucket and key, in versions.
//!
//! Guests reach this through `millwork:blobs`, browsers and other services through links. What a key is, when a blob has
//! expired and how long a link lasts stands here and in [`key`], once for all backends. Backends keep versions and make
//! links; they never see WIT types.

pub mod component;
pub mod key;
pub mod body;
pub mod link;
pub mod files;
pub mod s3;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use millwork_registry::manifest;

use self::body::Body;
use self::link::Link;

/// Largest blob that a component writes in one call, in bytes.
pub const PUT_BYTES_MAX: usize = 4 << 20;
/// Largest blob that is uploaded through a link, in bytes.
pub const UPLOAD_BYTES_MAX: u64 = 1 << 30;
/// Most bytes of one read.
pub const READ_BYTES_MAX: u32 = 1 << 20;
/// Most blobs or versions of one page.
pub const LIMIT_MAX: u32 = 1_000;
/// Longest life of a link, in seconds: that of Signature Version 4.
pub const LINK_SECONDS_MAX: u32 = 604_800;

/// A bucket of one module, as its manifest declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The module that owns it.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// How long each version of a blob is there; for ever when absent.
    pub expire_after: Option<Duration>,
}

/// Where a blob is. The key has passed [`key::check`].
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// Whose it is.
    pub tenant: &'a TenantId,
    /// The bucket.
    pub bucket: &'a Bucket,
    /// Its key there.
    pub key: &'a str,
}

/// What a blob holds, known before its bytes are: nothing else is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// See [`key::check_media_type`].
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// 64 lowercase hexadecimal digits.
    pub sha256: String,
}

/// One version of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The backend's name of it.
    pub version: String,
    /// What it holds.
    pub content: Content,
    /// In milliseconds since 1970, exact to the second.
    pub written_at: u64,
}

/// A blob, or a version of one, in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key; of a version, its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// In milliseconds since 1970, exact to the second.
    pub written_at: u64,
}

/// Some entries, and where the next page begins; nothing after the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// May be fewer than asked for, also none, with more to come.
    pub entries: Vec<Entry>,
    /// Opaque.
    pub next: Option<String>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// `next` of the page before.
    pub cursor: Option<&'a str>,
    /// 1 to [`LIMIT_MAX`].
    pub limit: u32,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Key, version, cursor or another argument is not understood: the caller's mistake; says which.
    #[error("{0}")]
    Malformed(String),
    /// There is no blob under this key, or it has no such version.
    #[error("there is no such blob")]
    NotFound,
    /// Over a limit that the message names: the caller's mistake.
    #[error("{0}")]
    TooLarge(String),
    /// What came is not what was announced: the sender's mistake, nothing is kept.
    #[error("the body is not what was announced: {0}")]
    Differs(String),
    /// The blobs cannot be reached, or the disk is full: try again later.
    #[error("blobs: {0}")]
    Failed(String),
}

/// The blobs of all tenants. A bucket comes to be with its first blob, and an absent one has none.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Writes a version, which is durable when this returns. Of a body that is not as `content` says nothing is kept.
    ///
    /// # Errors
    /// [`BlobError::Differs`], [`BlobError::Failed`].
    async fn put(&self, at: Address<'_>, content: &Content, body: Body) -> Result<Info, BlobError>;

    /// At most `length` bytes from `offset` on, `length` at least 1; none at the end and beyond it.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Failed`].
    async fn read(
        &self,
        at: Address<'_>,
        version: Option<&str>,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, BlobError>;

    /// What is known of a version, the last one unless one is named.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Failed`].
    async fn stat(&self, at: Address<'_>, version: Option<&str>) -> Result<Info, BlobError>;

    /// Takes a key away, if it is there; its versions stay.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    async fn remove(&self, at: Address<'_>) -> Result<(), BlobError>;

    /// Blobs whose keys begin with `prefix`, by key in the order of its bytes. The cursor is the key that ended the page before.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    async fn page(
        &self,
        tenant: &TenantId,
        bucket: &Bucket,
        prefix: &str,
        part: Part<'_>,
    ) -> Result<Page, BlobError>;

    /// Versions of a blob, the last one first.
    ///
    /// # Errors
    /// [`BlobError::Malformed`] for a cursor that is none, [`BlobError::Failed`].
    async fn versions(&self, at: Address<'_>, part: Part<'_>) -> Result<Page, BlobError>;

    /// Removes all that a tenant has in these buckets, versions of keys that were taken away included, and gives how many
    /// versions that were. Some of it may be gone after an error.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    async fn forget(&self, tenant: &TenantId, buckets: &[Bucket]) -> Result<u64, BlobError>;

    /// A request that gives a version, which is there, until `ends_at` (milliseconds since 1970).
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    async fn link_get(&self, at: Address<'_>, version: &str, ends_at: u64) -> Result<Link, BlobError>;

    /// A request that writes this content until `ends_at` (milliseconds since 1970).
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    async fn link_put(&self, at: Address<'_>, content: &Content, ends_at: u64) -> Result<Link, BlobError>;
}

impl Bucket {
    /// As a manifest declares it.
    #[must_use]
    pub fn declared(module: &str, name: &str, bucket: &manifest::Bucket) -> Self {
        Self {
            module: module.to_owned(),
            name: name.to_owned(),
            expire_after: bucket.expire_after.map(manifest::Lifetime::duration),
        }
    }

    /// When what was written at a time is gone, in milliseconds since 1970.
    #[must_use]
    pub fn end_of(&self, written_at: u64) -> Option<u64> {
        let after = u64::try_from(self.expire_after?.as_millis()).unwrap_or(u64::MAX);
        Some(written_at.saturating_add(after))
    }

    fn holds(&self, written_at: u64, now_ms: u64) -> bool {
        self.end_of(written_at).is_none_or(|end| now_ms < end)
    }
}

/// What is known of a blob that has not expired.
///
/// # Errors
/// [`BlobError::NotFound`], [`BlobError::Failed`].
pub async fn stat(
    store: &Arc<dyn Blobs>,
    at: Address<'_>,
    version: Option<&str>,
    now_ms: u64,
) -> Result<Info, BlobError> {
    let info = store.stat(at, version).await?;
    if at.bucket.holds(info.written_at, now_ms) {
        Ok(info)
    } else {
        Err(BlobError::NotFound)
    }
}

/// Bytes of a blob that has not expired.
///
/// # Errors
/// [`BlobError::NotFound`], [`BlobError::Failed`]; [`BlobError::TooLarge`] for a length out of bounds.
pub async fn read(
    store: &Arc<dyn Blobs>,
    at: Address<'_>,
    version: Option<&str>,
    (offset, length): (u64, u32),
    now_ms: u64,
) -> Result<Vec<u8>, BlobError> {
    if length == 0 || length > READ_BYTES_MAX {
        let why = format!("length must be 1 to {READ_BYTES_MAX}");
        return Err(BlobError::TooLarge(why));
    }
    if at.bucket.expire_after.is_some() {
        // Asked first, since bytes alone do not tell their age.
        stat(store, at, version, now_ms).await?;
    }
    store.read(at, version, offset, length).await
}

/// Some of the blobs that have not expired.
///
/// # Errors
/// [`BlobError::Failed`]; [`BlobError::Malformed`] and [`BlobError::TooLarge`] for a cursor or limit that is none.
pub async fn page(
    store: &Arc<dyn Blobs>,
    tenant: &TenantId,
    bucket: &Bucket,
    prefix: &str,
    part: Part<'_>,
    now_ms: u64,
) -> Result<Page, BlobError> {
    check_limit(part.limit)?;
    if let Some(cursor) = part.cursor {
        key::check(cursor)
            .map_err(|_| BlobError::Malformed("cursor: it is not of a page before".to_owned()))?;
    }
    let page = store.page(tenant, bucket, prefix, part).await?;
    Ok(alive(bucket, page, now_ms))
}

/// Some of the versions that have not expired.
///
/// # Errors
/// [`BlobError::Failed`]; [`BlobError::Malformed`] and [`BlobError::TooLarge`] for a cursor or limit that is none.
pub async fn versions(
    store: &Arc<dyn Blobs>,
    at: Address<'_>,
    part: Part<'_>,
    now_ms: u64,
) -> Result<Page, BlobError> {
    check_limit(part.limit)?;
    if let Some(cursor) = part.cursor {
        key::check_version(cursor)
            .map_err(|_| BlobError::Malformed("cursor: it is not of a page before".to_owned()))?;
    }
    let page = store.versions(at, part).await?;
    Ok(alive(at.bucket, page, now_ms))
}

/// A request that gives a blob as it is now.
///
/// # Errors
/// [`BlobError::NotFound`], [`BlobError::Failed`]; [`BlobError::TooLarge`] for a time out of bounds.
pub async fn link_get(
    store: &Arc<dyn Blobs>,
    at: Address<'_>,
    version: Option<&str>,
    seconds: u32,
    now_ms: u64,
) -> Result<Link, BlobError> {
    let ends_at = ends_at(seconds, now_ms)?;
    let info = stat(store, at, version, now_ms).await?;
    let gone_at = at.bucket.end_of(info.written_at).unwrap_or(u64::MAX);
    store.link_get(at, &info.version, ends_at.min(gone_at)).await
}

/// A request that writes this content and no other.
///
/// # Errors
/// [`BlobError::Failed`]; [`BlobError::Malformed`] and [`BlobError::TooLarge`] for content or a time out of bounds.
pub async fn link_put(
    store: &Arc<dyn Blobs>,
    at: Address<'_>,
    content: &Content,
    seconds: u32,
    now_ms: u64,
) -> Result<Link, BlobError> {
    key::check_media_type(&content.media_type)?;
    key::check_sha256(&content.sha256)?;
    if content.size > UPLOAD_BYTES_MAX {
        let why = format!("an upload has at most {UPLOAD_BYTES_MAX} bytes");
        return Err(BlobError::TooLarge(why));
    }
    store.link_put(at, content, ends_at(seconds, now_ms)?).await
}

fn check_limit(limit: u32) -> Result<(), BlobError> {
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(());
    }
    Err(BlobError::TooLarge(format!("limit must be 1 to {LIMIT_MAX}")))
}

fn ends_at(seconds: u32, now_ms: u64) -> Result<u64, BlobError> {
    if (1..=LINK_SECONDS_MAX).contains(&seconds) {
        return Ok(now_ms.saturating_add(u64::from(seconds) * 1_000));
    }
    let why = format!("a link lasts 1 to {LINK_SECONDS_MAX} seconds");
    Err(BlobError::TooLarge(why))
}

fn alive(bucket: &Bucket, mut page: Page, now_ms: u64) -> Page {
    page.entries
        .retain(|entry| bucket.holds(entry.written_at, now_ms));
    page
}
