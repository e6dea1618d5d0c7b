//! Numbered invoices: payments and voiding.

use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::testing;
use millwork_sdk::timestamp::Timestamp;
use serde_json::{Value, json};

use super::{created, draft, filled, finalized};
use crate::account::ReceivablesAccount;
use crate::amounts::Rounding;
use crate::event::{AccountEvent, BillTo, Event, InvoiceFinalized, PaymentRecorded};
use crate::invoice::Invoice;

fn payment(amount: &str) -> Value {
    json!({ "amount": amount, "method": "transfer", "paymentId": format!("p-{amount}") })
}

fn settled(amount: &str) -> AccountEvent {
    AccountEvent::ReceivableSettled {
        invoice_id: "i-1".into(),
        payment_id: format!("p-{amount}"),
        currency: "EUR".parse().unwrap(),
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
    let (eur, cent): (Currency, Decimal) = (Currency::new("EUR").unwrap(), "0.01".parse().unwrap());
    let finalized = Event::InvoiceFinalized(InvoiceFinalized {
        invoice_number: "INV-1".into(),
        client_id: "c-1".into(),
        bill_to: BillTo {
            name: "Acme Ltd".into(),
            address: None,
        },
        currency: eur,
        rounding: Rounding::Document,
        subtotal: Decimal::TEN,
        discount_total: Decimal::ZERO,
        taxes: vec![],
        tax_total: Decimal::ZERO,
        grand_total: Decimal::TEN,
        issued_at: Timestamp::from_millis(0),
        due_date: "2026-01-01".parse().unwrap(),
    });
    let paid = |n: u32| {
        let amount_paid = cent * Decimal::from(n);
        Event::PaymentRecorded(PaymentRecorded {
            payment_id: format!("p-{n}"),
            client_id: "c-1".into(),
            currency: eur,
            amount: cent,
            method: "cash".into(),
            paid_at: Timestamp::from_millis(0),
            amount_paid,
            amount_due: Decimal::TEN - amount_paid,
        })
    };
    let history = [created(), finalized].into_iter().chain((1..=500).map(paid));
    testing::given::<Invoice>("i-1", history)
        .when("RecordPayment", payment("1.00"))
        .then_rejected("too-many-payments", "");
}

#[test]
fn voiding_releases_what_was_owed() {
    let released = AccountEvent::ReceivableReleased {
        invoice_id: "i-1".into(),
        currency: "EUR".parse().unwrap(),
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
