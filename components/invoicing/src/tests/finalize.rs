//! Finalising: number, snapshot, due date, credit limit.

use millwork_sdk::testing;
use serde_json::{Value, json};

use super::{client_with, draft, filled, finalized, line};
use crate::account::ReceivablesAccount;
use crate::event::AccountEvent;
use crate::invoice::Invoice;

fn raised(amount: &str) -> AccountEvent {
    AccountEvent::ReceivableRaised {
        invoice_id: "i-1".into(),
        currency: "EUR".parse().unwrap(),
        amount: amount.parse().unwrap(),
    }
}

#[test]
fn finalising_freezes_all_and_raises_what_is_owed() {
    let invoice = filled()
        .when("ApplyDiscount", json!({ "percent": "10" }))
        .when("FinalizeInvoice", json!({}));
    let event = invoice.recorded_event("InvoiceFinalized");
    assert_eq!(
        event,
        json!({
            "invoiceNumber": "INV-2026-000001", "clientId": "c-1", "currency": "EUR", "rounding": "document",
            "billTo": { "name": "Acme Ltd", "address": { "street": "1 High St", "city": "Bath", "country": "GB" } },
            "subtotal": "100.00", "discountTotal": "10.00", "taxTotal": "18.00", "grandTotal": "108.00",
            "taxes": [{ "rate": "20", "base": "90.00", "amount": "18.00" }],
            "issuedAt": "2026-03-01T12:00:00.000Z", "dueDate": "2026-03-31",
        })
    );
    invoice.then_related::<ReceivablesAccount>(&[raised("108.00")]);
}

#[test]
fn the_due_date_can_be_given() {
    let invoice = filled().when("FinalizeInvoice", json!({ "dueDate": "2026-03-01" }));
    assert_eq!(
        invoice.recorded_event("InvoiceFinalized")["dueDate"],
        "2026-03-01"
    );
    filled()
        .when("FinalizeInvoice", json!({ "dueDate": "2026-02-28" }))
        .then_rejected("due-before-issue", "/dueDate");
    filled()
        .when("FinalizeInvoice", json!({ "dueDate": "soon" }))
        .then_rejected("malformed", "");
}

#[track_caller]
fn check_rejected(facts: Value, code: &str) {
    filled()
        .facts(facts)
        .when("FinalizeInvoice", json!({}))
        .then_rejected(code, "");
}

#[test]
fn finalising_is_refused() {
    check_rejected(json!({ "client": null }), "client-not-found");
    check_rejected(client_with("status", json!("inactive")), "client-inactive");
    check_rejected(client_with("status", json!("suspended")), "client-inactive");
    check_rejected(
        client_with("creditLimit", json!("119.99")),
        "credit-limit-exceeded",
    );
    draft()
        .when("FinalizeInvoice", json!({}))
        .then_rejected("invoice-empty", "");
    finalized()
        .when("FinalizeInvoice", json!({}))
        .then_rejected("invoice-not-draft", "");
}

#[test]
fn the_last_cent_of_a_limit_can_be_used() {
    let invoice = filled().facts(client_with("creditLimit", json!("120.00")));
    invoice
        .when("FinalizeInvoice", json!({}))
        .then_related::<ReceivablesAccount>(&[raised("120.00")]);
}

#[test]
fn what_is_open_already_counts_and_both_figures_are_told() {
    let open = AccountEvent::ReceivableRaised {
        invoice_id: "i-0".into(),
        currency: "EUR".parse().unwrap(),
        amount: "30.00".parse().unwrap(),
    };
    let refused = testing::given::<Invoice>("i-1", [])
        .config(json!({ "paymentTermDays": 30, "rounding": "document" }))
        .facts(client_with("creditLimit", json!("149.99")))
        .related::<ReceivablesAccount>("c-1", [open])
        .when("CreateInvoice", json!({ "clientId": "c-1" }))
        .when("AddLineItem", line("4", "25", "20"))
        .when("FinalizeInvoice", json!({}))
        .then_rejected("credit-limit-exceeded", "");
    let told = format!("{:?}", refused.rejection());
    assert!(
        ["30.00 EUR", "120.00", "149.99 EUR"]
            .iter()
            .all(|figure| told.contains(figure)),
        "{told}"
    );
}

#[test]
fn a_limit_in_another_currency_is_no_limit_to_compare_with() {
    let facts = client_with("creditLimit", json!("1000.00"));
    super::new()
        .facts(facts)
        .when("CreateInvoice", json!({ "clientId": "c-1", "currency": "USD" }))
        .when("AddLineItem", line("1", "1", "0"))
        .when("FinalizeInvoice", json!({}))
        .then_rejected("credit-limit-currency", "");
}

#[test]
fn an_invoice_over_nothing_is_paid_at_once_and_raises_nothing() {
    let invoice = draft()
        .when("AddLineItem", line("1", "0", "20"))
        .when("FinalizeInvoice", json!({}));
    assert_eq!(invoice.state()["status"], "paid");
    invoice.then_related::<ReceivablesAccount>(&[]);
}
