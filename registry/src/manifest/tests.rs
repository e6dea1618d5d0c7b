//! What a manifest gives once it is accepted; what is refused stands beside the checks.

use serde_json::json;

use super::{Action, Manifest, Permission, Reference, Route, compile};
use crate::Error;

/// A manifest that uses every key.
pub(crate) const GOOD: &str = include_str!("tests/good.yaml");

#[test]
fn a_manifest_is_the_same_after_a_way_through_json() {
    let manifest = Manifest::parse(GOOD).unwrap();
    let json = serde_json::to_string(&manifest).unwrap();
    let again: Manifest = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&again).unwrap(), json);
    assert!(
        json.contains(
            r#""permissions":["documents","view:client.ClientDetail","events:client.ClientUpdated"]"#
        )
    );
    assert!(json.contains(r#"{"POST /invoices/{id}/finalize":"command FinalizeInvoice"}"#));
    assert!(json.contains(r#""id":"/state/clientId""#));
}

#[test]
fn commands_are_found_by_name() {
    let manifest = Manifest::parse(GOOD).unwrap();
    let (aggregate, command) = manifest.command("FinalizeInvoice").unwrap();
    assert_eq!(
        (aggregate, command.claims.as_slice()),
        ("Invoice", ["number".to_owned()].as_slice())
    );
    assert!(manifest.command("finalizeInvoice").is_none());
    assert_eq!(manifest.events().count(), 4);
}

#[test]
fn references_resolve_to_text_only() {
    let (data, state) = (json!({ "a": { "b/c": "x" }, "n": 1 }), json!({ "id": "y" }));
    let resolve = |text: &str| {
        let reference = Reference::try_from(text.to_owned()).unwrap();
        assert_eq!(reference.to_string(), text);
        reference.resolve(&data, &state).map(str::to_owned)
    };
    assert_eq!(resolve("/data/a/b~1c").as_deref(), Some("x"));
    assert_eq!(resolve("/state/id").as_deref(), Some("y"));
    assert_eq!(resolve("/data/n"), None);
    assert_eq!(resolve("/data/id"), None);
    for text in [
        "",
        "/data",
        "/data/",
        "data/x",
        "/state~",
        "/database/x",
        "/data/a~2",
    ] {
        assert!(Reference::try_from(text.to_owned()).is_err(), "{text}");
    }
}

#[test]
fn texts_are_written_as_they_are_read() {
    for text in [
        "documents",
        "cache",
        "view:client.ClientDetail",
        "events:payment-x.Paid2",
        "events:plugin.Done",
        "events:plugin.greeter.Greeted",
        "messages:publish",
        "commands:client",
        "requests:client.ClientList",
        "http:outbound",
        "http:outbound:*.example.com:8443",
    ] {
        assert_eq!(Permission::try_from(text.to_owned()).unwrap().to_string(), text);
    }
    for text in [
        "",
        "Documents",
        "documents:",
        "view:",
        "view:client",
        "view:client.detail",
        "view:Client.Detail",
        "http:x.Y",
        "messages:",
        "commands:",
        "commands:Client",
        "requests:client",
        "events:plugin.greeter.greeted",
        "http:outbound:",
        "http:outbound:*",
        "http:outbound:a:b",
        "http",
    ] {
        assert!(Permission::try_from(text.to_owned()).is_err(), "{text}");
    }
    let route: Route = serde_json::from_value(json!({ "GET /a/{b}/c": "view X" })).unwrap();
    assert_eq!(route.to_string(), "GET /a/{b}/c: view X");
    assert_eq!(
        (route.shape().as_str(), route.action),
        ("/a/{}/c", Action::View("X".to_owned()))
    );
    assert!(serde_json::from_value::<Route>(json!({ "GET /a": "view X", "GET /b": "view X" })).is_err());
}

#[test]
fn permissions_in_words() {
    let words = |text: &str| Permission::try_from(text.to_owned()).unwrap().in_words();
    assert_eq!(
        words("view:client.ClientDetail"),
        "read ClientDetail of the module client when it decides"
    );
    assert_eq!(
        words("commands:client"),
        "do in the module client whatever its commands can do"
    );
    assert_eq!(
        words("events:plugin.greeter.Greeted"),
        "receive each event Greeted that greeter publishes, with its data"
    );
    assert_eq!(words("http:outbound"), "send data to any server on the internet");
    assert_eq!(
        words("http:outbound:*.example.com:8443"),
        "send data to all servers below example.com, port 8443"
    );
    assert_eq!(
        words("http:outbound:example.com"),
        "send data to the server example.com"
    );
}

#[test]
fn schema_documents_are_self_contained() {
    let manifest = Manifest::parse(GOOD).unwrap();
    let body = manifest.command("CreateInvoice").unwrap().1.body.clone().unwrap();
    let validator = compile(&manifest.schema_document(&body)).unwrap();
    assert!(validator.is_valid(&json!({ "clientId": "c", "unitPrice": "12.50" })));
    assert!(!validator.is_valid(&json!({ "clientId": "c", "unitPrice": "12.505050" })));
    assert!(!validator.is_valid(&json!({ "clientId": "c", "more": 1 })));
    jsonschema::validator_for(&manifest.schema_document(&body)).unwrap();
    assert_eq!(manifest.schema_document(&json!(true)), json!(true));
    let dates = compile(&json!({ "type": "string", "format": "date" })).unwrap();
    assert!(dates.is_valid(&json!("2026-02-28")) && !dates.is_valid(&json!("2026-02-30")));
}

#[test]
fn configuration_is_filled_and_checked() {
    let manifest = Manifest::parse(GOOD).unwrap();
    assert_eq!(
        manifest.configuration(None).unwrap(),
        json!({ "paymentTermDays": 30 })
    );
    let given = manifest
        .configuration(Some(json!({ "paymentTermDays": 14 })))
        .unwrap();
    assert_eq!(given, json!({ "paymentTermDays": 14 }));
    let refused = |given| manifest.configuration(Some(given)).unwrap_err();
    assert_eq!(
        refused(json!({ "paymentTermDays": "x" })).to_string(),
        "configuration: /paymentTermDays: \"x\" is not of type \"integer\""
    );
    assert!(matches!(
        refused(json!({ "other": 1 })),
        Error::SchemaMismatch { .. }
    ));
    assert_eq!(refused(json!([])).to_string(), "configuration: must be an object");
    let of_before = |config| manifest.configuration_of_before(config);
    assert_eq!(
        of_before(json!({ "paymentTermDays": 14, "gone": true })).unwrap(),
        json!({ "paymentTermDays": 14 })
    );
    assert_eq!(
        of_before(json!({ "gone": true })).unwrap(),
        json!({ "paymentTermDays": 30 })
    );
    assert!(of_before(json!({ "paymentTermDays": "x" })).is_err());
    let bare = Manifest {
        config: None,
        ..manifest
    };
    assert_eq!(
        bare.configuration_of_before(json!({ "a": 1 })).unwrap(),
        json!({})
    );
    assert_eq!(bare.configuration(None).unwrap(), json!({}));
    let unknown = bare.configuration(Some(json!({ "a": 1 }))).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "configuration: invoicing has no setting \"a\""
    );
}

#[test]
fn errors_have_codes() {
    assert_eq!(Manifest::parse("").unwrap_err().code(), "manifest-malformed");
    assert_eq!(
        Manifest::parse(&GOOD.replace("manifest: 1", "manifest: 2"))
            .unwrap_err()
            .code(),
        "manifest-invalid"
    );
    assert_eq!(
        Permission::try_from(String::new()).unwrap_err().code(),
        "text-malformed"
    );
}
