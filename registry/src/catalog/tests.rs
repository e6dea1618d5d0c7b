//! Publishing: once, whole, and unchanged from then on.

use std::fs;

use semver::Version;

use super::Catalog;
use crate::Error;
use crate::manifest::tests::GOOD;
use crate::release::Release;
use crate::release::tests::release;

fn version(version: &str) -> Vec<u8> {
    release(&GOOD.replace("version: 1.0.0", &format!("version: {version}")))
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
    let catalog = Catalog::open(folder.path()).unwrap();
    assert!(catalog.list().unwrap().is_empty());
    let bytes = version("1.0.0");
    let published = publish(&catalog, &bytes, 5).unwrap();
    publish(&catalog, &version("1.10.0"), 6).unwrap();
    publish(&catalog, &version("1.9.0"), 7).unwrap();
    publish(&catalog, &version("2.0.0-rc.1"), 8).unwrap();
    let again = Catalog::open(folder.path()).unwrap();
    let versions: Vec<_> = again
        .list()
        .unwrap()
        .iter()
        .map(|summary| summary.version.to_string())
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
    let catalog = Catalog::open(folder.path()).unwrap();
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
    let catalog = Catalog::open(folder.path()).unwrap();
    publish(&catalog, &version("1.0.0"), 5).unwrap();
    assert_eq!(
        publish(&catalog, &version("1.0.0"), 6).unwrap().published_at_ms,
        5
    );
    let other = release(&GOOD.replace("draft", "first draft"));
    let error = publish(&catalog, &other, 7).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invoicing 1.0.0 is published already with other bytes; a release never changes"
    );
    assert_eq!(error.code(), "release-exists");
    assert_eq!(
        fs::read_dir(folder.path().join("artifacts")).unwrap().count(),
        1,
        "nothing is left of what was refused"
    );
}

#[test]
fn of_two_that_publish_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(folder.path()).unwrap();
    let candidates: Vec<_> = (0..8)
        .map(|n| release(&GOOD.replace("draft", &format!("draft {n}"))))
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
    let catalog = Catalog::open(folder.path()).unwrap();
    let one = publish(&catalog, &version("1.0.0"), 5).unwrap();
    publish(&catalog, &version("1.1.0"), 6).unwrap();
    let path = |file: &str| folder.path().join(file);
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
    let catalog = Catalog::open(folder.path()).unwrap();
    publish(&catalog, &version("1.0.0"), 5).unwrap();
    let record = folder.path().join("releases/invoicing/1.0.0.json");
    fs::rename(&record, record.with_file_name("1.0.0.json.99-0.tmp")).unwrap();
    let catalog = Catalog::open(folder.path()).unwrap();
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
    let catalog = Catalog::open(folder.path()).unwrap();
    let _ = catalog.publish(&Release::read(&version("1.0.0"), 5).unwrap(), &version("1.0.1"));
}
