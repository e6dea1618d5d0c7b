//! Signing in and out: what users of a tenant may expect of a session, and what nobody may do with one.

use std::collections::BTreeSet;

use millwork_tests::client::{Ask, Client, Reply};
use millwork_tests::poll;
use millwork_tests::server::{Server, Setup, now_seconds};
use millwork_tests::servers::REDIS;
use serde_json::{Value, json};

use crate::books;
use crate::openapi::check_answer;
use crate::production;
use crate::servers::redis;

const SESSIONS: &str = "/api/v1/sessions";
const CLIENTS: &str = "/api/v1/clients";

/// What a session was answered with when it began.
struct Begun {
    reply: Reply,
    id: String,
    handle: String,
}

fn sign_in(api: &Client, label: &str) -> Begun {
    let reply = api.post(SESSIONS, &json!({ "label": label }));
    let body = reply.done();
    let text = |member: &str| body[member].as_str().unwrap().to_owned();
    Begun {
        id: text("id"),
        handle: text("handle"),
        reply,
    }
}

impl Begun {
    /// The same host by this session.
    fn bearer(&self, api: &Client) -> Client {
        api.with_token(Some(&self.id))
    }

    /// A request by the cookie alone, as a browser would send it from a page of this origin.
    fn cookie<'a>(&self, nobody: &'a Client, method: &str, path: &str) -> Ask<'a> {
        self.cookie_from(nobody, method, path, &[("sec-fetch-site", "same-origin")])
    }

    fn cookie_from<'a>(
        &self,
        nobody: &'a Client,
        method: &str,
        path: &str,
        said: &[(&str, &str)],
    ) -> Ask<'a> {
        let cookie = self.reply.header("set-cookie").unwrap();
        let pair = cookie.split(';').next().unwrap();
        let ask = nobody.ask(method, path).header("cookie", pair);
        said.iter()
            .fold(ask, |ask, (name, value)| ask.header(name, value))
    }
}

/// A host with this in its settings, and the admin of its tenant `demo`.
fn hosting(settings: &str) -> (Server, Client) {
    let server = Server::start(Setup {
        settings: settings.to_owned(),
        ..Setup::default()
    });
    let api = server.somebody(Some("demo"), &["admin"]);
    (server, api)
}

/// Somebody of the tenant `demo`, by name.
fn user(server: &Server, name: &str, roles: &[&str]) -> Client {
    let body = json!({ "subject": name, "tenant": "demo", "roles": roles, "ttl": 3_600 });
    let token = server.operator().post("/admin/v1/tokens", &body).done();
    Client::new(server.url(), Some(token["token"].as_str().unwrap()))
}

fn labels(listed: &Value) -> Vec<&str> {
    let sessions = listed["sessions"].as_array().unwrap();
    sessions
        .iter()
        .map(|session| session["label"].as_str().unwrap())
        .collect()
}

fn new_client(code: &str) -> Value {
    json!({ "code": code, "name": code, "currency": "EUR" })
}

