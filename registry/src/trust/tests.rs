//! Trusting and revoking; what that means for releases is tested with the catalogue.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{RECORD, Trust, TrustedKey};
use crate::release::tests::key;
use crate::store::Files;

fn open(folder: &Path) -> Trust {
    Trust::new(Arc::new(Files::open(folder).unwrap()))
}

fn list(trust: &Trust) -> Vec<TrustedKey> {
    trust.keys().unwrap().all().to_vec()
}

#[test]
fn a_key_is_trusted_for_one_publisher_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let trust = open(folder.path());
    assert!(list(&trust).is_empty());
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

    let again = list(&open(folder.path()));
    assert_eq!(again, list(&trust));
    let known: Vec<_> = again
        .iter()
        .map(|known| (known.key, known.trusted_at_ms, known.revoked.is_some()))
        .collect();
    assert_eq!(known, [(one, 5, true), (two, 7, false)]);
}

#[test]
fn a_list_that_cannot_be_read_trusts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let trust = open(folder.path());
    fs::write(folder.path().join(RECORD), "[{}]").unwrap();
    assert_eq!(trust.keys().unwrap_err().code(), "storage-damaged");
    let refused = trust.trust("acme", key("acme", 1).public(), 5);
    assert_eq!(refused.unwrap_err().code(), "storage-damaged");
}

#[test]
fn what_one_host_revokes_no_other_takes() {
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(Files::open(folder.path()).unwrap());
    let (one, other) = (Trust::new(files.clone()), Trust::new(files));
    let public = key("acme", 1).public();
    one.trust("acme", public, 5).unwrap();
    other.revoke(&public.id(), "lost", 6).unwrap();
    assert!(list(&one).iter().all(|known| known.revoked.is_some()));
    let changing = |number| move |trust: &Trust| trust.trust("acme", key("acme", number).public(), 7).is_ok();
    let both = std::thread::scope(|scope| {
        let threads = [(&one, 2), (&other, 3), (&one, 4), (&other, 5)]
            .map(|(trust, number)| scope.spawn(move || changing(number)(trust)));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(both, [true; 4]);
    assert_eq!(list(&one).len(), 5, "no change is lost");
}

#[test]
fn the_list_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let trust = open(folder.path());
    let known = trust.trust("acme", key("acme", 1).public(), 5).unwrap();
    // As many as to leave no room for one more.
    let bytes = serde_json::to_vec_pretty(&[&known]).unwrap().len();
    let many = vec![known; super::TRUST_BYTES_MAX / bytes];
    fs::write(folder.path().join(RECORD), serde_json::to_vec(&many).unwrap()).unwrap();
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
