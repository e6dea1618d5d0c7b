//! Everything that a manifest must not be, as a table: `-` is a place of a good manifest, `+` what stands there instead,
//! `=` each problem that is to be reported, and nothing else.

mod bounds;
mod buckets;
mod caching;
mod indexes;
mod presentation;
mod subscriptions;
mod upcasts;

use crate::manifest::Manifest;
use crate::manifest::tests::GOOD;

#[track_caller]
fn check(cases: &str) {
    for case in cases.split("\n\n") {
        let lines = |mark: &str| -> Vec<String> {
            let marked = case
                .lines()
                .filter_map(|line| line.trim_start().strip_prefix(mark));
            marked.map(|text| text.replace("\\n", "\n")).collect()
        };
        let (from, to, problems) = (lines("- ").concat(), lines("+ ").concat(), lines("= ").join("; "));
        assert!(GOOD.contains(&from), "{from:?} is not in the manifest");
        match Manifest::parse(&GOOD.replacen(&from, &to, 1)) {
            Ok(_) => panic!("accepted {to:?}, but expected {problems}"),
            Err(error) => assert_eq!(error.to_string(), format!("manifest: {problems}")),
        }
    }
}

#[test]
fn what_is_no_manifest_is_refused_with_its_place() {
    check(
        r##"
    - licence:
    + license:
    = unknown field `license`, expected one of manifest, name, version, publisher, title, description, changelog, categories, licence, permissions, dependencies, config, schemas, aggregates, collections, indexes, buckets, projections, views, queries, publishes, subscriptions, roles, routes at line 6, column 1

    - ids: 1
    + id: 1
    = unknown field `id`, expected one of summary, creates, body, ids, facts, related, numbers, claims, permission at line 34, column 22

    - version: 1.0.0
    + version: 1.0
    = unexpected end of input while parsing minor version number at line 3, column 10

    - ids: 1
    + ids: -1
    = invalid u32 at line 34, column 27

    - creates: true
    + creates: yes
    = invalid boolean (strict mode expects true/false) at line 27, column 18

    - name: invoicing
    + name: &a invoicing
    = budget breached: Anchors { anchors: 1 } at line 2, column 10

    - name: invoicing
    + name: !!x invoicing
    = unsupported tag `!!x` at line 2, column 11

    - config:\n
    + config:\n  <<: {}\n
    = YAML merge keys are not allowed by configured policy at line 17, column 3

    - name: invoicing
    + name: a\nname: b
    = duplicate mapping key: name, set DuplicateKeyPolicy in Options if acceptable at line 3, column 1

    - roles:
    + ---\nroles:
    = budget breached: Documents { documents: 2 } at line 58, column 1

    - - documents
    + - document
    = permission "document" must be documents, cache, search, blobs:read:<bucket>, blobs:write:<bucket>, view:<module>.<View>, events:<module>.<Event>, events:plugin.<component>.<Event>, messages:publish, commands:<module>, requests:<module>.<Query>, http:outbound or http:outbound:<host> at line 10, column 5

    - /data/clientId
    + /body/clientId
    = reference "/body/clientId" must be /data/ or /state/ and a JSON Pointer, such as /data/clientId at line 28, column 59

    - invoice-{year}
    + invoice-{day}
    = number template "invoice-{day}" must be 1 to 64 characters of printable ASCII with {year}, {month}, {number} or {number:01} to {number:019} at line 40, column 41

    - POST /invoices:
    + POST/invoices:
    = route "POST/invoices" must be a method and a path, such as POST /invoices at line 60, column 5

    - POST /invoices:
    + HEAD /invoices:
    = method "HEAD" must be GET, POST, PUT, PATCH or DELETE at line 60, column 5

    - command CreateInvoice
    + run CreateInvoice
    = route's action "run CreateInvoice" must be command, view or query and a name at line 60, column 5"##,
    );
}

#[test]
fn names_that_mean_something_to_the_host_are_reserved() {
    let named = |name: &str| {
        let text = format!(
            "{{manifest: 1, name: {name}, version: 1.0.0, publisher: acme, description: d, licence: MIT}}"
        );
        Manifest::parse(&text)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        named("swaps"),
        Err("manifest: name: swaps is reserved for the host".to_owned())
    );
    assert_eq!(named("swap"), Ok(()));
}

