//! What the document must have, whatever the modules.

use super::*;

const MANIFEST: &str = "
manifest: 1
name: invoicing
version: 1.0.0
publisher: millwork
description: Invoices.
licence: Apache-2.0
permissions: [documents]
schemas:
  Amount: { type: string, description: 'An exact decimal' }
aggregates:
  Invoice:
    commands:
      Create:
        summary: Starts a draft.
        creates: true
        body: { type: object, required: [total], properties: { total: { $ref: '#/schemas/Amount' } } }
      RemoveLine:
        body:
          type: object
          additionalProperties: false
          required: [lineId]
          properties: { lineId: { type: string } }
    events: { Created: , LineRemoved: }
collections: { invoices: {} }
projections: { Invoices: { version: 1, events: [Created], collections: [invoices] } }
views:
  List: { collection: invoices, filter: [total], sort: [total], schema: { type: object, properties: { total: { $ref: '#/schemas/Amount' } } } }
queries:
  Aging: { params: { type: object, properties: { asOf: { type: string }, ids: { type: array, items: { type: string } } } }, collections: [invoices] }
routes:
  - POST /invoices: command Create
  - GET /invoices: view List
  - GET /invoices/{id}: view List
  - DELETE /invoices/{id}/lines/{lineId}: command RemoveLine
  - GET /reports/aging: query Aging
";

fn written() -> Value {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    document(&[&manifest])
}

#[test]
fn references_lead_to_components() {
    let document = written();
    let text = document.to_string();
    assert!(!text.contains("\"#/schemas/"), "{text}");
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("\"$ref\":\"#") {
        let (pointer, after) = after.split_once('"').unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        rest = after;
    }
}

#[test]
fn routes_become_operations_with_unique_ids() {
    let document = written();
    let id = |path: &str, method: &str| {
        document["paths"][path][method]["operationId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(id("/invoices", "post"), "invoicing.Create");
    assert_eq!(id("/invoices", "get"), "invoicing.List");
    assert_eq!(id("/invoices/{id}", "get"), "invoicing.List.2");
    assert!(document["paths"]["/invoices"]["post"]["responses"]["201"].is_object());
    assert!(document["paths"]["/reports/aging"]["get"]["responses"]["200"].is_object());
}

#[test]
fn what_the_path_says_is_not_asked_again() {
    let document = written();
    let removal = &document["paths"]["/invoices/{id}/lines/{lineId}"]["delete"];
    assert!(removal.get("requestBody").is_none());
    let path: Vec<_> = removal["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["in"] == "path")
        .collect();
    assert_eq!(path.len(), 2);
}

#[test]
fn properties_named_like_keywords_are_schemas() {
    let manifest = Manifest::parse(MANIFEST).unwrap();
    let schema = json!({"properties": {"default": {"$ref": "#/schemas/Amount"}}, "default": {"$ref": 1}});
    let rewritten = schemas::rewritten(&manifest, "x", &schema);
    assert_eq!(
        rewritten["properties"]["default"]["$ref"],
        "#/components/schemas/invoicing.Amount"
    );
}
