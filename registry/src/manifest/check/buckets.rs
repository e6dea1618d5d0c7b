//! Checks of the buckets in which blobs are kept.

use crate::error::Problems;
use crate::manifest::bucket::{BUCKET_NAME_BYTES_MAX, is_bucket_name};
use crate::manifest::{Manifest, Permission};

/// Most buckets of one component.
const BUCKETS_MAX: usize = 8;

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    if manifest.buckets.len() > BUCKETS_MAX {
        problems.add("buckets", format_args!("at most {BUCKETS_MAX} buckets"));
    }
    for name in manifest.buckets.keys() {
        let place = format!("buckets.{name}");
        if !is_bucket_name(name) {
            problems.add(
                &place,
                format_args!(
                    "{name:?} must be lowercase letters and digits, starting with a letter, {BUCKET_NAME_BYTES_MAX} at most"
                ),
            );
        }
        let is_its = |permission: &Permission| matches!(permission, Permission::ReadBlobs(of) | Permission::WriteBlobs(of) if of == name);
        if !manifest.permissions.iter().any(is_its) {
            problems.add(
                &place,
                format_args!("needs the permission blobs:read:{name} or blobs:write:{name}"),
            );
        }
    }
    for permission in &manifest.permissions {
        if let Permission::ReadBlobs(of) | Permission::WriteBlobs(of) = permission
            && !manifest.buckets.contains_key(of)
        {
            problems.add(
                "permissions",
                format_args!("{permission} names no bucket of its own"),
            );
        }
    }
}
