//! Numbered invoices: payments and voiding.

use serde_json::{Value, json};

use super::{draft, filled, finalized};
use crate::account::ReceivablesAccount;
use crate::event::AccountEvent;

fn payment(amount: &str) -> Value {
    json!({ "amount": amount, "method": "transfer", "paymentId": format!("p-{amount}") })
}

fn settled(amount: &str) -> AccountEvent {
    AccountEvent::ReceivableSettled {
        invoice_id: "i-1".into(),
        payment_id: format!("p-{amount}"),
        currency: "EUR".to_owned().try_into().unwrap(),
        amount: amount.parse().unwrap(),
    }
}

#[test]
fn an_invoice_is_paid_in_parts() {
    let invoice = finalized()
        .when("RecordPayment", payment("20.50"))
        .then_related::<ReceivablesAccount>(&[settled("20.50")]);
    assert_eq!(invoice.state()["status"], "partial");
    let invoice = invoice.when("RecordPayment", payment("99.50"));
    assert_eq!(
        invoice.recorded_event("PaymentRecorded"),
        json!({
            "paymentId": "p-99.50", "clientId": "c-1", "currency": "EUR", "amount": "99.50", "method": "transfer",
            "paidAt": "2026-03-01T12:00:00.000Z", "amountPaid": "120.00", "amountDue": "0.00",
        })
    );
    assert_eq!(invoice.state()["status"], "paid");
    invoice
        .when("RecordPayment", payment("0.01"))
        .then_rejected("payment-exceeds-due", "");
}

#[test]
fn a_payment_without_a_key_gets_one() {
    let invoice = finalized().when("RecordPayment", json!({ "amount": "1", "method": "cash" }));
    let recorded = invoice.recorded_event("PaymentRecorded");
    assert_eq!(
        (&recorded["paymentId"], &recorded["amount"]),
        (&json!("id-1"), &json!("1.00"))
    );
}

#[test]
fn the_same_payment_is_recorded_once() {
    let invoice = finalized()
        .when("RecordPayment", payment("120.00"))
        .when("RecordPayment", payment("120.00"))
        .then_nothing();
    let mut other = payment("120.00");
    other["method"] = json!("card");
    invoice
        .when("RecordPayment", other)
        .then_rejected("payment-id-reused", "");
}

#[track_caller]
fn check_payment_rejected(change: (&str, Value), code: &str, pointer: &str) {
    let mut body = payment("1.00");
    body[change.0] = change.1;
    finalized()
        .when("RecordPayment", body)
        .then_rejected(code, pointer);
}

#[test]
fn a_payment_is_refused() {
    check_payment_rejected(("amount", json!("0")), "amount-not-positive", "/amount");
    check_payment_rejected(("amount", json!("0.001")), "too-many-digits", "/amount");
    check_payment_rejected(("amount", json!("120.01")), "payment-exceeds-due", "");
    check_payment_rejected(
        ("paidAt", json!("2026-03-01T12:00:00.001Z")),
        "paid-in-future",
        "/paidAt",
    );
    check_payment_rejected(("paidAt", json!("yesterday")), "malformed", "");
    filled()
        .when("RecordPayment", payment("1"))
        .then_rejected("invoice-not-open", "");
    finalized()
        .when("VoidInvoice", json!({}))
        .when("RecordPayment", payment("1"))
        .then_rejected("invoice-not-open", "");
}

#[test]
fn payments_are_bounded() {
    let pay = |n: i32| json!({ "amount": "0.01", "method": "cash", "paymentId": format!("p-{n}") });
    let full = (0..500).fold(finalized(), |invoice, n| invoice.when("RecordPayment", pay(n)));
    full.when("RecordPayment", pay(500))
        .then_rejected("too-many-payments", "");
}

#[test]
fn voiding_releases_what_was_owed() {
    let released = AccountEvent::ReceivableReleased {
        invoice_id: "i-1".into(),
        currency: "EUR".to_owned().try_into().unwrap(),
        amount: "120.00".parse().unwrap(),
    };
    let invoice = finalized().when("VoidInvoice", json!({ "reason": "Wrong client" }));
    let voided =
        json!({ "clientId": "c-1", "currency": "EUR", "released": "120.00", "reason": "Wrong client" });
    assert_eq!(invoice.recorded_event("InvoiceVoided"), voided);
    let state = invoice.state();
    assert_eq!(
        (&state["status"], &state["number"]),
        (&json!("voided"), &json!("INV-2026-000001"))
    );
    invoice
        .then_related::<ReceivablesAccount>(&[released])
        .when("VoidInvoice", json!({}))
        .then_rejected("invoice-voided", "");
}

#[test]
fn a_draft_is_voided_without_a_word_to_the_account() {
    let invoice = draft()
        .when("VoidInvoice", json!({}))
        .then_related::<ReceivablesAccount>(&[]);
    assert_eq!(invoice.recorded_event("InvoiceVoided")["released"], "0.00");
    invoice
        .when("FinalizeInvoice", json!({}))
        .then_rejected("invoice-not-draft", "");
}

#[test]
fn an_invoice_with_payments_is_not_voided() {
    finalized()
        .when("RecordPayment", payment("1"))
        .when("VoidInvoice", json!({}))
        .then_rejected("invoice-has-payments", "");
}
