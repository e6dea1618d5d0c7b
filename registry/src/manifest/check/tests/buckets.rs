//! Buckets, added to the good manifest: what is refused of them, and what is understood.

use std::time::Duration;

use crate::manifest::tests::GOOD;
use crate::manifest::{Manifest, Permission};

fn with(permissions: &str, buckets: &str) -> String {
    GOOD.replace("  - documents\n", &format!("  - documents\n{permissions}"))
        .replace("collections:\n", &format!("buckets:\n{buckets}\ncollections:\n"))
}

#[track_caller]
fn refused(permissions: &str, buckets: &str, problem: &str) {
    let error = Manifest::parse(&with(permissions, buckets))
        .unwrap_err()
        .to_string();
    assert!(error.contains(problem), "{error}");
}

#[test]
fn blobs_stay_or_expire() {
    let manifest = Manifest::parse(&with(
        "  - blobs:write:documents\n  - blobs:read:temp\n",
        "  documents: {}\n  temp: { expireAfter: 36h }",
    ))
    .unwrap();
    assert_eq!(manifest.buckets["documents"].expire_after, None);
    let temp = manifest.buckets["temp"].expire_after.unwrap();
    assert_eq!(temp.duration(), Duration::from_secs(36 * 3_600));
    // What is written down is read again.
    let again = serde_json::to_string(&manifest.buckets).unwrap();
    assert_eq!(again, r#"{"documents":{},"temp":{"expireAfter":"36h"}}"#);
}

#[test]
fn what_is_no_bucket_is_refused_with_its_place() {
    for name in ["Temp", "my-files", "a.b", "2026", "abcdefghijklmnopqrstu"] {
        refused(
            "",
            &format!("  '{name}': {{}}"),
            &format!("buckets.{name}: {name:?} must be lowercase letters and digits"),
        );
    }
    for time in [
        "24",
        "h",
        "0h",
        "024h",
        "-1d",
        "1.5d",
        "2w",
        "1 d",
        "36501d",
        "4294967296h",
        "",
    ] {
        refused(
            "  - blobs:read:temp\n",
            &format!("  temp: {{ expireAfter: '{time}' }}"),
            "must be hours or days, such as 24h or 30d",
        );
    }
    refused("", "  temp: { retain: 7d }", "unknown field `retain`");
}

#[test]
fn a_bucket_and_its_permission_go_together() {
    refused(
        "",
        "  temp: {}",
        "buckets.temp: needs the permission blobs:read:temp or blobs:write:temp",
    );
    refused(
        "  - blobs:read:temp\n  - blobs:write:other\n",
        "  temp: {}",
        "permissions: blobs:write:other names no bucket of its own",
    );
    refused("  - blobs\n", "  temp: {}", r#"permission "blobs" must be"#);
    refused(
        "  - blobs:write:a/b\n",
        "  temp: {}",
        r#"permission "blobs:write:a/b" must be"#,
    );
}

#[test]
fn who_writes_reads_as_well() {
    let permission = |text: &str| Permission::try_from(text.to_owned()).unwrap();
    let (read, write) = (permission("blobs:read:temp"), permission("blobs:write:temp"));
    assert!(write.covers(&read) && write.covers(&write) && !read.covers(&write));
    assert!(!permission("blobs:write:other").covers(&read));
    assert!(
        write.in_words().contains("the bucket temp"),
        "{}",
        write.in_words()
    );
}

#[test]
fn too_many_are_refused() {
    let many: String = (0..9).map(|n| format!("  b{n}: {{}}\n")).collect();
    refused("", &many, "buckets: at most 8 buckets");
}
