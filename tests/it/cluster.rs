//! Three hosts over one set of servers, which all serve one tenant.

mod removal;

use std::collections::BTreeSet;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::cluster::{HOSTS, Hosts};
use millwork_tests::poll::{self, WITHIN_LONG};
use millwork_tests::production;
use millwork_tests::server::Setup;
use millwork_tests::servers::door::Door;
use millwork_tests::servers::{MONGODB, NATS, REDIS};
use serde_json::json;

use crate::books::{self, all};
use crate::crash::{Asked, Worker, check_books};
use crate::hostile;
use crate::swaps::completed;

const INVOICING: &str = "/admin/v1/tenants/demo/modules/invoicing";
/// Only the next release of invoicing has it.
const STATUSES: &str = "/api/v1/reports/statuses";

#[test]
fn commands_are_taken_by_any_host() {
    let Some(hosts) = Hosts::start() else { return };
    let client = books::client(&hosts.api(0), "ACME");
    let finalized: Vec<_> = thread::scope(|scope| {
        let works: Vec<_> = (0..24)
            .map(|index| {
                let (hosts, client) = (&hosts, &client);
                scope.spawn(move || {
                    // Each step of an invoice on another host.
                    let id = books::draft(&hosts.api(index), client, "10.00");
                    books::finalize(&hosts.api(index + 1), &id).done()
                })
            })
            .collect();
        works.into_iter().map(|work| work.join().unwrap()).collect()
    });
    let numbers: BTreeSet<String> = finalized.iter().map(books::number).collect();
    let expected: BTreeSet<String> = (1..=finalized.len()).map(books::invoice_number).collect();
    assert_eq!(numbers, expected, "no gap, and none twice");
    for host in 0..HOSTS {
        let api = hosts.api(host);
        for done in &finalized {
            let seen = books::seen(&api, "/api/v1/invoices", done);
            assert_eq!(seen["invoiceNumber"], books::number(done).as_str());
        }
        assert_eq!(all(&api, "/api/v1/invoices").len(), finalized.len());
    }
    let refused = books::finalize(&hosts.api(2), finalized[0]["id"].as_str().unwrap());
    assert_eq!(refused.status, 409, "{}", refused.text());
}

#[test]
fn a_session_is_taken_by_any_host_until_one_ends_it() {
    let Some(hosts) = Hosts::start() else { return };
    let begun = hosts.api(0).post("/api/v1/sessions", &json!({})).done();
    let by_session = |host: usize| hosts.api(host).with_token(begun["id"].as_str());
    let cookie = format!("millwork_session={}", begun["id"].as_str().unwrap());
    for host in 0..HOSTS {
        assert_eq!(by_session(host).get("/api/v1/clients").status, 200);
        // What only the home answers is sent on to it, from whatever page it may be sent.
        let nobody = hosts.api(host).with_token(None);
        let disable = |site: &str| {
            let ask = nobody.ask("POST", "/api/v1/marketplace/nothing/disable");
            ask.header("cookie", &cookie)
                .header("sec-fetch-site", site)
                .send()
        };
        let refused = disable("same-origin");
        let problem = refused.refused(404, "module-not-enabled");
        assert_eq!(refused.header("x-correlation-id"), problem["instance"].as_str());
        disable("cross-site").refused(403, "cross-site");
    }
    let ended = by_session(1).delete("/api/v1/sessions/current");
    assert_eq!(ended.status, 200, "{}", ended.text());
    for host in 0..HOSTS {
        by_session(host)
            .get("/api/v1/clients")
            .refused(401, "session-over");
    }
}

