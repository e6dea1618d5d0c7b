//! Every command and rejection of a client, its read model, and that code and manifest name the same things.

use millwork_registry::manifest::Manifest;
use millwork_sdk::Patch;
use millwork_sdk::money::{Currency, Decimal};
use millwork_sdk::testing::{self, ReadModels, Scenario};
use serde_json::{Value, json};

use crate::client::Client;
use crate::event::{Address, ClientCreated, ClientUpdated, Event, Profile};
use crate::view::Clients;

fn created() -> Event {
    let profile = Profile {
        code: "ACME".into(),
        name: "Acme Ltd".into(),
        ..Profile::default()
    };
    Event::ClientCreated(ClientCreated {
        currency: Currency::new("EUR").unwrap(),
        profile,
    })
}

fn acme() -> Scenario<Client> {
    testing::given("c-1", [created()])
}

fn new() -> Scenario<Client> {
    testing::given("c-1", []).config(json!({ "defaultCurrency": "EUR" }))
}

fn limit(amount: &str) -> Event {
    Event::CreditLimitAssigned {
        credit_limit: Some(amount.parse().unwrap()),
    }
}

#[test]
fn a_client_is_created_with_its_code_claimed_in_capitals() {
    let client = new().when("CreateClient", json!({ "code": " acme ", "name": " Acme Ltd " }));
    assert_eq!(client.claims(), (vec!["code=ACME".to_owned()], vec![]));
    client.then(&[created()]);
}

#[test]
fn a_client_keeps_all_it_was_created_with() {
    let address = json!({ "street": "1 High St", "city": "Bath", "country": "GB", "postalCode": "BA1" });
    let body = json!({
        "code": "B", "name": "B", "currency": "KWD", "email": "b@example.com", "phone": "+44 1", "tags": ["vip"],
        "billingAddress": address, "shippingAddresses": [address], "customFields": { "rating": 1.5, "new": true },
    });
    let state = new().when("CreateClient", body.clone()).state();
    for field in [
        "code",
        "name",
        "email",
        "phone",
        "tags",
        "billingAddress",
        "shippingAddresses",
        "customFields",
    ] {
        assert_eq!(state["profile"][field], body[field], "{field}");
    }
    assert_eq!(state["currency"], "KWD");
}

#[track_caller]
fn check_create_rejected(change: Value, code: &str, pointer: &str) {
    let mut body = json!({ "code": "A", "name": "A" });
    body.as_object_mut()
        .unwrap()
        .extend(change.as_object().unwrap().clone());
    new().when("CreateClient", body).then_rejected(code, pointer);
}

#[test]
fn creation_is_refused() {
    check_create_rejected(json!({ "code": "  " }), "code-blank", "/code");
    check_create_rejected(json!({ "name": " " }), "name-blank", "/name");
    check_create_rejected(json!({ "currency": "XAU" }), "unknown-currency", "/currency");
    check_create_rejected(json!({ "tags": 1 }), "malformed", "");
}

#[test]
fn both_blank_fields_are_told_at_once() {
    let refused = new().when("CreateClient", json!({ "code": " ", "name": " " }));
    assert!(format!("{:?}", refused.rejection()).contains("name-blank"));
}

#[test]
fn an_update_records_only_what_changes() {
    acme()
        .when(
            "UpdateClient",
            json!({ "name": "Acme Plc", "email": "a@example.com", "tags": [] }),
        )
        .then(&[Event::ClientUpdated(ClientUpdated {
            name: Some("Acme Plc".into()),
            email: Patch::Set("a@example.com".into()),
            ..ClientUpdated::default()
        })])
        .when("UpdateClient", json!({ "email": null, "phone": null }))
        .then(&[Event::ClientUpdated(ClientUpdated {
            email: Patch::Clear,
            ..ClientUpdated::default()
        })]);
}

#[test]
fn an_update_that_changes_nothing_records_nothing() {
    acme()
        .when(
            "UpdateClient",
            json!({ "name": "Acme Ltd ", "code": "acme", "phone": null }),
        )
        .then_nothing();
}

#[test]
fn another_code_is_claimed_and_the_old_one_released() {
    let client = acme().when("UpdateClient", json!({ "code": "apex" }));
    assert_eq!(
        client.claims(),
        (vec!["code=APEX".to_owned()], vec!["code=ACME".to_owned()])
    );
}

#[test]
fn an_update_cannot_blank_a_name() {
    acme()
        .when("UpdateClient", json!({ "name": " " }))
        .then_rejected("name-blank", "/name");
}