#[test]
fn a_session_takes_the_place_of_the_token_until_its_user_signs_out() {
    for setup in production::everywhere() {
        let server = Server::start(setup);
        let api = server.somebody(Some("demo"), &["admin"]);
        let nobody = api.with_token(None);
        let (desk, phone) = (sign_in(&api, "desk"), sign_in(&api, "phone"));
        assert!(desk.id.starts_with("ms_demo.") && desk.id != phone.id);

        // As a credential and as a cookie, for commands, views and the marketplace.
        let by_desk = desk.bearer(&api);
        let made = by_desk.post(CLIENTS, &new_client("ONE")).done();
        assert_eq!(
            by_desk
                .get(&format!("{CLIENTS}?after={}", made["position"].as_str().unwrap()))
                .status,
            200
        );
        let sent = phone
            .cookie(&nobody, "POST", CLIENTS)
            .json(&new_client("TWO"))
            .send();
        assert_eq!(sent.status, 201, "{}", sent.text());
        assert_eq!(
            phone.cookie(&nobody, "GET", "/api/v1/marketplace").send().status,
            200
        );

        // Their user sees both, without what would open them.
        let listed = by_desk.get(SESSIONS);
        assert_eq!(labels(&listed.json()), ["desk", "phone"]);
        assert_eq!(listed.json()["sessions"][0]["current"], true);
        assert_eq!(listed.json()["sessions"][1]["current"], false);
        for begun in [&desk, &phone] {
            let secret = begun.id.split_once('.').unwrap().1;
            assert!(!listed.text().contains(secret));
            by_desk
                .with_token(Some(&begun.handle))
                .get(SESSIONS)
                .refused(401, "token-invalid");
        }

        // The phone is lost.
        let ended = by_desk.delete(&format!("{SESSIONS}/{}", phone.handle)).done();
        assert_eq!(ended, json!({ "ended": 1 }));
        phone
            .cookie(&nobody, "GET", CLIENTS)
            .send()
            .refused(401, "session-over");
        phone.bearer(&api).get(CLIENTS).refused(401, "session-over");
        by_desk
            .delete(&format!("{SESSIONS}/{}", phone.handle))
            .refused(404, "not-found");

        // And the day is over.
        let ended = by_desk.delete("/api/v1/sessions/current");
        assert_eq!(ended.status, 200);
        assert!(
            ended
                .header("set-cookie")
                .unwrap()
                .starts_with("millwork_session=; Path=/; Max-Age=0")
        );
        let refused = by_desk.get(CLIENTS);
        refused.refused(401, "session-over");
        assert!(
            refused
                .header("www-authenticate")
                .unwrap()
                .contains("invalid_token")
        );
        assert_eq!(labels(&api.get(SESSIONS).done()), Vec::<&str>::new());
    }
}

#[test]
fn answers_are_as_described() {
    let (_server, api) = hosting("");
    let document = api.get("/api/v1/openapi.json").done();
    let begun = sign_in(&api, "");
    check_answer(&document, "post /sessions", "201", &begun.reply.json());
    check_answer(
        &document,
        "get /sessions",
        "200",
        &begun.bearer(&api).get(SESSIONS).done(),
    );
    let refused = api.delete("/api/v1/sessions/current").json();
    check_answer(&document, "delete /sessions/current", "404", &refused);
    let ended = api.delete(&format!("{SESSIONS}/{}", begun.handle)).done();
    check_answer(&document, "delete /sessions/{handle}", "200", &ended);
    check_answer(&document, "delete /sessions", "200", &api.delete(SESSIONS).done());
}

#[test]
fn the_cookie_is_kept_from_scripts_other_sites_and_networks_in_the_clear() {
    let (_server, api) = hosting("sessions.longest = \"90m\"");
    let cookie = |host: &str, origin: Option<&str>| {
        let ask = api.ask("POST", SESSIONS).header("host", host);
        let ask = origin
            .into_iter()
            .fold(ask, |ask, origin| ask.header("origin", origin));
        let reply = ask.send();
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        reply.header("set-cookie").unwrap().to_owned()
    };
    let attributes = "; Path=/; Max-Age=5400; HttpOnly; SameSite=Strict";
    let plain = cookie("127.0.0.1:8080", None);
    assert!(
        plain.starts_with("millwork_session=ms_demo.") && plain.ends_with(attributes),
        "{plain}"
    );
    assert!(cookie("localhost", Some("http://localhost:5173")).ends_with(attributes));
    let secure = format!("{attributes}; Secure");
    let of_a_domain = cookie("erp.example.com", None);
    assert!(
        of_a_domain.starts_with("__Host-millwork_session=ms_demo.") && of_a_domain.ends_with(&secure),
        "{of_a_domain}"
    );
    // Behind a proxy that calls the host by its address.
    assert!(cookie("127.0.0.1:8080", Some("https://erp.example.com")).ends_with(&secure));
}

