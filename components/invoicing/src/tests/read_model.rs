//! The documents that events make, and the report over them.

use millwork_sdk::testing::ReadModels;
use serde_json::{Value, json};

use crate::aging::AgingReport;
use crate::view::Invoices;

/// Events of one invoice, as they are recorded.
struct Feed(ReadModels);

impl Feed {
    fn new() -> Self {
        let mut models = ReadModels::default();
        models.at("2026-03-01T12:00:00Z");
        Self(models)
    }

    fn tell(&mut self, id: &str, name: &str, data: Value) -> &mut Self {
        self.0.apply::<Invoices>(("Invoice", id), name, data);
        self
    }

    fn draft(&mut self, id: &str, client: &str) -> &mut Self {
        let data =
            json!({ "clientId": client, "clientName": client, "currency": "EUR", "rounding": "document" });
        self.tell(id, "InvoiceCreated", data)
    }

    fn line(&mut self, id: &str, line: &str, total: &str) -> &mut Self {
        let data = json!({
            "id": line, "description": "Work", "quantity": "1", "unitPrice": total, "taxRate": "20",
            "discount": "0.00", "total": total,
        });
        self.tell(id, "LineItemAdded", data)
    }

    fn finalize(&mut self, id: &str, client: &str, total: &str, due: &str) -> &mut Self {
        let data = json!({
            "invoiceNumber": format!("INV-{id}"), "clientId": client, "billTo": { "name": client, "address": null },
            "currency": "EUR", "rounding": "document", "subtotal": total, "discountTotal": "0.00", "taxes": [],
            "taxTotal": "0.00", "grandTotal": total, "issuedAt": "2026-01-01T00:00:00.000Z", "dueDate": due,
        });
        self.draft(id, client).tell(id, "InvoiceFinalized", data)
    }

    fn pay(&mut self, id: &str, amount: &str, paid: &str, due: &str) -> &mut Self {
        let data = json!({
            "paymentId": "p-1", "clientId": "c", "currency": "EUR", "amount": amount, "method": "cash",
            "paidAt": "2026-02-01T00:00:00.000Z", "amountPaid": paid, "amountDue": due,
        });
        self.tell(id, "PaymentRecorded", data)
    }

    fn document(&self, id: &str) -> Value {
        self.0.document("invoices", id)
    }
}

#[test]
fn a_draft_shows_what_it_would_come_to() {
    let mut feed = Feed::new();
    feed.draft("i", "c")
        .line("i", "l-1", "100.00")
        .line("i", "l-2", "50.00");
    feed.tell(
        "i",
        "DiscountApplied",
        json!({ "lineId": "l-2", "discount": { "amount": "10.00" }, "lineDiscount": "10.00" }),
    );
    feed.tell("i", "DiscountApplied", json!({ "discount": { "percent": "50" } }));
    let line = |id: &str, price: &str, discount: &str, total: &str| {
        json!({
            "id": id, "productId": null, "sku": null, "description": "Work", "quantity": "1", "unitPrice": price,
            "taxRate": "20", "discount": discount, "discountPercent": null, "total": total,
        })
    };
    assert_eq!(
        feed.document("i"),
        json!({
            "_id": "i", "invoiceNumber": null, "clientId": "c", "clientName": "c", "billTo": null, "status": "draft",
            "lineItems": [line("l-1", "100.00", "0.00", "100.00"), line("l-2", "50.00", "10.00", "40.00")],
            "discount": { "percent": "50" }, "rounding": "document", "subtotal": "150.00", "discountTotal": "80.00",
            "taxes": [{ "rate": "20", "base": "70.00", "amount": "14.00" }], "taxTotal": "14.00",
            "grandTotal": "84.00", "amountPaid": "0.00", "amountDue": "0.00", "currency": "EUR", "dueDate": null,
            "issuedAt": null, "paidAt": null, "payments": [], "createdAt": "2026-03-01T12:00:00.000Z",
            "updatedAt": "2026-03-01T12:00:00.000Z", "version": 5,
        })
    );
    feed.tell("i", "LineItemRemoved", json!({ "lineId": "l-1" }));
    assert_eq!(feed.document("i")["grandTotal"], "24.00");
}

