//! How often somebody may ask: a tenant and each user of it, and nobody else waits for them.

use millwork_tests::client::Client;
use millwork_tests::server::{Server, Setup};
use serde_json::json;

const PATH: &str = "/api/v1/openapi.json";

fn host(settings: &str) -> Server {
    let server = Server::start(Setup {
        demo: false,
        settings: settings.to_owned(),
        ..Setup::default()
    });
    for tenant in ["one", "other"] {
        let _ = server
            .operator()
            .post("/admin/v1/tenants", &json!({ "id": tenant }))
            .done();
    }
    server
}

/// Statuses of so many requests in a row.
fn statuses(client: &Client, count: usize) -> Vec<u16> {
    (0..count).map(|_| client.get(PATH).status).collect()
}

#[test]
fn a_tenant_that_asks_too_often_is_told_when_to_come_back() {
    // One in a second, of which a run of the test may see some.
    let server = host("http.tenant_rate = \"1:5\"");
    let one = server.somebody(Some("one"), &["admin"]);
    let answers = statuses(&one, 50);
    assert!(answers.starts_with(&[200; 5]), "{answers:?}");
    let refused = answers.iter().filter(|status| **status == 429).count();
    let served = answers.iter().filter(|status| **status == 200).count();
    assert!(refused > 0 && refused + served == 50, "{answers:?}");

    let mut reply = one.get(PATH);
    while reply.status == 200 {
        reply = one.get(PATH);
    }
    let problem = reply.json();
    assert_eq!(problem["code"], "rate-limited");
    assert_eq!(problem["status"], 429);
    assert_eq!(
        problem["detail"],
        "requests of one tenant are limited to 1 a second and 5 at once; try again after 1 s"
    );
    assert_eq!(reply.header("retry-after").unwrap(), "1");
    // The others do not feel it, and neither do those who run the host.
    assert_eq!(statuses(&server.somebody(Some("other"), &["admin"]), 5), [200; 5]);
    assert_eq!(server.operator().get("/admin/v1/tenants").status, 200);
}

#[test]
fn a_user_that_asks_too_often_leaves_room_for_the_others() {
    let server = host("[http]\nuser_rate = \"1:3\"\ntenant_rate = \"1:100\"");
    let user = |name: &str| {
        let operator = server.operator();
        let body = json!({ "subject": name, "tenant": "one", "roles": ["admin"], "ttl": 3_600 });
        let token = operator.post("/admin/v1/tokens", &body).done();
        Client::new(server.url(), Some(token["token"].as_str().unwrap()))
    };
    let answers = statuses(&user("loud"), 50);
    assert!(answers.contains(&429), "{answers:?}");
    assert_eq!(statuses(&user("quiet"), 3), [200; 3]);
}

#[test]
fn without_a_limit_nobody_is_refused() {
    let server = host("");
    assert_eq!(
        statuses(&server.somebody(Some("one"), &["admin"]), 300),
        [200; 300]
    );
}
