//! Publishing: once, whole, and unchanged from then on.

mod choosing;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use semver::Version;

use super::Catalog;
use crate::Error;
use crate::manifest::tests::GOOD;
use crate::release::Release;
use crate::release::tests::{key, release, signed};
use crate::release::{Summary, sign};
use crate::store::{FileArtifacts, Files};

fn version(version: &str) -> Vec<u8> {
    signed(&GOOD.replace("version: 1.0.0", &format!("version: {version}")))
}

fn open(folder: &Path) -> Catalog {
    let artifacts = FileArtifacts::open(&folder.join("registry/artifacts")).unwrap();
    Catalog::new(Arc::new(Files::open(folder).unwrap()), Arc::new(artifacts))
}

/// A catalogue that trusts the key with which the releases here are signed.
fn trusting(folder: &Path) -> Catalog {
    let catalog = open(folder);
    let publisher = key("millwork", 1);
    catalog
        .trust()
        .trust(publisher.publisher(), publisher.public(), 1)
        .unwrap();
    catalog
}

fn publish(catalog: &Catalog, bytes: &[u8], now_ms: u64) -> Result<Release, Error> {
    catalog.publish(&Release::read(bytes, now_ms)?, bytes)
}

fn parse(text: &str) -> Version {
    Version::parse(text).unwrap()
}

#[test]
fn what_is_published_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    assert!(catalog.list().unwrap().is_empty());
    let bytes = version("1.0.0");
    let published = publish(&catalog, &bytes, 5).unwrap();
    publish(&catalog, &version("1.10.0"), 6).unwrap();
    publish(&catalog, &version("1.9.0"), 7).unwrap();
    publish(&catalog, &version("2.0.0-rc.1"), 8).unwrap();
    let again = trusting(folder.path());
    let versions: Vec<_> = again
        .list()
        .unwrap()
        .iter()
        .map(|listed| listed.summary.version.to_string())
        .collect();
    assert_eq!(versions, ["1.0.0", "1.9.0", "1.10.0", "2.0.0-rc.1"]);
    let found = again.get("invoicing", &parse("1.0.0")).unwrap();
    assert_eq!(found.summary(), published.summary());
    assert_eq!(again.open_artifact(&found.digest).unwrap(), bytes);
    assert_eq!(again.latest("invoicing").unwrap().version, parse("1.10.0"));
}

#[test]
fn what_is_not_published_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    publish(&catalog, &version("1.0.0-rc.1"), 5).unwrap();
    assert_eq!(catalog.latest("invoicing").unwrap().version, parse("1.0.0-rc.1"));
    for (name, version) in [
        ("invoicing", "1.0.0"),
        ("client", "1.0.0"),
        ("../releases/invoicing", "1.0.0-rc.1"),
    ] {
        let error = catalog.get(name, &parse(version)).unwrap_err();
        assert_eq!(error.to_string(), format!("{name} {version} is not published"));
        assert_eq!(error.code(), "release-unknown");
    }
    let error = catalog.latest("../releases/invoicing").unwrap_err().to_string();
    assert_eq!(error, "../releases/invoicing in any version is not published");
}

#[test]
fn a_release_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    publish(&catalog, &version("1.0.0"), 5).unwrap();
    assert_eq!(
        publish(&catalog, &version("1.0.0"), 6).unwrap().published_at_ms,
        5
    );
    let other = signed(&GOOD.replace("draft", "first draft"));
    let error = publish(&catalog, &other, 7).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invoicing 1.0.0 is published already with other bytes; a release never changes"
    );
    assert_eq!(error.code(), "release-exists");
    assert_eq!(
        fs::read_dir(folder.path().join("registry/artifacts"))
            .unwrap()
            .count(),
        1,
        "nothing is left of what was refused"
    );
}

