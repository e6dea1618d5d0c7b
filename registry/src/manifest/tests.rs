//! One `check` for what a manifest must be, and one line for each thing it must not be.

use serde_json::json;

use super::{Action, MANIFEST_BYTES_MAX, Manifest, Permission, Reference, Route, compile};
use crate::Error;

/// A manifest that uses every key. `check` changes one place of it.
const GOOD: &str = r#"manifest: 1
name: invoicing
version: 1.0.0
publisher: millwork
description: Invoices from draft to payment.
licence: Apache-2.0
dependencies:
  client: ^1.0
permissions:
  - documents
  - view:client.ClientDetail
  - events:client.ClientUpdated
schemas:
  Amount: { type: string, pattern: '^[0-9]{1,15}(\.[0-9]{1,4})?$' }
  Line: { type: object, properties: { price: { $ref: '#/schemas/Amount' } } }
config:
  type: object
  additionalProperties: false
  properties:
    paymentTermDays: { type: integer, minimum: 0, maximum: 365, default: 30 }
aggregates:
  Invoice:
    stateVersion: 2
    commands:
      CreateInvoice:
        summary: Starts a draft.
        creates: true
        facts: { client: { view: client.ClientDetail, id: /data/clientId } }
        body:
          type: object
          additionalProperties: false
          required: [clientId]
          properties: { clientId: { type: string }, unitPrice: { $ref: '#/schemas/Amount' } }
      AddLineItem: { ids: 1, body: { $ref: '#/schemas/Line' } }
      RemoveLineItem: { body: { type: object, additionalProperties: false, properties: { lineId: { type: string } } } }
      FinalizeInvoice:
        permission: invoicing.finalize
        facts: { self: { view: InvoiceDetail, id: /state/id } }
        related: { account: { aggregate: ReceivablesAccount, id: /state/clientId } }
        numbers: { invoice: { sequence: 'invoice-{year}', format: 'INV-{year}-{number:06}' } }
        claims: [number]
    events:
      InvoiceCreated: { type: object }
      InvoiceFinalized:
  ReceivablesAccount:
    events: { ReceivableRaised: , ReceivableSettled: }
collections:
  invoices:
    decimals: [grandTotal, amountDue]
    indexes: [[status, dueDate], [clientId]]
projections:
  Invoices: { version: 1, events: [InvoiceCreated, client.ClientUpdated], collections: [invoices] }
views:
  InvoiceList: { summary: All, collection: invoices, fields: [number], filter: [status], sort: [dueDate], defaultSort: '-dueDate,_id' }
  InvoiceDetail: { collection: invoices, schema: { type: object } }
queries:
  AgingReport: { params: { type: object, properties: { asOf: { type: string, format: date } } }, collections: [invoices], result: true }
roles: { clerk: [invoicing.read, invoicing.finalize] }
routes:
  - POST /invoices: command CreateInvoice
  - GET /invoices: view InvoiceList
  - GET /invoices/{id}: view InvoiceDetail
  - POST /invoices/{id}/line-items: command AddLineItem
  - DELETE /invoices/{id}/line-items/{lineId}: command RemoveLineItem
  - POST /invoices/{id}/finalize: command FinalizeInvoice
  - GET /reports/aging: query AgingReport
"#;

/// Replaces one place of [`GOOD`] and wants exactly this said about it.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from:?} is not in the manifest");
    match Manifest::parse(&GOOD.replacen(from, to, 1)) {
        Ok(_) => panic!("accepted, but expected: {expected}"),
        Err(error) => assert_eq!(error.to_string(), format!("manifest: {expected}")),
    }
}

