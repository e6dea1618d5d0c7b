//! What only records on a server have: it may be away, and what was acknowledged before is there when it comes back.

use std::sync::Arc;

use millwork_host::blocking;
use millwork_host::mongodb::MongoSettings;
use millwork_host::registry_store::mongodb::MongoStore;
use millwork_registry::Error;
use millwork_registry::id::{Digest, TenantId};
use millwork_registry::store::{Artifacts as _, Store};
use millwork_registry::swap::Swaps;
use millwork_tests::poll;
use millwork_tests::servers::MONGODB;
use tokio::runtime::Handle;

use super::{NAME, settings, two_stores};

/// Largest record, in bytes: what a document of MongoDB has room for.
const RECORD_BYTES_MAX: usize = 15 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_a_kill() {
    let Some(mut server) = MONGODB.start() else { return };
    let settings = MongoSettings {
        operation_ms: 2_000,
        ..settings(server.url())
    };
    let [one, other] = two_stores(&settings);
    one.create(NAME, b"0\n").unwrap();
    assert!(other.append(NAME, 1, b"1").unwrap());
    server.kill();
    let told = |error: Error| (error.code(), error.to_string());
    let expected = (
        "registry-unavailable",
        "the registry is not reached: MongoDB of a test does not answer".to_owned(),
    );
    assert_eq!(told(one.read(NAME, 9).unwrap_err()), expected);
    assert_eq!(told(one.create("registry/x", b"x").unwrap_err()), expected);
    let [late, _] = two_stores(&settings);
    assert_eq!(told(late.names("registry").unwrap_err()), expected);

    server.run();
    for store in [&one, &other, &late] {
        let read = poll::until("an answer", || store.read(NAME, 9).ok());
        assert_eq!(read.unwrap(), b"0\n1\n");
    }
    assert!(!one.append(NAME, 1, b"x").unwrap());
    assert!(late.append(NAME, 2, b"2").unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_asked_from_any_thread() {
    let Some(server) = MONGODB.shared() else { return };
    let [store, _] = two_stores(&settings(server.url()));
    store.create(NAME, b"1").unwrap();
    let read = |store: &MongoStore| store.read(NAME, 1).unwrap().unwrap();
    let asked = Arc::clone(&store);
    let on_worker = tokio::spawn(async move { (read(&asked), blocking::run(|| read(&asked))) });
    assert_eq!(on_worker.await.unwrap(), (vec![b'1'], vec![b'1']));
    let asked = Arc::clone(&store);
    let own = blocking::on_own_thread(move || async move { (read(&asked), blocking::run(|| read(&asked))) });
    assert_eq!(own.await.unwrap(), (vec![b'1'], vec![b'1']));
    let asked = Arc::clone(&store);
    let pooled = tokio::task::spawn_blocking(move || read(&asked));
    assert_eq!(pooled.await.unwrap(), b"1");
    let plain = std::thread::spawn(move || {
        assert!(Handle::try_current().is_err());
        read(&store)
    });
    assert_eq!(plain.join().unwrap(), b"1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_document_holds_is_refused() {
    // One of its own: so large a document may hold up others' for longer than they wait.
    let Some(server) = MONGODB.start() else { return };
    let [store, _] = two_stores(&settings(server.url()));
    let mut bytes = vec![b'x'; RECORD_BYTES_MAX];
    store.replace(NAME, &bytes).unwrap();
    assert_eq!(store.read(NAME, bytes.len()).unwrap().unwrap().len(), bytes.len());
    assert_eq!(store.append(NAME, 0, b"").unwrap_err().code(), "too-large");
    assert!(!store.append(NAME, 1, b"").unwrap());
    bytes.push(b'x');
    for refused in [
        store.replace(NAME, &bytes),
        store.create("registry/x", &bytes).map(drop),
        store.replace_if(NAME, None, &bytes).map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), "too-large");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_nowhere_is_told_without_its_address() {
    let settings = MongoSettings {
        operation_ms: 200,
        ..settings("mongodb://127.0.0.1:1/?directConnection=true")
    };
    let [store, _] = two_stores(&settings);
    let artifacts = millwork_host::registry_store::chunks::MongoArtifacts::new(Arc::clone(&store));
    let swaps = Swaps::new(store);
    for error in [
        swaps.interrupted(&TenantId::new("acme").unwrap()).unwrap_err(),
        artifacts.get(&Digest::of(b"")).unwrap_err(),
    ] {
        assert_eq!(error.code(), "registry-unavailable");
        assert!(!error.to_string().contains("127.0.0.1"), "{error}");
    }
}
