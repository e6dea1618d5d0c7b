//! Removing all that a module has in a bucket: versions, and the marks of removals.

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use millwork_registry::id::TenantId;

use super::refusal::{failed, is_absent};
use super::{S3Blobs, bucket, folder_of};
use crate::capability::blobs::{BlobError, Bucket};

/// Versions that are removed at once.
const AT_ONCE: usize = 16;

impl S3Blobs {
    /// See [`crate::capability::blobs::Blobs::forget`]. The server's bucket stays.
    pub(super) async fn remove_all(&self, tenant: &TenantId, bucket: &Bucket) -> Result<u64, BlobError> {
        let name = bucket::name(&self.settings.bucket_prefix, tenant, &bucket.name);
        let mut versions = 0;
        loop {
            let list = self.client.list_object_versions().bucket(&name);
            let listed = match list.prefix(folder_of(bucket)).send().await {
                Ok(listed) => listed,
                Err(error) if is_absent(&error, None) => return Ok(versions),
                Err(error) => return Err(failed(&error)),
            };
            let found = all_of(&listed);
            if found.is_empty() {
                return Ok(versions);
            }
            versions += listed.versions().len() as u64;
            stream::iter(found)
                .map(|(key, version)| self.remove_version(&name, key, version))
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
    }

    async fn remove_version(&self, name: &str, key: String, version: String) -> Result<(), BlobError> {
        let delete = self.client.delete_object().bucket(name).key(key);
        match delete.version_id(version).send().await {
            Err(error) if !is_absent(&error, None) => Err(failed(&error)),
            _ => Ok(()),
        }
    }
}

/// Key and version of all that was listed.
fn all_of(listed: &ListObjectVersionsOutput) -> Vec<(String, String)> {
    let versions = listed.versions().iter();
    let versions = versions.map(|found| (found.key(), found.version_id()));
    let marks = listed.delete_markers().iter();
    let marks = marks.map(|found| (found.key(), found.version_id()));
    versions
        .chain(marks)
        .filter_map(|(key, version)| Some((key?.to_owned(), version?.to_owned())))
        .collect()
}
