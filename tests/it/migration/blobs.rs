//! Blobs move with their tenant.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millwork_host::capability::blobs::body::Body;
use millwork_host::capability::blobs::files::FilesBlobs;
use millwork_host::capability::blobs::link::LinkKey;
use millwork_host::capability::blobs::{Address, Blobs as _, Bucket, Content};
use millwork_host::migrate::manifest::Kind;
use millwork_registry::id::TenantId;
use millwork_tests::client::Client;
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use super::damage::{check_nothing, files, forged, leave_half, with_file};
use super::{bare, export, freeze, import, opened, parts};
use crate::blobs::{archive, ask, download, keep, names, upload};
use crate::production;

/// Larger than a file of an archive, than a part of an upload and than what is read at once, and a multiple of none.
const LARGE_BYTES: u32 = 9_500_000;

fn large() -> Vec<u8> {
    (0..LARGE_BYTES)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Keeps papers in versions, an empty one and a large one, and one that is taken away.
fn fill(server: &Server, api: &Client) {
    for text in ["the first text", "the second text", "the first text"] {
        keep(api, "notes/2026/ä b.txt", text);
    }
    keep(api, "notes/2026/other.txt", "another");
    for (key, body, media_type) in [
        ("empty", Vec::new(), "text/plain"),
        ("large", large(), "image/png"),
    ] {
        let sent = upload(server, api, key, &body, media_type).put(&body);
        assert_eq!(sent.status, 200, "{}", sent.text());
    }
    keep(api, "away", "taken away");
    let place = json!({ "bucket": "papers", "key": "away" });
    let _ = api.post("/api/v1/papers-dropped", &place).done();
    millwork_tests::poll::until("the paper is gone", || {
        (ask(api, "known", &[("key", "away")]).status == 404).then_some(())
    });
}

/// What a tenant has, without what a store names and times by itself.
fn papers_of(server: &Server, api: &Client) -> Vec<Value> {
    let listed = ask(api, "listed", &[]).done();
    let mut papers = Vec::new();
    for key in names(&listed) {
        let known = ask(api, "known", &[("key", key)]).done();
        let versions = ask(api, "versions", &[("key", key)]).done();
        let texts: Vec<_> = names(&versions)
            .into_iter()
            .filter(|_| key != "large")
            .map(|version| ask(api, "read", &[("key", key), ("version", version)]).done()["text"].clone())
            .collect();
        papers.push(json!({
            "key": key, "texts": texts, "versions": names(&versions).len(),
            "size": known["size"], "mediaType": known["mediaType"], "sha256": known["sha256"],
        }));
    }
    assert!(
        download(server, api, &[("key", "large")]).get().body == large(),
        "the bytes differ"
    );
    papers
}

#[test]
fn blobs_move_from_files_to_servers_and_back() {
    for setup in production::everywhere() {
        let (source, api, stranger) = archive(Setup::default());
        fill(&source, &api);
        keep(&stranger, "notes/2026/ä b.txt", "not theirs");
        let papers = papers_of(&source, &api);
        let sent = export(&source, "keepers");
        let manifest = opened(&sent).manifest().clone();
        assert_eq!(manifest.contents[&Kind::Blobs].count, 6);
        let bytes = "the first text".len() * 2 + "the second text".len() + "another".len();
        assert_eq!(
            manifest.contents[&Kind::Contents].count,
            bytes as u64 + u64::from(LARGE_BYTES)
        );

        let target = bare(setup);
        let _ = import(&target, "trust-keys", &sent).done();
        let there = target.somebody(Some("keepers"), &["admin"]);
        assert_eq!(papers_of(&target, &there), papers);
        let round = export(&target, "keepers");
        assert_eq!(parts(&round), parts(&sent));

        let back = bare(Setup::default());
        let _ = import(&back, "trust-keys&as=home", &round).done();
        let home = back.somebody(Some("home"), &["admin"]);
        assert_eq!(papers_of(&back, &home), papers);
        assert_eq!(parts(&export(&back, "home")), parts(&sent));
        keep(&home, "notes/2026/other.txt", "and on it goes");
    }
}

#[test]
fn a_damaged_blob_is_refused() {
    let (source, api, _) = archive(Setup::default());
    keep(&api, "a.txt", "the first text");
    keep(&api, "b.txt", "the second text");
    // In the archive of an open tenant the second paper may be one that is still being delivered, and is delivered again.
    freeze(&source, "keepers");
    let good = export(&source, "keepers");
    for setup in production::everywhere() {
        let target = bare(setup);
        let refused = |archive: &[u8], why: &str| {
            let problem = import(&target, "trust-keys", archive).refused(422, "archive-damaged");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(why), "{detail}");
            check_nothing(&target);
        };
        let contents = Kind::Contents.file(1);
        let bytes = files(&good)
            .into_iter()
            .find(|(name, _)| *name == contents)
            .unwrap()
            .1;
        let mut changed = bytes.clone();
        changed[20] ^= 1;
        // Each of these has every checksum of the archive itself right.
        refused(
            &with_file(&good, Kind::Contents, &changed),
            "blob \"b.txt\" of archivist: its sha256",
        );
        refused(
            &with_file(&good, Kind::Contents, &bytes[..20]),
            "it has 6 bytes, not 15",
        );
        refused(
            &with_file(&good, Kind::Contents, &[&bytes[..], b"x"].concat()),
            "29 bytes, not 30",
        );
        let line = |change: fn(&mut Value)| forged(&good, Kind::Blobs, |lines| change(&mut lines[1]));
        refused(&line(|line| line["key"] = json!("../b.txt")), "a part may not be");
        refused(
            &line(|line| line["bucket"] = json!("secrets")),
            "no module declares its bucket",
        );
        refused(
            &line(|line| line["bytes"] = json!(1_u64 << 40)),
            "larger than a blob may be",
        );
        refused(&line(|line| line["sha256"] = json!("0")), "sha256");
        refused(&line(|line| line["mediaType"] = json!("text")), "media-type");
        // What those have put down is gone.
        let _ = import(&target, "trust-keys", &good).done();
        assert_eq!(parts(&export(&target, "keepers")), parts(&good));
    }
}

