//! Trusting and revoking; what that means for releases is tested with the catalogue.

use std::fs;

use super::{FILE, Trust};
use crate::release::tests::key;

#[test]
fn a_key_is_trusted_for_one_publisher_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let trust = Trust::open(folder.path()).unwrap();
    assert!(trust.list().is_empty());
    let (one, two) = (key("acme", 1).public(), key("acme", 2).public());
    let first = trust.trust("acme", one, 5).unwrap();
    assert_eq!(
        trust.trust("acme", one, 6).unwrap(),
        first,
        "once more changes nothing"
    );
    trust.trust("acme", two, 7).unwrap();
    assert_eq!(
        trust.trust("zenith", one, 8).unwrap_err().code(),
        "publisher-mismatch"
    );
    assert_eq!(trust.trust("Acme", one, 8).unwrap_err().code(), "name-malformed");

    let revoked = trust.revoke(&one.id(), "lost", 9).unwrap();
    assert_eq!(
        trust.revoke(&one.id(), "another reason", 10).unwrap(),
        revoked,
        "the first reason stays"
    );
    assert_eq!(trust.trust("acme", one, 11).unwrap_err().code(), "key-revoked");
    let unknown = key("acme", 3).public().id();
    assert_eq!(
        trust.revoke(&unknown, "lost", 12).unwrap_err().code(),
        "key-unknown"
    );
    assert_eq!(
        trust.revoke(&two.id(), "", 12).unwrap_err().code(),
        "text-malformed"
    );

    let again = Trust::open(folder.path()).unwrap().list();
    assert_eq!(again, trust.list());
    let known: Vec<_> = again
        .iter()
        .map(|known| (known.key, known.trusted_at_ms, known.revoked.is_some()))
        .collect();
    assert_eq!(known, [(one, 5, true), (two, 7, false)]);
}

#[test]
fn a_list_that_cannot_be_read_trusts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), "[{}]").unwrap();
    assert_eq!(Trust::open(folder.path()).unwrap_err().code(), "storage-damaged");
}

#[test]
fn the_list_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let trust = Trust::open(folder.path()).unwrap();
    let known = trust.trust("acme", key("acme", 1).public(), 5).unwrap();
    // As many as to leave no room for one more.
    let bytes = serde_json::to_vec_pretty(&[&known]).unwrap().len();
    let many = vec![known; super::TRUST_BYTES_MAX / bytes];
    *trust.keys.write().unwrap() = many;
    let mut number = 2;
    let refused = loop {
        match trust.trust("acme", key("acme", number).public(), 6) {
            Ok(_) => number += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.code(), "too-large");
    assert!(
        refused.to_string().starts_with("list of trusted keys of 10485"),
        "{refused}"
    );
}
