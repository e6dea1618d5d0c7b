//! Tenant A cannot see, name or address anything of tenant B; and in a tenant, everybody does what their roles allow.

use std::collections::BTreeSet;

use millwork_tests::client::{Client, Reply};
use millwork_tests::server::{Server, Setup};
use serde_json::{Value, json};

use crate::books::{self, all, finalize, seen};
use crate::{hostile, production};

/// Two tenants with the same modules; what B has is what A must not reach.
struct Neighbours {
    server: Server,
    a: Client,
    b: Client,
    client_of_b: String,
    invoice_of_b: String,
    position_of_b: String,
}

impl Neighbours {
    /// Some with everything on files, and some on servers.
    fn everywhere() -> impl Iterator<Item = Self> {
        production::everywhere().map(Self::with)
    }

    fn new() -> Self {
        Self::with(Setup::default())
    }

    fn with(setup: Setup) -> Self {
        let server = Server::start(setup);
        let a = hostile::join(&server, "aaa");
        let b = server.tenant("bbb", &["client", "invoicing", "hostile"]);
        let client_of_b = books::client(&b, "SECRET");
        let invoice_of_b = books::draft(&b, &client_of_b, "4711.00");
        let done = finalize(&b, &invoice_of_b).done();
        seen(&b, "/api/v1/invoices", &done);
        let position_of_b = done["position"].as_str().unwrap().to_owned();
        Self {
            server,
            a,
            b,
            client_of_b,
            invoice_of_b,
            position_of_b,
        }
    }

    /// Everything that B can read, to hold against later.
    fn all_of_b(&self) -> Value {
        json!([
            all(&self.b, "/api/v1/clients"),
            all(&self.b, "/api/v1/invoices"),
            self.b.get("/api/v1/reports/aging").done()
        ])
    }
}

/// The answer is the same as for an id that nobody has.
#[track_caller]
fn check_unknown(api: &Client, method: &str, path: &str, id: &str, body: &Value) {
    let answer = |id: &str| {
        let ask = api.ask(method, &path.replace("{id}", id));
        let reply = if method == "GET" {
            ask.send()
        } else {
            ask.json(body).send()
        };
        let text = reply.text().replace(id, "{id}");
        let mut problem: Value = serde_json::from_str(&text).unwrap();
        problem["instance"] = json!("");
        (reply.status, problem)
    };
    let (theirs, nobodys) = (answer(id), answer("0199b1c8-0000-7000-8000-000000000000"));
    assert_eq!(theirs, nobodys, "{method} {path}");
    assert!(matches!(theirs.0, 404 | 405 | 409), "{method} {path}: {theirs:?}");
}

#[test]
fn every_route_answers_ids_of_others_like_ids_of_nobody() {
    for n in Neighbours::everywhere() {
        let before = n.all_of_b();
        let document = n.a.get("/api/v1/openapi.json").done();
        let mut tried = 0;
        for (path, operations) in document["paths"].as_object().unwrap() {
            if !path.contains("{id}") || path.starts_with("/hostile") {
                continue;
            }
            let id = if path.starts_with("/clients") {
                &n.client_of_b
            } else {
                &n.invoice_of_b
            };
            for method in operations.as_object().unwrap().keys() {
                let path = format!("/api/v1{}", path.replace("{lineId}", "x"));
                check_unknown(&n.a, &method.to_uppercase(), &path, id, &body_for(&path));
                tried += 1;
            }
        }
        assert!(tried >= 10, "{tried} routes have ids");
        n.a.post("/api/v1/invoices", &json!({ "clientId": n.client_of_b }))
            .refused(404, "client-not-found");
        assert_eq!(n.all_of_b(), before);
    }
}

/// A body that the command's schema accepts.
fn body_for(path: &str) -> Value {
    let last = path.rsplit('/').next().unwrap();
    match last {
        "line-items" => json!({ "description": "x", "quantity": "1", "unitPrice": "1", "taxRate": "0" }),
        "discount" => json!({ "percent": "1" }),
        "payments" => json!({ "amount": "1", "method": "cash" }),
        "credit-limit" => json!({ "creditLimit": "1" }),
        "{id}" => json!({ "name": "Taken over" }),
        _ => json!({}),
    }
}

