//! `millwork:blobs` as components see it: names are resolved against the manifest's buckets, grants, limits and budgets are
//! enforced, and only then a backend is asked.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use millwork_registry::id::TenantId;
use millwork_registry::manifest::Permission;

use super::body::Body;
use super::link::Link as Made;
use super::{Address, BlobError, Blobs, Bucket, Content, Info as Known, PUT_BYTES_MAX, Page, Part, key};
use crate::bindings::imports::millwork::blobs::blobs::{
    Entry, EntryList, Error, Host, Info, Link, Upload, Version, VersionList,
};
use crate::capability::Budget;
use crate::capability::platform::now_ms;

/// Buckets of a module, by name.
pub type Buckets = HashMap<String, Arc<Bucket>>;

/// What a call may do.
pub enum Keeping {
    /// Nothing; says why.
    Denied(&'static str),
    /// Read, and make links.
    Read(Arc<dyn Blobs>),
    /// Write too.
    Write(Arc<dyn Blobs>),
}

/// What a module may do, whatever the call.
#[derive(Clone)]
pub struct Grants {
    /// Its buckets.
    pub buckets: Arc<Buckets>,
    /// What it asked for and was given.
    pub permissions: Arc<[Permission]>,
}

/// The blobs as one call sees them.
pub struct BlobsCall {
    keeping: Keeping,
    grants: Option<Grants>,
    tenant: Option<TenantId>,
    budget: Arc<Budget>,
}

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Read,
    /// A link with which others write.
    Link,
    Write,
}

/// A bucket, where it is, and whose.
struct Opened {
    store: Arc<dyn Blobs>,
    bucket: Arc<Bucket>,
    tenant: TenantId,
}

impl Opened {
    /// A blob's place; the version's form is checked with it.
    fn at<'a>(&'a self, key: &'a str, version: Option<&str>) -> Result<Address<'a>, BlobError> {
        key::check(key)?;
        version.map_or(Ok(()), key::check_version)?;
        Ok(Address {
            tenant: &self.tenant,
            bucket: &self.bucket,
            key,
        })
    }
}

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl BlobsCall {
    /// For one call of a component of a tenant.
    #[must_use]
    pub fn new(keeping: Keeping, grants: Grants, tenant: &str, budget: Arc<Budget>) -> Self {
        Self {
            keeping,
            grants: Some(grants),
            tenant: TenantId::new(tenant).ok(),
            budget,
        }
    }

    /// For a call that may not use blobs, with the reason.
    #[must_use]
    pub fn denied(why: &'static str, budget: Arc<Budget>) -> Self {
        Self {
            keeping: Keeping::Denied(why),
            grants: None,
            tenant: None,
            budget,
        }
    }

    /// The bucket, as far as this call may have it for this.
    fn open(&self, name: &str, need: Need) -> Result<Opened, Error> {
        let denied = |why: String| Err(Error::Denied(why));
        let store = match &self.keeping {
            Keeping::Denied(why) => return denied((*why).to_owned()),
            Keeping::Read(_) if need == Need::Write => {
                return denied("this call may read blobs, not write".to_owned());
            }
            Keeping::Read(store) | Keeping::Write(store) => store,
        };
        let (Some(grants), Some(tenant)) = (&self.grants, &self.tenant) else {
            return denied("this call is for no tenant".to_owned());
        };
        let Some(bucket) = grants.buckets.get(name) else {
            return denied(format!("the manifest has no bucket {name:?}"));
        };
        let needed = match need {
            Need::Read => Permission::ReadBlobs(name.to_owned()),
            Need::Link | Need::Write => Permission::WriteBlobs(name.to_owned()),
        };
        if !grants.permissions.iter().any(|own| own.covers(&needed)) {
            return denied(format!("the manifest does not ask for {needed}"));
        }
        Ok(Opened {
            store: Arc::clone(store),
            bucket: Arc::clone(bucket),
            tenant: tenant.clone(),
        })
    }

    async fn write(&self, name: &str, key: &str, body: Vec<u8>, media_type: &str) -> Result<Info, Error> {
        let opened = self.open(name, Need::Write)?;
        let at = opened.at(key, None)?;
        key::check_media_type(media_type)?;
        if body.len() > PUT_BYTES_MAX {
            let why =
                format!("a blob has at most {PUT_BYTES_MAX} bytes here; larger ones are uploaded by a link");
            return Err(Error::TooLarge(why));
        }
        let content = Content::of(&body, media_type);
        let written = opened
            .store
            .put(at, &content, Body::of(Bytes::from(body)))
            .await?;
        Ok(written.into())
    }
}

impl Host for BlobsCall {
    async fn put(&mut self, bucket: String, key: String, body: Vec<u8>, media_type: String) -> Answer<Info> {
        self.budget.spend_call()?;
        Ok(self.write(&bucket, &key, body, &media_type).await)
    }