#[test]
fn a_credit_limit_has_the_digits_of_the_currency() {
    acme()
        .when("AssignCreditLimit", json!({ "creditLimit": "1000" }))
        .then(&[limit("1000.00")])
        .when("AssignCreditLimit", json!({ "creditLimit": "1000.000" }))
        .then_nothing()
        .when("AssignCreditLimit", json!({ "creditLimit": null }))
        .then(&[Event::CreditLimitAssigned { credit_limit: None }])
        .when("AssignCreditLimit", json!({ "creditLimit": "0" }))
        .then(&[limit("0.00")]);
}

#[test]
fn a_credit_limit_is_refused() {
    let client = || acme();
    client()
        .when("AssignCreditLimit", json!({ "creditLimit": "0.001" }))
        .then_rejected("too-many-digits", "/creditLimit");
    client()
        .when("AssignCreditLimit", json!({ "creditLimit": "-1" }))
        .then_rejected("credit-limit-negative", "/creditLimit");
}

#[test]
fn an_inactive_client_gets_no_credit_and_can_be_corrected() {
    let client = acme()
        .when("DeactivateClient", json!({}))
        .then(&[Event::ClientDeactivated {}]);
    client
        .when("DeactivateClient", json!({}))
        .then_rejected("client-inactive", "")
        .when("AssignCreditLimit", json!({ "creditLimit": "1" }))
        .then_rejected("client-inactive", "")
        .when("UpdateClient", json!({ "phone": "1" }))
        .then(&[Event::ClientUpdated(ClientUpdated {
            phone: Patch::Set("1".into()),
            ..ClientUpdated::default()
        })]);
}

fn own(models: &mut ReadModels, event: Event) {
    let (name, data) = testing::event_json(&event);
    models.apply::<Clients>(("Client", "c-1"), name, data);
}

#[test]
fn the_read_model_follows_the_client() {
    let mut models = ReadModels::default();
    own(models.at("2026-01-02T03:04:05Z"), created());
    own(models.at("2026-02-03T00:00:00Z"), limit("50.00"));
    assert_eq!(
        models.document("clients", "c-1"),
        json!({
            "code": "ACME", "name": "Acme Ltd", "email": null, "phone": null, "billingAddress": null,
            "shippingAddresses": [], "tags": [], "customFields": {}, "currency": "EUR", "creditLimit": "50.00",
            "currentBalance": "0.00", "status": "active", "createdAt": "2026-01-02T03:04:05.000Z",
            "updatedAt": "2026-02-03T00:00:00.000Z", "version": 2, "_id": "c-1",
        })
    );
    let address = Address {
        street: "S".into(),
        city: "C".into(),
        country: "DE".into(),
        postal_code: None,
    };
    let change = ClientUpdated {
        billing_address: Patch::Set(address),
        ..ClientUpdated::default()
    };
    own(&mut models, Event::ClientUpdated(change));
    own(&mut models, Event::ClientDeactivated {});
    let document = models.document("clients", "c-1");
    assert_eq!(
        (&document["billingAddress"]["country"], &document["status"]),
        (&json!("DE"), &json!("inactive"))
    );
}

#[test]
fn the_balance_follows_invoices_in_the_clients_currency() {
    let mut models = ReadModels::default();
    own(&mut models, created());
    let invoice = ("Invoice", "i-1");
    let mut tell = |name: &str, field: &str, amount: &str, currency: &str| {
        let data = json!({ "clientId": "c-1", "currency": currency, field: amount, "more": [] });
        models.apply::<Clients>(invoice, &format!("invoicing.{name}"), data);
        models.document("clients", "c-1")["currentBalance"].clone()
    };
    assert_eq!(tell("InvoiceFinalized", "grandTotal", "120.00", "EUR"), "120.00");
    assert_eq!(tell("InvoiceFinalized", "grandTotal", "9.00", "USD"), "120.00");
    assert_eq!(tell("PaymentRecorded", "amount", "20.50", "EUR"), "99.50");
    assert_eq!(tell("InvoiceVoided", "released", "99.50", "EUR"), "0.00");
    assert_eq!(models.document("clients", "c-1")["version"], 1);
}

#[test]
fn events_of_unknown_clients_and_names_are_passed_over() {
    let mut models = ReadModels::default();
    let owed = json!({ "clientId": "c-9", "currency": "EUR", "grandTotal": Decimal::ONE });
    models.apply::<Clients>(("Invoice", "i-1"), "invoicing.InvoiceFinalized", owed);
    models.apply::<Clients>(("Invoice", "i-1"), "invoicing.LineItemAdded", json!({}));
    assert_eq!(models.document("clients", "c-9"), Value::Null);
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
