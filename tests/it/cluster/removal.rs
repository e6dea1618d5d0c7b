//! A tenant that is removed is gone on all hosts, and what comes to have its id is served by all as what it is.

use millwork_tests::client::Client;
use millwork_tests::cluster::{HOSTS, Hosts};
use millwork_tests::poll::{self, WITHIN_LONG};
use serde_json::{Value, json};

use super::{INVOICING, STATUSES, check_numbers, next_release};
use crate::books;
use crate::swaps::completed;

#[test]
fn a_tenant_that_is_removed_is_gone_on_all_hosts_and_so_is_what_they_knew() {
    let Some(hosts) = Hosts::start() else { return };
    let operator = |host: usize| hosts.hosts[host % HOSTS].somebody(None, &["operator"]);
    let (client, home) = (books::client(&hosts.api(0), "ACME"), hosts.home(0));
    let made: Vec<_> = (0..HOSTS)
        .map(|host| {
            let id = books::draft(&hosts.api(host), &client, "10.00");
            books::finalize(&hosts.api(host), &id).done()
        })
        .collect();
    let old = read_everywhere(&hosts, &made);
    let earlier = exported(&operator(0));
    // A later generation, which what comes back does not have, and later versions than those.
    let _ = hosts.hosts[home].publish(next_release()).done();
    let api = hosts.api(home);
    completed(&api, &api.put(INVOICING, &json!({ "version": "1.1.0" })));
    for (host, invoice) in made.iter().enumerate() {
        poll::until("the host has flipped", || {
            (hosts.api(host).get(STATUSES).status == 200).then_some(())
        });
        let _ = books::pay(&hosts.api(host), invoice["id"].as_str().unwrap(), "1.00").done();
    }

    // Asked for at hosts that are not the home.
    operator(home + 1)
        .delete("/admin/v1/tenants/demo")
        .refused(409, "tenant-not-frozen");
    let closed = operator(home + 1).put("/admin/v1/tenants/demo/freeze", &json!({}));
    assert_eq!(closed.status, 200, "{}", closed.text());
    let removed = operator(home + 2).delete("/admin/v1/tenants/demo").done();
    assert!(removed["events"].as_u64() > Some(0), "{removed}");
    for host in 0..HOSTS {
        poll::within(WITHIN_LONG, "it is gone", || {
            let reply = hosts.api(host).get("/api/v1/clients");
            (reply.status == 404).then(|| reply.refused(404, "no-tenant"))
        });
        assert_eq!(
            operator(host).get("/admin/v1/tenants").done()["tenants"],
            json!([])
        );
        operator(host)
            .delete("/admin/v1/tenants/demo")
            .refused(404, "no-tenant");
    }

    // What it was before comes back at another host, under its id, and then once more without their having time to look.
    for round in 0..2 {
        let importer = operator(home + 1 + round);
        let ask = importer.ask("POST", "/admin/v1/tenants/import?profile=production");
        let imported = ask.bytes("application/x-tar", earlier.clone()).send();
        let _ = imported.done();
        assert_eq!(read_everywhere(&hosts, &made), old);
        check_numbers(&hosts, &client, HOSTS);
        for (host, invoice) in made.iter().enumerate() {
            poll::within(WITHIN_LONG, "the release of then", || {
                (hosts.api(host).get(STATUSES).status == 404).then_some(())
            });
            let paid = books::pay(&hosts.api(host), invoice["id"].as_str().unwrap(), "2.00");
            assert_eq!(paid.done()["version"], invoice["version"].as_u64().unwrap() + 1);
        }
        if round == 0 {
            let closed = operator(home).put("/admin/v1/tenants/demo/freeze", &json!({}));
            assert_eq!(closed.status, 200, "{}", closed.text());
            let _ = operator(home + 2).delete("/admin/v1/tenants/demo").done();
        }
    }
}

/// The archive of the tenant, from whichever host.
fn exported(operator: &Client) -> Vec<u8> {
    let reply = operator.get("/admin/v1/tenants/demo/export");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.body
}

/// These invoices as each host reads them.
fn read_everywhere(hosts: &Hosts, made: &[Value]) -> Vec<Value> {
    let mut read = Vec::new();
    for host in 0..HOSTS {
        let api = hosts.api(host);
        for invoice in made {
            let (id, after) = (&invoice["id"], &invoice["position"]);
            let path = format!(
                "/api/v1/invoices/{}?after={}",
                id.as_str().unwrap(),
                after.as_str().unwrap()
            );
            read.push(poll::within(WITHIN_LONG, "the invoice", || {
                let reply = api.get(&path);
                (reply.status == 200).then(|| reply.json())
            }));
        }
    }
    read
}

#[test]
fn a_removal_whose_host_dies_is_ended_by_another() {
    let Some(mut hosts) = Hosts::start() else { return };
    let _ = books::client(&hosts.api(0), "ACME");
    let home = hosts.home(0);
    let operator = |hosts: &Hosts, host: usize| hosts.hosts[host % HOSTS].somebody(None, &["operator"]);
    let _ = operator(&hosts, home)
        .put("/admin/v1/tenants/demo/freeze", &json!({}))
        .done();
    // The home is given back at a stop, and taken again for the test.
    for host in [home + 1, home + 2] {
        assert!(hosts.hosts[host % HOSTS].stop().success());
    }
    hosts.hosts[home].crash_at("before:remove-blobs");
    poll::within(WITHIN_LONG, "the home is back", || {
        (hosts.api(home).get("/api/v1/clients").status == 200).then_some(())
    });
    let cut = operator(&hosts, home)
        .ask("DELETE", "/admin/v1/tenants/demo")
        .try_send();
    // It may have to find its home first, which is said.
    assert!(cut.is_err() || cut.is_ok_and(|reply| reply.status == 503));
    hosts.hosts[home].ended();
    for host in [home + 1, home + 2] {
        hosts.hosts[host % HOSTS].run_bare();
    }
    poll::within(WITHIN_LONG, "another host has ended it", || {
        let reply = operator(&hosts, home + 1).delete("/admin/v1/tenants/demo");
        (reply.code() == "no-tenant").then_some(())
    });
    // The third may be just about to look whether there is anything left to do.
    let made = poll::within(WITHIN_LONG, "the id is free", || {
        let reply = operator(&hosts, home + 2).post("/admin/v1/tenants", &json!({ "id": "demo" }));
        (reply.code() != "tenant-busy").then_some(reply)
    });
    assert_eq!(made.status, 201, "{}", made.text());
}
