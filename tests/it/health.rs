//! Modules that are unwell: quarantined, broken on the disk, or still busy when they are replaced.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use millwork_host::config::Config;
use millwork_host::host::Host;
use millwork_registry::id::TenantId;
use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::server::Server;
use semver::Version;
use serde_json::{Value, json};

use crate::{books, hostile};

/// Failing calls in a row after which a module is left alone.
const FAILURES_IN_A_ROW: usize = 20;

fn attack(api: &Client, name: &str) -> Reply {
    api.post(&format!("/api/v1/hostile/{name}"), &json!({}))
}

fn module(api: &Client, tenant: &str, name: &str) -> Value {
    let status = api.get(&format!("/admin/v1/tenants/{tenant}/modules")).done();
    let modules = status["modules"].as_array().unwrap();
    modules
        .iter()
        .find(|module| module["name"] == name)
        .unwrap()
        .clone()
}

#[test]
fn a_module_that_fails_at_every_call_is_left_alone_until_it_is_revived() {
    let server = Server::demo();
    let api = hostile::join(&server, "attacker");
    for _ in 0..FAILURES_IN_A_ROW {
        attack(&api, "trap").refused(500, "component-trapped");
    }
    let refused = attack(&api, "flood-log?dry-run");
    refused.refused(503, "module-quarantined");
    let retry_after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&retry_after), "{retry_after}");
    api.get("/api/v1/hostile-queries/trap")
        .refused(503, "module-quarantined");
    let status = module(&api, "attacker", "hostile");
    assert_eq!(status["failures"], FAILURES_IN_A_ROW);
    assert!(status["quarantinedSeconds"].as_u64().is_some(), "{status}");
    let _ = books::client(&api, "ACME");
    let _ = books::client(&server.admin(), "ACME");
    let metrics = server.operator().get("/metrics").text();
    let gauge = "millwork_module_quarantined{tenant=\"attacker\",module=\"hostile\"} 1";
    assert!(metrics.contains(gauge), "{metrics}");

    let revive = "/admin/v1/tenants/attacker/modules/hostile/revive";
    server.admin().post(revive, &json!({})).refused(403, "forbidden");
    let _ = api.post(revive, &json!({})).done();
    assert_eq!(attack(&api, "flood-log?dry-run").status, 200);
    assert_eq!(
        module(&api, "attacker", "hostile").get("quarantinedSeconds"),
        None
    );
}

#[test]
fn calls_that_fail_now_and_then_quarantine_nobody() {
    let server = Server::demo();
    let api = hostile::join(&server, "attacker");
    for _ in 0..3 * FAILURES_IN_A_ROW {
        attack(&api, "trap").refused(500, "component-trapped");
        assert_eq!(attack(&api, "no-json").status, 500);
        let _ = api.post("/api/v1/hostile?dry-run", &json!({})).done();
    }
}

#[test]
fn a_file_that_has_changed_does_not_load_and_takes_no_other_module_down() {
    let mut server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let invoice = books::draft(&api, &client, "1.00");
    server.kill();
    // Also what this machine has compiled of it must not be taken for it.
    let registry = server.data().join("registry");
    let record = fs::read_to_string(registry.join("releases/invoicing/1.0.0.json")).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let digest = record["digest"].as_str().unwrap().replace(':', "-");
    let artifact = registry.join(format!("artifacts/{digest}.wasm"));
    let good = fs::read(&artifact).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&artifact, &bad).unwrap();
    server.run_bare();
    let api = server.somebody(Some("demo"), &["admin"]);
    let _ = books::client(&api, "SECOND");
    books::finalize(&api, &invoice).refused(503, "module-broken");
    let status = api.get("/admin/v1/tenants/demo/modules").done();
    let broken = &status["broken"][0];
    assert_eq!(
        (&broken["name"], &broken["version"], &broken["code"]),
        (&json!("invoicing"), &json!("1.0.0"), &json!("storage-damaged"))
    );

    server.kill();
    fs::write(&artifact, &good).unwrap();
    server.run_bare();
    let api = server.somebody(Some("demo"), &["admin"]);
    let _ = books::finalize(&api, &invoice).done();
}

/// A host in this process, with bounds of its own.
fn with_host<T>(change: impl FnOnce(&mut Config), test: impl AsyncFnOnce(Arc<Host>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(folder.path());
    change(&mut config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let host = Host::open(config).await.unwrap();
        let done = test(Arc::clone(&host)).await;
        host.close().await;
        done
    })
}

#[test]
fn a_release_that_is_busy_beyond_the_bound_stays_loaded_and_is_told_last() {
    let bound = |config: &mut Config| config.swap.drain_max = Duration::ZERO;
    with_host(bound, async |host| {
        let tenant = TenantId::new("acme").unwrap();
        host.create_tenant(tenant.clone(), "Acme".to_owned(), None)
            .await
            .unwrap();
        for name in ["client"] {
            let key = millwork_tests::server::fixed_key("millwork", 1);
            let _ = host.catalog().trust().trust("millwork", key.public(), 1);
            let signed = millwork_registry::release::sign(&artifacts::component(name), &key).unwrap();
            host.publish(signed).await.unwrap();
        }
        let version = Version::new(1, 0, 0);
        host.enable(&tenant, "client", &version, None).await.unwrap();
        // What a long request would hold.
        let busy = host.tenant(&tenant).unwrap().generation();
        let swapped = host.disable(&tenant, "client").await.unwrap();
        let number = swapped.swap.unwrap();
        let resident = async || loop {
            let view = serde_json::to_value(host.swap_view(&tenant, number).unwrap()).unwrap();
            if view["stage"] == "completed" {
                return view["history"].as_array().unwrap().last().unwrap()["resident"].clone();
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(resident().await, json!(["client@1.0.0"]));
        let mut drained = busy.module("client").unwrap().drained();
        drop(busy);
        assert!(drained.changed().await.is_err(), "it was let go of");
    });
}