#[test]
fn a_module_that_is_revived_is_called_again_on_all_hosts() {
    let Some(setup) = production::setup() else { return };
    // Longer than the test: what is called again was revived.
    let settings = setup.settings.clone() + "[health]\nquarantine_min = \"5m\"\n";
    let hosts = Hosts::of(vec![Setup { settings, ..setup }; HOSTS]);
    let _ = hostile::join(&hosts.hosts[0], "attacker");
    let apis: Vec<_> = hosts
        .hosts
        .iter()
        .map(|host| host.somebody(Some("attacker"), &["admin"]))
        .collect();
    let try_at = |host: usize| apis[host].post("/api/v1/hostile/flood-log?dry-run", &json!({}));
    for (host, api) in apis.iter().enumerate() {
        poll::within(WITHIN_LONG, "the module is quarantined", || {
            let reply = api.post("/api/v1/hostile/trap", &json!({}));
            (reply.status == 503).then(|| reply.refused(503, "module-quarantined"))
        });
        try_at(host).refused(503, "module-quarantined");
    }
    let revived = apis[1].post("/admin/v1/tenants/attacker/modules/hostile/revive", &json!({}));
    assert_eq!(revived.status, 200, "{}", revived.text());
    for host in 0..HOSTS {
        poll::until("calls go through", || (try_at(host).status == 200).then_some(()));
    }
}

#[test]
fn what_one_host_is_told_binds_all() {
    let Some(hosts) = Hosts::start() else { return };
    let home = hosts.home(0);
    let operator = |host: usize| hosts.hosts[host].somebody(None, &["operator"]);
    assert_eq!(
        (0..HOSTS).map(|host| hosts.home(host)).collect::<Vec<_>>(),
        vec![home; HOSTS],
        "all know the same home"
    );
    // A tenant made on one host is served by all.
    let _ = operator(1)
        .post("/admin/v1/tenants", &json!({ "id": "second" }))
        .done();
    let again = operator(2).post("/admin/v1/tenants", &json!({ "id": "second" }));
    assert_eq!(again.status, 409, "{}", again.text());
    for host in 0..HOSTS {
        // At once, whether it has been told or not.
        let api = hosts.hosts[host].somebody(Some("second"), &["admin"]);
        let _ = api.get("/api/v1/openapi.json").done();
        let enabled = operator(host).put("/admin/v1/tenants/second/modules/client", &json!({}));
        assert_eq!(enabled.status, 200, "{}", enabled.text());
        assert_eq!(enabled.json()["to"], "1.0.0");
    }
    // Whoever publishes, all take it.
    let _ = hosts.hosts[2].publish(next_release()).done();
    for host in 0..HOSTS {
        let shown = operator(host).get("/admin/v1/registry/releases/invoicing/1.1.0");
        assert_eq!(shown.status, 200, "{}", shown.text());
    }
}

fn next_release() -> Vec<u8> {
    artifacts::test_component("invoicing-1.1.0").expect("a Rust guest is always built")
}

/// Rounds of a load and whether it is over.
#[derive(Default)]
struct Rounds {
    done: AtomicUsize,
    over: AtomicBool,
}

impl Rounds {
    /// Waits until so many more were done.
    fn more(&self, count: usize) {
        let start = self.done.load(Ordering::Acquire);
        poll::within(WITHIN_LONG, "the load goes on", || {
            (self.done.load(Ordering::Acquire) >= start + count).then_some(())
        });
    }

    /// Does rounds until it is over; gives what failed.
    fn work(&self, mut round: impl FnMut() -> Vec<Reply>) -> Vec<String> {
        let mut failed = Vec::new();
        while !self.over.load(Ordering::Acquire) {
            let replies = round();
            let refused = replies.iter().filter(|reply| reply.status >= 300);
            failed.extend(refused.map(Reply::text));
            self.done.fetch_add(1, Ordering::AcqRel);
        }
        failed
    }

    /// Runs `change` while these many work; gives how many rounds were done, of which none failed.
    fn around(
        &self,
        workers: usize,
        round: impl Fn(usize) -> Vec<Reply> + Sync,
        change: impl FnOnce() + Send,
    ) -> usize {
        let failed: Vec<String> = thread::scope(|scope| {
            let round = &round;
            let works: Vec<_> = (0..workers)
                .map(|index| {
                    let mut turn = index;
                    scope.spawn(move || {
                        self.work(|| {
                            turn += 1;
                            round(turn)
                        })
                    })
                })
                .collect();
            // Whatever happens here, the load must end, or nothing would.
            let changed = scope.spawn(change).join();
            self.over.store(true, Ordering::Release);
            let failed = works.into_iter().flat_map(|work| work.join().unwrap()).collect();
            changed.unwrap();
            failed
        });
        assert_eq!(failed, Vec::<String>::new());
        self.done.load(Ordering::Acquire)
    }
}

