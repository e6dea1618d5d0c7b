//! What fits and what does not, by role. Components are written as text: each exports instances that it imports under plain
//! names, so that no code is needed.

use super::manifest::{Dependants, changes};
use super::{Contract, broken_exports};
use crate::manifest::Manifest;
use crate::manifest::tests::GOOD;

const DOCUMENTS: &str = "millwork:documents/documents@0.1.0";
const QUERIES: &str = "millwork:module/queries@0.1.0";

/// Functions of an interface that is given.
const GIVEN: &str = r#"
    (type $page (record (field "documents" (list string)) (field "next" (option string))))
    (export "page" (type $p (eq $page)))
    (export "find" (func (param "filter" string) (param "limit" u32) (result $p)))
    (export "count" (func (result u64)))
"#;
/// Functions of an interface that is called.
const CALLED: &str =
    r#"(export "answer" (func (param "query" string) (result (result string (error string)))))"#;

/// What a host with one interface of each role has.
fn contract() -> Contract {
    let text = format!(
        r#"(component
            (type $w (component
                (type (component
                    (import "{DOCUMENTS}" (instance {GIVEN}))
                    (export "{QUERIES}" (instance {CALLED}))))
                (export "millwork:guest/queries@0.1.0" (component (type 0)))))
            (export "queries" (type $w)))"#
    );
    Contract::read(&wat::parse_str(text).unwrap()).unwrap()
}

/// A component with these interfaces: name and functions.
fn component(imports: &[(&str, &str)], exports: &[(&str, &str)]) -> Vec<u8> {
    let imports = imports
        .iter()
        .map(|(name, functions)| format!("(import {name:?} (instance {functions}))"));
    let exports = exports.iter().enumerate().map(|(index, (name, functions))| {
        format!("(import \"own{index}\" (instance $own{index} {functions})) (export {name:?} (instance $own{index}))")
    });
    let body: String = imports.chain(exports).collect();
    wat::parse_str(format!("(component {body})")).unwrap()
}

#[track_caller]
fn fits(imports: &[(&str, &str)], exports: &[(&str, &str)]) {
    contract().check(&component(imports, exports)).unwrap();
}

#[track_caller]
fn differs(imports: &[(&str, &str)], exports: &[(&str, &str)], expected: &str) {
    let error = contract().check(&component(imports, exports)).unwrap_err();
    assert_eq!(error.code(), "interface-incompatible");
    let text = error.to_string();
    let told = text.strip_prefix("it was built against other interfaces than this host's: ");
    assert_eq!(told, Some(expected), "{text}");
}

