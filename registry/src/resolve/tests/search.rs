//! Small universes at random: a plan satisfies everything, and where there is none a search of all combinations finds
//! none either.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use semver::{Version, VersionReq};

use super::{digest, installed, range};
use crate::generation::Generation;
use crate::id::TenantId;
use crate::resolve::{Change, Offer, Offers, Plan, resolve};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const VERSIONS: [&str; 5] = ["1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0", "2.1.0"];
const RANGES: [&str; 7] = ["^1", "^1.1", "^2", ">=1.1", "*", "=1.0.0", "^1.2.0-rc.1"];
const CASES: u32 = 4000;

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    (0..texts.len()).prop_map(move |index| texts[index])
}

fn a_range() -> impl Strategy<Value = VersionReq> {
    one_of(&RANGES).prop_map(range)
}

fn a_version() -> impl Strategy<Value = Version> {
    one_of(&VERSIONS).prop_map(|text| Version::parse(text).unwrap())
}

fn universe() -> impl Strategy<Value = Offers> {
    let dependencies = btree_map(one_of(&NAMES), a_range(), 0..3);
    let release = (dependencies, proptest::bool::weighted(0.15));
    let versions = btree_map(a_version(), release, 0..5);
    vec(versions, NAMES.len()).prop_map(|all| {
        let mut offers = Offers::new();
        for (name, versions) in NAMES.iter().zip(all) {
            let releases: BTreeMap<_, _> = versions
                .into_iter()
                .map(|(version, (dependencies, yanked))| {
                    let dependencies = dependencies.into_iter().filter(|(on, _)| on != name);
                    let offer = Offer {
                        digest: digest(&format!("{name} {version}")),
                        dependencies: dependencies.map(|(on, wanted)| (on.to_owned(), wanted)).collect(),
                        views: Default::default(),
                        reads: Vec::new(),
                        yanked,
                        unreadable: false,
                    };
                    (version, offer)
                })
                .collect();
            if !releases.is_empty() {
                offers.insert((*name).to_owned(), releases);
            }
        }
        offers
    })
}

fn a_change() -> impl Strategy<Value = Change> {
    let name = || one_of(&NAMES).prop_map(ToOwned::to_owned);
    prop_oneof![
        (name(), option::of(a_range())).prop_map(|(name, wanted)| Change::Enable { name, wanted }),
        (name(), a_version()).prop_map(|(name, version)| Change::Move { name, version }),
        (name(), a_version()).prop_map(|(name, version)| Change::Pin { name, version }),
        name().prop_map(|name| Change::Disable { name }),
    ]
}

type Chosen = BTreeMap<String, Version>;

/// Every dependency of what is chosen is chosen in a version that will do.
fn holds(chosen: &Chosen, offers: &Offers) -> bool {
    chosen.iter().all(|(name, version)| {
        let mut dependencies = offers[name][version].dependencies.iter();
        dependencies.all(|(on, wanted)| chosen.get(on).is_some_and(|found| wanted.matches(found)))
    })
}

/// All combinations of versions, absent included, that hold.
fn combinations(offers: &Offers) -> Vec<Chosen> {
    let mut all = vec![Chosen::new()];
    for (name, versions) in offers {
        let with: Vec<_> = all
            .iter()
            .flat_map(|chosen| {
                versions.keys().map(|version| {
                    let mut chosen = chosen.clone();
                    chosen.insert(name.clone(), version.clone());
                    chosen
                })
            })
            .collect();
        all.extend(with);
    }
    all.retain(|chosen| holds(chosen, offers));
    all
}