/// All that was finalised is there, in numbers without a gap, once more after one more.
fn check_numbers(hosts: &Hosts, client: &str, made: usize) {
    let last = books::draft(&hosts.api(1), client, "1.00");
    let last = books::finalize(&hosts.api(2), &last).done();
    assert_eq!(books::number(&last), books::invoice_number(made + 1));
    let api = hosts.api(0);
    books::seen(&api, "/api/v1/invoices", &last);
    assert_eq!(all(&api, "/api/v1/invoices?status=finalized").len(), made + 1);
}

#[test]
fn a_swap_flips_all_hosts_and_no_request_fails() {
    let Some(hosts) = Hosts::start() else { return };
    let client = books::client(&hosts.api(0), "ACME");
    let home = hosts.home(0);
    let _ = hosts.hosts[home].publish(next_release()).done();
    let rounds = Rounds::default();
    let until_all_answer = |status: u16| {
        for host in 0..HOSTS {
            poll::until("the host has flipped", || {
                (hosts.api(host).get(STATUSES).status == status).then_some(())
            });
        }
    };
    let made = rounds.around(
        HOSTS,
        |turn| books::one_round(&hosts.api(turn), &client),
        || {
            rounds.more(2 * HOSTS);
            // Asked for at hosts that are not the home.
            let api = hosts.api(home + 1);
            completed(&api, &api.put(INVOICING, &json!({ "version": "1.1.0" })));
            until_all_answer(200);
            rounds.more(2 * HOSTS);
            let back = hosts
                .api(home + 2)
                .post(&format!("{INVOICING}/rollback"), &json!({}));
            assert_eq!(back.status, 200, "{}", back.text());
            until_all_answer(404);
            rounds.more(2 * HOSTS);
        },
    );
    check_numbers(&hosts, &client, made);
}

#[test]
fn a_host_that_is_killed_loses_nothing_and_others_work_on() {
    let Some(mut hosts) = Hosts::start() else { return };
    let mut workers: Vec<Worker> = (0..HOSTS)
        .map(|index| Worker::new(&hosts.api(index), index))
        .collect();
    let home = hosts.home(0);
    // The home first, and then one that is not.
    for killed in [home, (home + 1) % HOSTS] {
        let answers = AtomicUsize::new(0);
        let apis: Vec<Client> = (0..HOSTS).map(|host| hosts.api(host)).collect();
        let alive: Vec<AtomicBool> = (0..HOSTS).map(|_| AtomicBool::new(true)).collect();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for (index, worker) in workers.iter_mut().enumerate() {
                let (apis, alive, answers, over) = (&apis, &alive, &answers, &over);
                scope.spawn(move || {
                    let mut host = index;
                    while !over.load(Ordering::Acquire) {
                        match worker.ask(&apis[host]) {
                            Asked::Acknowledged => drop(answers.fetch_add(1, Ordering::AcqRel)),
                            Asked::PutOff => {}
                            Asked::Gone => {
                                alive[host].store(false, Ordering::Release);
                                host = (host + 1) % HOSTS;
                            }
                        }
                    }
                });
            }
            let goes_on = |count: usize| {
                let start = answers.load(Ordering::Acquire);
                poll::within(WITHIN_LONG, "answers", || {
                    (answers.load(Ordering::Acquire) >= start + count).then_some(())
                });
            };
            goes_on(20);
            hosts.hosts[killed].kill();
            goes_on(20);
            over.store(true, Ordering::Release);
        });
        assert!(!alive[killed].load(Ordering::Acquire), "somebody has noticed");
        hosts.hosts[killed].run_bare();
        hosts.until_served(killed);
    }
    let api = hosts.api(1);
    for worker in &mut workers {
        worker.finish(&api);
        let api = hosts.api(2);
        worker
            .acknowledged
            .iter()
            .for_each(|request| request.check_is_there(&api));
    }
    check_books(&api, &workers);
}