#[test]
fn lists_reports_and_searches_show_ones_own_alone() {
    for n in Neighbours::everywhere() {
        assert_eq!(all(&n.a, "/api/v1/clients"), Vec::<Value>::new());
        assert_eq!(all(&n.a, "/api/v1/clients?code=SECRET"), Vec::<Value>::new());
        assert_eq!(
            all(&n.a, &format!("/api/v1/invoices?clientId={}", n.client_of_b)),
            Vec::<Value>::new()
        );
        let aging =
            n.a.get(&format!("/api/v1/reports/aging?clientId={}", n.client_of_b))
                .done();
        assert_eq!(
            (&aging["currencies"], &aging["clients"]),
            (&json!([]), &json!([]))
        );
    }
}

#[test]
fn a_cursor_of_another_tenant_opens_nothing() {
    for n in Neighbours::everywhere() {
        let _ = books::client(&n.b, "SECOND");
        let cursor = n.b.get("/api/v1/clients?limit=1").done()["next"]
            .as_str()
            .unwrap()
            .to_owned();
        let reply = n.a.get(&format!("/api/v1/clients?limit=1&cursor={cursor}"));
        assert!(
            !reply.text().contains("SECOND") && !reply.text().contains("SECRET"),
            "{}",
            reply.text()
        );
    }
}

#[test]
fn a_position_of_another_tenant_opens_nothing() {
    for n in Neighbours::everywhere() {
        // A has recorded nothing, so B's position lies in its future, whoever gave it.
        n.a.get(&format!("/api/v1/clients?after={}", n.position_of_b))
            .refused(503, "read-model-behind");
        let first = books::client(&n.a, "FIRST");
        let own = n.a.get(&format!("/api/v1/clients/{first}"));
        let other = books::client(&n.server.admin(), "FIRST");
        let same = n.server.admin().get(&format!("/api/v1/clients/{other}"));
        assert_eq!(
            own.header("millwork-position"),
            same.header("millwork-position"),
            "positions do not tell how busy others are"
        );
    }
}

#[test]
fn claims_numbers_and_idempotency_keys_are_each_tenants_own() {
    for n in Neighbours::everywhere() {
        let create = |api: &Client| {
            api.ask("POST", "/api/v1/clients")
                .key("shared-key")
                .json(&json!({ "code": "SECRET", "name": "Mine" }))
                .send()
        };
        let mine = create(&n.a);
        assert_eq!(
            (mine.status, mine.header("idempotency-replayed")),
            (201, None),
            "{}",
            mine.text()
        );
        let theirs =
            n.b.ask("POST", "/api/v1/clients")
                .key("shared-key")
                .json(&json!({ "code": "OTHER", "name": "N" }))
                .send();
        assert_eq!(
            (theirs.status, theirs.header("idempotency-replayed")),
            (201, None),
            "{}",
            theirs.text()
        );
        seen(&n.a, "/api/v1/clients", &mine.json());
        let client = mine.json()["id"].as_str().unwrap().to_owned();
        let draft = books::draft(&n.a, &client, "1.00");
        assert_eq!(
            books::number(&finalize(&n.a, &draft).done()),
            books::invoice_number(1),
            "B has that number too"
        );
    }
}

#[test]
fn the_same_id_in_two_tenants_is_two_things() {
    for n in Neighbours::everywhere() {
        // Whoever learns an id of B can at most use it as its own.
        n.a.patch(
            &format!("/api/v1/clients/{}", n.client_of_b),
            &json!({ "name": "Mine" }),
        )
        .refused(404, "not-found");
        let b = n.b.get(&format!("/api/v1/clients/{}", n.client_of_b)).done();
        assert_eq!((&b["name"], &b["version"]), (&json!("SECRET Ltd"), &json!(1)));
    }
}

#[test]
fn a_component_of_one_tenant_reaches_documents_and_cache_of_that_tenant_alone() {
    for n in Neighbours::everywhere() {
        let query = |api: &Client, query: &str| {
            api.get(&format!("/api/v1/hostile-queries/{query}")).done()["outcome"].clone()
        };
        let behaved = n.b.post("/api/v1/hostile", &json!({})).done();
        seen(&n.b, "/api/v1/hostile", &behaved);
        let id = behaved["id"].as_str().unwrap();
        assert_eq!(
            query(&n.b, &format!("read-document?collection=outcomes&id={id}"))["behaved"],
            true
        );
        assert_eq!(
            query(&n.a, &format!("read-document?collection=outcomes&id={id}")),
            "nothing"
        );
        assert_eq!(query(&n.b, "write-cache?key=k&bytes=7"), "done");
        assert_eq!(query(&n.b, "read-cache?key=k"), 7);
        for key in ["k", "bbb/k", "bbb%2Fhostile%2Fk", "..%2Fbbb%2Fk", "bbb:hostile:k"] {
            assert_eq!(query(&n.a, &format!("read-cache?key={key}")), "nothing", "{key}");
        }
        for collection in [
            "bbb.outcomes",
            "bbb/outcomes",
            "../bbb/outcomes",
            "../../bbb/documents.db",
        ] {
            let place = format!("collection={}&id={id}", collection.replace('/', "%2F"));
            assert_eq!(
                query(&n.a, &format!("read-document?{place}")),
                "denied",
                "{collection}"
            );
        }
    }
}