#[test]
fn what_is_no_manifest_is_refused_with_its_place() {
    check(
        "licence:",
        "license:",
        "unknown field `license`, expected one of manifest, name, version, publisher, \
        description, licence, permissions, dependencies, config, schemas, aggregates, collections, projections, views, \
        queries, roles, routes at line 6, column 1",
    );
    check(
        "ids: 1",
        "id: 1",
        "unknown field `id`, expected one of summary, creates, body, ids, facts, related, numbers, \
        claims, permission at line 34, column 22",
    );
    check(
        "version: 1.0.0",
        "version: 1.0",
        "unexpected end of input while parsing minor version number at line 3, column 10",
    );
    check("ids: 1", "ids: -1", "invalid u32 at line 34, column 27");
    check(
        "creates: true",
        "creates: yes",
        "invalid boolean (strict mode expects true/false) at line 27, column 18",
    );
    check(
        "name: invoicing",
        "name: &a invoicing",
        "budget breached: Anchors { anchors: 1 } at line 2, column 10",
    );
    check(
        "name: invoicing",
        "name: !!x invoicing",
        "unsupported tag `!!x` at line 2, column 11",
    );
    check(
        "config:\n",
        "config:\n  <<: {}\n",
        "YAML merge keys are not allowed by configured policy at line 17, column 3",
    );
    check(
        "name: invoicing",
        "name: a\nname: b",
        "duplicate mapping key: name, set DuplicateKeyPolicy in Options if \
        acceptable at line 3, column 1",
    );
    check(
        "roles:",
        "---\nroles:",
        "budget breached: Documents { documents: 2 } at line 58, column 1",
    );
    check(
        "- documents",
        "- document",
        "permission \"document\" must be documents, cache, view:<module>.<View> or \
        events:<module>.<Event> at line 10, column 5",
    );
    check(
        "/data/clientId",
        "/body/clientId",
        "reference \"/body/clientId\" must be /data/ or /state/ and a JSON Pointer, \
        such as /data/clientId at line 28, column 59",
    );
    check(
        "invoice-{year}",
        "invoice-{day}",
        "number template \"invoice-{day}\" must be 1 to 64 characters of printable \
        ASCII with {year}, {month}, {number} or {number:01} to {number:019} at line 40, column 41",
    );
    check(
        "POST /invoices:",
        "POST/invoices:",
        "route \"POST/invoices\" must be a method and a path, such as POST \
        /invoices at line 60, column 5",
    );
    check(
        "POST /invoices:",
        "HEAD /invoices:",
        "method \"HEAD\" must be GET, POST, PUT, PATCH or DELETE at line 60, column 5",
    );
    check(
        "command CreateInvoice",
        "run CreateInvoice",
        "route's action \"run CreateInvoice\" must be command, view or \
        query and a name at line 60, column 5",
    );
}

#[test]
fn too_much_is_refused() {
    let long = format!("{GOOD}#{}", "x".repeat(MANIFEST_BYTES_MAX));
    assert_eq!(
        Manifest::parse(&long).unwrap_err().to_string(),
        "manifest: longer than 262144 bytes"
    );
    let nested = |depth| {
        GOOD.replace(
            "default: 30",
            &format!(
                "default: 30, examples: {}{}",
                "[".repeat(depth),
                "]".repeat(depth)
            ),
        )
    };
    Manifest::parse(&nested(20)).unwrap();
    let error = Manifest::parse(&nested(40)).unwrap_err().to_string();
    assert!(error.contains("recursion limit exceeded"), "{error}");
    check(
        "ids: 1",
        "ids: 1001",
        "aggregates.Invoice.commands.AddLineItem.ids: must be at most 1000",
    );
}

#[test]
fn too_many_schemas_are_refused_before_they_are_compiled() {
    let many: String = (0..500).map(|n| format!("  S{n}: true\n")).collect();
    check(
        "schemas:\n",
        &format!("schemas:\n{many}"),
        "schemas: at most 500 schemas, inner ones not counted",
    );
}

#[test]
fn header() {
    check(
        "manifest: 1",
        "manifest: 2",
        "manifest: format 2 is unknown, this host reads 1",
    );
    check(
        "publisher: millwork",
        "publisher: Mill Work",
        "publisher: publisher name \"Mill Work\" must start with a \
        lowercase letter and hold only lowercase letters, digits and hyphens, 40 at most",
    );
    check(
        "Invoices from draft to payment.",
        "''",
        "description: must be one line of 1 to 300 characters",
    );
    check("Apache-2.0", "'?'", "licence: \"?\" must be an SPDX expression");
    check(
        "  - documents",
        "  - documents\n  - documents",
        "permissions: \"documents\" stands here twice",
    );
    check(
        "  - documents",
        "  - documents\n  - view:crm.Lead",
        "permissions: view:crm.Lead needs crm among the dependencies",
    );
    check(
        "  - documents",
        "  - documents\n  - events:invoicing.InvoiceCreated",
        "permissions: events:invoicing.InvoiceCreated is this component's own and needs none",
    );
    check(
        "client: ^1.0",
        "client: ^1.0\n  invoicing: '*'",
        "dependencies.invoicing: a component cannot depend on itself",
    );
    check(
        "client: ^1.0",
        "client: ^1.0\n  A: '*'",
        "dependencies.A: component name \"A\" must start with a lowercase \
        letter and hold only lowercase letters, digits and hyphens, 40 at most",
    );
    check(
        "roles: { clerk",
        "roles: { admin",
        "roles.admin: is defined by the host",
    );
    check(
        "[invoicing.read,",
        "[client.write,",
        "roles.clerk: permission \"client.write\" must be invoicing.<word> in lowercase",
    );
    check(
        "[invoicing.read,",
        "[invoicing.raed,",
        "roles.clerk: no command, view or query asks for \"invoicing.raed\"",
    );
}