#[test]
fn pages_of_other_origins_change_nothing_with_the_cookie() {
    let (server, api) = hosting("");
    let nobody = api.with_token(None);
    let begun = sign_in(&api, "browser");
    let host = server.url().strip_prefix("http://").unwrap().to_owned();
    let own = server.url().to_owned();
    let attacks: &[&[(&str, &str)]] = &[
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
    ];
    for said in attacks {
        let post = begun
            .cookie_from(&nobody, "POST", CLIENTS, said)
            .json(&new_client("EVIL"));
        post.send().refused(403, "cross-site");
        begun
            .cookie_from(&nobody, "DELETE", SESSIONS, said)
            .send()
            .refused(403, "cross-site");
        let enable = begun.cookie_from(&nobody, "POST", "/api/v1/marketplace/client/disable", said);
        enable.send().refused(403, "cross-site");
        // Looking is no change, and a page of another origin does not see the answer.
        assert_eq!(
            begun.cookie_from(&nobody, "GET", CLIENTS, said).send().status,
            200
        );
    }
    // An old browser tells the origin alone.
    let said = [("origin", own.as_str()), ("host", &host)];
    let post = begun
        .cookie_from(&nobody, "POST", CLIENTS, &said)
        .json(&new_client("OWN"));
    assert_eq!(post.send().status, 201);
    // A credential in the header is none that a browser adds by itself.
    let app = begun.bearer(&api);
    let sent = app.ask("POST", CLIENTS).header("origin", "https://evil.test");
    let made = sent.json(&new_client("APP")).send().done();
    books::seen(&api, CLIENTS, &made);
    let codes = books::all(&api, CLIENTS)
        .into_iter()
        .map(|client| client["code"].clone());
    assert_eq!(
        codes
            .map(|code| code.as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>(),
        ["APP", "OWN"].map(str::to_owned).into()
    );
}

#[test]
fn nobody_comes_in_by_what_is_no_session() {
    let (server, api) = hosting("");
    let other = server.tenant("zenith", &["client"]);
    let begun = sign_in(&api, "ada's");
    let secret = begun.id.split_once('.').unwrap().1;
    let forged = [
        // Guessed, cut short, made longer, and the handle, which is no secret.
        format!("ms_demo.{}", "A".repeat(43)),
        begun.id[..begun.id.len() - 1].to_owned(),
        format!("{}A", begun.id),
        format!("ms_demo.{}", &begun.handle[..43]),
        format!("ms_demo.{}", begun.handle),
        // The same secret at another tenant, at one that is not there, and at none.
        format!("ms_zenith.{secret}"),
        format!("ms_nowhere.{secret}"),
        format!("ms_.{secret}"),
        format!("ms_../demo.{secret}"),
        "ms_".to_owned(),
    ];
    for id in forged {
        for path in [CLIENTS, SESSIONS, "/api/v1/marketplace", "/api/v1/openapi.json"] {
            api.with_token(Some(&id)).get(path).refused(401, "session-over");
            let cookie = api.with_token(None);
            let ask = cookie
                .ask("GET", path)
                .header("cookie", &format!("millwork_session={id}"));
            ask.send().refused(401, "session-over");
        }
    }
    // Two cookies of the name: one may be another's.
    let nobody = api.with_token(None);
    let two = format!("millwork_session={}; millwork_session={}", begun.id, begun.id);
    nobody
        .ask("GET", CLIENTS)
        .header("cookie", &two)
        .send()
        .refused(401, "token-missing");
    // What a session of one tenant names at another is not there.
    other
        .delete(&format!("{SESSIONS}/{}", begun.handle))
        .refused(404, "not-found");
    other.delete(&format!("{SESSIONS}/x")).refused(404, "not-found");
    assert_eq!(other.get(SESSIONS).done()["sessions"], json!([]));
    assert_eq!(begun.bearer(&api).get(CLIENTS).status, 200);
}

#[test]
fn a_session_begins_no_other_and_administers_nothing() {
    let (server, api) = hosting("");
    let begun = sign_in(&api, "ada's");
    begun
        .bearer(&api)
        .post(SESSIONS, &json!({}))
        .refused(403, "token-needed");
    let nobody = api.with_token(None);
    begun
        .cookie(&nobody, "POST", SESSIONS)
        .send()
        .refused(403, "token-needed");
    // The token of the header counts, whatever cookie is there.
    let both = begun.cookie(&api, "POST", SESSIONS).send();
    assert_eq!(both.status, 201, "{}", both.text());
    let own = "/admin/v1/tenants/demo/modules";
    assert_eq!(api.get(own).status, 200);
    begun.bearer(&api).get(own).refused(401, "token-invalid");
    begun
        .cookie(&nobody, "GET", own)
        .send()
        .refused(401, "token-missing");
    // Those who run the host belong to no tenant.
    server
        .operator()
        .post(SESSIONS, &json!({}))
        .refused(403, "no-tenant-credential");
    nobody.post(SESSIONS, &json!({})).refused(401, "token-missing");
    let expired = server.token(Some("demo"), &["admin"], now_seconds() - 100, 10);
    api.with_token(Some(&expired))
        .post(SESSIONS, &json!({}))
        .refused(401, "token-invalid");
    api.post(SESSIONS, &json!({ "label": "x".repeat(201) }))
        .refused(422, "schema");
    api.post(SESSIONS, &json!({ "user": "root" }))
        .refused(422, "schema");
}

#[test]
fn a_session_may_what_its_token_might() {
    let (server, api) = hosting("");
    let viewer = user(&server, "bob", &["viewer"]);
    let by_session = sign_in(&viewer, "").bearer(&viewer);
    assert_eq!(by_session.get(CLIENTS).status, 200);
    by_session
        .post(CLIENTS, &new_client("X"))
        .refused(403, "forbidden");
    by_session
        .post("/api/v1/marketplace/client/disable", &json!({}))
        .refused(403, "forbidden");
    // Sessions are their user's own.
    let ada = sign_in(&api, "ada's");
    by_session
        .delete(&format!("{SESSIONS}/{}", ada.handle))
        .refused(404, "not-found");
    assert_eq!(by_session.delete(SESSIONS).done()["ended"], 1);
    by_session.get(CLIENTS).refused(401, "session-over");
    assert_eq!(ada.bearer(&api).get(CLIENTS).status, 200);
    // A token that has expired leaves the session that it began, which has a length of its own.
    let short = server.token(Some("demo"), &["admin"], now_seconds(), 2);
    let short = api.with_token(Some(&short));
    let begun = sign_in(&short, "long");
    poll::until("the token expires", || {
        (short.get(CLIENTS).status == 401).then_some(())
    });
    assert_eq!(begun.bearer(&api).get(CLIENTS).status, 200);
}

#[test]
fn an_administrator_signs_a_user_out_everywhere() {
    let (server, api) = hosting("");
    let (ada, bob) = (
        user(&server, "ada", &["editor"]),
        user(&server, "bob", &["editor"]),
    );
    let of_ada = [sign_in(&ada, "desk"), sign_in(&ada, "phone")];
    let of_bob = sign_in(&bob, "desk");
    let path = "/admin/v1/tenants/demo/sessions";
    bob.delete(&format!("{path}?user=ada")).refused(403, "forbidden");
    server
        .somebody(Some("demo"), &["editor"])
        .delete(&format!("{path}?user=ada"))
        .refused(403, "forbidden");
    server.operator().delete(path).refused(400, "malformed");
    let ended = server.operator().delete(&format!("{path}?user=ada")).done();
    assert_eq!(ended["ended"], 2);
    for begun in &of_ada {
        begun.bearer(&api).get(CLIENTS).refused(401, "session-over");
    }
    assert_eq!(of_bob.bearer(&api).get(CLIENTS).status, 200);
    // So can the tenant's own admin, in their tenant.
    assert_eq!(api.delete(&format!("{path}?user=bob")).done()["ended"], 1);
    server
        .tenant("zenith", &[])
        .delete(&format!("{path}?user=bob"))
        .refused(403, "forbidden");
}

#[test]
fn sessions_end_as_the_settings_say() {
    let (_server, api) = hosting("sessions.per_user_max = 2");
    let begun: Vec<_> = ["a", "b", "c"].map(|label| sign_in(&api, label)).into();
    begun[0].bearer(&api).get(CLIENTS).refused(401, "session-over");
    assert_eq!(labels(&begun[2].bearer(&api).get(SESSIONS).done()), ["b", "c"]);

    let (_server, api) = hosting("sessions.idle = \"1ms\"");
    let begun = sign_in(&api, "unused");
    let by_session = begun.bearer(&api);
    poll::until("an unused session ends", || {
        (by_session.get(CLIENTS).status == 401).then_some(())
    });
    by_session.get(CLIENTS).refused(401, "session-over");

    let (_server, api) = hosting("[sessions]\nidle = \"1s\"\nlongest = \"1s\"");
    let by_session = sign_in(&api, "busy").bearer(&api);
    poll::until("a session in use ends", || {
        (by_session.get(CLIENTS).status == 401).then_some(())
    });
}

#[test]
fn sessions_of_one_process_end_with_it() {
    let (mut server, api) = hosting("");
    let begun = sign_in(&api, "");
    server.stop();
    server.run();
    let api = server.somebody(Some("demo"), &["admin"]);
    begun.bearer(&api).get(CLIENTS).refused(401, "session-over");
}

#[test]
fn sessions_in_redis_outlive_the_host_and_are_neither_granted_nor_ended_while_it_is_silent() {
    let Some(mut service) = REDIS.start() else { return };
    let url = service.url().to_owned();
    let settings = format!("profile = \"p\"\n[profiles.p]\ncache = \"redis\"\nredis.url = \"{url}\"\n");
    let (mut server, api) = hosting(&settings);
    let begun = sign_in(&api, "desk");
    server.stop();
    server.run();
    let api = server.somebody(Some("demo"), &["admin"]);
    let by_session = begun.bearer(&api);
    assert_eq!(by_session.get(CLIENTS).status, 200);
    // Neither the id nor its secret is anywhere in the server.
    let find = format!("return redis.call('KEYS', 'sess:*:{}')[1]", begun.handle);
    let key = redis(&url, &format!("EVAL \"{find}\" 0"));
    assert!(key.starts_with("sess:{demo."), "{key}");
    let secret = begun.id.split_once('.').unwrap().1;
    let fields = [
        "handle",
        "user",
        "roles",
        "label",
        "created_at",
        "seen_at",
        "expires_at",
        "ends_at",
    ];
    for field in fields {
        let value = redis(&url, &format!("HGET {key} {field}"));
        assert!(!value.contains(secret) && value != "$-1", "{field}: {value}");
    }

    service.pause();
    for _ in 0..3 {
        let refused = by_session.get(CLIENTS);
        refused.refused(503, "sessions-unavailable");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    api.post(SESSIONS, &json!({}))
        .refused(503, "sessions-unavailable");
    by_session
        .delete("/api/v1/sessions/current")
        .refused(503, "sessions-unavailable");
    // Tokens need no Redis.
    assert_eq!(api.post(CLIENTS, &new_client("TOKEN")).status, 201);
    service.resume();
    poll::until("the session counts again", || {
        (by_session.get(CLIENTS).status == 200).then_some(())
    });
    // Who signed out while nobody heard it is told to try again, and then it is done.
    assert_eq!(by_session.delete("/api/v1/sessions/current").status, 200);
    by_session.get(CLIENTS).refused(401, "session-over");
}
