//! Which components can run together, and how one generation follows another.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{GENERATIONS_KEPT, Generation, Generations, Installation, TenantRecord};
use crate::Error;
use crate::id::TenantId;
use crate::manifest::Manifest;
use crate::manifest::tests::GOOD;
use crate::release::Release;
use crate::release::tests::release;
use crate::store::Files;

/// The module that [`GOOD`] depends on.
const CLIENT: &str = "
manifest: 1
name: client
version: 1.2.0
publisher: millwork
description: Billing parties.
licence: Apache-2.0
permissions: [documents]
collections: { clients: {} }
views: { ClientDetail: { collection: clients } }
routes:
  - GET /clients/{id}: view ClientDetail
";

fn read(manifest: &str) -> Release {
    Release::read(&release(manifest), 5).unwrap()
}

fn acme() -> Generation {
    Generation::first(TenantId::new("acme").unwrap())
}

fn install(manifest: &str, given: Option<serde_json::Value>) -> Result<Installation, Error> {
    Installation::of(&read(manifest), given, 9)
}

fn manifests(texts: &[&str]) -> Vec<Manifest> {
    texts.iter().map(|text| Manifest::parse(text).unwrap()).collect()
}

/// Enables these in order and gives the last outcome.
fn enable(texts: &[&str]) -> Result<Generation, Error> {
    let manifests = manifests(texts);
    texts.iter().try_fold(acme(), |generation, text| {
        generation.with(install(text, None)?, &manifests)
    })
}

#[track_caller]
fn refused(manifests: &[&str], code: &str, expected: &str) {
    let error = enable(manifests).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), (code, expected));
}

#[test]
fn modules_that_fit_make_a_generation() {
    let generation = enable(&[CLIENT, GOOD]).unwrap();
    assert_eq!(generation.number, 2);
    let installed: Vec<_> = generation.installations.keys().collect();
    assert_eq!(installed, ["client", "invoicing"]);
    let invoicing = &generation.installations["invoicing"];
    assert_eq!(invoicing.granted, read(GOOD).manifest.permissions);
    assert_eq!(
        (&invoicing.config, invoicing.enabled_at_ms),
        (&json!({ "paymentTermDays": 30 }), 9)
    );
    let newer = GOOD.replace("version: 1.0.0", "version: 1.1.0");
    let upgraded = enable(&[CLIENT, GOOD, &newer]).unwrap();
    assert_eq!((upgraded.number, upgraded.installations.len()), (3, 2));
    assert_eq!(upgraded.installations["invoicing"].version.to_string(), "1.1.0");
}

#[test]
fn dependencies() {
    refused(
        &[GOOD],
        "dependencies-unmet",
        "invoicing 1.0.0 needs client ^1.0, which is not enabled",
    );
    refused(
        &[&CLIENT.replace("1.2.0", "2.0.0"), GOOD],
        "dependencies-unmet",
        "invoicing 1.0.0 needs client ^1.0, and 2.0.0 would be enabled",
    );
    refused(
        &[CLIENT, GOOD, &CLIENT.replace("1.2.0", "2.0.0")],
        "dependencies-unmet",
        "invoicing 1.0.0 needs client ^1.0, and 2.0.0 would be enabled",
    );
    refused(
        &[&CLIENT.replace("ClientDetail", "ClientCard"), GOOD],
        "dependencies-unmet",
        "invoicing 1.0.0 reads the view client.ClientDetail, which client 1.2.0 does not have",
    );
}

#[test]
fn what_others_need_cannot_be_disabled() {
    let manifests = manifests(&[CLIENT, GOOD]);
    let generation = enable(&[CLIENT, GOOD]).unwrap();
    let error = generation.without("client", &manifests).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invoicing 1.0.0 needs client ^1.0, which is not enabled"
    );
    let less = generation.without("invoicing", &manifests).unwrap();
    assert_eq!((less.number, less.installations.len()), (3, 1));
    let error = less.without("invoicing", &manifests).unwrap_err();
    let expected = ("module-not-enabled", "invoicing is not enabled for tenant acme");
    assert_eq!((error.code(), error.to_string().as_str()), expected);
    assert_eq!(less.without("client", &[]).unwrap().installations.len(), 0);
}

#[test]
fn no_component_goes_unchecked() {
    let error = enable(&[CLIENT])
        .unwrap()
        .with(install(GOOD, None).unwrap(), &manifests(&[GOOD]))
        .unwrap_err();
    assert_eq!(error.to_string(), "client 1.2.0 is not published");
}