/// All files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] });
    files.collect()
}

#[test]
fn a_blob_that_was_changed_on_the_disk_is_not_exported() {
    let (source, api, _) = archive(Setup::default());
    keep(&api, "a.txt", "the first text");
    let stored = below(&source.data().join("tenants/keepers/blobs"));
    let [file] = stored.as_slice() else {
        panic!("{stored:?}");
    };
    fs::write(file, b"the worst text").unwrap();
    let operator = source.operator();
    let ended = operator.ask("GET", "/admin/v1/tenants/keepers/export").try_send();
    // One that ends early is none, whether the client sees it by the connection or by the missing end.
    let whole = ended.is_ok_and(|reply| reply.body.ends_with(&[0; 1_024]));
    assert!(!whole, "an archive of a damaged blob");
    let other = export(&source, "strangers");
    assert_eq!(opened(&other).manifest().contents[&Kind::Blobs].count, 0);
}

#[test]
fn a_closed_tenant_takes_no_uploads() {
    let (source, api, _) = archive(Setup::default());
    let link = upload(&source, &api, "late", b"late", "text/plain");
    freeze(&source, "keepers");
    link.put(b"late").refused(503, "tenant-moving");
    assert!(names(&ask(&api, "listed", &[]).done()).is_empty());
    let path = "/admin/v1/tenants/keepers/freeze";
    let _ = source.operator().delete(path).done();
    assert_eq!(link.put(b"late").status, 200);
}

/// What a host that was killed in the middle of an import leaves among its blobs.
#[tokio::main(flavor = "current_thread")]
async fn leave_blob(server: &Server, tenant: &str) {
    let store = FilesBlobs::new(
        server.data().join("tenants"),
        LinkKey::open(&server.data()).unwrap(),
    );
    let bucket = Bucket {
        module: "archivist".to_owned(),
        name: "papers".to_owned(),
        expire_after: None,
    };
    let at = Address {
        tenant: &TenantId::new(tenant).unwrap(),
        bucket: &bucket,
        key: "half",
    };
    let bytes = Bytes::from_static(b"half");
    let content = Content::of(&bytes, "text/plain");
    store.put(at, &content, Body::of(bytes)).await.unwrap();
}

#[test]
fn blobs_of_a_killed_import_are_nobodys() {
    let (mut server, api, _) = archive(Setup::default());
    keep(&api, "a.txt", "the first text");
    let good = export(&server, "keepers");
    server.kill();
    for tenant in ["new", "half"] {
        leave_half(&server, tenant);
        leave_blob(&server, tenant);
    }
    server.run_bare();
    let new = server.tenant("new", &["archivist"]);
    assert!(names(&ask(&new, "listed", &[]).done()).is_empty());
    let _ = import(&server, "as=half", &good).done();
    let half = server.somebody(Some("half"), &["admin"]);
    assert_eq!(names(&ask(&half, "listed", &[]).done()), ["a.txt"]);
}