#[test]
fn hosts_are_restarted_one_after_another_and_no_request_fails() {
    let Some(mut hosts) = Hosts::start() else { return };
    let client = books::client(&hosts.api(0), "ACME");
    // As behind a load balancer: a host is taken out, stopped, started, and put back when it is ready.
    let apis: Vec<RwLock<Option<Client>>> = (0..HOSTS)
        .map(|host| RwLock::new(Some(hosts.api(host))))
        .collect();
    let round = |turn: usize| {
        let mut all = (0..HOSTS).map(|more| apis[(turn + more) % HOSTS].read().unwrap());
        // Held to the round's end: a host is out when nobody uses it any more.
        let api = all.find(|api| api.is_some()).expect("two are always in");
        books::one_round(api.as_ref().unwrap(), &client)
    };
    let rounds = Rounds::default();
    let made = rounds.around(4, round, || {
        for (host, api) in apis.iter().enumerate() {
            rounds.more(4);
            *api.write().unwrap() = None;
            assert!(hosts.hosts[host].stop().success());
            hosts.hosts[host].run_bare();
            hosts.until_served(host);
            *api.write().unwrap() = Some(hosts.api(host));
        }
        rounds.more(4);
    });
    check_numbers(&hosts, &client, made);
}

#[test]
fn what_must_run_once_runs_once() {
    let Some(mut hosts) = Hosts::start() else { return };
    let wasm = artifacts::test_component("messenger").expect("a Rust guest is always built");
    let _ = hosts.hosts[1].publish(wasm).done();
    let enabled = hosts
        .api(2)
        .put("/admin/v1/tenants/demo/modules/messenger", &json!({}));
    assert_eq!(enabled.status, 200, "{}", enabled.text());
    check_once(&hosts, "BEFORE", [0, 1, 2]);
    let home = hosts.home(0);
    let others = [(home + 1) % HOSTS, (home + 2) % HOSTS];
    hosts.hosts[home].kill();
    check_once(&hosts, "AFTER", [others[0], others[1], others[0]]);
    assert!(
        others.contains(&hosts.home(others[0])),
        "another host is the home"
    );
}