#[test]
fn of_two_that_publish_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let candidates: Vec<_> = (0..8)
        .map(|n| signed(&GOOD.replace("draft", &format!("draft {n}"))))
        .collect();
    let published = std::thread::scope(|scope| {
        let mut running = Vec::new();
        for bytes in candidates.iter().chain(&candidates) {
            running.push(scope.spawn(|| publish(&catalog, bytes, 5).is_ok()));
        }
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    // Every candidate was published by two threads.
    assert_eq!(published.iter().filter(|done| **done).count(), 2);
    let winner = catalog.get("invoicing", &parse("1.0.0")).unwrap();
    assert!(candidates.contains(&catalog.open_artifact(&winner.digest).unwrap()));
}

#[test]
fn a_file_changed_on_disk_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let one = publish(&catalog, &version("1.0.0"), 5).unwrap();
    publish(&catalog, &version("1.1.0"), 6).unwrap();
    let path = |file: &str| folder.path().join("registry").join(file);
    let damaged = |catalog: &Catalog| catalog.get("invoicing", &parse("1.0.0")).unwrap_err();

    fs::copy(
        path("releases/invoicing/1.1.0.json"),
        path("releases/invoicing/1.0.0.json"),
    )
    .unwrap();
    assert!(
        damaged(&catalog)
            .to_string()
            .ends_with("1.0.0.json is damaged: it is the record of invoicing 1.1.0")
    );
    assert_eq!(catalog.list().unwrap_err().code(), "storage-damaged");

    let other = fs::read_to_string(path("releases/invoicing/1.1.0.json")).unwrap();
    fs::write(
        path("releases/invoicing/1.0.0.json"),
        other.replace("1.1.0", "1.0.0"),
    )
    .unwrap();
    assert!(
        damaged(&catalog)
            .to_string()
            .contains("1.0.0.json is damaged: it says Summary")
    );

    fs::remove_file(path("releases/invoicing/1.0.0.json")).unwrap();
    publish(&catalog, &version("1.0.0"), 7).unwrap();
    catalog.get("invoicing", &parse("1.0.0")).unwrap();

    let artifact = path(&format!("artifacts/sha256-{}.wasm", one.digest.hex()));
    let mut bytes = fs::read(&artifact).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&artifact, &bytes).unwrap();
    assert!(
        damaged(&catalog)
            .to_string()
            .contains("is damaged: its bytes have the digest sha256:")
    );
    assert_eq!(
        catalog.open_artifact(&one.digest).unwrap_err().code(),
        "storage-damaged"
    );
    fs::remove_file(&artifact).unwrap();
    assert!(damaged(&catalog).to_string().ends_with("is damaged: gone"));
}

#[test]
fn a_crash_between_the_writes_leaves_no_release() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    publish(&catalog, &version("1.0.0"), 5).unwrap();
    let record = folder.path().join("registry/releases/invoicing/1.0.0.json");
    fs::rename(&record, record.with_file_name("1.0.0.json.99-0.tmp")).unwrap();
    let catalog = trusting(folder.path());
    assert!(catalog.list().unwrap().is_empty());
    assert_eq!(
        publish(&catalog, &version("1.0.0"), 6).unwrap().published_at_ms,
        6
    );
}

#[test]
#[should_panic(expected = "the release was read from these bytes")]
fn a_release_is_published_with_its_own_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let _ = catalog.publish(&Release::read(&version("1.0.0"), 5).unwrap(), &version("1.0.1"));
}

#[test]
fn a_release_must_be_signed_by_somebody_who_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let refused = |bytes: &[u8], code: &str, expected: &str| {
        let error = publish(&catalog, bytes, 5).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (code, expected));
        assert!(catalog.list().unwrap().is_empty());
    };
    refused(
        &release(GOOD),
        "unsigned",
        "invoicing 1.0.0 is not signed; `millwork plugin sign` does that",
    );
    let stranger = key("millwork", 2);
    refused(
        &sign(&release(GOOD), &stranger).unwrap(),
        "publisher-unknown",
        &format!(
            "it is signed for publisher millwork with the key {}, which is not trusted here",
            stranger.public()
        ),
    );
    let other = GOOD.replace("publisher: millwork", "publisher: acme");
    let id = key("millwork", 1).public().id();
    refused(
        &sign(&release(&other), &key("acme", 1)).unwrap(),
        "publisher-mismatch",
        &format!("the key {id} is publisher millwork's, so it cannot sign for publisher acme"),
    );
    catalog.trust().revoke(&id, "it was lost", 9).unwrap();
    refused(
        &version("1.0.0"),
        "key-revoked",
        &format!("the key {id} of publisher millwork is revoked: it was lost"),
    );
}

