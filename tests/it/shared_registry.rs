//! Hosts of a cluster over one registry: what one is told the others know, and tokens are good at all.

use std::fs;

use millwork_host::http::token::Keys;
use millwork_tests::artifacts;
use millwork_tests::client::Client;
use millwork_tests::poll;
use millwork_tests::production;
use millwork_tests::server::{Server, Setup, fixed_key, now_seconds};
use millwork_tests::servers::MONGODB;
use serde_json::{Value, json};

const RELEASES: &str = "/admin/v1/registry/releases";
const TENANTS: &str = "/admin/v1/tenants";

/// How a host of a cluster of its own is started, without tenants; nothing, which is said, where a server cannot be had.
fn setup() -> Option<Setup> {
    let setup = production::setup()?;
    let folder = tempfile::tempdir().unwrap();
    Keys::open(folder.path()).unwrap();
    let key = fs::read_to_string(folder.path().join("host-key")).unwrap();
    let cluster = format!("[cluster]\nprofile = \"production\"\nhost_key = '''{key}'''\n");
    Some(Setup {
        demo: false,
        settings: setup.settings + &cluster,
        ..setup
    })
}

fn names(listed: &Value, list: &str, key: &str) -> Vec<String> {
    let all = listed[list].as_array().unwrap().iter();
    all.map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_one_host_is_told_the_other_knows() {
    let Some(setup) = setup() else { return };
    let (one, other) = (Server::start(setup.clone()), Server::start(setup));
    let _ = one.publish(artifacts::component("client")).done();
    let listed = other.operator().get(RELEASES).done();
    assert_eq!(names(&listed, "releases", "name"), ["client"]);
    // The bytes as well, which the other has never seen.
    let version = names(&listed, "releases", "version").remove(0);
    let shown = other
        .operator()
        .get(&format!("{RELEASES}/client/{version}"))
        .done();
    assert_eq!(shown["name"], "client");

    let publisher = shown["publisher"].as_str().unwrap();
    let _ = other.revoke(&fixed_key(publisher, 1), "it was lost").done();
    let refused = one.publish(artifacts::component("client"));
    refused.refused(409, "key-revoked");

    let _ = one.operator().post(TENANTS, &json!({ "id": "acme" })).done();
    let again = other.operator().post(TENANTS, &json!({ "id": "acme" }));
    again.refused(409, "exists");
    let listed = other.operator().get(TENANTS).done();
    assert_eq!(names(&listed, "tenants", "id"), ["acme"]);
}

#[test]
fn a_token_is_good_at_every_host() {
    let Some(setup) = setup() else { return };
    let (one, other) = (Server::start(setup.clone()), Server::start(setup));
    let token = one.token(None, &["operator"], now_seconds(), 60);
    let _ = Client::new(other.url(), Some(&token)).get(TENANTS).done();
}

#[test]
fn a_tenant_of_a_cluster_is_on_servers() {
    let Some(setup) = setup() else { return };
    let server = Server::start(setup);
    let asked = json!({ "id": "acme", "profile": "embedded" });
    let refused = server.operator().post(TENANTS, &asked).refused(400, "malformed");
    let told = refused["detail"].as_str().unwrap();
    assert!(
        told.starts_with("profile embedded keeps data on one host"),
        "{told}"
    );
    assert_eq!(server.operator().get(TENANTS).done()["tenants"], json!([]));
}

#[test]
fn a_host_waits_for_the_registry() {
    let Some(setup) = setup() else { return };
    let (Some(shared), Some(mut mongodb)) = (MONGODB.shared(), MONGODB.start()) else {
        return;
    };
    let settings = setup.settings.replace(shared.url(), mongodb.url());
    let mut server = Server::start(Setup {
        settings: settings.replace("database = ", "timeout = \"2s\"\ndatabase = "),
        ..setup
    });
    let _ = server.publish(artifacts::component("client")).done();
    let clients = "/api/v1/clients";
    let _ = server.tenant("acme", &["client"]).get(clients).done();

    mongodb.kill();
    let reply = server.operator().get(RELEASES);
    let problem = reply.refused(503, "registry-unavailable");
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
    server.kill();
    server.run();
    let why = server.operator().get("/health/ready").refused(503, "not-ready");
    assert!(why.to_string().contains("production"), "{why}");

    mongodb.run();
    poll::until("the host is ready", || {
        (server.operator().get("/health/ready").status == 200).then_some(())
    });
    let api = server.somebody(Some("acme"), &["admin"]);
    let _ = api.get(clients).done();
}
