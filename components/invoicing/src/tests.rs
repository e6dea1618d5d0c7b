//! Every command and rejection of an invoice, the arithmetic, the read model, the report, and that code and manifest
//! name the same things.

mod amounts;
mod draft;
mod finalize;
mod open;
mod read_model;

use millwork_registry::manifest::Manifest;
use millwork_sdk::money::Currency;
use millwork_sdk::testing::{self, Scenario};
use serde_json::{Value, json};

use crate::account::ReceivablesAccount;
use crate::amounts::Rounding;
use crate::event::Event;
use crate::invoice::Invoice;

/// An invoice that does not exist yet, of an active client.
fn new() -> Scenario<Invoice> {
    testing::given("i-1", [])
        .config(json!({ "paymentTermDays": 30, "rounding": "document" }))
        .facts(json!({ "client": client() }))
        .related::<ReceivablesAccount>("c-1", [])
        .number("invoice", "INV-2026-000001")
        .at("2026-03-01T12:00:00Z")
}

fn client() -> Value {
    json!({
        "_id": "c-1", "name": "Acme Ltd", "status": "active", "currency": "EUR", "creditLimit": null,
        "billingAddress": { "street": "1 High St", "city": "Bath", "country": "GB" },
    })
}

fn client_with(field: &str, value: Value) -> Value {
    let mut client = client();
    client[field] = value;
    json!({ "client": client })
}

fn created() -> Event {
    let (client_id, client_name) = ("c-1".to_owned(), "Acme Ltd".to_owned());
    let currency = Currency::new("EUR").unwrap();
    Event::InvoiceCreated {
        client_id,
        client_name,
        currency,
        rounding: Rounding::Document,
    }
}

fn draft() -> Scenario<Invoice> {
    new().when("CreateInvoice", json!({ "clientId": "c-1" }))
}

fn line(quantity: &str, unit_price: &str, tax_rate: &str) -> Value {
    json!({ "description": "Work", "quantity": quantity, "unitPrice": unit_price, "taxRate": tax_rate })
}

/// A draft of one line over 100.00 and 20 % tax.
fn filled() -> Scenario<Invoice> {
    draft().when("AddLineItem", line("4", "25", "20"))
}

fn finalized() -> Scenario<Invoice> {
    filled().when("FinalizeInvoice", json!({}))
}

#[test]
fn the_manifest_names_what_the_code_implements() {
    let manifest = Manifest::parse(include_str!("../plugin.yaml")).unwrap();
    let described: Value = serde_json::from_str(&crate::describe()).unwrap();
    let aggregates = manifest.aggregates.iter().map(|(name, of)| {
        let (commands, events): (Vec<_>, Vec<_>) = (of.commands.keys().collect(), of.events.keys().collect());
        (name.clone(), json!({ "commands": commands, "events": events }))
    });
    assert_eq!(described["aggregates"], Value::Object(aggregates.collect()));
    assert_eq!(
        described["projections"],
        json!(manifest.projections.keys().collect::<Vec<_>>())
    );
    assert_eq!(
        described["queries"],
        json!(manifest.queries.keys().collect::<Vec<_>>())
    );
}