#[test]
fn routes() {
    let module = |name: &str, routes: &str| {
        CLIENT
            .replace("name: client", &format!("name: {name}"))
            .replace("GET /clients/{id}: view ClientDetail", routes)
            .replace("collections:", "queries: { Q: {} }\ncollections:")
            .replace("collections:", "aggregates: { A: { commands: { Go: { body: { type: object } } }, events: { E: } } }\ncollections:")
    };
    let collide = |one: &str, other: &str, expected: &str| {
        refused(
            &[&module("a", one), &module("b", other)],
            "routes-collide",
            &format!("a 1.2.0 and b 1.2.0 {expected}"),
        );
    };
    collide(
        "GET /x/{id}: query Q",
        "GET /x/{id}: query Q",
        "both have the route GET /x/{id}",
    );
    collide(
        "GET /x/{id}: query Q",
        "GET /x/{name}: query Q",
        "both have the route GET /x/{id}",
    );
    let expected = "have the same path with other parameter names: /x/{a}/y and /x/{id}/y";
    collide("GET /x/{a}/y: query Q", "POST /x/{id}/y: command Go", expected);
    let fit = |one: &str, other: &str| enable(&[&module("a", one), &module("b", other)]).unwrap();
    fit("GET /x/{id}/y: query Q", "POST /x/{id}/y: command Go");
    fit("GET /x/{id}: query Q", "GET /x/recent: query Q");
    fit("GET /x/{id}: query Q", "GET /x/{name}/y: query Q");
}

#[test]
fn a_wider_release_names_what_is_new() {
    let generation = enable(&[CLIENT]).unwrap();
    let wider = CLIENT.replace(
        "[documents]",
        "[documents, cache, 'events:invoicing.InvoiceFinalized']",
    );
    let wider = manifests(&[&wider]);
    let new: Vec<_> = generation
        .new_permissions(&wider[0])
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(new, ["cache", "events:invoicing.InvoiceFinalized"]);
    assert_eq!(acme().new_permissions(&wider[0]).len(), 3);
    assert!(generation.new_permissions(&manifests(&[CLIENT])[0]).is_empty());
    let error = generation.check(&wider).unwrap_err();
    let missing = "client wants cache, events:invoicing.InvoiceFinalized, which tenant acme has not granted";
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("permissions-not-granted", missing)
    );
}

#[test]
fn an_upgrade_keeps_the_configuration_and_brings_new_defaults() {
    let settings = |properties: &str| {
        let config = format!(
            "config: {{ type: object, additionalProperties: false, properties: {{ {properties} }} }}"
        );
        CLIENT.replace("collections:", &format!("{config}\ncollections:"))
    };
    let one = settings("a: { type: integer }, b: { default: 2 }, c: { default: 0 }");
    let first = install(&one, Some(json!({ "a": 5 }))).unwrap();
    assert_eq!(first.config, json!({ "a": 5, "b": 2, "c": 0 }));
    let second = install(&settings("a: { type: integer }, b: { default: 3 }"), first.given).unwrap();
    assert_eq!(second.config, json!({ "a": 5, "b": 3 }));
    let error = install(&settings("a: { maximum: 4 }"), second.given).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration: /a: 5 is greater than the maximum of 4"
    );
}

fn tenant(id: &str) -> TenantRecord {
    TenantRecord {
        id: TenantId::new(id).unwrap(),
        name: id.to_uppercase(),
        created_at_ms: 1,
        profile: None,
        life: None,
        leaving_since_ms: None,
    }
}

fn open(folder: &Path) -> Generations {
    Generations::new(Arc::new(Files::open(folder).unwrap()))
}

/// A folder where each generation on the way to the last was saved.
fn saved(folder: &Path, texts: &[&str]) -> Generations {
    let generations = open(folder);
    for count in 1..=texts.len() {
        generations.save(&enable(&texts[..count]).unwrap()).unwrap();
    }
    generations
}

#[test]
fn a_saved_generation_is_there_after_a_start() {
    let folder = tempfile::tempdir().unwrap();
    saved(folder.path(), &[CLIENT, GOOD]);
    let generations = open(folder.path());
    assert_eq!(
        generations.load(&acme().tenant).unwrap(),
        enable(&[CLIENT, GOOD]).unwrap()
    );
    let nobody = TenantId::new("nobody").unwrap();
    assert_eq!(generations.load(&nobody).unwrap(), Generation::first(nobody));
}

#[test]
fn a_rollback_is_the_next_generation() {
    let folder = tempfile::tempdir().unwrap();
    let newer = GOOD.replace("version: 1.0.0", "version: 1.1.0");
    let generations = saved(folder.path(), &[CLIENT, GOOD, &newer]);
    let tenant = acme().tenant;
    let (current, past) = (
        generations.load(&tenant).unwrap(),
        generations.past(&tenant, 2).unwrap(),
    );
    generations.save(&current.back_to(&past)).unwrap();
    let current = generations.load(&tenant).unwrap();
    assert_eq!((current.number, &current.installations), (4, &past.installations));
    let error = generations.past(&tenant, 5).unwrap_err();
    let expected = ("generation-unknown", "tenant acme has no generation 5");
    assert_eq!((error.code(), error.to_string().as_str()), expected);
}

#[test]
fn of_two_that_save_at_once_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let generations = open(folder.path());
    let next = acme().back_to(&acme());
    let saved = std::thread::scope(|scope| {
        let running: Vec<_> = (0..8).map(|_| scope.spawn(|| generations.save(&next))).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .filter(Result::is_ok)
            .count()
    });
    assert_eq!(saved, 1);
    let error = generations.save(&next).unwrap_err();
    let expected = (
        "generation-outdated",
        "tenant acme is at generation 1 meanwhile, so 1 cannot follow",
    );
    assert_eq!((error.code(), error.to_string().as_str()), expected);
}

