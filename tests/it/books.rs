//! What the tests do with clients and invoices over HTTP, in short words.

use millwork_tests::client::{Client, Reply};
use millwork_tests::poll::{self, WITHIN_LONG};
use millwork_tests::server::Server;
use rusqlite::{Connection, OpenFlags};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A client that later commands can name: its read model is there.
#[track_caller]
pub(crate) fn client(api: &Client, code: &str) -> String {
    let reply = api.post(
        "/api/v1/clients",
        &json!({ "code": code, "name": format!("{code} Ltd"), "currency": "EUR" }),
    );
    let made = reply.done();
    seen(api, "/api/v1/clients", &made);
    made["id"].as_str().unwrap().to_owned()
}

/// A draft without lines.
#[track_caller]
pub(crate) fn invoice(api: &Client, client: &str) -> String {
    let made = api
        .post("/api/v1/invoices", &json!({ "clientId": client }))
        .done();
    made["id"].as_str().unwrap().to_owned()
}

/// A draft with one line, free of tax.
#[track_caller]
pub(crate) fn draft(api: &Client, client: &str, price: &str) -> String {
    let id = invoice(api, client);
    let _ = add_line(api, &id, price).done();
    id
}

/// Adds a line, free of tax.
#[track_caller]
pub(crate) fn add_line(api: &Client, invoice: &str, price: &str) -> Reply {
    let line = json!({ "description": "Work", "quantity": "1", "unitPrice": price, "taxRate": "0" });
    act(api, invoice, "line-items", &line)
}

/// Creates an invoice and finalises it; the answers of all requests.
pub(crate) fn one_round(api: &Client, client: &str) -> Vec<Reply> {
    let created = api.post("/api/v1/invoices", &json!({ "clientId": client }));
    let Some(id) = created.json()["id"].as_str().map(str::to_owned) else {
        return vec![created];
    };
    vec![
        created,
        add_line(api, &id, "10.00"),
        finalize(api, &id),
        api.get("/api/v1/invoices?limit=3"),
    ]
}

/// A command on an invoice, by the last part of its path.
#[track_caller]
pub(crate) fn act(api: &Client, invoice: &str, what: &str, body: &Value) -> Reply {
    api.post(&format!("/api/v1/invoices/{invoice}/{what}"), body)
}

#[track_caller]
pub(crate) fn finalize(api: &Client, invoice: &str) -> Reply {
    act(api, invoice, "finalize", &json!({}))
}

#[track_caller]
pub(crate) fn pay(api: &Client, invoice: &str, amount: &str) -> Reply {
    act(
        api,
        invoice,
        "payments",
        &json!({ "amount": amount, "method": "transfer" }),
    )
}

/// Waits until the read model behind `path` has what a command recorded, and gives the document.
#[track_caller]
pub(crate) fn seen(api: &Client, path: &str, recorded: &Value) -> Value {
    let (id, after) = (
        recorded["id"].as_str().unwrap(),
        recorded["position"].as_str().unwrap(),
    );
    let path = format!("{path}/{id}?after={after}");
    // The host waits some seconds, and then says that it takes longer.
    poll::within(WITHIN_LONG, "the read model has it", || {
        let reply = api.get(&path);
        (reply.code() != "read-model-behind").then(|| reply.done())
    })
}

/// The number that finalising gave.
#[track_caller]
pub(crate) fn number(finalized: &Value) -> String {
    event(finalized, "InvoiceFinalized")["invoiceNumber"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The data of an event that a command recorded.
#[track_caller]
pub(crate) fn event<'a>(reply: &'a Value, name: &str) -> &'a Value {
    let events = reply["events"].as_array().unwrap();
    let found = events.iter().find(|event| event["name"] == name);
    &found.unwrap_or_else(|| panic!("no {name} in {reply}"))["data"]
}

/// `INV-<year>-000001` for 1.
pub(crate) fn invoice_number(number: usize) -> String {
    format!("INV-{}-{number:06}", OffsetDateTime::now_utc().year())
}

/// All items of a list, page by page.
#[track_caller]
pub(crate) fn all(api: &Client, path: &str) -> Vec<Value> {
    let join = if path.contains('?') { '&' } else { '?' };
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = api.get(&format!("{path}{join}limit=1000{cursor}")).done();
        items.append(page["items"].as_array_mut().unwrap());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// How much a host has stored: events, commands, claims held, numbers used. The same before and after means that
/// nothing was stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored([i64; 4]);

/// Looked up where it is durable, so that no read model stands in between.
pub(crate) fn stored(server: &Server) -> Stored {
    let events = events_file(server);
    let count = |sql: &str| events.query_row(sql, [], |row| row.get(0)).unwrap();
    Stored([
        count("SELECT count(*) FROM events"),
        count("SELECT count(*) FROM commands"),
        count("SELECT count(*) FROM claims"),
        count("SELECT coalesce(sum(last), 0) FROM sequences"),
    ])
}

/// The file of all events, to look and not to touch.
pub(crate) fn events_file(server: &Server) -> Connection {
    Connection::open_with_flags(server.data().join("events.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

pub(crate) fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

/// What a path shows once its read model has come to a position.
#[track_caller]
pub(crate) fn after(api: &Client, path: &str, position: &str) -> Value {
    let join = if path.contains('?') { '&' } else { '?' };
    api.get(&format!("{path}{join}after={position}")).done()
}
