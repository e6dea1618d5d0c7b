//! Drafts: creation, lines, discounts.

use std::iter;

use millwork_sdk::money::Decimal;
use millwork_sdk::testing::{self, Scenario};
use serde_json::{Value, json};

use super::{client_with, created, draft, filled, finalized, line, new};
use crate::event::{Event, LineItem};
use crate::invoice::Invoice;

#[test]
fn a_draft_takes_currency_and_rounding_from_client_and_configuration() {
    let state = draft().state();
    assert_eq!(
        (&state["clientId"], &state["currency"], &state["rounding"]),
        (&json!("c-1"), &json!("EUR"), &json!("document"))
    );
    let state = new()
        .when("CreateInvoice", json!({ "clientId": "c-1", "currency": "JPY" }))
        .state();
    assert_eq!(state["currency"], "JPY");
}

#[track_caller]
fn check_create_rejected(facts: Value, body: Value, code: &str, pointer: &str) {
    new()
        .facts(facts)
        .when("CreateInvoice", body)
        .then_rejected(code, pointer);
}

#[test]
fn creation_is_refused() {
    let body = json!({ "clientId": "c-1" });
    check_create_rejected(json!({ "client": null }), body.clone(), "client-not-found", "");
    check_create_rejected(
        client_with("status", json!("inactive")),
        body,
        "client-inactive",
        "",
    );
    let body = json!({ "clientId": "c-1", "currency": "ABC" });
    check_create_rejected(
        client_with("name", json!("A")),
        body,
        "unknown-currency",
        "/currency",
    );
}

#[test]
fn a_line_carries_its_amounts() {
    let mut body = line("3", "9.995", "19");
    body["discount"] = json!({ "percent": "10" });
    body["sku"] = json!("A-1");
    let invoice = draft().when("AddLineItem", body);
    // 3 x 9.995 = 29.985, rounded 29.99; 10 % of it 2.999, rounded 3.00.
    assert_eq!(
        invoice.recorded_event("LineItemAdded"),
        json!({
            "id": "id-1", "productId": null, "sku": "A-1", "description": "Work", "quantity": "3",
            "unitPrice": "9.995", "taxRate": "19", "discount": "3.00", "discountPercent": "10", "total": "26.99",
        })
    );
    assert_eq!(
        invoice.state()["lines"],
        json!([{ "id": "id-1", "taxRate": "19", "discount": "3.00", "discountPercent": "10", "total": "26.99" }])
    );
}

#[track_caller]
fn check_line_rejected(change: (&str, Value), code: &str, pointer: &str) {
    let mut body = line("1", "10", "20");
    body[change.0] = change.1;
    draft().when("AddLineItem", body).then_rejected(code, pointer);
}

#[test]
fn a_line_is_refused() {
    check_line_rejected(("quantity", json!("0")), "quantity-not-positive", "/quantity");
    check_line_rejected(("unitPrice", json!("-1")), "price-negative", "/unitPrice");
    check_line_rejected(("taxRate", json!("100.01")), "tax-rate-out-of-range", "/taxRate");
    check_line_rejected(
        ("discount", json!({ "percent": "100.01" })),
        "discount-over-100",
        "/discount/percent",
    );
    check_line_rejected(
        ("discount", json!({ "percent": "-1" })),
        "discount-negative",
        "/discount/percent",
    );
    check_line_rejected(
        ("discount", json!({ "amount": "10.01" })),
        "discount-over-net",
        "/discount/amount",
    );
    check_line_rejected(
        ("discount", json!({ "amount": "0.001" })),
        "too-many-digits",
        "/discount/amount",
    );
    check_line_rejected(("discount", json!({ "share": "1" })), "malformed", "");
}

#[test]
fn amounts_stay_where_they_are_exact() {
    let largest = || line("9999999.999", "999999", "20");
    draft()
        .when("AddLineItem", line("9999999.999", "999999999999.999999", "20"))
        .then_rejected("amount-too-large", "/unitPrice");
    draft()
        .when("AddLineItem", largest())
        .when("AddLineItem", largest())
        .then_rejected("amount-too-large", "");
}

