//! What the README does by hand, and every way in which a command is refused: status, code, and nothing stored.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use millwork_tests::client::{Client, Reply};
use millwork_tests::server::{Server, now_seconds};
use serde_json::{Value, json};

use crate::books::{self, Stored, act, all, decimal, finalize, pay, seen, stored};
use crate::production;

/// Bytes of a command's body that are still taken.
const BODY_BYTES_MAX: usize = 1 << 20;

#[test]
fn what_was_just_done_is_known_to_the_next_command() {
    for setup in production::everywhere() {
        let server = Server::start(setup);
        let api = server.admin();
        for number in 0..40 {
            let client = books::client(&api, &format!("C{number}"));
            let limit = |amount: &str| {
                let path = format!("/api/v1/clients/{client}/credit-limit");
                let _ = api.post(&path, &json!({ "creditLimit": amount })).done();
            };
            // The read model of clients has this one a moment later.
            let invoice = books::draft(&api, &client, "100.00");
            limit("1.00");
            limit("100.00");
            let _ = finalize(&api, &invoice).done();
        }
    }
}

#[test]
fn from_client_to_aging_report() {
    let server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");

    let created = api.post("/api/v1/invoices", &json!({ "clientId": client }));
    assert_eq!(created.status, 201, "{}", created.text());
    let invoice = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        created.header("location"),
        Some(format!("/api/v1/invoices/{invoice}").as_str())
    );
    assert_eq!(created.header("etag"), Some("\"1\""));
    let line = |description: &str, quantity: &str, price: &str, tax: &str| {
        let body =
            json!({ "description": description, "quantity": quantity, "unitPrice": price, "taxRate": tax });
        act(&api, &invoice, "line-items", &body).done()
    };
    line("Consulting", "2.5", "80.00", "19");
    line("Books", "3", "9.99", "7");
    let removed = line("By mistake", "1", "1000", "19")["events"][0]["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let _ = api
        .delete(&format!("/api/v1/invoices/{invoice}/line-items/{removed}"))
        .done();
    let _ = act(&api, &invoice, "discount", &json!({ "percent": "10" })).done();

    let finalized = finalize(&api, &invoice);
    assert_eq!(finalized.status, 200, "{}", finalized.text());
    let finalized = finalized.json();
    assert_eq!(books::number(&finalized), books::invoice_number(1));
    // 200.00 and 29.97, less 10 %: 180.00 at 19 % and 26.97 at 7 %.
    let document = seen(&api, "/api/v1/invoices", &finalized);
    assert_eq!(
        (&document["subtotal"], &document["discountTotal"]),
        (&json!("229.97"), &json!("23.00"))
    );
    assert_eq!(
        (&document["taxTotal"], &document["grandTotal"]),
        (&json!("36.09"), &json!("243.06"))
    );
    assert_eq!(
        (&document["status"], &document["amountDue"]),
        (&json!("finalized"), &json!("243.06"))
    );
    assert_eq!(
        all(&api, "/api/v1/invoices")[0]["invoiceNumber"],
        json!(books::invoice_number(1))
    );

    let paid = pay(&api, &invoice, "100.00").done();
    assert_eq!(seen(&api, "/api/v1/invoices", &paid)["status"], "partial");
    let after = paid["position"].as_str().unwrap();
    let aging = api.get(&format!("/api/v1/reports/aging?after={after}")).done();
    assert_eq!(aging["currencies"][0]["total"], "143.06", "{aging}");
    assert_eq!(aging["clients"][0]["clientName"], "ACME Ltd");
    let owed = books::after(&api, &format!("/api/v1/clients/{client}"), after);
    assert_eq!(decimal(&owed["currentBalance"]), decimal(&json!("143.06")));

    let paid = pay(&api, &invoice, "143.06").done();
    assert_eq!(seen(&api, "/api/v1/invoices", &paid)["status"], "paid");
}

/// A host with a client, a draft, and an invoice with a number.
struct Scene {
    server: Server,
    api: Client,
    client: String,
    draft: String,
    finalized: String,
    before: Stored,
}

impl Scene {
    fn new() -> Self {
        let server = Server::demo();
        let api = server.admin();
        let client = books::client(&api, "ACME");
        let draft = books::draft(&api, &client, "10.00");
        let finalized = books::draft(&api, &client, "10.00");
        let done = finalize(&api, &finalized).done();
        seen(&api, "/api/v1/invoices", &done);
        let before = stored(&server);
        Self {
            server,
            api,
            client,
            draft,
            finalized,
            before,
        }
    }

    /// A request is refused with this status and code, and nothing is stored.
    #[track_caller]
    fn check(&self, reply: &Reply, status: u16, code: &str) -> Value {
        let problem = reply.refused(status, code);
        assert_eq!(stored(&self.server), self.before, "{code}");
        problem
    }

    #[track_caller]
    fn check_post(&self, path: &str, body: &Value, status: u16, code: &str) -> Value {
        self.check(&self.api.post(&format!("/api/v1{path}"), body), status, code)
    }
}