#[test]
fn header() {
    check(
        r##"
    - manifest: 1
    + manifest: 2
    = manifest: format 2 is unknown, this host reads 1

    - version: 1.0.0
    + version: 1.0.0+build
    = version: 1.0.0+build must have no build metadata and be at most 64 bytes long

    - publisher: millwork
    + publisher: Mill Work
    = publisher: publisher name "Mill Work" must start with a lowercase letter and hold only lowercase letters, digits and hyphens, 40 at most

    - Invoices from draft to payment.
    + ''
    = description: must be one line of 1 to 300 characters

    - Apache-2.0
    + '?'
    = licence: "?" must be an SPDX expression

    -   - documents
    +   - documents\n  - documents
    = permissions: "documents" stands here twice

    -   - documents
    +   - documents\n  - view:crm.Lead
    = permissions: view:crm.Lead needs crm among the dependencies

    -   - documents
    +   - documents\n  - events:invoicing.InvoiceCreated
    = permissions: events:invoicing.InvoiceCreated is this component's own and needs none

    - client: ^1.0
    + client: ^1.0\n  invoicing: '*'
    = dependencies.invoicing: a component cannot depend on itself

    - client: ^1.0
    + client: ^1.0\n  A: '*'
    = dependencies.A: component name "A" must start with a lowercase letter and hold only lowercase letters, digits and hyphens, 40 at most

    - roles: { clerk
    + roles: { admin
    = roles.admin: is defined by the host

    - [invoicing.read,
    + [client.write,
    = roles.clerk: permission "client.write" must be invoicing.<word> in lowercase

    - [invoicing.read,
    + [invoicing.raed,
    = roles.clerk: no command, view or query asks for "invoicing.raed""##,
    );
}

#[test]
fn schemas() {
    check(
        r##"
    - '#/schemas/Amount' } } }
    + 'https://example.com/x' } } }
    = schemas.Line.properties.price: $ref "https://example.com/x" must be #/schemas/<name> with a name that stands in schemas

    - '#/schemas/Line'
    + '#/schemas/Lines'
    = aggregates.Invoice.commands.AddLineItem.body: $ref "#/schemas/Lines" must be #/schemas/<name> with a name that stands in schemas
    = aggregates.Invoice.commands.AddLineItem.body: must have type: object

    - { type: object }
    + { $id: x }
    = aggregates.Invoice.events.InvoiceCreated: $id is not supported

    - { type: object }
    + { allOf: [{ not: { $ref: x } }] }
    = aggregates.Invoice.events.InvoiceCreated.allOf.0.not: $ref "x" must be #/schemas/<name> with a name that stands in schemas

    - { type: object }
    + { type: objekt }
    = aggregates.Invoice.events.InvoiceCreated: /type: "objekt" is not valid under any of the schemas listed in the 'anyOf' keyword

    - '^[0-9]{1,15}
    + '(?=x)^[0-9]{1,15}
    = schemas.Amount: /pattern: "(?=x)^[0-9]{1,15}(\\.[0-9]{1,4})?$" is not a "regex"

    - format: date
    + format: dat
    = queries.AgingReport.params: /properties/asOf/format: Unknown format: 'dat'. Adjust configuration to ignore unrecognized formats

    - default: 30
    + default: 3000
    = config.properties.paymentTermDays.default: 3000 is greater than the maximum of 365

    -   Amount:
    +   amount: true\n  Amount:
    = schemas.amount: "amount" must be in PascalCase, letters and digits, 64 at most

    - params: { type: object,
    + params: {
    = queries.AgingReport.params: must have type: object"##,
    );
}

#[test]
fn a_schema_is_not_itself() {
    check(
        r##"
    - { type: string, pattern
    + { anyOf: [{ $ref: '#/schemas/Amount' }], pattern
    = schemas.Amount: refers to itself for one and the same value

    - Line: { type: object,
    + Other: { not: { $ref: '#/schemas/Line' } }\n  Line: { if: { $ref: '#/schemas/Other' }, type: object,
    = schemas.Other: refers to itself for one and the same value
    = schemas.Line: refers to itself for one and the same value"##,
    );
}

#[test]
fn aggregates_and_commands() {
    check(
        r##"
    - ids: 1
    + ids: 1001
    = aggregates.Invoice.commands.AddLineItem.ids: must be at most 1000

    - AddLineItem: {
    + addLineItem: {
    = aggregates.Invoice.commands.addLineItem: "addLineItem" must be in PascalCase, letters and digits, 64 at most
    = routes.POST /invoices/{id}/line-items: there is no command "AddLineItem"

    - stateVersion: 2
    + stateVersion: 0
    = aggregates.Invoice.stateVersion: must be at least 1

    - events: { ReceivableRaised: , ReceivableSettled: }
    + events: {}
    = aggregates.ReceivablesAccount.events: an aggregate without events has no state

    - events: { ReceivableRaised:
    + events: { InvoiceFinalized:
    = aggregates.ReceivablesAccount.events.InvoiceFinalized: is an event of Invoice too

    -   ReceivablesAccount:\n
    +   ReceivablesAccount:\n    commands: { AddLineItem: {} }\n
    = aggregates.ReceivablesAccount.commands.AddLineItem: is a command of Invoice too

    - view: client.ClientDetail,
    + view: client.ClientList,
    = aggregates.Invoice.commands.CreateInvoice.facts.client.view: needs the permission view:client.ClientList

    - view: client.ClientDetail,
    + view: invoicing.InvoiceList,
    = aggregates.Invoice.commands.CreateInvoice.facts.client.view: write "InvoiceList" for its own "invoicing.InvoiceList"

    - view: client.ClientDetail,
    + view: client,
    = aggregates.Invoice.commands.CreateInvoice.facts.client.view: "client" must be an own Name or another module's <module>.<Name>

    - view: InvoiceDetail,
    + view: Detail,
    = aggregates.Invoice.commands.FinalizeInvoice.facts.self.view: there is no view "Detail"

    - /data/clientId
    + /state/clientId
    = aggregates.Invoice.commands.CreateInvoice.facts.client.id: /state/clientId cannot be there: the command creates its aggregate

    - aggregate: ReceivablesAccount
    + aggregate: Account
    = aggregates.Invoice.commands.FinalizeInvoice.related.account.aggregate: there is no aggregate "Account"

    - claims: [number]
    + claims: [Number, x, x]
    = aggregates.Invoice.commands.FinalizeInvoice.claims: "x" stands here twice
    = aggregates.Invoice.commands.FinalizeInvoice.claims: "Number" must be in camelCase, letters and digits, 64 at most

    - permission: invoicing.finalize
    + permission: client.finalize
    = roles.clerk: no command, view or query asks for "invoicing.finalize"
    = aggregates.Invoice.commands.FinalizeInvoice.permission: permission "client.finalize" must be invoicing.<word> in lowercase"##,
    );
}

#[test]
fn numbers() {
    check(
        r##"
    - sequence: 'invoice-{year}'
    + sequence: invoice
    = aggregates.Invoice.commands.FinalizeInvoice.numbers.invoice: {year} must stand in both sequence and format, or in neither

    - INV-{year}-{number:06}
    + INV-{number:06}
    = aggregates.Invoice.commands.FinalizeInvoice.numbers.invoice: {year} must stand in both sequence and format, or in neither

    - INV-{year}-{number:06}
    + INV-{year}
    = aggregates.Invoice.commands.FinalizeInvoice.numbers.invoice.format: must hold {number} or {number:0N} once

    - invoice-{year}
    + invoice-{year}-{number}
    = aggregates.Invoice.commands.FinalizeInvoice.numbers.invoice.sequence: cannot hold {number}

    - invoice-{year}
    + invoice-{year}-{month}
    = aggregates.Invoice.commands.FinalizeInvoice.numbers.invoice: {month} must stand in both sequence and format, or in neither

    - 'invoice-{year}', format: 'INV-{year}
    + 'invoice-{month}', format: 'INV-{month}
    = aggregates.Invoice.commands.FinalizeInvoice.numbers.invoice.sequence: {month} needs {year} beside it"##,
    );
}

#[test]
fn read_models() {
    check(
        r##"
    - [grandTotal, amountDue]
    + [grandTotal, 'a..b', grandTotal]
    = collections.invoices.decimals: "a..b" must be field names of letters, digits, _ and -, joined by dots
    = collections.invoices.decimals: "grandTotal" stands here twice

    - [clientId]]
    + []]
    = collections.invoices.indexes: an index has 1 to 8 fields

    - [clientId]]
    + [$where]]
    = collections.invoices.indexes: "$where" must be field names of letters, digits, _ and -, joined by dots

    - [clientId]]
    + [status, dueDate]]
    = collections.invoices.indexes: "status, dueDate" stands here twice

    - [clientId]]
    + [a], [a1], [a2], [a3], [a4], [a5], [a6], [a7], [a8], [a9], [a10], [a11], [a12], [a13], [a14], [a15]]
    = collections.invoices.indexes: at most 16 indexes

    - collections:\n
    + collections:\n  Other_One: {}\n
    = collections.Other_One: "Other_One" must be in camelCase, letters and digits, 64 at most

    - projections:\n
    + projections:\n  Other: { version: 0, events: [], collections: [invoices] }\n
    = collections.invoices: only one projection may write it, not Other and Invoices
    = projections.Other.version: must be at least 1
    = projections.Other.events: a projection without events does nothing

    - events: [InvoiceCreated,
    + events: [InvoiceLost, client.ClientLost,
    = projections.Invoices.events: there is no event "InvoiceLost"
    = projections.Invoices.events: needs the permission events:client.ClientLost

    - collections: [invoices] }\nviews
    + collections: [] }\nviews
    = projections.Invoices.collections: a projection without collections has nowhere to write

    - collections: [invoices] }\nviews
    + collections: [lines] }\nviews
    = projections.Invoices.collections: there is no collection "lines"

    - InvoiceDetail: { collection: invoices,
    + InvoiceDetail: { collection: lines,
    = views.InvoiceDetail.collection: there is no collection "lines"

    - '-dueDate,_id'
    + '-dueDate,,'
    = views.InvoiceList.defaultSort: "-dueDate,," must be like -issuedAt,_id

    - fields: [number]
    + fields: ['']
    = views.InvoiceList.fields: "" must be field names of letters, digits, _ and -, joined by dots

    - } }, collections: [invoices]
    + } }, collections: [lines]
    = queries.AgingReport.collections: there is no collection "lines""##,
    );
}