#[test]
fn what_a_revoked_key_signed_is_not_loaded_but_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let release = publish(&catalog, &version("1.0.0"), 5).unwrap();
    let load = |catalog: &Catalog| {
        catalog
            .load("invoicing", &release.version, &release.digest)
            .map(|(release, bytes)| (release.digest, bytes))
    };
    assert_eq!(
        load(&catalog).unwrap(),
        (release.digest.clone(), version("1.0.0"))
    );
    let id = release.key.unwrap().id();
    catalog.trust().revoke(&id, "it was lost", 9).unwrap();
    for catalog in [catalog, open(folder.path())] {
        for refused in [
            load(&catalog).unwrap_err(),
            catalog.get("invoicing", &release.version).unwrap_err(),
            catalog.latest("invoicing").unwrap_err(),
        ] {
            assert_eq!(refused.code(), "key-revoked");
        }
        let shown = catalog.show("invoicing", &release.version).unwrap();
        assert_eq!(shown.refused.unwrap().code(), "key-revoked");
        assert_eq!(
            shown.interfaces.exports.first().map(String::as_str),
            Some("millwork:module/aggregates@0.1.0")
        );
        assert_eq!(catalog.list().unwrap().len(), 1);
    }
}

#[test]
fn a_forged_record_does_not_help_a_changed_artifact() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let good = publish(&catalog, &version("1.0.0"), 5).unwrap();
    let path = |file: &str| folder.path().join("registry").join(file);
    let put = |bytes: &[u8], record: &Summary| {
        let artifact = format!("artifacts/sha256-{}.wasm", record.digest.hex());
        fs::write(path(&artifact), bytes).unwrap();
        let record = serde_json::to_string(record).unwrap();
        fs::write(path("releases/invoicing/1.0.0.json"), record).unwrap();
        catalog
            .load("invoicing", &good.version, &good.digest)
            .unwrap_err()
    };
    // Changed after it was signed, and the record made to fit.
    let mut changed = version("1.0.0");
    let at = changed.windows(5).position(|part| part == b"draft").unwrap();
    changed[at] = b'D';
    let record = Summary {
        digest: crate::id::Digest::of(&changed),
        ..good.summary()
    };
    assert_eq!(put(&changed, &record).code(), "signature-invalid");
    // Without a signature at all.
    let unsigned = release(GOOD);
    let record = Release::read(&unsigned, 5).unwrap().summary();
    assert_ne!(
        put(&unsigned, &record).code(),
        "unsigned",
        "it is not what was installed"
    );
    assert_eq!(
        catalog.get("invoicing", &good.version).unwrap_err().code(),
        "unsigned"
    );
    // Another one of the same publisher under the same version.
    let other = signed(&GOOD.replace("draft", "first draft"));
    let record = Release::read(&other, 5).unwrap().summary();
    assert_eq!(put(&other, &record).code(), "storage-damaged");
}