/// The rules of the crate's documentation, written down a second time, for one module.
fn may_have(
    name: &str,
    version: Option<&Version>,
    running: &Generation,
    change: &Change,
    offers: &Offers,
) -> bool {
    let old = running.installations.get(name);
    let yanked = version
        .is_some_and(|version| offers[name][version].yanked && old.is_none_or(|old| old.version != *version));
    if yanked {
        return false;
    }
    if change.name() != name {
        return match (old, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(old), Some(version)) => {
                let own = VersionReq::parse(&format!("^{}", old.version)).unwrap();
                let range = old.wanted.clone().unwrap_or(own);
                *version == old.version || (*version > old.version && range.matches(version))
            }
        };
    }
    match (change, version) {
        (Change::Disable { .. }, version) => version.is_none(),
        (Change::Move { version: asked, .. } | Change::Pin { version: asked, .. }, Some(version)) => {
            asked == version
        }
        (
            Change::Enable {
                wanted: Some(wanted), ..
            },
            Some(version),
        ) => wanted.matches(version),
        (Change::Enable { wanted: None, .. }, Some(version)) => {
            let none_released = offers[name].keys().all(|version| !version.pre.is_empty());
            let runs = old.is_some_and(|old| old.version == *version);
            let recorded = old.and_then(|old| old.wanted.as_ref());
            old.is_none_or(|old| *version >= old.version)
                && match recorded {
                    Some(wanted) => wanted.matches(version),
                    None => version.pre.is_empty() || none_released || runs,
                }
        }
        (_, None) => false,
    }
}

/// The outcome as a word.
fn check(offers: &Offers, start: usize, wanted: &[Option<VersionReq>], change: &Change) -> &'static str {
    let combinations = combinations(offers);
    let mut running = Generation::first(TenantId::new("acme").unwrap());
    for ((name, version), wanted) in combinations[start % combinations.len()].iter().zip(wanted) {
        let wanted = wanted.clone().filter(|wanted| wanted.matches(version));
        running
            .installations
            .insert(name.clone(), installed(name, version, wanted));
    }
    let found = resolve(&running, std::slice::from_ref(change), offers);
    let fits = |chosen: &&Chosen| {
        let allowed = |name| may_have(name, chosen.get(name), &running, change, offers);
        offers.keys().all(|name| allowed(name.as_str()))
    };
    match found {
        Ok(plan) => {
            check_plan(&plan, &running, fits, offers);
            "plan"
        }
        Err(error) => {
            let other = combinations.iter().find(fits);
            let is_refusal = error.code() == "dependencies-unmet" || error.code() == "module-not-enabled";
            let unknown = !offers.contains_key(change.name());
            assert!(other.is_none() || is_refusal || unknown, "{error}, but {other:?}");
            assert!(!error.to_string().is_empty());
            error.code()
        }
    }
}

fn check_plan(plan: &Plan, running: &Generation, fits: impl Fn(&&Chosen) -> bool, offers: &Offers) {
    let chosen: Chosen = plan
        .modules
        .iter()
        .map(|planned| (planned.name.clone(), planned.version.clone()))
        .collect();
    assert!(holds(&chosen, offers) && fits(&&chosen), "{plan:?}");
    // Nothing comes along that nobody needs.
    for planned in &plan.modules {
        let is_needed = || {
            chosen
                .iter()
                .any(|(name, version)| offers[name][version].dependencies.contains_key(&planned.name))
        };
        let runs = running.installations.contains_key(&planned.name);
        assert!(planned.named || runs || is_needed(), "{plan:?}");
    }
}

#[test]
fn plans_hold_and_conflicts_are_real() {
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let wanted = vec(option::of(a_range()), NAMES.len());
    let case = (universe(), any::<usize>(), wanted, a_change());
    let seen = RefCell::new(BTreeMap::new());
    let outcome = runner.run(&case, |(offers, start, wanted, change)| {
        let outcome = check(&offers, start, &wanted, &change);
        *seen.borrow_mut().entry(outcome).or_insert(0) += 1;
        Ok(())
    });
    outcome.unwrap();
    // Universes in which one kind of outcome hardly occurs would test little.
    let seen = seen.into_inner();
    for (outcome, least) in [("plan", CASES / 10), ("dependencies-conflict", CASES / 50)] {
        assert!(seen.get(outcome).is_some_and(|count| *count >= least), "{seen:?}");
    }
}