#[test]
fn a_generation_that_a_crash_kept_from_running_is_not_in_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let generations = saved(folder.path(), &[CLIENT]);
    // As versions did that wrote the numbered one first.
    let place = folder.path().join("tenants/acme");
    fs::create_dir(place.join("generations")).unwrap();
    fs::copy(place.join("generation.json"), place.join("generations/2.json")).unwrap();
    assert_eq!(
        generations.past(&acme().tenant, 2).unwrap_err().code(),
        "generation-unknown"
    );
    let current = generations.load(&acme().tenant).unwrap();
    generations.save(&current.back_to(&acme())).unwrap();
    let empty = |number| {
        let past = generations.past(&acme().tenant, number).unwrap();
        past.installations.is_empty()
    };
    assert!(empty(2));
    let current = generations.load(&acme().tenant).unwrap();
    generations.save(&current.back_to(&current)).unwrap();
    assert!(empty(2) && !empty(1));
}

#[test]
fn old_generations_are_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let generations = open(folder.path());
    let mut current = acme();
    for _ in 0..=GENERATIONS_KEPT {
        current = current.back_to(&current);
        generations.save(&current).unwrap();
    }
    let tenant = acme().tenant;
    assert_eq!(
        generations.past(&tenant, 1).unwrap_err().code(),
        "generation-unknown"
    );
    assert_eq!(generations.past(&tenant, 2).unwrap().number, 2);
}

#[test]
fn tenants_are_created_once_and_listed_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let generations = open(folder.path());
    generations.create_tenant(&tenant("zeta")).unwrap();
    generations.create_tenant(&tenant("acme")).unwrap();
    let error = generations.create_tenant(&tenant("acme")).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("tenant-exists", "tenant acme exists already")
    );
    fs::create_dir(folder.path().join("tenants/half")).unwrap();
    let again = open(folder.path());
    assert_eq!(again.tenants().unwrap(), [tenant("acme"), tenant("zeta")]);
    assert_eq!(
        again.tenant(&tenant("half").id).unwrap_err().code(),
        "tenant-unknown"
    );
    again.create_tenant(&tenant("half")).unwrap();
    let long = TenantRecord {
        name: "x".repeat(64 << 10),
        ..tenant("long")
    };
    assert_eq!(again.create_tenant(&long).unwrap_err().code(), "too-large");
}

#[test]
fn a_tenant_that_is_being_removed_keeps_its_id_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let generations = saved(folder.path(), &[CLIENT, GOOD]);
    let acme = tenant("acme");
    generations.create_tenant(&acme).unwrap();
    let other = TenantRecord {
        life: Some("other".to_owned()),
        ..acme.clone()
    };
    assert_eq!(
        generations.begin_removal(&other, 7).unwrap_err().code(),
        "tenant-unknown"
    );
    let leaving = generations.begin_removal(&acme, 7).unwrap();
    assert_eq!(
        generations.begin_removal(&acme, 8).unwrap_err().code(),
        "tenant-unknown"
    );
    let generations = open(folder.path());
    assert_eq!(generations.tenant(&acme.id).unwrap_err().code(), "tenant-unknown");
    assert_eq!(generations.tenants().unwrap(), []);
    assert_eq!(generations.records().unwrap(), std::slice::from_ref(&leaving));
    assert_eq!(
        generations.create_tenant(&acme).unwrap_err().code(),
        "tenant-exists"
    );
    generations.clear(&acme.id).unwrap();
    assert_eq!(generations.load(&acme.id).unwrap().number, 0);
    generations.end_removal(&leaving).unwrap();
    generations.create_tenant(&other).unwrap();
    generations.end_removal(&leaving).unwrap();
    assert_eq!(generations.tenants().unwrap(), [other], "another's record stays");
    assert_eq!(
        generations.past(&acme.id, 1).unwrap_err().code(),
        "generation-unknown"
    );
}

#[test]
fn files_of_another_tenant_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let generations = saved(folder.path(), &[CLIENT]);
    let other = tenant("other").id;
    generations
        .save(&Generation::first(other.clone()).back_to(&acme()))
        .unwrap();
    generations.create_tenant(&tenant("acme")).unwrap();
    let copy = |file: &str| {
        fs::copy(
            folder.path().join("tenants/acme").join(file),
            folder.path().join("tenants/other").join(file),
        )
        .unwrap()
    };
    copy("generation.json");
    assert!(
        generations
            .load(&other)
            .unwrap_err()
            .to_string()
            .ends_with("is damaged: it is a generation of acme")
    );
    copy("tenant.json");
    assert!(
        generations
            .tenant(&other)
            .unwrap_err()
            .to_string()
            .ends_with("is damaged: it is the record of acme")
    );
    fs::write(folder.path().join("tenants/acme/generation.json"), "{}").unwrap();
    assert_eq!(
        generations.load(&acme().tenant).unwrap_err().code(),
        "storage-damaged"
    );
}
