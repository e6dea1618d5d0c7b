//! Answers that are kept in the cache by the rules of manifests: given again, ended by each write, and never older than
//! what somebody was told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use millwork_tests::artifacts;
use millwork_tests::client::{Client, Reply};
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup};
use millwork_tests::servers::REDIS;
use serde_json::{Value, json};

use crate::{books, production};

const CLIENTS: &str = "/api/v1/clients";

/// How often answers of this view or query had this outcome, in all tenants of the host.
fn count(server: &Server, name: &str, outcome: &str) -> u64 {
    let metrics = server.operator().get("/metrics").text();
    let (name, outcome) = (format!("name=\"{name}\""), format!("outcome=\"{outcome}\""));
    let counted = metrics.lines().find(|line| {
        line.starts_with("millwork_kept_answers_total") && line.contains(&name) && line.contains(&outcome)
    });
    counted.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Asks until the answer has come from the cache, and gives it.
#[track_caller]
fn kept(server: &Server, name: &str, ask: impl Fn() -> Reply) -> Reply {
    poll::until("an answer is kept", || {
        let before = count(server, name, "hit");
        let reply = ask();
        (count(server, name, "hit") > before).then_some(reply)
    })
}

/// Renames a client and gives the position after it.
#[track_caller]
fn rename(api: &Client, id: &str, name: &str) -> String {
    let done = api
        .patch(&format!("{CLIENTS}/{id}"), &json!({ "name": name }))
        .done();
    done["position"].as_str().unwrap().to_owned()
}

fn name_of(reply: &Reply) -> String {
    reply.done()["name"].as_str().unwrap().to_owned()
}

fn first_name(page: &Reply) -> String {
    page.done()["items"][0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_is_given_again_as_it_was() {
    production::everywhere().for_each(given_again);
}

fn given_again(setup: Setup) {
    let server = Server::start(setup);
    let api = server.admin();
    let id = books::client(&api, "ACME");
    let path = format!("{CLIENTS}/{id}");
    let first = api.get(&path);
    let again = kept(&server, "ClientDetail", || api.get(&path));
    assert_eq!((&first.body, first.status), (&again.body, again.status));
    for header in ["etag", "content-type"] {
        assert_eq!(first.header(header), again.header(header), "{header}");
    }
    let known = || {
        api.ask("GET", &path)
            .header("if-none-match", first.header("etag").unwrap())
            .send()
    };
    assert_eq!(kept(&server, "ClientDetail", known).status, 304);

    let _ = books::client(&api, "BRAND");
    let (all, few) = (CLIENTS.to_owned(), format!("{CLIENTS}?limit=1&fields=code"));
    for page in [&all, &few] {
        let first = api.get(page).done();
        let again = kept(&server, "ClientSummary", || api.get(page)).done();
        assert_eq!(
            (&first["items"], &first["next"]),
            (&again["items"], &again["next"])
        );
    }
    // Pages that are asked for otherwise are others.
    let next = api.get(&few).done()["next"].as_str().unwrap().to_owned();
    let second = api.get(&format!("{few}&cursor={next}")).done();
    assert_eq!(second["items"][0]["code"], "BRAND");
    assert_eq!(
        api.get(&format!("{few}&code=BRAND")).done()["items"][0]["code"],
        "BRAND"
    );
    assert_eq!(
        api.get(&format!("{few}&sort=-code")).done()["items"][0]["code"],
        "BRAND"
    );

    // What was kept is for those who may ask, and for their tenant.
    let nobody = server.somebody(Some("demo"), &["invoicing.nothing"]);
    nobody.get(&path).refused(403, "forbidden");
    let stranger = server.tenant("strangers", &["client"]);
    stranger.get(&path).refused(404, "not-found");
    // Nothing is kept of what is not there.
    let missing = count(&server, "ClientDetail", "hit");
    api.get(&format!("{CLIENTS}/none")).refused(404, "not-found");
    api.get(&format!("{CLIENTS}/none")).refused(404, "not-found");
    assert_eq!(count(&server, "ClientDetail", "hit"), missing);
}

#[test]
fn each_write_ends_what_was_kept() {
    production::everywhere().for_each(each_write_ends);
}

fn each_write_ends(setup: Setup) {
    let server = Server::start(setup);
    let api = server.admin();
    let id = books::client(&api, "ACME");
    let path = format!("{CLIENTS}/{id}");
    for turn in 0..8 {
        let _ = kept(&server, "ClientDetail", || api.get(&path)).done();
        let _ = kept(&server, "ClientSummary", || api.get(CLIENTS)).done();
        let name = format!("Name {turn}");
        let after = rename(&api, &id, &name);
        assert_eq!(name_of(&api.get(&format!("{path}?after={after}"))), name);
        assert_eq!(name_of(&api.get(&path)), name);
        assert_eq!(first_name(&api.get(&format!("{CLIENTS}?after={after}"))), name);
        assert_eq!(first_name(&api.get(CLIENTS)), name);
    }
    // What another module's event has written counts as well.
    let draft = books::draft(&api, &id, "10.00");
    let _ = kept(&server, "ClientDetail", || api.get(&path)).done();
    let finalized = books::finalize(&api, &draft).done();
    let after = finalized["position"].as_str().unwrap();
    let client = api.get(&format!("{path}?after={after}")).done();
    assert_eq!(client["currentBalance"], "10.00");
}

#[test]
fn read_models_that_are_built_anew_end_what_was_kept() {
    production::everywhere().for_each(built_anew);
}

fn built_anew(setup: Setup) {
    let server = Server::start(setup);
    let api = server.admin();
    let path = format!("{CLIENTS}/{}", books::client(&api, "ACME"));
    let before = kept(&server, "ClientDetail", || api.get(&path));
    let missed = count(&server, "ClientDetail", "miss");
    let rebuild = "/admin/v1/tenants/demo/modules/client/projections/Clients/rebuild";
    let _ = api.post(rebuild, &json!({})).done();
    assert_eq!(api.get(&path).body, before.body);
    assert_eq!(count(&server, "ClientDetail", "miss"), missed + 1);
}

#[test]
fn nobody_reads_less_than_was_told_while_others_write() {
    production::everywhere().for_each(never_less_than_told);
}

fn never_less_than_told(setup: Setup) {
    let server = Server::start(setup);
    let api = server.admin();
    let id = books::client(&api, "ACME");
    let path = format!("{CLIENTS}/{id}");
    let done = AtomicBool::new(false);
    let version = |reply: &Reply| reply.done()["version"].as_u64().unwrap();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let told = api.get(&path);
                    let position = told.header("millwork-position").unwrap();
                    let later = api.get(&format!("{path}?after={position}"));
                    assert!(version(&later) >= version(&told), "{position}");
                }
            });
        }
        for turn in 0..60 {
            let done = api
                .patch(&path, &json!({ "name": format!("Name {turn}") }))
                .done();
            let after = done["position"].as_str().unwrap();
            let written = done["version"].as_u64().unwrap();
            assert!(version(&api.get(&format!("{path}?after={after}"))) >= written);
            assert!(version(&api.get(&path)) >= written, "what was told once stays");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(count(&server, "ClientDetail", "hit") > 0);
}