#[test]
fn routes() {
    check(
        r##"
    - GET /invoices:
    + POST /invoices:
    = routes.POST /invoices: views and queries are reached by GET
    = routes.POST /invoices: collides with POST /invoices

    - POST /invoices:
    + GET /invoices:
    = routes.GET /invoices: GET is for views and queries
    = routes.GET /invoices: collides with GET /invoices

    - POST /invoices:
    + POST /invoices/{id}:
    = routes.POST /invoices/{id}: CreateInvoice gets a fresh id, its path cannot hold {id}

    - POST /invoices/{id}/finalize
    + POST /invoices/finalize
    = routes.POST /invoices/finalize: the path must hold {id}: FinalizeInvoice needs a target

    - {lineId}
    + {line}
    = routes.DELETE /invoices/{id}/line-items/{line}: the body of RemoveLineItem has no property for {line}

    - view InvoiceList\n
    + view Invoices\n
    = routes.GET /invoices: there is no view "Invoices"

    - query AgingReport
    + query Aging
    = routes.GET /reports/aging: there is no query "Aging"

    - GET /invoices:
    + GET /clients/{clientId}/invoices:
    = routes.GET /clients/{clientId}/invoices: a view's path can hold {id} only, not {clientId}

    - GET /reports/aging
    + GET /{report}/aging
    = routes.GET /{report}/aging: a path cannot start with a parameter, or with marketplace or plugins or sessions

    - GET /reports/aging
    + GET /plugins/aging
    = routes.GET /plugins/aging: a path cannot start with a parameter, or with marketplace or plugins or sessions

    - GET /reports/aging
    + GET /marketplace/aging
    = routes.GET /marketplace/aging: a path cannot start with a parameter, or with marketplace or plugins or sessions

    - GET /reports/aging
    + GET /sessions/aging
    = routes.GET /sessions/aging: a path cannot start with a parameter, or with marketplace or plugins or sessions

    - GET /reports/aging
    + GET /invoices/{asOf}/
    = routes.GET /invoices/{asOf}/: a path must be /-separated segments of lowercase letters, digits and hyphens, or {parameters} in camelCase

    - GET /reports/aging
    + GET /invoices/{asOf}
    = routes.GET /invoices/{asOf}: collides with GET /invoices/{id}

    - GET /reports/aging
    + GET /invoices/{asOf}/finalize
    = routes.GET /invoices/{asOf}/finalize: must name its parameters as POST /invoices/{id}/finalize does

    - query AgingReport
    + query AgingReport\n  - POST /invoices/{id}/{what}: command FinalizeInvoice
    = routes.POST /invoices/{id}/{what}: the body of FinalizeInvoice has no property for {what}

    - {lineId}
    + {id}
    = routes.DELETE /invoices/{id}/line-items/{id}: "id" stands here twice"##,
    );
}
