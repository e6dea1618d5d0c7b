//! Blobs of a tenant: out of one store, into another, and held against each other.
//!
//! What is there goes along version by version, the first one first, so that the last one is the last again. A version's
//! name and time are the store's own and stay behind; so do versions of keys that were taken away, which no store lists.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use millwork_registry::id::TenantId;
use millwork_registry::manifest;
use sha2::{Digest as _, Sha256};

use super::lines::BlobLine;
use super::manifest::{Kind, Manifest};
use super::pack::{Lines, Sums, line};
use super::unpack::{Archive, Contents};
use super::{ArchiveError, next_lines, scratch};
use crate::blocking;
use crate::capability::blobs::body::{Body, Pieces};
use crate::capability::blobs::{
    self, Address, BlobError, Blobs, Bucket, Content, LIMIT_MAX, Part, READ_BYTES_MAX, UPLOAD_BYTES_MAX, key,
};
use crate::error::Error;

/// Lines that are read at once.
const LINES_AT_ONCE: usize = 500;

/// The buckets that modules declare, in the order in which they are packed.
#[must_use]
pub fn buckets_of<'m>(manifests: impl IntoIterator<Item = &'m manifest::Manifest>) -> Vec<Bucket> {
    let declared = manifests.into_iter().flat_map(|module| {
        let own = module.buckets.iter();
        own.map(|(name, bucket)| Bucket::declared(&module.name, name, bucket))
    });
    let mut buckets: Vec<_> = declared.collect();
    buckets.sort_by(|a, b| (&a.module, &a.name).cmp(&(&b.module, &b.name)));
    buckets.dedup_by(|a, b| (&a.module, &a.name) == (&b.module, &b.name));
    buckets
}

/// A way through the blobs of a tenant, as they are at a time.
struct Walk<'a> {
    store: &'a Arc<dyn Blobs>,
    tenant: &'a TenantId,
    now_ms: u64,
    /// The lines, until the bytes of all have gone out.
    lines: BufWriter<File>,
}

/// Hands out all blobs of a tenant that have not expired at `now_ms`, one piece at a time: their bytes, then, by way of a
/// file in `folder`, the lines that say whose they are.
///
/// # Errors
/// [`Error::Unavailable`] when the store fails or a blob is not what was written, [`Error::Archive`] when nobody takes what
/// is handed out.
pub async fn pack(
    store: &Arc<dyn Blobs>,
    tenant: &TenantId,
    buckets: &[Bucket],
    folder: &Path,
    now_ms: u64,
    out: &mut dyn Lines,
) -> Result<(), Error> {
    let lines = BufWriter::new(scratch(folder).map_err(ArchiveError::from)?);
    let mut walk = Walk {
        store,
        tenant,
        now_ms,
        lines,
    };
    for bucket in buckets {
        walk.bucket(bucket, out).await?;
    }
    let lines = walk.lines.into_inner();
    let mut lines = lines.map_err(|error| ArchiveError::from(error.into_error()))?;
    lines.rewind().map_err(ArchiveError::from)?;
    let mut lines = BufReader::new(lines);
    loop {
        let page = blocking::run(|| next_lines(&mut lines, LINES_AT_ONCE)).map_err(ArchiveError::from)?;
        if page.is_empty() {
            return Ok(());
        }
        for line in page {
            out.line(Kind::Blobs, line).await?;
        }
    }
}

