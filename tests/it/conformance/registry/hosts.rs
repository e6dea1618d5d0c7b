//! The registry of two hosts over one database: what one has done binds the other at once.

use std::sync::Arc;

use millwork_host::registry_store::chunks::MongoArtifacts;
use millwork_registry::Error;
use millwork_registry::catalog::Catalog;
use millwork_registry::generation::{Generation, Generations, TenantRecord};
use millwork_registry::id::TenantId;
use millwork_registry::key::KeyPair;
use millwork_registry::release::{Release, embed, sign};
use millwork_registry::store::Store;
use millwork_registry::swap::{Action, Options, Request, Step, Swaps};
use millwork_tests::server::fixed_key;
use millwork_tests::servers::MONGODB;
use semver::Version;

use super::{settings, two_stores};
use crate::conformance::tenant;

/// A host's part of the registry.
struct Host {
    catalog: Catalog,
    generations: Generations,
    swaps: Swaps,
}

fn two_hosts() -> Option<[Host; 2]> {
    let stores = two_stores(&settings(MONGODB.shared()?.url()));
    Some(stores.map(|store| {
        let records: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
        Host {
            catalog: Catalog::new(Arc::clone(&records), Arc::new(MongoArtifacts::new(store))),
            generations: Generations::new(Arc::clone(&records)),
            swaps: Swaps::new(records),
        }
    }))
}

/// A component that does nothing, signed.
fn component(name: &str, version: &str, key: &KeyPair) -> Vec<u8> {
    let manifest = format!(
        "manifest: 1\nname: {name}\nversion: {version}\npublisher: {}\ndescription: Does nothing.\nlicence: MIT\n",
        key.publisher()
    );
    let bare = embed(&wat::parse_str("(component)").unwrap(), &manifest).unwrap();
    sign(&bare, key).unwrap()
}

impl Host {
    fn trust(&self, key: &KeyPair) {
        self.catalog
            .trust()
            .trust(key.publisher(), key.public(), 1)
            .unwrap();
    }

    fn publish(&self, component: &[u8]) -> Result<Release, Error> {
        self.catalog.publish(&Release::read(component, 5)?, component)
    }
}

/// What came of it when both did it at the same moment.
fn both<T: Send>(hosts: &[Host; 2], run: impl Fn(usize, &Host) -> T + Sync) -> [T; 2] {
    let [one, other] = hosts;
    std::thread::scope(|scope| {
        let running = [scope.spawn(|| run(0, one)), scope.spawn(|| run(1, other))];
        running.map(|host| host.join().unwrap())
    })
}

