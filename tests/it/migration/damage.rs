//! Archives that were cut off, changed or written by a newer host.

use millwork_host::event_store::portable::{Gate, Holding, Portable as _};
use millwork_host::event_store::sqlite::{SqliteEvents, SqliteEventsLimits};
use millwork_host::event_store::{EventStore as _, Subject};
use millwork_host::migrate::manifest::{FILE, Kind, Manifest, SEAL};
use millwork_host::migrate::pack::Sums;
use millwork_host::migrate::tar::{self, BLOCK, END};
use millwork_registry::id::{Digest, TenantId};
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use super::{bare, books_of, check_goes_on, export, fill, import};
use crate::production;

type Files = Vec<(String, Vec<u8>)>;

/// All files of an archive.
pub(super) fn files(archive: &[u8]) -> Files {
    let (mut files, mut rest) = (Files::new(), archive);
    while let Some((name, bytes)) = tar::parse(rest.first_chunk::<BLOCK>().unwrap()) {
        let size = usize::try_from(bytes).unwrap();
        files.push((name, rest[BLOCK..][..size].to_vec()));
        rest = &rest[BLOCK + size + tar::padding(bytes)..];
    }
    assert_eq!(rest, END);
    files
}

/// An archive of these files.
fn archive(files: &Files) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        bytes.extend(tar::header(name, content.len() as u64).unwrap());
        bytes.extend(content);
        bytes.resize(bytes.len() + tar::padding(content.len() as u64), 0);
    }
    bytes.extend(END);
    bytes
}

fn file<'f>(files: &'f mut Files, name: &str) -> &'f mut Vec<u8> {
    let found = files.iter_mut().find(|(known, _)| known == name);
    &mut found.unwrap_or_else(|| panic!("no {name}")).1
}

/// Changes the manifest, and seals it again.
fn with_manifest(archive_bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut files = files(archive_bytes);
    let mut manifest: Value = serde_json::from_slice(file(&mut files, FILE)).unwrap();
    change(&mut manifest);
    let text = serde_json::to_vec_pretty(&manifest).unwrap();
    *file(&mut files, SEAL) = format!("{}\n", Digest::of(&text)).into_bytes();
    *file(&mut files, FILE) = text;
    archive(&files)
}

/// Changes the lines of a kind and every checksum that would tell: as somebody would who knows the format.
pub(super) fn forged(archive_bytes: &[u8], kind: Kind, change: impl FnOnce(&mut Vec<Value>)) -> Vec<u8> {
    let name = kind.file(1);
    let mut files = files(archive_bytes);
    let text = String::from_utf8(file(&mut files, &name).clone()).unwrap();
    let mut lines = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    with_file(archive_bytes, kind, text.as_bytes())
}

/// Puts other bytes into the first file of a kind, and changes every checksum that would tell.
pub(super) fn with_file(archive_bytes: &[u8], kind: Kind, content: &[u8]) -> Vec<u8> {
    let name = kind.file(1);
    let mut files = files(archive_bytes);
    *file(&mut files, &name) = content.to_vec();
    with_manifest(&archive(&files), |manifest| {
        let mut known: Manifest = serde_json::from_value(manifest.clone()).unwrap();
        let part = known.parts.iter_mut().find(|part| part.name == name).unwrap();
        (part.bytes, part.digest) = (content.len() as u64, Digest::of(content));
        let mut sums = Sums::default();
        sums.add(kind, content);
        known.contents.extend(sums.of(&[kind]));
        *manifest = serde_json::to_value(known).unwrap();
    })
}

