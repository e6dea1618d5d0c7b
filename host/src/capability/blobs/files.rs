//! Blobs on files of this host: for each tenant a folder with one file for each version, and a SQLite file that says what
//! they are.
//!
//! Links lead to this host's own HTTP, which answers them as [`super::link`] has signed them.

mod schema;
mod shelf;
mod incoming;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use millwork_registry::id::TenantId;

use self::shelf::Shelf;
use super::body::Body;
use super::link::{Act, Allowed, Link, LinkKey};
use super::{Address, BlobError, Blobs, Bucket, Content, Info, Page, Part};
use crate::blocking;
use crate::capability::platform::now_ms;

/// See the module.
pub struct FilesBlobs {
    /// Holds a folder for each tenant.
    folder: PathBuf,
    key: LinkKey,
    /// Opened by whoever needs them first. A std mutex: held for a look-up, and while one is opened.
    shelves: Mutex<HashMap<TenantId, Arc<Shelf>>>,
}

impl FilesBlobs {
    /// In the folders of tenants below `folder`; nothing is opened yet.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, key: LinkKey) -> Self {
        Self {
            folder: folder.into(),
            key,
            shelves: Mutex::default(),
        }
    }

    /// Removes what has expired in a bucket by `now_ms`, up to a bound; every write to the bucket does so as well.
    ///
    /// # Errors
    /// [`BlobError::Failed`].
    pub fn clear(&self, tenant: &TenantId, bucket: &Bucket, now_ms: u64) -> Result<(), BlobError> {
        self.with(tenant, |shelf| shelf.clear(bucket, now_ms))
    }

    fn shelf(&self, tenant: &TenantId) -> Result<Arc<Shelf>, BlobError> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = shelves.get(tenant) {
            return Ok(Arc::clone(shelf));
        }
        let shelf = Arc::new(Shelf::open(&self.folder.join(tenant.as_str()))?);
        shelves.insert(tenant.clone(), Arc::clone(&shelf));
        Ok(shelf)
    }

    /// Removes the shelf of a tenant, unless somebody else uses it: then it stays, empty.
    fn take_down(&self, tenant: &TenantId, shelf: Arc<Shelf>) -> Result<(), BlobError> {
        // Nobody opens it meanwhile.
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&shelf) > 2 {
            return Ok(());
        }
        shelves.remove(tenant);
        drop(shelf);
        Shelf::take_down(&self.folder.join(tenant.as_str()))
    }

    fn with<T>(
        &self,
        tenant: &TenantId,
        work: impl FnOnce(&Shelf) -> Result<T, BlobError>,
    ) -> Result<T, BlobError> {
        blocking::run(|| work(&*self.shelf(tenant)?))
    }

    fn link(&self, at: Address<'_>, act: Act, ends_at: u64) -> Link {
        let headers = match &act {
            Act::Get(_) => Vec::new(),
            Act::Put(media_type, ..) => vec![("content-type".to_owned(), media_type.clone())],
        };
        Link {
            url: self.key.sign(&Allowed::at(at, act, now_ms(), ends_at)),
            headers,
            ends_at,
        }
    }
}

#[async_trait]
impl Blobs for FilesBlobs {
    async fn put(&self, at: Address<'_>, content: &Content, mut body: Body) -> Result<Info, BlobError> {
        let mut incoming = self.with(at.tenant, Shelf::begin)?;
        while let Some(piece) = body.next(content).await? {
            blocking::run(|| incoming.write(&piece))?;
        }
        self.with(at.tenant, |shelf| {
            shelf.clear(at.bucket, now_ms())?;
            shelf.keep(incoming, at, content, now_ms())
        })
    }

    async fn read(
        &self,
        at: Address<'_>,
        version: Option<&str>,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, BlobError> {
        self.with(at.tenant, |shelf| {
            let info = shelf.stat(at, version)?;
            shelf.read(&info, offset, length)
        })
    }

    async fn stat(&self, at: Address<'_>, version: Option<&str>) -> Result<Info, BlobError> {
        self.with(at.tenant, |shelf| shelf.stat(at, version))
    }

    async fn remove(&self, at: Address<'_>) -> Result<(), BlobError> {
        self.with(at.tenant, |shelf| shelf.remove(at))
    }

    async fn page(
        &self,
        tenant: &TenantId,
        bucket: &Bucket,
        prefix: &str,
        part: Part<'_>,
    ) -> Result<Page, BlobError> {
        self.with(tenant, |shelf| shelf.page(bucket, prefix, part))
    }

    async fn versions(&self, at: Address<'_>, part: Part<'_>) -> Result<Page, BlobError> {
        self.with(at.tenant, |shelf| shelf.versions(at, part))
    }

    async fn forget(&self, tenant: &TenantId, buckets: &[Bucket]) -> Result<u64, BlobError> {
        if !Shelf::is_in(&self.folder.join(tenant.as_str())) {
            return Ok(0);
        }
        blocking::run(|| {
            let shelf = self.shelf(tenant)?;
            let mut versions = 0;
            for bucket in buckets {
                versions += shelf.empty(bucket)?;
            }
            if shelf.holds_nothing()? {
                self.take_down(tenant, shelf)?;
            }
            Ok(versions)
        })
    }

    async fn link_get(&self, at: Address<'_>, version: &str, ends_at: u64) -> Result<Link, BlobError> {
        Ok(self.link(at, Act::Get(version.to_owned()), ends_at))
    }

    async fn link_put(&self, at: Address<'_>, content: &Content, ends_at: u64) -> Result<Link, BlobError> {
        let act = Act::Put(content.media_type.clone(), content.size, content.sha256.clone());
        Ok(self.link(at, act, ends_at))
    }
}
