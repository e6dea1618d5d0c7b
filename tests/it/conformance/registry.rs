//! What the registry keeps its records and artifacts in. Every case has two hosts' handles on it; where one process at a
//! time is the promise, both are the same.

mod artifacts;
mod hosts;
mod mongodb;
mod races;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use millwork_host::mongodb::MongoSettings;
use millwork_host::registry_store::mongodb::MongoStore;
use millwork_registry::store::{Files, Store};
use millwork_tests::servers::MONGODB;
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::on_every_backend;
use races::{
    of_racers_one_appends_each_line, of_racers_one_creates, of_racers_one_takes_each_turn,
    racers_replace_it_whole,
};

/// Two hosts' handles on the same records.
type Hosts = [Arc<dyn Store>; 2];

struct OnFiles {
    hosts: Hosts,
    _folder: TempDir,
}

impl OnFiles {
    fn store(&self) -> &Hosts {
        &self.hosts
    }
}

async fn start_files() -> OnFiles {
    let folder = tempfile::tempdir().unwrap();
    let files: Arc<dyn Store> = Arc::new(Files::open(folder.path()).unwrap());
    OnFiles {
        hosts: [Arc::clone(&files), files],
        _folder: folder,
    }
}

struct OnMongo(Hosts);

impl OnMongo {
    fn store(&self) -> &Hosts {
        &self.0
    }
}

async fn reach_mongodb() -> Option<OnMongo> {
    let [one, other] = two_stores(&settings(MONGODB.shared()?.url()));
    Some(OnMongo([one, other]))
}

/// A new database of the server at `url`.
fn settings(url: &str) -> MongoSettings {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    MongoSettings {
        url: url.to_owned(),
        database: format!("millwork-registry-{}-{number}", std::process::id()),
        connections_max: 20,
        operation_ms: 20_000,
    }
}

fn two_stores(settings: &MongoSettings) -> [Arc<MongoStore>; 2] {
    let store = || {
        MongoStore::new(
            settings.clone(),
            "MongoDB of a test".to_owned(),
            Handle::current(),
        )
    };
    [Arc::new(store()), Arc::new(store())]
}

on_every_backend! {
    backends: { files: start_files },
    servers: { on_mongodb: reach_mongodb },
    cases: [
        a_record_is_created_once,
        a_record_is_replaced_whole,
        a_record_is_replaced_only_as_it_was_read,
        a_line_is_appended_only_behind_those_known,
        names_are_those_directly_below,
        the_records_of_a_folder_are_read_together,
        what_is_removed_is_gone,
        a_record_is_removed_only_as_it_was_read,
        what_is_too_long_is_damage,
        any_bytes_are_kept,
        of_racers_one_creates,
        of_racers_one_takes_each_turn,
        of_racers_one_appends_each_line,
        racers_replace_it_whole,
    ],
}

const NAME: &str = "registry/releases/thing/1.0.0.json";

/// What both read.
#[track_caller]
fn reads(hosts: &Hosts, name: &str, expected: Option<&[u8]>) {
    for host in hosts {
        assert_eq!(host.read(name, 1 << 20).unwrap().as_deref(), expected, "{name}");
    }
}

async fn a_record_is_created_once(hosts: &Hosts) {
    let [one, other] = hosts;
    reads(hosts, NAME, None);
    assert!(one.create(NAME, b"first").unwrap());
    assert!(!one.create(NAME, b"second").unwrap());
    assert!(!other.create(NAME, b"second").unwrap());
    reads(hosts, NAME, Some(b"first"));
}

async fn a_record_is_replaced_whole(hosts: &Hosts) {
    let [one, other] = hosts;
    one.replace(NAME, b"a long one").unwrap();
    other.replace(NAME, b"short").unwrap();
    reads(hosts, NAME, Some(b"short"));
}

async fn a_record_is_replaced_only_as_it_was_read(hosts: &Hosts) {
    let [one, other] = hosts;
    assert!(!one.replace_if(NAME, Some(b"1"), b"2").unwrap(), "there is none");
    assert!(one.replace_if(NAME, None, b"1").unwrap());
    assert!(!other.replace_if(NAME, None, b"2").unwrap(), "there is one");
    for read in [b"".as_slice(), b"11", b"2"] {
        assert!(!other.replace_if(NAME, Some(read), b"2").unwrap());
    }
    assert!(other.replace_if(NAME, Some(b"1"), b"2").unwrap());
    assert!(!one.replace_if(NAME, Some(b"1"), b"3").unwrap());
    reads(hosts, NAME, Some(b"2"));
}