/// Clients made on these hosts, each of which a subscription executes, or sends, one command about.
fn check_once(hosts: &Hosts, codes: &str, at: [usize; 3]) {
    let made: Vec<String> = (0..12)
        .map(|index| {
            let name = if index % 2 == 0 { "Execute" } else { "Send" };
            let body = json!({ "code": format!("{codes}-{index}"), "name": name });
            let api = hosts.api(at[index % 3]);
            // A host that has died may hold up its tenant's writes for a while, which is said.
            let created = poll::within(WITHIN_LONG, "a client", || {
                let reply = api
                    .ask("POST", "/api/v1/clients")
                    .key(&format!("{codes}-{index}"))
                    .json(&body)
                    .send();
                (reply.status != 503).then(|| reply.done())
            });
            created["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let api = hosts.api(at[1]);
    for (index, id) in made.iter().enumerate() {
        let path = format!("/api/v1/clients/{id}");
        let told = if index % 2 == 0 { "executed" } else { "sent" };
        poll::within(WITHIN_LONG, told, || {
            let reply = api.get(&path);
            (reply.status == 200 && reply.json()["tags"] == json!([told])).then_some(())
        });
    }
    for id in &made {
        let client = api.get(&format!("/api/v1/clients/{id}")).done();
        assert_eq!(client["version"], 2, "one command, and once: {client}");
    }
}

#[test]
fn a_host_that_is_cut_off_says_so_and_comes_back() {
    let Some(setup) = production::setup() else { return };
    let servers = [&MONGODB, &REDIS, &NATS].map(|kind| kind.shared().unwrap());
    let doors = servers.map(|server| Door::to(server.url()));
    let mut settings = setup.settings.clone();
    for (server, door) in servers.iter().zip(&doors) {
        settings = settings.replace(server.url(), door.url());
    }
    let behind_doors = Setup {
        settings,
        ..setup.clone()
    };
    // The first host is the tenant's home, and the one that is cut off.
    let hosts = Hosts::of([behind_doors, setup.clone(), setup]);
    assert_eq!(hosts.home(1), 0);
    let client = books::client(&hosts.api(0), "ACME");
    let before = books::draft(&hosts.api(0), &client, "1.00");

    doors.iter().for_each(Door::shut);
    poll::within(WITHIN_LONG, "another home", || (hosts.home(1) != 0).then_some(()));
    let lost = hosts
        .api(0)
        .post("/api/v1/invoices", &json!({ "clientId": client }));
    assert_eq!(lost.status, 503, "{}", lost.text());
    let done = poll::within(WITHIN_LONG, "the others work on", || {
        let reply = books::finalize(&hosts.api(1), &before);
        (reply.status != 503).then(|| reply.done())
    });
    // What the host was doing when it was cut off may hold up others until MongoDB ends it.
    let path = format!(
        "/api/v1/invoices/{before}?after={}",
        done["position"].as_str().unwrap()
    );
    poll::within(WITHIN_LONG, "the others read on", || {
        (hosts.api(2).get(&path).status == 200).then_some(())
    });

    doors.iter().for_each(Door::open);
    let made = poll::within(WITHIN_LONG, "the host is back", || {
        let reply = hosts
            .api(0)
            .post("/api/v1/invoices", &json!({ "clientId": client }));
        (reply.status == 201).then(|| reply.done())
    });
    let seen = poll::within(WITHIN_LONG, "its reads too", || {
        let path = format!("/api/v1/invoices/{before}?after={}", made["position"].as_str()?);
        let reply = hosts.api(0).get(&path);
        (reply.status == 200).then(|| reply.json())
    });
    assert_eq!(seen["status"], "finalized", "what the others did meanwhile");
}

#[test]
fn a_tenant_that_is_closed_is_closed_on_all_hosts_whoever_works_for_it() {
    let Some(mut hosts) = Hosts::start() else { return };
    let home = hosts.home(0);
    let others = [(home + 1) % HOSTS, (home + 2) % HOSTS];
    let freeze = "/admin/v1/tenants/demo/freeze";
    let operator = |hosts: &Hosts, host: usize| hosts.hosts[host].somebody(None, &["operator"]);
    let is_known_to = |hosts: &Hosts, host: usize, closed: bool| {
        let operator = operator(hosts, host);
        poll::within(WITHIN_LONG, "the host knows", || {
            let tenants = operator.get("/admin/v1/tenants").done();
            (tenants["tenants"][0]["moving"] == closed).then_some(())
        });
    };
    // Asked for at a host that is not the home.
    let closed = operator(&hosts, others[0]).put(freeze, &json!({}));
    assert!(closed.status < 300, "{}", closed.text());
    for host in 0..HOSTS {
        is_known_to(&hosts, host, true);
        let made = hosts
            .api(host)
            .post("/api/v1/clients", &json!({ "code": "A", "name": "A" }));
        made.refused(503, "tenant-moving");
    }
    hosts.hosts[home].kill();
    poll::within(WITHIN_LONG, "another home", || {
        (hosts.home(others[0]) != home).then_some(())
    });
    for host in others {
        is_known_to(&hosts, host, true);
    }
    let opened = operator(&hosts, others[1]).ask("DELETE", freeze).send();
    assert!(opened.status < 300, "{}", opened.text());
    for host in others {
        is_known_to(&hosts, host, false);
        let body = json!({ "code": format!("B{host}"), "name": "B" });
        let made = hosts.api(host).post("/api/v1/clients", &body);
        assert_eq!(made.status, 201, "{}", made.text());
    }
}