    async fn read(
        &mut self,
        bucket: String,
        key: String,
        version: Option<String>,
        offset: u64,
        length: u32,
    ) -> Answer<Vec<u8>> {
        self.budget.spend_call()?;
        let read = async {
            let opened = self.open(&bucket, Need::Read)?;
            let version = version.as_deref();
            let at = opened.at(&key, version)?;
            let bytes = super::read(&opened.store, at, version, (offset, length), now_ms()).await?;
            Ok::<_, Error>(bytes)
        };
        let bytes = match read.await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        self.budget.spend_bytes(bytes.len())?;
        Ok(Ok(bytes))
    }

    async fn stat(&mut self, bucket: String, key: String, version: Option<String>) -> Answer<Info> {
        self.budget.spend_call()?;
        let known = async {
            let opened = self.open(&bucket, Need::Read)?;
            let version = version.as_deref();
            let at = opened.at(&key, version)?;
            Ok(super::stat(&opened.store, at, version, now_ms()).await?.into())
        };
        Ok(known.await)
    }

    async fn remove(&mut self, bucket: String, key: String) -> Answer<()> {
        self.budget.spend_call()?;
        let removed = async {
            let opened = self.open(&bucket, Need::Write)?;
            let at = opened.at(&key, None)?;
            Ok(opened.store.remove(at).await?)
        };
        Ok(removed.await)
    }

    async fn page(
        &mut self,
        bucket: String,
        prefix: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Answer<EntryList> {
        self.budget.spend_call()?;
        let listed = async {
            let opened = self.open(&bucket, Need::Read)?;
            key::check_prefix(&prefix)?;
            let part = Part {
                cursor: cursor.as_deref(),
                limit,
            };
            let Opened {
                store,
                bucket,
                tenant,
            } = &opened;
            let page = super::page(store, tenant, bucket, &prefix, part, now_ms()).await?;
            Ok::<_, Error>(page)
        };
        let page = match listed.await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        self.budget.spend_bytes(size_of_page(&page))?;
        let entries = page.entries.into_iter().map(|entry| Entry {
            key: entry.name,
            size: entry.size,
            written_at: entry.written_at,
        });
        Ok(Ok(EntryList {
            entries: entries.collect(),
            next: page.next,
        }))
    }

    async fn versions(
        &mut self,
        bucket: String,
        key: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Answer<VersionList> {
        self.budget.spend_call()?;
        let listed = async {
            let opened = self.open(&bucket, Need::Read)?;
            let at = opened.at(&key, None)?;
            let part = Part {
                cursor: cursor.as_deref(),
                limit,
            };
            Ok::<_, Error>(super::versions(&opened.store, at, part, now_ms()).await?)
        };
        let page = match listed.await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        self.budget.spend_bytes(size_of_page(&page))?;
        let versions = page.entries.into_iter().map(|entry| Version {
            version: entry.name,
            size: entry.size,
            written_at: entry.written_at,
        });
        Ok(Ok(VersionList {
            versions: versions.collect(),
            next: page.next,
        }))
    }

    async fn presign_get(
        &mut self,
        bucket: String,
        key: String,
        version: Option<String>,
        ttl_s: u32,
    ) -> Answer<Link> {
        self.budget.spend_call()?;
        let made = async {
            let opened = self.open(&bucket, Need::Read)?;
            let version = version.as_deref();
            let at = opened.at(&key, version)?;
            let link = super::link_get(&opened.store, at, version, ttl_s, now_ms()).await?;
            Ok(link.into())
        };
        Ok(made.await)
    }

    async fn presign_put(&mut self, bucket: String, key: String, upload: Upload, ttl_s: u32) -> Answer<Link> {
        self.budget.spend_call()?;
        let made = async {
            let opened = self.open(&bucket, Need::Link)?;
            let at = opened.at(&key, None)?;
            let content = Content {
                media_type: upload.media_type,
                size: upload.size,
                sha256: upload.sha256,
            };
            let link = super::link_put(&opened.store, at, &content, ttl_s, now_ms()).await?;
            Ok(link.into())
        };
        Ok(made.await)
    }
}

fn size_of_page(page: &Page) -> usize {
    page.entries.iter().map(|entry| entry.name.len()).sum()
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Malformed(why) | BlobError::Differs(why) => Self::Malformed(why),
            BlobError::NotFound => Self::NotFound,
            BlobError::TooLarge(why) => Self::TooLarge(why),
            BlobError::Failed(why) => {
                tracing::warn!(error = why, "blobs are not available");
                Self::Unavailable
            }
        }
    }
}

impl From<Known> for Info {
    fn from(info: Known) -> Self {
        Self {
            version: info.version,
            size: info.content.size,
            media_type: info.content.media_type,
            sha256: info.content.sha256,
            written_at: info.written_at,
        }
    }
}

impl From<Made> for Link {
    fn from(link: Made) -> Self {
        Self {
            url: link.url,
            headers: link.headers,
            ends_at: link.ends_at,
        }
    }
}