#[test]
fn modules_of_a_tenant_are_no_business_of_another() {
    let n = Neighbours::new();
    let module = "/admin/v1/tenants/bbb/modules/invoicing";
    let rebuild = format!("{module}/projections/Invoices/rebuild");
    let same = |theirs: &Reply, nobodys: &Reply| {
        let plain = |reply: &Reply| {
            reply
                .text()
                .replace("bbb", "T")
                .replace("zzz", "T")
                .split("\"instance\"")
                .next()
                .map(str::to_owned)
        };
        assert_eq!((theirs.status, plain(theirs)), (403, plain(nobodys)));
    };
    for path in ["/admin/v1/tenants/bbb/modules", "/admin/v1/tenants"] {
        n.a.get(path).refused(403, "forbidden");
    }
    let nobodys = |path: &str| path.replace("bbb", "zzz");
    same(
        &n.a.put(module, &json!({})),
        &n.a.put(&nobodys(module), &json!({})),
    );
    same(&n.a.delete(module), &n.a.delete(&nobodys(module)));
    same(
        &n.a.post(&rebuild, &json!({})),
        &n.a.post(&nobodys(&rebuild), &json!({})),
    );
    let _ = n.a.get("/admin/v1/tenants/aaa/modules").done();
    // One tenant without a module has no route to it, whoever else runs it.
    let off = n.a.delete("/admin/v1/tenants/aaa/modules/hostile");
    assert_eq!(off.status, 200);
    n.a.post("/api/v1/hostile", &json!({})).refused(404, "no-route");
    assert_eq!(n.b.post("/api/v1/hostile", &json!({})).status, 201);
}

#[test]
fn a_tenant_is_named_by_the_credential_alone() {
    let n = Neighbours::new();
    let tries = [
        n.a.ask("GET", "/api/v1/clients").header("x-tenant-id", "bbb"),
        n.a.ask("GET", "/api/v1/clients").header("x-tenant", "bbb"),
        n.a.ask("GET", "/api/v1/clients")
            .header("x-forwarded-host", "bbb.example"),
    ];
    for ask in tries {
        assert_eq!(ask.send().done()["items"], json!([]));
    }
    n.a.get("/api/v1/clients?tenant=bbb").refused(400, "malformed");
    n.a.get("/api/v1/clients?tenantId=bbb").refused(400, "malformed");
    let body = json!({ "code": "X", "name": "X", "tenantId": "bbb" });
    n.a.post("/api/v1/clients", &body).refused(422, "schema");
    let gone = n.server.somebody(Some("nobody"), &["admin"]);
    gone.get("/api/v1/clients").refused(404, "no-tenant");
}

#[test]
fn roles_open_what_they_say_and_no_more() {
    let n = Neighbours::new();
    let somebody = |roles: &[&str]| n.server.somebody(Some("bbb"), roles);
    let read = |api: &Client, what: &str| api.get(&format!("/api/v1/{what}")).status;
    let write = |api: &Client| {
        api.post("/api/v1/clients", &json!({ "code": "dry", "name": "x" }))
            .status
    };
    let check = |roles: &[&str], expected: [u16; 3]| {
        let api = somebody(roles);
        let dry = api
            .post("/api/v1/clients?dry-run", &json!({ "code": "DRY", "name": "x" }))
            .status;
        assert_eq!(
            [read(&api, "clients"), read(&api, "invoices"), dry],
            expected,
            "{roles:?}"
        );
    };
    check(&["admin"], [200, 200, 200]);
    check(&["editor"], [200, 200, 200]);
    check(&["viewer"], [200, 200, 403]);
    check(&["client.clerk"], [200, 403, 200]);
    check(&["invoicing.clerk"], [403, 200, 403]);
    check(&["viewer", "client.clerk"], [200, 200, 200]);
    check(&["client.boss"], [403, 403, 403]);
    check(&["other.clerk"], [403, 403, 403]);
    check(&["operator"], [403, 403, 403]);
    check(&[], [403, 403, 403]);
    assert_eq!(write(&somebody(&["viewer"])), 403);
    // Refused before anything of the tenant is looked at.
    let viewer = somebody(&["viewer"]);
    let path = format!("/api/v1/invoices/{}/void", n.invoice_of_b);
    let problem = viewer.post(&path, &json!({})).refused(403, "forbidden");
    assert!(
        problem["detail"].as_str().unwrap().contains("invoicing.write"),
        "{problem}"
    );
    viewer
        .post("/api/v1/invoices/none/void", &json!({}))
        .refused(403, "forbidden");
    viewer
        .ask("POST", &path)
        .bytes("application/json", b"no json".to_vec())
        .send()
        .refused(403, "forbidden");
}