async fn a_line_is_appended_only_behind_those_known(hosts: &Hosts) {
    let [one, other] = hosts;
    assert!(!one.append(NAME, 0, b"lost").unwrap(), "there is no record");
    one.create(NAME, b"0\n").unwrap();
    assert!(other.append(NAME, 1, b"1").unwrap());
    for lines in [0, 1, 3] {
        assert!(!one.append(NAME, lines, b"x").unwrap());
    }
    assert!(one.append(NAME, 2, b"2").unwrap());
    reads(hosts, NAME, Some(b"0\n1\n2\n"));
    one.replace(NAME, b"new\n").unwrap();
    assert!(other.append(NAME, 1, b"").unwrap());
    reads(hosts, NAME, Some(b"new\n\n"));
}

async fn names_are_those_directly_below(hosts: &Hosts) {
    let [one, other] = hosts;
    assert!(one.names("tenants/none").unwrap().is_empty());
    for name in [
        "tenants/b/tenant.json",
        "tenants/a/swaps/1.jsonl",
        "tenants/a/tenant.json",
        "tenants/a-b/tenant.json",
    ] {
        assert!(one.create(name, b"{}").unwrap());
    }
    assert_eq!(other.names("tenants").unwrap(), ["a", "a-b", "b"]);
    assert_eq!(other.names("tenants/a").unwrap(), ["swaps", "tenant.json"]);
    one.remove("tenants/a/swaps/1.jsonl").unwrap();
    assert_eq!(
        other.names("tenants/a").unwrap(),
        ["swaps", "tenant.json"],
        "folders stay"
    );
    assert!(other.names("tenants/a/swaps").unwrap().is_empty());
}

async fn the_records_of_a_folder_are_read_together(hosts: &Hosts) {
    let [one, other] = hosts;
    assert!(one.read_all("tenants/a", 9).unwrap().is_empty());
    one.create("tenants/a/z", b"z\n").unwrap();
    one.create("tenants/a/b", b"b").unwrap();
    one.create("tenants/a/below/c", b"c").unwrap();
    one.append("tenants/a/z", 1, b"more").unwrap();
    let all = other.read_all("tenants/a", 7).unwrap();
    let all: Vec<_> = all
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    assert_eq!(all, [("b", b"b".as_slice()), ("z", b"z\nmore\n")]);
    assert_eq!(
        other.read_all("tenants/a", 6).unwrap_err().code(),
        "storage-damaged"
    );
}

async fn what_is_removed_is_gone(hosts: &Hosts) {
    let [one, other] = hosts;
    one.remove(NAME).unwrap();
    one.create(NAME, b"1").unwrap();
    other.remove(NAME).unwrap();
    reads(hosts, NAME, None);
    assert!(one.create(NAME, b"2").unwrap());
}

async fn a_record_is_removed_only_as_it_was_read(hosts: &Hosts) {
    let [one, other] = hosts;
    assert!(!one.remove_if(NAME, b"1").unwrap(), "there is none");
    one.create(NAME, b"1").unwrap();
    for read in [b"".as_slice(), b"11", b"2"] {
        assert!(!other.remove_if(NAME, read).unwrap());
    }
    reads(hosts, NAME, Some(b"1"));
    assert!(other.remove_if(NAME, b"1").unwrap());
    reads(hosts, NAME, None);
}

async fn what_is_too_long_is_damage(hosts: &Hosts) {
    let [one, other] = hosts;
    one.create(NAME, b"12345\n").unwrap();
    assert_eq!(other.read(NAME, 6).unwrap().unwrap(), b"12345\n");
    let error = other.read(NAME, 5).unwrap_err();
    assert_eq!(error.code(), "storage-damaged");
    assert!(error.to_string().starts_with(NAME), "{error}");
}

async fn any_bytes_are_kept(hosts: &Hosts) {
    let [one, other] = hosts;
    let all: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
    one.replace(NAME, &all).unwrap();
    assert!(other.replace_if(NAME, Some(&all), b"").unwrap());
    reads(hosts, NAME, Some(b""));
}
