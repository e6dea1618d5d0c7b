//! What a host is told by its file of settings and by its environment.

use std::fs;
use std::process::Command;

use millwork_tests::artifacts;
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup};
use millwork_tests::servers::MONGODB;
use serde_json::json;

use crate::books::{self, all, finalize, seen};

/// A host without tenants and with these settings.
fn host(settings: &str, variables: Vec<(&'static str, String)>) -> Server {
    Server::start(Setup {
        demo: false,
        settings: settings.to_owned(),
        variables,
        ..Setup::default()
    })
}

/// What `millwork serve` says when it does not start with this file.
fn refused(settings: &str, variable: Option<(&str, &str)>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millwork.toml");
    fs::write(&file, settings).unwrap();
    let mut serve = Command::new(artifacts::program());
    serve
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("data"))
        .arg("--config")
        .arg(&file)
        .envs(variable);
    let ended = serve.output().unwrap();
    assert!(!ended.status.success(), "{settings}");
    assert!(!folder.path().join("data").exists(), "nothing is opened before");
    String::from_utf8(ended.stderr).unwrap()
}

#[test]
fn a_wrong_value_is_refused_at_the_start_with_its_key() {
    let told = refused("[http]\npage_max = \"many\"", None);
    assert!(told.contains("http.page_max"), "{told}");
    let told = refused("", Some(("MILLWORK_HTTP__PAGE_MAX", "many")));
    assert!(
        told.to_lowercase().contains("http.page_max") || told.contains("HTTP__PAGE_MAX"),
        "{told}"
    );
    let told = refused("[profiles.big]\nevents = \"mongodb\"", None);
    assert!(told.contains("profiles.big.mongodb: is missing"), "{told}");
    for (s3, told_of) in [
        ("", "profiles.big.s3: is missing"),
        ("[profiles.big.s3]", "profiles.big.s3.access_key: is missing"),
        (
            "s3 = { access_key = \"a\" }",
            "profiles.big.s3.secret_key: is missing",
        ),
        (
            "s3 = { endpoint = \"s3.internal\" }",
            "profiles.big.s3.endpoint: begins with http://",
        ),
        (
            "s3 = { public_endpoint = \"ftp://s3\" }",
            "profiles.big.s3.public_endpoint",
        ),
        (
            "s3 = { access_key = \"a\", secret_key = \"s\", region = \"\" }",
            "profiles.big.s3.region",
        ),
        (
            "s3 = { access_key = \"a\", secret_key = \"s\", bucket_prefix = \"Big\" }",
            "profiles.big.s3.bucket_prefix",
        ),
        (
            "s3 = { access_key = \"a\", secret_key = \"s\", bucket_prefix = \"of-twenty-four-letters-x\" }",
            "profiles.big.s3.bucket_prefix: is at most 23",
        ),
        ("s3 = { encryption = \"rot13\" }", "profiles.big.s3.encryption"),
    ] {
        let told = refused(&format!("[profiles.big]\nblobs = \"s3\"\n{s3}"), None);
        assert!(told.contains(told_of), "{told}");
    }
    let told = refused(
        "[profiles.big]\nevents = \"mongodb\"\nmongodb.url = { file = \"/nowhere\" }",
        None,
    );
    assert!(told.contains("profiles.big.mongodb.url: /nowhere"), "{told}");
}

#[test]
fn the_environment_goes_before_the_file() {
    let settings = "[http]\npage_max = 7\npage_default = 5\n";
    let of_file = host(settings, Vec::new());
    let clients = |server: &Server, limit: u32| {
        let _ = server.publish(artifacts::component("client")).done();
        let api = server.tenant("acme", &["client"]);
        api.get(&format!("/api/v1/clients?limit={limit}")).status
    };
    assert_eq!(clients(&of_file, 7), 200);
    drop(of_file);
    let variables = vec![("MILLWORK_HTTP__PAGE_MAX", "6".to_owned())];
    assert_eq!(clients(&host(settings, variables), 7), 400);
}

#[test]
fn a_host_serves_the_tenants_that_it_is_told() {
    let server = host("tenants = [\"acme\"]", Vec::new());
    let operator = server.operator();
    let _ = operator
        .post("/admin/v1/tenants", &json!({ "id": "acme" }))
        .done();
    let other = operator.post("/admin/v1/tenants", &json!({ "id": "globex" }));
    assert_eq!(other.status, 400);
    assert!(
        other.text().contains("does not serve tenant globex"),
        "{}",
        other.text()
    );
}

#[test]
fn a_tenant_names_a_profile_that_is_there() {
    let server = host("", Vec::new());
    let asked = json!({ "id": "acme", "profile": "lost" });
    let reply = server.operator().post("/admin/v1/tenants", &asked);
    reply.refused(404, "not-found");
    let asked = json!({ "id": "acme", "profile": "embedded" });
    let _ = server.operator().post("/admin/v1/tenants", &asked).done();
    let listed = server.operator().get("/admin/v1/tenants").done();
    assert_eq!(listed["tenants"][0]["profile"], "embedded");
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let Some(mut mongodb) = MONGODB.start() else {
        return;
    };
    let settings = format!(
        "[profiles.big]\nevents = \"mongodb\"\ndocuments = \"mongodb\"\n[profiles.big.mongodb]\nurl = {:?}\ntimeout = \"2s\"\n",
        mongodb.url()
    );
    let mut server = Server::start(Setup {
        settings,
        ..Setup::default()
    });
    let asked = json!({ "id": "acme", "profile": "big" });
    let _ = server.operator().post("/admin/v1/tenants", &asked).done();
    for module in ["client", "invoicing"] {
        let path = format!("/admin/v1/tenants/acme/modules/{module}");
        let _ = server.operator().put(&path, &json!({})).done();
    }
    let api = server.somebody(Some("acme"), &["admin"]);
    let client = books::client(&api, "ACME");
    let draft = books::draft(&api, &client, "10.00");
    let done = finalize(&api, &draft).done();
    seen(&api, "/api/v1/invoices", &done);

    server.kill();
    mongodb.kill();
    server.run_bare();
    let ready = server.operator().get("/health/ready");
    let why = ready.refused(503, "not-ready");
    assert!(why.to_string().contains("big"), "{why}");
    let api = server.somebody(Some("acme"), &["admin"]);
    assert_eq!(api.get("/api/v1/invoices").status, 503);
    // Others are served meanwhile.
    let demo = server.somebody(Some("demo"), &["admin"]);
    let _ = demo.get("/api/v1/invoices").done();

    mongodb.run();
    poll::until("the host is ready", || {
        (server.operator().get("/health/ready").status == 200).then_some(())
    });
    assert_eq!(all(&api, "/api/v1/invoices").len(), 1);
}
