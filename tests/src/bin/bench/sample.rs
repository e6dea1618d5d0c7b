//! The decisions that are measured inside: an invoice of five lines gets one more, or is finalised.

use millwork_host::bindings::types::{Command, Context, Event, Origin, Subject, SubjectId};
use millwork_host::engine::component::Asked;
use serde_json::json;

use crate::native;

const INVOICE: &str = "0197c2f0-5e0a-7c3e-9a53-3f1f5c1f0001";
const CLIENT: &str = "0197c2f0-5e0a-7c3e-9a53-3f1f5c1f0002";
const LINES: usize = 5;
/// Events of the state that is folded.
const FOLDED: usize = 100;

/// A decision with its name.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) asked: Asked,
}

/// The decisions.
pub(crate) fn decisions() -> Vec<Sample> {
    let invoice = invoice(LINES);
    let finalize = Asked {
        related: vec![account()],
        ..asked(
            invoice.clone(),
            "FinalizeInvoice",
            json!({ "dueDate": "2026-12-01" }),
        )
    };
    let add = asked(invoice, "AddLineItem", line(LINES));
    vec![
        Sample {
            name: "AddLineItem",
            asked: add,
        },
        Sample {
            name: "FinalizeInvoice",
            asked: finalize,
        },
    ]
}

/// The events of an invoice with many lines, and the state before the first of them.
pub(crate) fn history() -> (Subject, Vec<Event>) {
    let mut invoice = Subject {
        version: 0,
        state: None,
        ..invoice(0)
    };
    let before = invoice.clone();
    let mut events = Vec::with_capacity(FOLDED);
    while events.len() < FOLDED {
        events.extend(step(&mut invoice, events.len()));
    }
    (before, events)
}

/// The body of an AddLineItem.
pub(crate) fn line(index: usize) -> serde_json::Value {
    json!({
        "sku": format!("SKU-{index:04}"),
        "description": "Planed oak board, 2 m",
        "quantity": "3.5",
        "unitPrice": "19.99",
        "taxRate": "19",
        "discount": { "percent": "5" },
    })
}

fn invoice(lines: usize) -> Subject {
    let of = SubjectId {
        aggregate: "Invoice".to_owned(),
        id: INVOICE.to_owned(),
    };
    let mut invoice = Subject {
        of,
        version: 0,
        state: None,
    };
    for index in 0..=lines {
        step(&mut invoice, index);
    }
    invoice
}

/// Creates an invoice, or adds a line; gives the events.
fn step(invoice: &mut Subject, index: usize) -> Vec<Event> {
    let asked = if invoice.version == 0 {
        asked(invoice.clone(), "CreateInvoice", json!({ "clientId": CLIENT }))
    } else {
        asked(invoice.clone(), "AddLineItem", line(index))
    };
    let decision = native::decide(native::Input::of(&asked)).expect("it is a command that can be done");
    let mut events = Vec::new();
    for event in decision.events {
        invoice.version += 1;
        events.push(Event {
            id: asked.command.id.clone(),
            name: event.name,
            of: invoice.of.clone(),
            version: invoice.version,
            recorded_at: asked.context.now,
            origin: asked.context.origin.clone(),
            data: event.data,
        });
    }
    invoice.state = decision.states.into_iter().next().map(|(_, state)| state);
    events
}

/// What the client owes from other invoices.
fn account() -> Subject {
    let of = SubjectId {
        aggregate: "ReceivablesAccount".to_owned(),
        id: CLIENT.to_owned(),
    };
    Subject {
        of,
        version: 12,
        state: Some(json!({ "exposure": { "EUR": "1190.00" } }).to_string()),
    }
}

fn asked(target: Subject, command: &str, data: serde_json::Value) -> Asked {
    let id = "0197c2f0-5e0a-7c3e-9a53-3f1f5c1f0003".to_owned();
    let origin = Origin {
        user: "demo".to_owned(),
        correlation_id: id.clone(),
        causation_id: id.clone(),
    };
    let line_id = format!("0197c2f0-5e0a-7c3e-9a53-3f1f5c1f{:04}", target.version);
    let context = Context {
        now: 1_790_000_000_000,
        origin,
        ids: vec![line_id],
        facts: json!({ "client": client() }).to_string(),
        numbers: vec![("invoice".to_owned(), "INV-2026-000123".to_owned())],
        config: json!({ "paymentTermDays": 30, "rounding": "document" }).to_string(),
    };
    let command = Command {
        id,
        name: command.to_owned(),
        data: data.to_string(),
    };
    Asked {
        target,
        related: Vec::new(),
        command,
        context,
    }
}

/// The client as its detail view has it.
fn client() -> serde_json::Value {
    json!({
        "_id": CLIENT,
        "code": "ACME",
        "name": "Acme Ltd",
        "currency": "EUR",
        "email": "billing@acme.example",
        "billingAddress": { "street": "High Street 1", "city": "London", "country": "GB", "postalCode": "N1" },
        "shippingAddresses": [],
        "tags": ["wood"],
        "customFields": {},
        "creditLimit": "100000.00",
        "currentBalance": "1190.00",
        "status": "active",
        "version": 3,
    })
}