#[test]
fn schemas() {
    check(
        "'#/schemas/Amount' } } }",
        "'https://example.com/x' } } }",
        "schemas.Line.properties.price: $ref \
        \"https://example.com/x\" must be #/schemas/<name> with a name that stands in schemas",
    );
    check(
        "'#/schemas/Line'",
        "'#/schemas/Lines'",
        "aggregates.Invoice.commands.AddLineItem.body: $ref \"#/schemas/Lines\" \
        must be #/schemas/<name> with a name that stands in schemas; aggregates.Invoice.commands.AddLineItem.body: must \
        have type: object",
    );
    check(
        "{ type: object }",
        "{ $id: x }",
        "aggregates.Invoice.events.InvoiceCreated: $id is not supported",
    );
    check(
        "{ type: object }",
        "{ allOf: [{ not: { $ref: x } }] }",
        "aggregates.Invoice.events.InvoiceCreated.allOf.0.not: \
        $ref \"x\" must be #/schemas/<name> with a name that stands in schemas",
    );
    check(
        "{ type: object }",
        "{ type: objekt }",
        "aggregates.Invoice.events.InvoiceCreated: /type: \"objekt\" is not valid \
        under any of the schemas listed in the 'anyOf' keyword",
    );
    check(
        "'^[0-9]{1,15}",
        "'(?=x)^[0-9]{1,15}",
        "schemas.Amount: /pattern: \
        \"(?=x)^[0-9]{1,15}(\\\\.[0-9]{1,4})?$\" is not a \"regex\"",
    );
    check(
        "format: date",
        "format: dat",
        "queries.AgingReport.params: /properties/asOf/format: Unknown format: 'dat'. \
        Adjust configuration to ignore unrecognized formats",
    );
    check(
        "default: 30",
        "default: 3000",
        "config.properties.paymentTermDays.default: 3000 is greater than the maximum of 365",
    );
    check(
        "  Amount:",
        "  amount: true\n  Amount:",
        "schemas.amount: \"amount\" must be in PascalCase, letters and digits, 64 at most",
    );
    check(
        "params: { type: object,",
        "params: {",
        "queries.AgingReport.params: must have type: object",
    );
}

#[test]
fn aggregates_and_commands() {
    check(
        "AddLineItem: {",
        "addLineItem: {",
        "aggregates.Invoice.commands.addLineItem: \"addLineItem\" must be in \
        PascalCase, letters and digits, 64 at most; routes.POST /invoices/{id}/line-items: there is no command \"AddLineItem\"",
    );
    check(
        "stateVersion: 2",
        "stateVersion: 0",
        "aggregates.Invoice.stateVersion: must be at least 1",
    );
    check(
        "events: { ReceivableRaised: , ReceivableSettled: }",
        "events: {}",
        "aggregates.ReceivablesAccount.events: an aggregate without events has no state",
    );
    check(
        "events: { ReceivableRaised:",
        "events: { InvoiceFinalized:",
        "aggregates.ReceivablesAccount.events.InvoiceFinalized: is an event of Invoice too",
    );
    check(
        "  ReceivablesAccount:\n",
        "  ReceivablesAccount:\n    commands: { AddLineItem: {} }\n",
        "aggregates.ReceivablesAccount.commands.AddLineItem: is a command of Invoice too",
    );
    check(
        "view: client.ClientDetail,",
        "view: client.ClientList,",
        "aggregates.Invoice.commands.CreateInvoice.facts.client.view: needs the permission view:client.ClientList",
    );
    check(
        "view: client.ClientDetail,",
        "view: invoicing.InvoiceList,",
        "aggregates.Invoice.commands.CreateInvoice.facts.client.view: write \"InvoiceList\" for its own \"invoicing.InvoiceList\"",
    );
    check(
        "view: client.ClientDetail,",
        "view: client,",
        "aggregates.Invoice.commands.CreateInvoice.facts.client.view: \
        \"client\" must be an own Name or another module's <module>.<Name>",
    );
    check(
        "view: InvoiceDetail,",
        "view: Detail,",
        "aggregates.Invoice.commands.FinalizeInvoice.facts.self.view: there is no view \"Detail\"",
    );
    check(
        "/data/clientId",
        "/state/clientId",
        "aggregates.Invoice.commands.CreateInvoice.facts.client.id: \
        /state/clientId cannot be there: the command creates its aggregate",
    );
    check(
        "aggregate: ReceivablesAccount",
        "aggregate: Account",
        "aggregates.Invoice.commands.FinalizeInvoice.related.account.aggregate: there is no aggregate \"Account\"",
    );
    check(
        "claims: [number]",
        "claims: [Number, x, x]",
        "aggregates.Invoice.commands.FinalizeInvoice.claims: \"x\" stands here \
        twice; aggregates.Invoice.commands.FinalizeInvoice.claims: \"Number\" must be in camelCase, letters and digits, 64 at most",
    );
    check(
        "permission: invoicing.finalize",
        "permission: client.finalize",
        "roles.clerk: no command, view or query asks for \
        \"invoicing.finalize\"; aggregates.Invoice.commands.FinalizeInvoice.permission: permission \"client.finalize\" must \
        be invoicing.<word> in lowercase",
    );
}