#[test]
fn operators_and_admins_have_their_own_domains() {
    let n = Neighbours::new();
    let operator = n.server.operator();
    operator
        .get("/api/v1/clients")
        .refused(403, "no-tenant-credential");
    operator
        .get("/api/v1/openapi.json")
        .refused(403, "no-tenant-credential");
    let tenants = operator.get("/admin/v1/tenants").done();
    let ids: BTreeSet<&str> = tenants["tenants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tenant| tenant["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, BTreeSet::from(["aaa", "bbb", "demo"]));
    let for_operators = |api: &Client| {
        api.post("/admin/v1/tenants", &json!({ "id": "mine" }))
            .refused(403, "forbidden");
        api.post(
            "/admin/v1/tokens",
            &json!({ "subject": "x", "roles": ["operator"], "ttl": 60 }),
        )
        .refused(403, "forbidden");
        let publish = api
            .ask("POST", "/admin/v1/registry/releases")
            .bytes("application/wasm", vec![0])
            .send();
        publish.refused(403, "forbidden");
    };
    for_operators(&n.a);
    // A tenant's token that names the role of operators is none.
    for_operators(&n.server.somebody(Some("aaa"), &["operator"]));
    n.server
        .somebody(Some("aaa"), &["editor"])
        .put("/admin/v1/tenants/aaa/modules/hostile", &json!({}))
        .refused(403, "forbidden");
    n.server
        .somebody(None, &["admin"])
        .get("/admin/v1/tenants")
        .refused(403, "forbidden");
    assert_eq!(n.a.get("/admin/v1/registry/releases").status, 200);
    n.server
        .somebody(Some("aaa"), &["editor"])
        .get("/admin/v1/registry/releases")
        .refused(403, "forbidden");
}

#[test]
fn admin_requests_that_are_wrong_are_refused() {
    let server = Server::demo();
    let operator = server.operator();
    let check = |path: &str, body: Value, status: u16, code: &str| {
        operator.post(path, &body).refused(status, code);
    };
    check("/admin/v1/tenants", json!({ "id": "demo" }), 409, "exists");
    check("/admin/v1/tenants", json!({ "id": "../x" }), 422, "schema");
    check("/admin/v1/tenants", json!({ "id": "Demo" }), 422, "schema");
    check("/admin/v1/tenants", json!({ "id": "" }), 422, "schema");
    check("/admin/v1/tenants", json!({}), 422, "schema");
    check(
        "/admin/v1/tenants",
        json!({ "id": "x", "admin": true }),
        422,
        "schema",
    );
    let token = |tenant: Value, roles: Value, ttl: Value| json!({ "tenant": tenant, "subject": "s", "roles": roles, "ttl": ttl });
    check(
        "/admin/v1/tokens",
        token(json!("nobody"), json!(["admin"]), json!(60)),
        404,
        "no-tenant",
    );
    check(
        "/admin/v1/tokens",
        token(json!("demo"), json!(["operator"]), json!(60)),
        422,
        "schema",
    );
    check(
        "/admin/v1/tokens",
        token(Value::Null, json!(["admin"]), json!(60)),
        422,
        "schema",
    );
    check(
        "/admin/v1/tokens",
        token(json!("demo"), json!([]), json!(60)),
        422,
        "schema",
    );
    check(
        "/admin/v1/tokens",
        token(json!("demo"), json!(["admin"]), json!(0)),
        422,
        "schema",
    );
    check(
        "/admin/v1/tokens",
        token(json!("demo"), json!(["admin"]), json!(999_999_999)),
        422,
        "schema",
    );
    let good = operator
        .post(
            "/admin/v1/tokens",
            &token(json!("demo"), json!(["viewer"]), json!(60)),
        )
        .done();
    let viewer = operator.with_token(good["token"].as_str());
    assert_eq!(viewer.get("/api/v1/clients").status, 200);
}
