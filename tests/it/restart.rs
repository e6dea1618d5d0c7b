//! What a host is after it was stopped, or a client has gone away: what it was before, and nothing half.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use millwork_tests::server::Server;
use millwork_tests::{artifacts, poll};
use serde_json::json;

use crate::books::{self, all, finalize, seen, stored};
use crate::production;

#[test]
fn a_restart_keeps_everything() {
    let mut server = Server::demo();
    let api = server.admin();
    let client = books::client(&api, "ACME");
    let draft = books::draft(&api, &client, "10.00");
    let done = finalize(&api, &draft).done();
    seen(&api, "/api/v1/invoices", &done);
    let _ = server
        .publish(artifacts::test_component("invoicing-1.1.0").expect("`cargo xtask guest`"))
        .done();
    let _ = api
        .put(
            "/admin/v1/tenants/demo/modules/invoicing",
            &json!({ "version": "1.1.0" }),
        )
        .done();
    let look = |api: &millwork_tests::client::Client| {
        let paths = [
            "/admin/v1/tenants/demo/modules",
            "/api/v1/clients",
            "/api/v1/invoices",
            "/api/v1/reports/statuses",
        ];
        paths.map(|path| api.get(path).done())
    };
    let before = (look(&api), stored(&server));
    for ended_well in [true, false] {
        if ended_well {
            assert!(server.stop().success());
        } else {
            server.kill();
        }
        server.run();
        // The demo is set up again from components with invoicing 1.0.0, and keeps what was upgraded since.
        let api = server.admin().with_token(Some(api.token()));
        assert_eq!((look(&api), stored(&server)), before);
    }
    let api = server.admin();
    let next = books::draft(&api, &client, "10.00");
    assert_eq!(
        books::number(&finalize(&api, &next).done()),
        books::invoice_number(2)
    );
    assert_eq!(all(&api, "/api/v1/clients").len(), 1);
}

#[test]
fn a_stop_lets_open_requests_end() {
    let mut server = Server::demo();
    let api = server.admin();
    let work = |thread: usize| {
        let mut created = Vec::new();
        loop {
            let code = format!("T{thread}-{}", created.len());
            let body = json!({ "code": code, "name": "N" });
            match api.ask("POST", "/api/v1/clients").json(&body).try_send() {
                Ok(reply) if reply.status == 201 => created.push(code),
                _ => return created,
            }
        }
    };
    let created: Vec<String> = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || work(thread))).collect();
        millwork_tests::poll::until("requests run", || {
            (api.get("/api/v1/clients").done()["items"][9])
                .is_object()
                .then_some(())
        });
        assert!(server.stop().success());
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    server.run();
    let api = server.admin();
    let last = books::client(&api, "LAST");
    assert!(!last.is_empty());
    let listed = all(&api, "/api/v1/clients");
    let codes: Vec<&str> = listed
        .iter()
        .map(|client| client["code"].as_str().unwrap())
        .collect();
    for code in &created {
        assert!(codes.contains(&code.as_str()), "{code} was acknowledged");
    }
}

#[test]
fn secrets_are_readable_by_their_owner_alone() {
    let server = Server::demo();
    for file in ["host-key", "demo-token", "operator-token"] {
        let mode = fs::metadata(server.data().join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn compiled_code_may_be_deleted_at_any_time() {
    let mut server = Server::demo();
    let client = books::client(&server.admin(), "ACME");
    assert!(server.stop().success());
    fs::remove_dir_all(server.data().join("compiled")).unwrap();
    server.run();
    let _ = books::draft(&server.admin(), &client, "1.00");
}

#[test]
fn a_tenant_is_made_whole_also_when_who_asked_for_it_goes_away() {
    for setup in production::everywhere() {
        let server = Server::start(setup);
        let operator = server.operator();
        let address = server.url().trim_start_matches("http://");
        let body = json!({ "id": "left" }).to_string();
        let mut asking = TcpStream::connect(address).unwrap();
        write!(
            asking,
            "POST /admin/v1/tenants HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            operator.token(),
            body.len(),
        )
        .unwrap();
        drop(asking);
        // Whether that request arrived or not: there is one tenant of the id in the end, and it serves.
        let again = operator.post("/admin/v1/tenants", &json!({ "id": "left" }));
        assert!(matches!(again.status, 201 | 409), "{}", again.text());
        poll::until("the tenant is made", || {
            let modules = operator.get("/admin/v1/tenants/left/modules");
            (modules.status == 200).then_some(())
        });
        for module in ["client", "invoicing"] {
            let path = format!("/admin/v1/tenants/left/modules/{module}");
            let _ = operator.put(&path, &json!({})).done();
        }
        let left = server.somebody(Some("left"), &["admin"]);
        let client = books::client(&left, "LEFT");
        let _ = books::invoice(&left, &client);
    }
}