impl Walk<'_> {
    async fn bucket(&mut self, bucket: &Bucket, out: &mut dyn Lines) -> Result<(), Error> {
        let mut cursor: Option<String> = None;
        loop {
            let part = Part {
                cursor: cursor.as_deref(),
                limit: LIMIT_MAX,
            };
            let page = blobs::page(self.store, self.tenant, bucket, "", part, self.now_ms).await;
            let page = page.map_err(unavailable)?;
            for entry in page.entries {
                let at = Address {
                    tenant: self.tenant,
                    bucket,
                    key: &entry.name,
                };
                for version in self.versions(at).await?.iter().rev() {
                    self.version(at, version, out).await?;
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Names of the versions of a blob, the last one first.
    async fn versions(&self, at: Address<'_>) -> Result<Vec<String>, Error> {
        let (mut names, mut cursor): (_, Option<String>) = (Vec::new(), None);
        loop {
            let part = Part {
                cursor: cursor.as_deref(),
                limit: LIMIT_MAX,
            };
            let page = blobs::versions(self.store, at, part, self.now_ms).await;
            let page = page.map_err(unavailable)?;
            names.extend(page.entries.into_iter().map(|entry| entry.name));
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(names),
            }
        }
    }

    async fn version(&mut self, at: Address<'_>, version: &str, out: &mut dyn Lines) -> Result<(), Error> {
        let content = match self.store.stat(at, Some(version)).await {
            Ok(info) => info.content,
            // It has expired since it was listed.
            Err(BlobError::NotFound) => return Ok(()),
            Err(error) => return Err(unavailable(error)),
        };
        let (mut offset, mut hash) = (0, Sha256::new());
        while offset < content.size {
            let piece = self.store.read(at, Some(version), offset, READ_BYTES_MAX).await;
            let piece = piece.map_err(unavailable)?;
            if piece.is_empty() {
                break;
            }
            offset += piece.len() as u64;
            hash.update(&piece);
            out.line(Kind::Contents, piece).await?;
        }
        if offset != content.size || hex::encode(hash.finalize()) != content.sha256 {
            let (Bucket { module, name, .. }, key) = (at.bucket, at.key);
            return Err(Error::Unavailable(format!(
                "version {version} of blob {key:?} in bucket {name} of {module} is not what was written"
            )));
        }
        let kept = line(&BlobLine {
            module: at.bucket.module.clone(),
            bucket: at.bucket.name.clone(),
            key: at.key.to_owned(),
            media_type: content.media_type,
            bytes: content.size,
            sha256: content.sha256,
        })?;
        let written = blocking::run(|| self.lines.write_all(&kept));
        Ok(written.map_err(ArchiveError::from)?)
    }
}

/// Puts all blobs that an archive has into a store that has none in these buckets.
///
/// # Errors
/// [`Error::Archive`] when the archive contradicts itself, [`Error::Unavailable`] when the store fails. Some of it is there
/// then.
pub async fn unpack(
    archive: &Archive,
    store: &Arc<dyn Blobs>,
    tenant: &TenantId,
    buckets: &[Bucket],
) -> Result<(), Error> {
    let contents = Arc::new(archive.contents()?);
    let mut from = 0;
    for blob in archive.lines::<BlobLine>(Kind::Blobs) {
        let blob = blob?;
        check(&blob)?;
        let mut declared = buckets.iter();
        let bucket = declared.find(|bucket| (&bucket.module, &bucket.name) == (&blob.module, &blob.bucket));
        let bucket = bucket.ok_or_else(|| damaged(&blob, "no module declares its bucket"))?;
        let content = Content {
            media_type: blob.media_type.clone(),
            size: blob.bytes,
            sha256: blob.sha256.clone(),
        };
        let at = Address {
            tenant,
            bucket,
            key: &blob.key,
        };
        let body = Body::new(pieces(Arc::clone(&contents), from, blob.bytes));
        let put = store.put(at, &content, body).await;
        put.map_err(|error| match error {
            BlobError::Differs(why) => damaged(&blob, &why).into(),
            other => unavailable(other),
        })?;
        from += blob.bytes;
    }
    if from != contents.bytes() {
        let detail = format!("its blobs have {from} bytes, not {}", contents.bytes());
        return Err(ArchiveError::Damaged(detail).into());
    }
    Ok(())
}

/// Archives are held to what components are held to.
fn check(blob: &BlobLine) -> Result<(), ArchiveError> {
    key::check(&blob.key)
        .and_then(|()| key::check_media_type(&blob.media_type))
        .and_then(|()| key::check_sha256(&blob.sha256))
        .map_err(|error| damaged(blob, &error.to_string()))?;
    if blob.bytes > UPLOAD_BYTES_MAX {
        return Err(damaged(blob, "it is larger than a blob may be"));
    }
    Ok(())
}

/// So many bytes of the contents.
fn pieces(contents: Arc<Contents>, from: u64, bytes: u64) -> Pieces {
    let left = (contents, from, bytes);
    Box::pin(stream::try_unfold(left, |(contents, at, left)| async move {
        let piece = blocking::run(|| contents.read(at, left.min(u64::from(READ_BYTES_MAX))));
        let piece = piece.map_err(|error| BlobError::Failed(error.to_string()))?;
        let length = piece.len() as u64;
        let rest = (contents, at + length, left - length);
        Ok((length > 0).then(|| (Bytes::from(piece), rest)))
    }))
}

/// Reads everything back and holds it against the archive.
///
/// # Errors
/// [`Error::Archive`] with what differs; [`Error::Unavailable`] when the store fails.
pub async fn verify(
    manifest: &Manifest,
    store: &Arc<dyn Blobs>,
    tenant: &TenantId,
    buckets: &[Bucket],
    folder: &Path,
) -> Result<(), Error> {
    let mut sums = Sums::default();
    // What has just been written has not expired, whatever the clocks say.
    pack(store, tenant, buckets, folder, 0, &mut sums).await?;
    Ok(sums.hold_against(manifest, &Kind::BLOBS)?)
}

fn damaged(blob: &BlobLine, why: &str) -> ArchiveError {
    ArchiveError::Damaged(format!("blob {:?} of {}: {why}", blob.key, blob.module))
}

fn unavailable(error: BlobError) -> Error {
    Error::Unavailable(error.to_string())
}