/// The one that went well, and why the other did not.
#[track_caller]
fn one_wins<T>(outcomes: [Result<T, Error>; 2]) -> (usize, T, Error) {
    match outcomes {
        [Ok(won), Err(error)] => (0, won, error),
        [Err(error), Ok(won)] => (1, won, error),
        [one, other] => panic!("{} and {} went well", one.is_ok(), other.is_ok()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_publishes_the_other_has() {
    let Some([one, other]) = two_hosts() else { return };
    let key = fixed_key("acme", 1);
    one.trust(&key);
    let bytes = component("thing", "1.0.0", &key);
    let release = other.publish(&bytes).unwrap();
    let (loaded, code) = one
        .catalog
        .load("thing", &release.version, &release.digest)
        .unwrap();
    assert_eq!((loaded.digest, code), (release.digest.clone(), bytes));
    assert_eq!(one.catalog.latest("thing").unwrap().version, release.version);
    one.catalog
        .yank("thing", &release.version, "it is wrong", 6)
        .unwrap();
    assert_eq!(other.catalog.latest("thing").unwrap_err().code(), "yanked");
    let listed = other.catalog.list().unwrap();
    assert_eq!(listed[0].yanked.as_ref().unwrap().reason, "it is wrong");
    other.catalog.unyank("thing", &release.version).unwrap();
    one.catalog.installable("thing", &release.version, None).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_on_one_host_binds_the_other_at_once() {
    let Some([one, other]) = two_hosts() else { return };
    let key = fixed_key("acme", 1);
    one.trust(&key);
    let release = other.publish(&component("thing", "1.0.0", &key)).unwrap();
    let load = |host: &Host| {
        let loaded = host.catalog.load("thing", &release.version, &release.digest);
        loaded.map(drop).map_err(|error| error.code())
    };
    for host in [&one, &other] {
        load(host).unwrap();
        host.catalog.offers(["thing"]).unwrap();
    }
    one.catalog
        .trust()
        .revoke(&key.public().id(), "it was lost", 7)
        .unwrap();
    for host in [&one, &other] {
        assert_eq!(load(host), Err("key-revoked"));
        let next = host.publish(&component("thing", "1.0.1", &key));
        assert_eq!(next.unwrap_err().code(), "key-revoked");
        assert!(host.catalog.offers(["thing"]).unwrap()["thing"][&release.version].yanked);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_publishers_one_wins_a_name() {
    let Some(hosts) = two_hosts() else { return };
    let keys = [fixed_key("acme", 1), fixed_key("zenith", 2)];
    keys.iter().for_each(|key| hosts[0].trust(key));
    for round in 0..10 {
        let name = format!("thing-{round}");
        let outcomes = both(&hosts, |at, host| {
            // Other versions, so that nothing but the name is in the way.
            let version = format!("1.{at}.0");
            host.publish(&component(&name, &version, &keys[at]))
        });
        let (at, won, error) = one_wins(outcomes);
        assert_eq!(error.code(), "name-taken", "{error}");
        assert!(error.to_string().contains(keys[at].publisher()), "{error}");
        let listed = hosts[1].catalog.of_name(&name).unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].summary.publisher, won.publisher);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_publish_one_version_one_wins() {
    let Some(hosts) = two_hosts() else { return };
    let keys = [fixed_key("acme", 1), fixed_key("acme", 2)];
    keys.iter().for_each(|key| hosts[0].trust(key));
    let outcomes = both(&hosts, |at, host| {
        host.publish(&component("thing", "1.0.0", &keys[at]))
    });
    let (_, won, error) = one_wins(outcomes);
    assert_eq!(error.code(), "release-exists");
    let version = Version::new(1, 0, 0);
    assert_eq!(
        hosts[0].catalog.get("thing", &version).unwrap().digest,
        won.digest
    );
}

fn acme() -> TenantId {
    tenant("acme")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_made_once() {
    let Some(hosts) = two_hosts() else { return };
    let outcomes = both(&hosts, |at, host| {
        host.generations.create_tenant(&TenantRecord {
            id: acme(),
            name: format!("Acme {at}"),
            created_at_ms: 1,
            profile: None,
            life: None,
            leaving_since_ms: None,
        })
    });
    let (at, (), error) = one_wins(outcomes);
    assert_eq!(error.code(), "tenant-exists");
    let tenants = hosts[1].generations.tenants().unwrap();
    assert_eq!(tenants.len(), 1);
    assert_eq!(tenants[0].name, format!("Acme {at}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generation_follows_the_one_that_it_was_made_from() {
    let Some(hosts) = two_hosts() else { return };
    let [one, other] = &hosts;
    let first = Generation::first(acme());
    assert_eq!(one.generations.load(&acme()).unwrap(), first);
    for number in 1..=10 {
        let current = one.generations.load(&acme()).unwrap();
        let outcomes = both(&hosts, |_, host| {
            host.generations.save(&current.back_to(&current))
        });
        let (_, (), error) = one_wins(outcomes);
        assert_eq!(error.code(), "generation-outdated");
        assert_eq!(other.generations.load(&acme()).unwrap().number, number);
    }
    let outdated = one.generations.save(&first.back_to(&first)).unwrap_err();
    assert_eq!(
        outdated.to_string(),
        "tenant acme is at generation 10 meanwhile, so 1 cannot follow"
    );
    assert_eq!(other.generations.past(&acme(), 3).unwrap().number, 3);
}

fn request() -> Request {
    Request {
        module: "thing".to_owned(),
        action: Action::Enable {
            version: None,
            wanted: None,
            config: None,
        },
        options: Options::default(),
        by: "ada".to_owned(),
    }
}

fn resolved() -> Step {
    Step::Resolved {
        changes: Vec::new(),
        wider: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_begun_at_once_have_numbers_of_their_own() {
    let Some(hosts) = two_hosts() else { return };
    let numbers = both(&hosts, |_, host| {
        let begin = |at_ms| host.swaps.begin(&acme(), request(), at_ms).unwrap().number;
        (0..5).map(begin).collect::<Vec<_>>()
    });
    let mut numbers = numbers.concat();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_goes_on_with_a_swap() {
    let Some(hosts) = two_hosts() else { return };
    let [one, other] = &hosts;
    let begun = one.swaps.begin(&acme(), request(), 0).unwrap();
    assert_eq!(
        other.swaps.interrupted(&acme()).unwrap(),
        std::slice::from_ref(&begun)
    );
    let outcomes = both(&hosts, |at, host| {
        let mut swap = begun.clone();
        host.swaps.record(&mut swap, resolved(), at as u64)?;
        Ok(swap)
    });
    let (_, mut won, error) = one_wins(outcomes);
    assert_eq!(error.code(), "swap-taken-over");
    assert_eq!(other.swaps.load(&acme(), 1).unwrap(), won);
    // The loser takes up what is there, and goes on.
    let mut taken = other.swaps.load(&acme(), 1).unwrap();
    let cancelled = Step::Cancelled { by: "ada".to_owned() };
    other.swaps.record(&mut taken, cancelled.clone(), 3).unwrap();
    let late = one.swaps.record(&mut won, cancelled, 4).unwrap_err();
    assert_eq!(late.code(), "swap-taken-over");
    assert_eq!(one.swaps.load(&acme(), 1).unwrap(), taken);
    assert!(one.swaps.interrupted(&acme()).unwrap().is_empty());
}
