//! Artifacts that hosts share, with those that this host has seen in its data folder. They never change, so one that has its
//! digest is as good from there; any other is read again from where all have it.

use std::sync::Arc;

use millwork_registry::Error;
use millwork_registry::id::Digest;
use millwork_registry::store::{Artifacts, FileArtifacts};

/// See the module.
#[derive(Debug)]
pub struct CachedArtifacts {
    seen: FileArtifacts,
    shared: Arc<dyn Artifacts>,
}

impl CachedArtifacts {
    /// What was `seen` of what is `shared`.
    #[must_use]
    pub fn new(seen: FileArtifacts, shared: Arc<dyn Artifacts>) -> Self {
        Self { seen, shared }
    }

    /// Without it the next read takes longer, no more.
    fn keep(&self, digest: &Digest, bytes: &[u8]) {
        if let Err(error) = self.seen.put(digest, bytes) {
            tracing::warn!(%digest, %error, "an artifact is not kept on this host");
        }
    }
}

impl Artifacts for CachedArtifacts {
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        self.shared.put(digest, bytes)?;
        self.keep(digest, bytes);
        Ok(())
    }

    fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let is_whole = |bytes: &Vec<u8>| Digest::of(bytes) == *digest;
        match self.seen.get(digest) {
            Ok(Some(bytes)) if is_whole(&bytes) => return Ok(Some(bytes)),
            Ok(None) => {}
            Ok(Some(_)) => {
                tracing::warn!(%digest, "an artifact kept on this host is damaged, reading it again")
            }
            Err(error) => tracing::warn!(%digest, %error, "an artifact kept on this host cannot be read"),
        }
        let bytes = self.shared.get(digest)?;
        if let Some(bytes) = bytes.as_ref().filter(|bytes| is_whole(bytes)) {
            self.keep(digest, bytes);
        }
        Ok(bytes)
    }
}