#[test]
fn numbers() {
    let number = "aggregates.Invoice.commands.FinalizeInvoice.numbers.invoice";
    check(
        "sequence: 'invoice-{year}'",
        "sequence: invoice",
        &format!("{number}: {{year}} must stand in both sequence and format, or in neither"),
    );
    check(
        "INV-{year}-{number:06}",
        "INV-{number:06}",
        &format!("{number}: {{year}} must stand in both sequence and format, or in neither"),
    );
    check(
        "INV-{year}-{number:06}",
        "INV-{year}",
        &format!("{number}.format: must hold {{number}} or {{number:0N}} once"),
    );
    check(
        "invoice-{year}",
        "invoice-{year}-{number}",
        &format!("{number}.sequence: cannot hold {{number}}"),
    );
    check(
        "invoice-{year}",
        "invoice-{year}-{month}",
        &format!("{number}: {{month}} must stand in both sequence and format, or in neither"),
    );
    check(
        "'invoice-{year}', format: 'INV-{year}",
        "'invoice-{month}', format: 'INV-{month}",
        &format!("{number}.sequence: {{month}} needs {{year}} beside it"),
    );
}

#[test]
fn read_models() {
    check(
        "[grandTotal, amountDue]",
        "[grandTotal, 'a..b', grandTotal]",
        "collections.invoices.decimals: \"a..b\" must be \
        field names of letters, digits, _ and -, joined by dots; collections.invoices.decimals: \"grandTotal\" stands here twice",
    );
    check(
        "[clientId]]",
        "[]]",
        "collections.invoices.indexes: an index has 1 to 8 fields",
    );
    check(
        "[clientId]]",
        "[$where]]",
        "collections.invoices.indexes: \"$where\" must be field names of letters, digits, _ \
        and -, joined by dots",
    );
    check(
        "[clientId]]",
        "[status, dueDate]]",
        "collections.invoices.indexes: \"status, dueDate\" stands here twice",
    );
    check(
        "[clientId]]",
        &format!("[a]{}]", (1..16).map(|n| format!(", [a{n}]")).collect::<String>()),
        "collections.invoices.indexes: at most 16 indexes",
    );
    check(
        "collections:\n",
        "collections:\n  Other_One: {}\n",
        "collections.Other_One: \"Other_One\" must be in camelCase, \
        letters and digits, 64 at most",
    );
    check(
        "projections:\n",
        "projections:\n  Other: { version: 0, events: [], collections: [invoices] }\n",
        "collections.invoices: only one projection may write it, not Other and Invoices; projections.Other.version: must be \
         at least 1; projections.Other.events: a projection without events does nothing",
    );
    check(
        "events: [InvoiceCreated,",
        "events: [InvoiceLost, client.ClientLost,",
        "projections.Invoices.events: there is no \
        event \"InvoiceLost\"; projections.Invoices.events: needs the permission events:client.ClientLost",
    );
    check(
        "collections: [invoices] }\nviews",
        "collections: [] }\nviews",
        "projections.Invoices.collections: a projection without collections has nowhere to write",
    );
    check(
        "collections: [invoices] }\nviews",
        "collections: [lines] }\nviews",
        "projections.Invoices.collections: there is no collection \"lines\"",
    );
    check(
        "InvoiceDetail: { collection: invoices,",
        "InvoiceDetail: { collection: lines,",
        "views.InvoiceDetail.collection: there is no collection \"lines\"",
    );
    check(
        "'-dueDate,_id'",
        "'-dueDate,,'",
        "views.InvoiceList.defaultSort: \"-dueDate,,\" must be like -issuedAt,_id",
    );
    check(
        "fields: [number]",
        "fields: ['']",
        "views.InvoiceList.fields: \"\" must be field names of letters, digits, _ and \
        -, joined by dots",
    );
    check(
        "} }, collections: [invoices]",
        "} }, collections: [lines]",
        "queries.AgingReport.collections: there is no collection \"lines\"",
    );
}

