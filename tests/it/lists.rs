//! Lists over a few hundred invoices: filters, sorts that know decimals, pages that miss and repeat nothing.

use std::collections::BTreeSet;

use millwork_tests::client::Client;
use millwork_tests::server::Server;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::books::{self, all, decimal, finalize};

const INVOICES: usize = 240;

/// Prices of different lengths, so that sorting them as text would show.
fn price(index: usize) -> String {
    ["9.50", "10.00", "100.00", "99.99", "1000.00", "0.01"][index % 6].to_owned()
}

/// Two clients, invoices in turn; every fourth is finalised.
fn fill(api: &Client) -> [String; 2] {
    let clients = [books::client(api, "ACME"), books::client(api, "BOLT")];
    let mut position = String::new();
    for index in 0..INVOICES {
        let id = books::invoice(api, &clients[index % 2]);
        let mut done = books::add_line(api, &id, &price(index)).done();
        if index % 4 == 0 {
            done = finalize(api, &id).done();
        }
        position = done["position"].as_str().unwrap().to_owned();
    }
    let _ = books::after(api, "/api/v1/invoices", &position);
    clients
}

#[test]
fn lists_filter_sort_and_page() {
    let server = Server::demo();
    let api = server.admin();
    let clients = fill(&api);
    filters(&api, &clients);
    sorts(&api);
    pages(&api);
    fields(&api);
}

fn filters(api: &Client, clients: &[String; 2]) {
    let check = |query: &str, expected: usize| {
        assert_eq!(
            all(api, &format!("/api/v1/invoices?{query}")).len(),
            expected,
            "{query}"
        );
    };
    check("", INVOICES);
    check("status=draft", INVOICES * 3 / 4);
    check("status=finalized", INVOICES / 4);
    check("status[ne]=draft", INVOICES / 4);
    check("status[in]=draft,finalized", INVOICES);
    check("status[nin]=draft,finalized", 0);
    check("status=paid", 0);
    check(&format!("clientId={}", clients[1]), INVOICES / 2);
    check(&format!("clientId={}&status=finalized", clients[0]), INVOICES / 4);
    check("grandTotal=10", INVOICES / 6);
    check("grandTotal=10.0", INVOICES / 6);
    check("grandTotal[gt]=10.00", INVOICES / 2);
    check("grandTotal[gte]=10.00", INVOICES * 4 / 6);
    check("grandTotal[lt]=9.51", INVOICES / 3);
    check("grandTotal[gte]=99&grandTotal[lte]=100", INVOICES / 3);
    check("currency=EUR", INVOICES);
    check("dueDate[gte]=2000-01-01", INVOICES / 4);
    check("dueDate[lt]=2000-01-01", 0);
    check("invoiceNumber[exists]=false", 0);
    check(&format!("invoiceNumber={}", books::invoice_number(7)), 1);
    for refused in [
        "clientName=x",
        "status[like]=x",
        "status[=x",
        "grandTotal[regex]=1",
        "$where=1",
        "a=1&a=2",
    ] {
        api.get(&format!("/api/v1/invoices?{refused}"))
            .refused(400, "malformed");
    }
}

fn sorts(api: &Client) {
    let totals = |query: &str| -> Vec<Decimal> {
        all(api, &format!("/api/v1/invoices?{query}"))
            .iter()
            .map(|item| decimal(&item["grandTotal"]))
            .collect()
    };
    let up = totals("sort=grandTotal");
    assert!(up.is_sorted(), "decimals sort as numbers: {up:?}");
    let mut down = totals("sort=-grandTotal");
    down.reverse();
    assert_eq!(down, up);
    let both: Vec<(String, Decimal)> = all(api, "/api/v1/invoices?sort=clientName,-grandTotal")
        .iter()
        .map(|item| {
            (
                item["clientName"].as_str().unwrap().to_owned(),
                -decimal(&item["grandTotal"]),
            )
        })
        .collect();
    assert!(both.is_sorted(), "{both:?}");
    let newest: Vec<Value> = all(api, "/api/v1/invoices")
        .iter()
        .map(|item| item["createdAt"].clone())
        .collect();
    assert!(
        newest.is_sorted_by(|a, b| a.as_str() >= b.as_str()),
        "newest first unless asked otherwise"
    );
}

fn pages(api: &Client) {
    for limit in [1, 7, 50, 240, 241] {
        let (mut ids, mut cursor, mut count) = (BTreeSet::new(), String::new(), 0);
        loop {
            let page = api
                .get(&format!("/api/v1/invoices?sort=grandTotal&limit={limit}{cursor}"))
                .done();
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= limit);
            count += items.len();
            ids.extend(items.iter().map(|item| item["_id"].as_str().unwrap().to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((ids.len(), count), (INVOICES, INVOICES), "pages of {limit}");
    }
    assert_eq!(
        api.get("/api/v1/invoices").done()["items"]
            .as_array()
            .unwrap()
            .len(),
        50
    );
    let first = api.get("/api/v1/invoices?sort=grandTotal&limit=5").done();
    let next = first["next"].as_str().unwrap();
    api.get(&format!("/api/v1/invoices?sort=-grandTotal&cursor={next}"))
        .refused(400, "malformed");
}

fn fields(api: &Client) {
    let page = api
        .get("/api/v1/invoices?fields=status,grandTotal&limit=1")
        .done();
    let names: BTreeSet<&String> = page["items"][0].as_object().unwrap().keys().collect();
    assert_eq!(json!(names), json!(["_id", "grandTotal", "status"]));
    assert!(
        api.get("/api/v1/invoices?limit=1").done()["items"][0]
            .get("lineItems")
            .is_none()
    );
    api.get("/api/v1/invoices?fields=lineItems")
        .refused(400, "malformed");
}