#[test]
fn a_query_is_kept_until_its_collection_is_written() {
    production::everywhere().for_each(query_is_kept);
}

fn query_is_kept(setup: Setup) {
    let server = Server::start(setup);
    let wasm = artifacts::test_component("librarian").expect("the librarian; `cargo xtask guest` makes it");
    let _ = server.publish(wasm).done();
    let api = server.tenant("readers", &["librarian"]);
    let write = |title: &str| {
        let done = api
            .post("/api/v1/notes", &json!({ "title": title, "body": "" }))
            .done();
        done["position"].as_str().unwrap().to_owned()
    };
    let suggested = |prefix: &str, after: &str| {
        let after = Some(after).filter(|after| !after.is_empty());
        let after = after.map_or_else(String::new, |after| format!("&after={after}"));
        api.get(&format!("/api/v1/notes-suggested?prefix={prefix}{after}"))
    };
    let after = write("Fence");
    assert_eq!(suggested("fe", &after).done(), json!(["Fence"]));
    let again = kept(&server, "SuggestTitles", || suggested("fe", ""));
    assert_eq!(again.done(), json!(["Fence"]));
    assert_eq!(suggested("ga", "").done(), json!([]), "other parameters");
    let after = write("Fern");
    let both = suggested("fe", &after).done();
    assert_eq!(both.as_array().map(Vec::len), Some(2), "{both}");
    assert_eq!(suggested("fe", "").done(), both);
}

/// A host with everything on files but the cache.
fn over_redis(url: &str) -> Setup {
    Setup {
        settings: format!(
            "profile = \"cached\"\n[profiles.cached]\ncache = \"redis\"\n[profiles.cached.redis]\nurl = \"{url}\"\n"
        ),
        ..Setup::default()
    }
}

#[test]
fn a_cache_that_is_killed_and_comes_back_with_what_it_had_makes_nothing_old() {
    let Some(mut redis) = REDIS.start() else { return };
    let mut server = Server::start(over_redis(redis.url()));
    let api = server.admin();
    let id = books::client(&api, "ACME");
    let path = format!("{CLIENTS}/{id}");
    let _ = kept(&server, "ClientDetail", || api.get(&path)).done();

    redis.kill();
    let bypassed = count(&server, "ClientDetail", "bypass");
    for turn in 0..3 {
        let name = format!("Alone {turn}");
        let after = rename(&api, &id, &name);
        assert_eq!(name_of(&api.get(&format!("{path}?after={after}"))), name);
        assert_eq!(name_of(&api.get(&path)), name);
    }
    assert!(count(&server, "ClientDetail", "bypass") > bypassed);

    // Each write was on its disk, so the old answer is there again, under the epoch it was made under.
    redis.run();
    assert_eq!(name_of(&api.get(&path)), "Alone 2");
    let again = kept(&server, "ClientDetail", || {
        let reply = api.get(&path);
        assert_eq!(name_of(&reply), "Alone 2");
        reply
    });
    assert_eq!(again.status, 200);

    // The host ends between a write and its announcement, and comes back.
    let after = rename(&api, &id, "Ended");
    server.kill();
    server.run();
    let api = server.admin();
    assert_eq!(name_of(&api.get(&format!("{path}?after={after}"))), "Ended");
    assert_eq!(name_of(&api.get(&path)), "Ended");
}

#[test]
fn a_host_that_starts_without_its_cache_answers() {
    let Some(mut redis) = REDIS.start() else { return };
    let mut server = Server::start(over_redis(redis.url()));
    let id = books::client(&server.admin(), "ACME");
    server.stop();
    redis.kill();
    server.run();
    let api = server.admin();
    let after = rename(&api, &id, "Alone");
    let path = format!("{CLIENTS}/{id}");
    assert_eq!(name_of(&api.get(&format!("{path}?after={after}"))), "Alone");
    let page: Value = api.get(CLIENTS).done();
    assert_eq!(page["items"][0]["name"], "Alone");
}