#[test]
fn lines_are_bounded() {
    let added = |n: u32| {
        let id = format!("l-{n}");
        let (description, zero) = ("Work".to_owned(), Decimal::ZERO);
        let item = LineItem {
            quantity: Decimal::ONE,
            unit_price: zero,
            tax_rate: zero,
            discount: zero,
            total: zero,
            product_id: None,
            sku: None,
            discount_percent: None,
            id,
            description,
        };
        Event::LineItemAdded(item)
    };
    let with =
        |lines: u32| testing::given::<Invoice>("i-1", iter::once(created()).chain((0..lines).map(added)));
    with(500)
        .when("AddLineItem", line("1", "1", "0"))
        .then_rejected("too-many-lines", "");
    assert!(
        with(499)
            .when("AddLineItem", line("1", "1", "0"))
            .claims()
            .0
            .is_empty()
    );
}

#[test]
fn a_line_is_removed_by_its_id() {
    let invoice = filled().when("RemoveLineItem", json!({ "lineId": "id-1" }));
    assert_eq!(invoice.state()["lines"], json!([]));
    invoice
        .when("RemoveLineItem", json!({ "lineId": "id-1" }))
        .then_rejected("line-not-found", "");
}

#[test]
fn discounts_of_line_and_invoice_replace_the_one_before() {
    let invoice = filled()
        .when("ApplyDiscount", json!({ "lineId": "id-1", "percent": "50" }))
        .when("ApplyDiscount", json!({ "lineId": "id-1", "amount": "10" }))
        .when("ApplyDiscount", json!({ "percent": "5" }));
    let state = invoice.state();
    assert_eq!(
        (&state["lines"][0]["discount"], &state["lines"][0]["total"]),
        (&json!("10.00"), &json!("90.00"))
    );
    assert_eq!(state["discount"], json!({ "percent": "5" }));
    invoice
        .when("ApplyDiscount", json!({ "percent": "5.0" }))
        .then_nothing()
        .when("ApplyDiscount", json!({ "lineId": "id-1", "amount": "10.00" }))
        .then_nothing();
}

#[track_caller]
fn check_discount_rejected(invoice: Scenario<Invoice>, body: Value, code: &str, pointer: &str) {
    invoice.when("ApplyDiscount", body).then_rejected(code, pointer);
}

#[test]
fn a_discount_is_refused() {
    check_discount_rejected(
        filled(),
        json!({ "percent": "101" }),
        "discount-over-100",
        "/percent",
    );
    check_discount_rejected(
        filled(),
        json!({ "amount": "100.01" }),
        "discount-over-net",
        "/amount",
    );
    check_discount_rejected(
        draft(),
        json!({ "amount": "0.01" }),
        "discount-over-net",
        "/amount",
    );
    check_discount_rejected(
        filled(),
        json!({ "amount": "0.001" }),
        "too-many-digits",
        "/amount",
    );
    check_discount_rejected(
        filled(),
        json!({ "lineId": "id-1", "percent": "101" }),
        "discount-over-100",
        "/percent",
    );
    check_discount_rejected(
        filled(),
        json!({ "lineId": "id-9", "percent": "1" }),
        "line-not-found",
        "",
    );
    check_discount_rejected(filled(), json!({}), "discount-form", "");
    check_discount_rejected(
        filled(),
        json!({ "percent": "1", "amount": "1" }),
        "discount-form",
        "",
    );
}

#[test]
fn lines_cannot_fall_below_the_invoices_discount() {
    let invoice = || filled().when("ApplyDiscount", json!({ "amount": "60" }));
    invoice()
        .when("RemoveLineItem", json!({ "lineId": "id-1" }))
        .then_rejected("discount-over-net", "");
    invoice()
        .when("ApplyDiscount", json!({ "lineId": "id-1", "percent": "50" }))
        .then_rejected("discount-over-net", "");
}

#[test]
fn only_drafts_are_edited() {
    let edit = |command: &str, body: Value| {
        finalized()
            .when(command, body)
            .then_rejected("invoice-not-draft", "")
    };
    edit("AddLineItem", line("1", "1", "1"));
    edit("RemoveLineItem", json!({ "lineId": "id-1" }));
    edit("ApplyDiscount", json!({ "percent": "1" }));
}

#[test]
fn what_does_not_exist_is_not_found() {
    new()
        .when("AddLineItem", line("1", "1", "1"))
        .then_rejected("invoice-not-found", "");
}