#[test]
fn an_import_may_need_less_and_an_export_may_give_more() {
    fits(&[(DOCUMENTS, GIVEN)], &[(QUERIES, CALLED)]);
    fits(&[], &[]);
    fits(&[(DOCUMENTS, "")], &[]);
    fits(&[(DOCUMENTS, r#"(export "count" (func (result u64)))"#)], &[]);
    fits(&[], &[(QUERIES, &format!("{CALLED} (export \"more\" (func))"))]);
    // Other interfaces are for others to judge.
    fits(
        &[("wasi:cli/exit@0.2.0", r#"(export "exit" (func))"#)],
        &[("a:b/c@1.0.0", "")],
    );
}

#[test]
fn an_import_must_be_given_as_it_is_needed() {
    let page = |fields: &str| {
        format!(
            r#"(type $page (record {fields}))
               (export "page" (type $p (eq $page)))
               (export "find" (func (param "filter" string) (param "limit" u32) (result $p)))"#
        )
    };
    differs(
        &[(DOCUMENTS, r#"(export "drop-all" (func))"#)],
        &[],
        "import millwork:documents/documents@0.1.0: drop-all is not given by this host",
    );
    differs(
        &[(DOCUMENTS, r#"(export "count" (func (result u32)))"#)],
        &[],
        "import millwork:documents/documents@0.1.0: count: mismatched type for function result: expected u64, found u32",
    );
    differs(
        &[(DOCUMENTS, &page(r#"(field "documents" (list string))"#))],
        &[],
        "import millwork:documents/documents@0.1.0: find: mismatched type for function result: expected a record field \
         count of 2, found a count of 1",
    );
    differs(
        &[(
            DOCUMENTS,
            &page(r#"(field "documents" (list string)) (field "cursor" (option string))"#),
        )],
        &[],
        "import millwork:documents/documents@0.1.0: find: mismatched type for function result: expected record field 1 \
         to be named `next`, found a field named `cursor`",
    );
}

#[test]
fn an_export_must_give_what_is_called() {
    differs(
        &[],
        &[(QUERIES, "")],
        "export millwork:module/queries@0.1.0: answer is missing",
    );
    differs(
        &[],
        &[(
            QUERIES,
            r#"(export "answer" (func (param "question" string) (result (result string (error string)))))"#,
        )],
        "export millwork:module/queries@0.1.0: answer: expected function parameter 0 to be named `query`, found name \
         `question`",
    );
    differs(
        &[(DOCUMENTS, r#"(export "count" (func))"#)],
        &[(
            QUERIES,
            r#"(export "answer" (func (param "query" string) (result string)))"#,
        )],
        "export millwork:module/queries@0.1.0: answer: mismatched type for function result: expected result, found \
         string; import millwork:documents/documents@0.1.0: count: expected function with a result, found function \
         without a result",
    );
}

#[test]
fn a_later_release_may_export_more_and_not_less() {
    let broken = |old: &[(&str, &str)], new: &[(&str, &str)]| {
        broken_exports(&component(&[], old), &component(&[], new))
            .unwrap()
            .join("; ")
    };
    let own = "acme:billing/api@1.0.0";
    let total = r#"(export "total" (func (result u64)))"#;
    assert_eq!(broken(&[(own, total)], &[(own, total), (QUERIES, CALLED)]), "");
    assert_eq!(broken(&[("init", total)], &[]), "");
    assert_eq!(
        broken(&[(own, total), (QUERIES, CALLED)], &[(QUERIES, CALLED)]),
        "export acme:billing/api@1.0.0 is gone"
    );
    assert_eq!(
        broken(
            &[(own, total)],
            &[(own, r#"(export "total" (func (result u32)))"#)]
        ),
        "export acme:billing/api@1.0.0: total: mismatched type for function result: expected u64, found u32"
    );
    assert_eq!(
        broken(&[(own, total)], &[(own, "")]),
        "export acme:billing/api@1.0.0: total is missing"
    );
}

#[test]
fn what_is_no_package_is_no_contract() {
    for bytes in [&b""[..], b"\0asm\x01\0\0\0"] {
        assert_eq!(
            Contract::read(bytes).map(drop).unwrap_err().code(),
            "not-a-component"
        );
    }
}

/// What changes when a manifest is changed so: breaking, then notes.
fn changed(from: &str, to: &str) -> (String, String) {
    let old = GOOD.replace(
        "schema: { type: object } }",
        "schema: { type: object, required: [a], properties: { a: { type: string }, n: { type: number }, \
         l: { type: array, items: { $ref: '#/schemas/Line' } } } } }",
    );
    assert!(old.contains(from), "{from}");
    let new = Manifest::parse(&old.replace(from, to)).unwrap();
    let used = |name: &str| [(name.to_owned(), vec!["crm 1.0.0".to_owned()])].into();
    let dependants = Dependants {
        views: used("InvoiceDetail"),
        events: used("InvoiceCreated"),
    };
    let found = changes(&Manifest::parse(&old).unwrap(), &new, &dependants);
    (found.breaking.join("; "), found.notes.join("; "))
}

#[track_caller]
fn breaks(from: &str, to: &str, expected: &str) {
    let (breaking, _) = changed(from, to);
    assert_eq!(breaking, format!("{expected}, which is used by crm 1.0.0"));
}

#[track_caller]
fn noted(from: &str, to: &str, expected: &str) {
    assert_eq!(changed(from, to), (String::new(), expected.to_owned()));
}

#[test]
fn what_others_name_must_stay() {
    breaks("a: { type: string }, n", "n", "view InvoiceDetail: a is gone");
    breaks(
        "required: [a]",
        "required: []",
        "view InvoiceDetail: a may be absent",
    );
    breaks(
        "a: { type: string }",
        "a: { type: [string, 'null'] }",
        "view InvoiceDetail: a was string and is null or string",
    );
    breaks(
        "n: { type: number }",
        "n: {}",
        "view InvoiceDetail: n was number and is anything",
    );
    breaks(
        "price: { $ref: '#/schemas/Amount' } } }",
        "cost: { $ref: '#/schemas/Amount' } } }",
        "view InvoiceDetail: l[].price is gone",
    );
    breaks(
        "InvoiceDetail: { collection: invoices",
        "InvoiceDetail: { fields: [a], collection: invoices",
        "view InvoiceDetail no longer gives other fields than a",
    );
    breaks(
        "InvoiceCreated: { type: object }",
        "InvoiceCreated: { type: array }",
        "event InvoiceCreated: the whole was object and is array",
    );
}

#[test]
fn the_rest_is_noted() {
    noted("n: { type: number }", "n: { type: integer }", "");
    noted("required: [a], ", "required: [a, n], ", "");
    noted(
        "InvoiceFinalized:\n",
        "InvoiceClosed:\n",
        "event InvoiceFinalized is gone",
    );
    noted(
        "fields: [number]",
        "fields: [dueDate]",
        "view InvoiceList no longer gives number",
    );
    noted(
        "filter: [status]",
        "filter: []",
        "view InvoiceList no longer has the filter status",
    );
    noted(
        "  - GET /reports/aging: query AgingReport\n",
        "",
        "route GET /reports/aging is gone",
    );
    noted(
        "  - documents\n",
        "  - documents\n  - cache\n",
        "permission cache is new: tenants will be asked for it",
    );
}