#[test]
fn payments_move_the_status_and_the_amounts() {
    let mut feed = Feed::new();
    feed.finalize("i", "c", "90.00", "2026-01-31");
    let seen = |feed: &Feed| {
        let d = feed.document("i");
        [&d["status"], &d["amountPaid"], &d["amountDue"], &d["paidAt"]]
            .map(|v| v.as_str().unwrap_or("-").to_owned())
    };
    assert_eq!(seen(&feed), ["finalized", "0.00", "90.00", "-"]);
    assert_eq!(
        seen(Feed::pay(&mut feed, "i", "40.00", "40.00", "50.00")),
        ["partial", "40.00", "50.00", "-"]
    );
    assert_eq!(
        seen(Feed::pay(&mut feed, "i", "50.00", "90.00", "0.00")),
        ["paid", "90.00", "0.00", "2026-02-01T00:00:00.000Z"]
    );
    assert_eq!(feed.document("i")["payments"].as_array().map(Vec::len), Some(2));
    assert_eq!(feed.document("i")["invoiceNumber"], "INV-i");
}

#[test]
fn a_voided_invoice_has_nothing_due() {
    let mut feed = Feed::new();
    feed.finalize("i", "c", "90.00", "2026-01-31");
    feed.tell(
        "i",
        "InvoiceVoided",
        json!({ "clientId": "c", "currency": "EUR", "released": "90.00" }),
    );
    let document = feed.document("i");
    assert_eq!(
        (&document["status"], &document["amountDue"]),
        (&json!("voided"), &json!("0.00"))
    );
}

#[test]
fn drafts_follow_their_clients_name_and_issued_invoices_do_not() {
    let mut feed = Feed::new();
    feed.draft("a", "c-1")
        .draft("b", "c-2")
        .finalize("c", "c-1", "1.00", "2026-01-31");
    feed.0.apply::<Invoices>(
        ("Client", "c-1"),
        "client.ClientUpdated",
        json!({ "name": "New", "tags": [] }),
    );
    feed.0.apply::<Invoices>(
        ("Client", "c-2"),
        "client.ClientUpdated",
        json!({ "phone": null }),
    );
    assert_eq!(
        ["a", "b", "c"].map(|id| feed.document(id)["clientName"].clone()),
        ["New", "c-2", "c-1"]
    );
}

#[test]
fn the_report_sorts_open_amounts_by_age() {
    let mut feed = Feed::new();
    for (id, due) in [
        ("a", "2026-03-01"),
        ("b", "2026-02-28"),
        ("c", "2026-01-30"),
        ("d", "2026-01-29"),
        ("e", "2025-12-31"),
        ("f", "2025-12-01"),
        ("g", "2025-11-01"),
        ("h", "2025-10-31"),
    ] {
        feed.finalize(id, "c-1", "1.00", due);
    }
    feed.finalize("i", "c-2", "0.01", "2026-02-01")
        .finalize("j", "c-2", "5.00", "2026-02-01")
        .draft("k", "c-2");
    feed.pay("j", "5.00", "5.00", "0.00");
    let sums = |not_due: &str,
                to_30: &str,
                to_60: &str,
                to_90: &str,
                to_120: &str,
                over: &str,
                total: &str| {
        json!({
            "notDue": not_due, "1-30": to_30, "31-60": to_60, "61-90": to_90, "91-120": to_120, "over120": over,
            "total": total,
        })
    };
    let with = |mut sums: Value, fields: &[(&str, &str)]| {
        fields
            .iter()
            .for_each(|(field, value)| sums[*field] = json!(value));
        sums
    };
    let of_1 = sums("1.00", "2.00", "2.00", "1.00", "1.00", "1.00", "8.00");
    let of_2 = sums("0.00", "0.01", "0.00", "0.00", "0.00", "0.00", "0.01");
    let all = sums("1.00", "2.01", "2.00", "1.00", "1.00", "1.00", "8.01");
    assert_eq!(
        feed.0.ask::<AgingReport>(&json!({})).unwrap(),
        json!({
            "asOf": "2026-03-01",
            "currencies": [with(all, &[("currency", "EUR")])],
            "clients": [
                with(of_1, &[("clientId", "c-1"), ("clientName", "c-1"), ("currency", "EUR")]),
                with(of_2.clone(), &[("clientId", "c-2"), ("clientName", "c-2"), ("currency", "EUR")]),
            ],
        })
    );
    let one = feed
        .0
        .ask::<AgingReport>(&json!({ "clientId": "c-2", "asOf": "2026-02-01" }))
        .unwrap();
    assert_eq!(one["currencies"][0]["notDue"], "0.01");
    assert_eq!(
        feed.0
            .ask::<AgingReport>(&json!({ "asOf": "soon" }))
            .unwrap_err()
            .code(),
        "malformed"
    );
}

#[test]
fn the_report_reads_every_page() {
    let mut feed = Feed::new();
    for n in 0..2_001 {
        feed.finalize(&format!("i-{n}"), "c", "0.01", "2026-01-31");
    }
    let report = feed.0.ask::<AgingReport>(&json!({})).unwrap();
    assert_eq!(report["currencies"][0]["total"], "20.01");
}