#[test]
fn a_collection_without_projection_needs_the_permission_to_write_it() {
    let own = GOOD.replace("collections:\n", "collections:\n  notes: {}\n");
    Manifest::parse(&own).unwrap();
    let error = Manifest::parse(&own.replace("  - documents\n", "")).unwrap_err();
    let expected = "manifest: collections.notes: no projection writes it, and the component has not the permission documents";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn routes() {
    check(
        "GET /invoices:",
        "POST /invoices:",
        "routes.POST /invoices: views and queries are reached by GET; \
        routes.POST /invoices: collides with POST /invoices",
    );
    check(
        "POST /invoices:",
        "GET /invoices:",
        "routes.GET /invoices: GET is for views and queries; routes.GET /invoices: \
        collides with GET /invoices",
    );
    check(
        "POST /invoices:",
        "POST /invoices/{id}:",
        "routes.POST /invoices/{id}: CreateInvoice gets a fresh id, its path \
        cannot hold {id}",
    );
    check(
        "POST /invoices/{id}/finalize",
        "POST /invoices/finalize",
        "routes.POST /invoices/finalize: the path must hold {id}: FinalizeInvoice needs a target",
    );
    check(
        "{lineId}",
        "{line}",
        "routes.DELETE /invoices/{id}/line-items/{line}: the schema has no property \"line\" for the \
        path's {line}",
    );
    check(
        "view InvoiceList\n",
        "view Invoices\n",
        "routes.GET /invoices: there is no view \"Invoices\"",
    );
    check(
        "query AgingReport",
        "query Aging",
        "routes.GET /reports/aging: there is no query \"Aging\"",
    );
    check(
        "GET /invoices:",
        "GET /clients/{clientId}/invoices:",
        "routes.GET /clients/{clientId}/invoices: a view's path can \
        hold {id} only, not {clientId}",
    );
    check(
        "GET /reports/aging",
        "GET /{report}/aging",
        "routes.GET /{report}/aging: a path cannot start with a parameter or \
        with plugins",
    );
    check(
        "GET /reports/aging",
        "GET /plugins/aging",
        "routes.GET /plugins/aging: a path cannot start with a parameter or \
        with plugins",
    );
    check(
        "GET /reports/aging",
        "GET /invoices/{asOf}/",
        "routes.GET /invoices/{asOf}/: a path must be /-separated segments of \
        lowercase letters, digits and hyphens, or {parameters} in camelCase",
    );
    check(
        "GET /reports/aging",
        "GET /invoices/{asOf}",
        "routes.GET /invoices/{asOf}: collides with GET /invoices/{id}",
    );
    check(
        "GET /reports/aging",
        "GET /invoices/{asOf}/finalize",
        "routes.GET /invoices/{asOf}/finalize: must name its parameters as POST /invoices/{id}/finalize does",
    );
    check(
        "{lineId}",
        "{id}",
        "routes.DELETE /invoices/{id}/line-items/{id}: \"id\" stands here twice",
    );
}

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
fn a_schema_may_contain_itself_but_not_be_itself() {
    let inside = GOOD.replace(
        "pattern:",
        "not: { items: { $ref: '#/schemas/Amount' } }, pattern:",
    );
    Manifest::parse(&inside).unwrap();
    check(
        "{ type: string, pattern",
        "{ anyOf: [{ $ref: '#/schemas/Amount' }], pattern",
        "schemas.Amount: refers to itself for one and the same value",
    );
    check(
        "Line: { type: object,",
        "Other: { not: { $ref: '#/schemas/Line' } }\n  Line: { if: { $ref: '#/schemas/Other' }, type: object,",
        "schemas.Other: refers to itself for one and the same value; schemas.Line: refers to itself for one and the same value",
    );
    let tree = GOOD.replace(
        "properties: { price:",
        "properties: { more: { $ref: '#/schemas/Line' }, price:",
    );
    Manifest::parse(&tree).unwrap();
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
    let bare = Manifest {
        config: None,
        ..manifest
    };
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