/// Pointer and code of each violation that a problem lists.
fn violations(problem: &Value) -> Vec<(String, String)> {
    let text = |violation: &Value, key: &str| violation[key].as_str().unwrap().to_owned();
    let listed = problem["errors"].as_array().unwrap().iter();
    let mut all: Vec<_> = listed
        .map(|one| (text(one, "pointer"), text(one, "code")))
        .collect();
    all.sort();
    all
}

fn pair(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[test]
fn refused_by_the_rules_of_a_module() {
    let scene = Scene::new();
    let (draft, finalized) = (
        format!("/invoices/{}", scene.draft),
        format!("/invoices/{}", scene.finalized),
    );
    scene.check_post(
        "/invoices",
        &json!({ "clientId": "nobody" }),
        404,
        "client-not-found",
    );
    scene.check_post(
        "/clients",
        &json!({ "code": "acme", "name": "Again" }),
        409,
        "claim-taken",
    );
    scene.check_post(
        &format!("{finalized}/finalize"),
        &json!({}),
        409,
        "invoice-not-draft",
    );
    scene.check_post(
        &format!("{finalized}/discount"),
        &json!({ "percent": "1" }),
        409,
        "invoice-not-draft",
    );
    let over = scene.check_post(
        &format!("{draft}/discount"),
        &json!({ "percent": "100.01" }),
        422,
        "invalid",
    );
    assert_eq!(violations(&over), [pair("/percent", "discount-over-100")]);
    let over = scene.check_post(
        &format!("{draft}/discount"),
        &json!({ "amount": "10.01" }),
        422,
        "invalid",
    );
    assert_eq!(violations(&over), [pair("/amount", "discount-over-net")]);
    let bare = act(
        &scene.api,
        &scene.draft,
        "payments",
        &json!({ "amount": "1", "method": "cash" }),
    );
    scene.check(&bare, 409, "invoice-not-open");
    scene.check(
        &pay(&scene.api, &scene.finalized, "10.01"),
        409,
        "payment-exceeds-due",
    );
    scene.check(
        &scene.api.delete(&format!("/api/v1{draft}/line-items/none")),
        404,
        "line-not-found",
    );
    for (what, body) in [
        ("finalize", json!({})),
        ("payments", json!({ "amount": "1", "method": "cash" })),
        ("void", json!({})),
    ] {
        let reply = act(&scene.api, "no-such-invoice", what, &body);
        assert_eq!(reply.status, 404, "{}", reply.text());
    }
    assert_eq!(stored(&scene.server), scene.before);
}

#[test]
fn a_client_that_is_inactive_gets_no_new_invoices_and_can_still_pay() {
    let scene = Scene::new();
    let path = format!("/api/v1/clients/{}", scene.client);
    let done = scene.api.post(&format!("{path}/deactivate"), &json!({})).done();
    seen(&scene.api, "/api/v1/clients", &done);
    let before = stored(&scene.server);
    scene
        .api
        .post("/api/v1/invoices", &json!({ "clientId": scene.client }))
        .refused(409, "client-inactive");
    finalize(&scene.api, &scene.draft).refused(409, "client-inactive");
    assert_eq!(stored(&scene.server), before);
    let _ = pay(&scene.api, &scene.finalized, "10.00").done();
}

#[test]
fn refused_by_the_schema_with_pointers() {
    let scene = Scene::new();
    let wrong = json!({ "code": "", "name": "N", "currency": "eur", "colour": "red",
        "billingAddress": { "street": "S", "city": "C", "country": "DEU" } });
    let problem = scene.check_post("/clients", &wrong, 422, "schema");
    let pointers: Vec<String> = violations(&problem)
        .into_iter()
        .map(|(pointer, _)| pointer)
        .collect();
    for pointer in ["", "/billingAddress/country", "/code", "/currency"] {
        assert!(
            pointers.iter().any(|known| known == pointer),
            "{pointer} is not in {problem}"
        );
    }
    let missing = scene.check_post("/clients", &json!({ "code": "X" }), 422, "schema");
    assert_eq!(violations(&missing), [pair("", "required")]);
    // Money is text, never a number.
    let path = format!("/invoices/{}/payments", scene.finalized);
    let number = scene.check_post(&path, &json!({ "amount": 10.0, "method": "cash" }), 422, "schema");
    assert_eq!(violations(&number), [pair("/amount", "type")]);
    let deep = (0..200).fold(json!("x"), |inner, _| json!([inner]));
    scene.check_post(
        "/clients",
        &json!({ "code": "X", "name": deep }),
        400,
        "malformed",
    );
}

#[test]
fn refused_before_a_module_sees_it() {
    let scene = Scene::new();
    let send = |content_type: &str, body: &[u8]| {
        scene
            .api
            .ask("POST", "/api/v1/clients")
            .bytes(content_type, body.to_vec())
            .send()
    };
    scene.check(&send("application/json", b"{\"code\": "), 400, "malformed");
    scene.check(&send("application/json", b"not json"), 400, "malformed");
    scene.check(&send("application/json", b"[]"), 400, "malformed");
    scene.check(
        &send("application/json", b"{\"code\": \"\xff\"}"),
        400,
        "malformed",
    );
    scene.check(&send("text/plain", b"{}"), 415, "media-type");
    scene.check(
        &send("application/x-www-form-urlencoded", b"code=X&name=Y"),
        415,
        "media-type",
    );
    scene.check(&scene.api.get("/api/v1/nothing"), 404, "no-route");
    scene.check(&scene.api.get("/api/v2/clients"), 404, "no-route");
    scene.check(&scene.api.get("/api/v1/clients/nobody"), 404, "not-found");
    scene.check(&scene.api.get("/api/v1/clients?colour=red"), 400, "malformed");
    scene.check(&scene.api.get("/api/v1/clients?limit=0"), 400, "malformed");
    scene.check(&scene.api.get("/api/v1/clients?limit=1001"), 400, "malformed");
    scene.check(&scene.api.get("/api/v1/clients?sort=email"), 400, "malformed");
    scene.check(&scene.api.get("/api/v1/clients?after=nonsense"), 400, "malformed");
    scene.check(
        &scene.api.get("/api/v1/clients?cursor=nonsense"),
        400,
        "malformed",
    );
    scene.check_post(
        "/clients?colour=red",
        &json!({ "code": "X", "name": "Y" }),
        400,
        "malformed",
    );
    for (method, path, allow) in [
        ("DELETE", "/api/v1/clients", "GET, POST"),
        ("PUT", "/api/v1/clients/x", "GET, PATCH"),
        ("GET", "/api/v1/clients/x/deactivate", "POST"),
    ] {
        let reply = scene.api.ask(method, path).send();
        scene.check(&reply, 405, "method-not-allowed");
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn bodies_over_the_limit_are_refused() {
    let scene = Scene::new();
    let body = |size: usize| {
        let start = r#"{"code":"BIG","name":"Big","email":""#;
        format!("{start}{}\"}}", "x".repeat(size - start.len() - 2))
    };
    // At the limit the body is read and the schema refuses it, one byte over nobody reads it.
    let at = scene
        .api
        .ask("POST", "/api/v1/clients")
        .bytes("application/json", body(BODY_BYTES_MAX).into())
        .send();
    scene.check(&at, 422, "schema");
    scene.check_raw(&format!("content-length: {}\r\n\r\n", BODY_BYTES_MAX + 1), b"");
    let over = body(BODY_BYTES_MAX + 1);
    let chunked = format!("{:x}\r\n{over}\r\n0\r\n\r\n", over.len());
    scene.check_raw("transfer-encoding: chunked\r\n\r\n", chunked.as_bytes());
}

impl Scene {
    /// A body that is too large, sent over a bare connection, since clients notice the refusal while they still write.
    #[track_caller]
    fn check_raw(&self, rest_of_head: &str, body: &[u8]) {
        let address = self.server.url().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let token = self.api.token();
        let head = format!(
            "POST /api/v1/clients HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\ncontent-type: application/json\r\n{rest_of_head}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The host may have closed already.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("\"code\":\"body-too-large\""), "{answer}");
        assert_eq!(stored(&self.server), self.before);
    }
}

#[test]
fn refused_without_a_valid_token() {
    let scene = Scene::new();
    let now = now_seconds();
    let expired = scene.server.token(Some("demo"), &["admin"], now - 7_200, 3_600);
    let at_the_end = scene.server.token(Some("demo"), &["admin"], now - 60, 60);
    let elsewhere = Server::bare().token(Some("demo"), &["admin"], now, 3_600);
    let valid = scene.api.token().to_owned();
    let (head, rest) = valid.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let (_, claims) = scene
        .server
        .token(Some("demo"), &["admin"], now, 9_999)
        .split_once('.')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let forged = format!("{head}.{}.{signature}", claims.split('.').next().unwrap());
    let check = |token: Option<&str>, code: &str| {
        let reply = scene
            .api
            .with_token(token)
            .post("/api/v1/clients", &json!({ "code": "X", "name": "Y" }));
        scene.check(&reply, 401, code);
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer realm=\"millwork\""), "{challenge}");
    };
    check(None, "token-missing");
    check(Some("nonsense"), "token-invalid");
    check(Some(&expired), "token-invalid");
    check(Some(&at_the_end), "token-invalid");
    check(Some(&elsewhere), "token-invalid");
    check(Some(&forged), "token-invalid");
    let basic = scene
        .api
        .with_token(None)
        .ask("GET", "/api/v1/clients")
        .header("authorization", "Basic eDp5")
        .send();
    scene.check(&basic, 401, "token-missing");
}

#[test]
fn a_token_that_was_accepted_expires() {
    let server = Server::demo();
    let short = server.token(Some("demo"), &["viewer"], now_seconds(), 2);
    let api = server.admin().with_token(Some(&short));
    let _ = api.get("/api/v1/clients").done();
    millwork_tests::poll::until("the token expires", || {
        let reply = api.get("/api/v1/clients");
        (reply.status == 401).then(|| reply.refused(401, "token-invalid"))
    });
}