/// Nothing of it is there.
#[track_caller]
pub(super) fn check_nothing(server: &Server) {
    assert_eq!(
        server.operator().get("/admin/v1/tenants").done()["tenants"],
        json!([])
    );
    let left = std::fs::read_dir(server.data().join("moving")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_damaged_archive_is_refused_whole() {
    let source = Server::demo();
    let once = fill(&source.admin());
    let good = export(&source, "demo");
    let target = bare(Setup::default());
    let check = |archive: &[u8], code: &str| {
        let problem = import(&target, "trust-keys", archive).refused(422, code);
        check_nothing(&target);
        problem["detail"].as_str().unwrap().to_owned()
    };
    for end in [
        1,
        BLOCK,
        good.len() / 2,
        good.len() - 2 * BLOCK,
        good.len() - BLOCK,
        good.len() - 1,
    ] {
        check(&good[..end], "archive-damaged");
    }
    check(&[&good[..], b"\n"].concat(), "archive-damaged");
    check(&[&good[..], &good[..]].concat(), "archive-damaged");
    check(&vec![0; 10_000], "archive-damaged");
    for at in (0..40).map(|step| step * good.len() / 40).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        check(&bad, "archive-damaged");
    }
    let mut swapped = files(&good);
    swapped.swap(1, 2);
    check(&archive(&swapped), "archive-damaged");
    let mut fewer = files(&good);
    fewer.remove(1);
    check(&archive(&fewer), "archive-damaged");
    check(
        &with_manifest(&good, |manifest| manifest["position"] = json!("7")),
        "archive-damaged",
    );
    let newer = check(
        &with_manifest(&good, |manifest| manifest["format"] = json!(2)),
        "archive-newer",
    );
    assert!(newer.contains("format 2"), "{newer}");
    let mut more = files(&good);
    more.insert(0, ("pictures/1".to_owned(), b"mill".to_vec()));
    let more = with_manifest(&archive(&more), |manifest| {
        let picture = json!({ "name": "pictures/1", "bytes": 4, "digest": Digest::of(b"mill").to_string() });
        manifest["parts"].as_array_mut().unwrap().insert(0, picture);
    });
    assert!(check(&more, "archive-newer").contains("pictures/1"));

    let _ = import(&target, "trust-keys", &good).done();
    let api = target.somebody(Some("demo"), &["admin"]);
    assert_eq!(books_of(&api, &good), books_of(&source.admin(), &good));
    check_goes_on(&api, &once, 4);
}

#[test]
fn what_has_begun_to_arrive_is_cleared_away() {
    let source = Server::demo();
    let once = fill(&source.admin());
    let good = export(&source, "demo");
    for setup in production::everywhere() {
        let target = bare(setup);
        let refused = |archive: &[u8], status: u16, code: &str| {
            import(&target, "trust-keys", archive).refused(status, code);
            check_nothing(&target);
        };
        // Each of these is seen only when some of it has been put down.
        refused(
            &forged(&good, Kind::Events, |lines| drop(lines.pop())),
            422,
            "archive-damaged",
        );
        refused(
            &forged(&good, Kind::Events, |lines| lines[3]["version"] = json!(70)),
            500,
            "import-unverified",
        );
        refused(
            &forged(&good, Kind::Commands, |lines| drop(lines.pop())),
            500,
            "import-unverified",
        );
        refused(
            &forged(&good, Kind::Commands, |lines| lines.swap(0, 1)),
            422,
            "archive-damaged",
        );
        refused(
            &forged(&good, Kind::Numbers, |lines| lines.push(json!({}))),
            422,
            "archive-damaged",
        );
        let _ = import(&target, "trust-keys", &good).done();
        let api = target.somebody(Some("demo"), &["admin"]);
        assert_eq!(books_of(&api, &good), books_of(&source.admin(), &good));
        check_goes_on(&api, &once, 4);
    }
}

/// What a host that was killed in the middle of an import leaves in its event store.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn leave_half(server: &Server, tenant: &str) {
    let limits = SqliteEventsLimits {
        queue_max: 10,
        batch_max: 10,
        readers_max: 1,
    };
    let store = SqliteEvents::open(&server.data().join("events.db"), &limits).unwrap();
    let tenant = TenantId::new(tenant).unwrap();
    store.set_gate(&tenant, Gate::Arriving).await.unwrap();
    let holder = Subject {
        module: "client".to_owned(),
        aggregate: "Client".to_owned(),
        id: "half".to_owned(),
    };
    let claim = Holding::Claim {
        holder,
        name: "code".to_owned(),
        value: "ACME".to_owned(),
    };
    let sequence = Holding::Sequence {
        module: "invoicing".to_owned(),
        name: "half".to_owned(),
        last: 7,
    };
    store
        .restore_holdings(&tenant, vec![claim, sequence])
        .await
        .unwrap();
    store.close().await;
}

#[test]
fn what_a_killed_import_has_left_is_nobodys() {
    let mut server = Server::demo();
    let once = fill(&server.admin());
    let archive = export(&server, "demo");
    server.kill();
    leave_half(&server, "new");
    leave_half(&server, "half");
    server.run_bare();
    let api = server.tenant("new", &["client"]);
    let body = json!({ "code": "ACME", "name": "Nobody had it" });
    assert_eq!(api.post("/api/v1/clients", &body).status, 201);
    let _ = import(&server, "as=half", &archive).done();
    check_goes_on(&server.somebody(Some("half"), &["admin"]), &once, 4);
}