#[test]
fn a_name_belongs_to_who_published_it_first() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let acme = key("acme", 2);
    catalog.trust().trust("acme", acme.public(), 2).unwrap();
    let second = key("millwork", 3);
    catalog.trust().trust("millwork", second.public(), 3).unwrap();
    publish(&catalog, &version("1.0.0"), 5).unwrap();
    let theirs = GOOD.replace("publisher: millwork", "publisher: acme");
    for version in ["1.0.0", "0.9.0", "1.1.0"] {
        let manifest = theirs.replace("version: 1.0.0", &format!("version: {version}"));
        let error = publish(&catalog, &sign(&release(&manifest), &acme).unwrap(), 6).unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (
                "name-taken",
                "the name invoicing belongs to publisher millwork, who published it first"
            )
        );
    }
    let named = theirs
        .replace("name: invoicing", "name: billing")
        .replace("invoicing.", "billing.");
    publish(&catalog, &sign(&release(&named), &acme).unwrap(), 7).unwrap();
    let next = release(&GOOD.replace("version: 1.0.0", "version: 1.1.0"));
    let with_the_other_key = publish(&catalog, &sign(&next, &second).unwrap(), 8).unwrap();
    assert_eq!(with_the_other_key.key, Some(second.public()));
}

#[test]
fn a_yanked_release_is_not_chosen_but_goes_on_where_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    let old = publish(&catalog, &version("1.0.0"), 5).unwrap();
    let new = publish(&catalog, &version("1.1.0"), 6).unwrap();
    let yank = catalog
        .yank("invoicing", &new.version, "rounds wrongly", 7)
        .unwrap();
    assert_eq!(
        catalog
            .yank("invoicing", &new.version, "another reason", 8)
            .unwrap(),
        yank,
        "the first reason stays"
    );
    let catalog = open(folder.path());
    assert_eq!(catalog.latest("invoicing").unwrap().version, old.version);
    let error = catalog
        .installable("invoicing", &new.version, Some(&old.digest))
        .unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("yanked", "invoicing 1.1.0 is yanked: rounds wrongly")
    );
    catalog
        .installable("invoicing", &new.version, Some(&new.digest))
        .unwrap();
    catalog.load("invoicing", &new.version, &new.digest).unwrap();
    let yanked: Vec<_> = catalog
        .of_name("invoicing")
        .unwrap()
        .into_iter()
        .map(|listed| listed.yanked)
        .collect();
    assert_eq!(yanked, [None, Some(yank)]);

    catalog.yank("invoicing", &old.version, "so does it", 9).unwrap();
    assert_eq!(
        catalog.latest("invoicing").unwrap_err().to_string(),
        "invoicing 1.1.0 is yanked: rounds wrongly"
    );
    for _ in 0..2 {
        catalog.unyank("invoicing", &new.version).unwrap();
    }
    assert_eq!(catalog.latest("invoicing").unwrap().version, new.version);

    for (version, reason, code) in [
        ("9.0.0", "x", "release-unknown"),
        ("1.1.0", "", "text-malformed"),
        ("1.1.0", "a\nb", "text-malformed"),
    ] {
        let error = catalog.yank("invoicing", &parse(version), reason, 9).unwrap_err();
        assert_eq!(error.code(), code);
    }
    assert_eq!(
        catalog
            .unyank("../releases/invoicing", &new.version)
            .unwrap_err()
            .code(),
        "release-unknown"
    );
}

#[test]
fn what_lists_show_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = trusting(folder.path());
    // Short in the manifest, long in the record: `aaa: 1` against `"aaa": "^1"` on a line of its own.
    let mut names = Vec::new();
    for first in 'a'..='z' {
        for rest in 0..36 * 36 {
            let digit = |n: u32| char::from_digit(n, 36).unwrap();
            names.push(format!("{first}{}{}: 1", digit(rest / 36), digit(rest % 36)));
        }
    }
    let dependencies = names.join(",");
    let manifest = format!(
        "{{manifest: 1, name: a, version: 1.0.0, publisher: millwork, description: d, licence: MIT, \
         dependencies: {{{dependencies}}}}}"
    );
    let error = publish(&catalog, &signed(&manifest), 5).unwrap_err();
    assert_eq!(error.code(), "too-large", "{error}");
    assert!(
        error.to_string().starts_with("record of the release of "),
        "{error}"
    );
    assert_eq!(
        fs::read_dir(folder.path().join("registry/artifacts"))
            .unwrap()
            .count(),
        0
    );
}
