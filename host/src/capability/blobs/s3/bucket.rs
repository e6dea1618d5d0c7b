//! The server's buckets: their names, and how they come to be as a module wants them.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, BucketLocationConstraint,
    BucketVersioningStatus, CreateBucketConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, VersioningConfiguration,
};
use millwork_registry::id::TenantId;
use sha2::{Digest as _, Sha256};

use super::refusal::{failed, status};
use super::{S3Blobs, folder_of};
use crate::capability::blobs::{BlobError, Bucket};

/// Longest name of a server's bucket, in bytes.
const NAME_BYTES_MAX: usize = 63;
/// Hexadecimal digits that stand for a name that is too long.
const HASH_DIGITS: usize = 16;
/// The region that must not be named when a bucket is made.
const FIRST_REGION: &str = "us-east-1";
/// Days after which parts of a blob that was never completed go.
const INCOMPLETE_DAYS: i32 = 1;
const SECONDS_OF_DAY: u64 = 24 * 3_600;

/// A server's bucket and a module that uses it.
pub(super) type Ready = (String, String);

/// The server's name of a tenant's bucket. A bucket's own name has no hyphen and begins with a letter, so that what stands
/// before it is the tenant's and no other's; of names that are too long the hash, after `0`, tells them apart.
pub(super) fn name(prefix: &str, tenant: &TenantId, bucket: &str) -> String {
    let whole = format!("{prefix}{tenant}-{bucket}");
    if whole.len() <= NAME_BYTES_MAX {
        return whole;
    }
    let hash = hex::encode(Sha256::digest(format!("{tenant}-{bucket}")));
    let hash = hash.get(..HASH_DIGITS).unwrap_or_default();
    let room = NAME_BYTES_MAX.saturating_sub(prefix.len() + "-0".len() + HASH_DIGITS);
    let tenant = tenant.as_str();
    let shown = tenant.get(..room).unwrap_or(tenant);
    format!("{prefix}{shown}-0{hash}")
}

impl S3Blobs {
    /// Makes the bucket as the module wants it, unless this host has before.
    pub(super) async fn ensure(&self, tenant: &TenantId, bucket: &Bucket) -> Result<(), BlobError> {
        let name = name(&self.settings.bucket_prefix, tenant, &bucket.name);
        let ready = (name.clone(), bucket.module.clone());
        if self.with_ready(|all| all.get(&ready) == Some(&bucket.expire_after)) {
            return Ok(());
        }
        self.create(&name).await?;
        let versioning = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
        let put = self.client.put_bucket_versioning().bucket(&name);
        let put = put.versioning_configuration(versioning.build()).send().await;
        put.map_err(|error| failed(&error))?;
        self.set_lifecycle(&name, bucket).await?;
        self.with_ready(|all| all.insert(ready, bucket.expire_after));
        Ok(())
    }

    /// What this host knows of the bucket is no longer so.
    pub(super) fn forget(&self, tenant: &TenantId, bucket: &Bucket) {
        let name = name(&self.settings.bucket_prefix, tenant, &bucket.name);
        self.with_ready(|all| all.retain(|(other, _), _| *other != name));
    }

    fn with_ready<T>(&self, work: impl FnOnce(&mut HashMap<Ready, Option<Duration>>) -> T) -> T {
        work(&mut self.ready.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn create(&self, name: &str) -> Result<(), BlobError> {
        let head = self.client.head_bucket().bucket(name).send().await;
        match head {
            Ok(_) => return Ok(()),
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(failed(&error)),
        }
        let region = Some(self.settings.region.as_str()).filter(|region| *region != FIRST_REGION);
        let place = region.map(|region| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        let create = self.client.create_bucket().bucket(name);
        match create.set_create_bucket_configuration(place).send().await {
            // Another host was faster.
            Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
            Err(error) => Err(failed(&error)),
            Ok(_) => Ok(()),
        }
    }

    /// Puts the module's rule among those of the others. The host itself lets nobody see what has expired; the rule takes it
    /// off the server, in whole days.
    async fn set_lifecycle(&self, name: &str, bucket: &Bucket) -> Result<(), BlobError> {
        let id = format!("millwork-{}", bucket.module);
        let got = self
            .client
            .get_bucket_lifecycle_configuration()
            .bucket(name)
            .send()
            .await;
        let mut rules = match got {
            Ok(got) => got.rules.unwrap_or_default(),
            Err(error) if status(&error) == Some(404) => Vec::new(),
            Err(error) => return Err(failed(&error)),
        };
        rules.retain(|rule| rule.id() != Some(&id));
        rules.push(rule(&id, bucket)?);
        let rules = BucketLifecycleConfiguration::builder()
            .set_rules(Some(rules))
            .build();
        let rules = rules.map_err(|error| BlobError::Failed(format!("s3: {error}")))?;
        let put = self.client.put_bucket_lifecycle_configuration().bucket(name);
        let put = put.lifecycle_configuration(rules).send().await;
        put.map(drop).map_err(|error| failed(&error))
    }
}

fn rule(id: &str, bucket: &Bucket) -> Result<LifecycleRule, BlobError> {
    let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(INCOMPLETE_DAYS);
    let mut rule = LifecycleRule::builder()
        .id(id)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(folder_of(bucket)).build())
        .abort_incomplete_multipart_upload(abort.build());
    if let Some(after) = bucket.expire_after {
        let days = days_of(after);
        let noncurrent = NoncurrentVersionExpiration::builder().noncurrent_days(days);
        rule = rule
            .expiration(LifecycleExpiration::builder().days(days).build())
            .noncurrent_version_expiration(noncurrent.build());
    }
    rule.build()
        .map_err(|error| BlobError::Failed(format!("s3: {error}")))
}

/// Whole days, rounded up, at least one.
fn days_of(time: Duration) -> i32 {
    i32::try_from(time.as_secs().div_ceil(SECONDS_OF_DAY).max(1)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_they_are_and_fit() {
        let of = |tenant: &str, bucket: &str| name("millwork-", &TenantId::new(tenant).unwrap(), bucket);
        assert_eq!(of("acme", "documents"), "millwork-acme-documents");
        let (long, longer) = ("a".repeat(39), "a".repeat(40));
        let names = [
            of(&long, "documentsofayear"),
            of(&longer, "documentsofayear"),
            of(&longer, "documentsofayeah"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() <= NAME_BYTES_MAX, "{name}");
            assert!(!names.iter().skip(at + 1).any(|other| other == name), "{name}");
        }
    }

    #[test]
    fn lifetimes_are_rounded_up_to_days() {
        let days = |hours: u64| days_of(Duration::from_secs(hours * 3_600));
        assert_eq!((days(1), days(24), days(25)), (1, 1, 2));
    }
}
