//! Indexes, added to the good manifest: what is refused of them, and what is understood.

use crate::manifest::tests::GOOD;
use crate::manifest::{IndexKind, Manifest};

fn with(indexes: &str) -> String {
    GOOD.replace("  - documents\n", "  - documents\n  - search\n")
        .replace("collections:\n", &format!("indexes:\n{indexes}\ncollections:\n"))
}

#[track_caller]
fn refused(indexes: &str, problem: &str) {
    let error = Manifest::parse(&with(indexes)).unwrap_err().to_string();
    assert!(error.contains(problem), "{error}");
}

#[test]
fn fields_have_types_and_may_be_suggested() {
    let manifest = Manifest::parse(&with(
        "  notes: { fields: { title: text suggested, tags: keyword, total: decimal, due: date, n: number } }",
    ))
    .unwrap();
    let fields: Vec<_> = manifest.indexes["notes"]
        .fields
        .iter()
        .map(|(name, field)| (name.as_str(), field.kind, field.suggested))
        .collect();
    assert_eq!(
        fields,
        [
            ("title", IndexKind::Text, true),
            ("tags", IndexKind::Keyword, false),
            ("total", IndexKind::Decimal, false),
            ("due", IndexKind::Date, false),
            ("n", IndexKind::Number, false),
        ]
    );
    // What is written down is read again.
    let again = serde_json::to_string(&manifest.indexes).unwrap();
    assert!(again.contains(r#""title":"text suggested""#), "{again}");
}

#[test]
fn what_is_no_index_is_refused_with_its_place() {
    refused(
        "  Notes: { fields: { t: text } }",
        r#"indexes.Notes: "Notes" must be in camelCase"#,
    );
    refused(
        "  notes: { fields: { 'a.b': text } }",
        r#"indexes.notes.fields: "a.b" must be in camelCase"#,
    );
    refused(
        "  notes: { fields: { t: keyword } }",
        "indexes.notes.fields: an index needs a field of the type text",
    );
    refused(
        "  notes: { fields: {} }",
        "indexes.notes.fields: an index needs a field of the type text",
    );
    refused(
        "  notes: { fields: { t: text, f: float } }",
        r#"field "float" must be text, keyword"#,
    );
    refused(
        "  notes: { fields: { t: text, f: number suggested } }",
        r#"field "number suggested" must be text"#,
    );
    refused(
        "  notes: { fields: { t: text }, boost: 2 }",
        "unknown field `boost`",
    );
}

#[test]
fn an_index_needs_the_permission() {
    let error = Manifest::parse(&with("  notes: { fields: { t: text } }").replace("  - search\n", ""));
    let expected = "manifest: indexes.notes: needs the permission search";
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[test]
fn too_much_is_refused() {
    let many: String = (0..17)
        .map(|n| format!("  i{n}: {{ fields: {{ t: text }} }}\n"))
        .collect();
    refused(&many, "indexes: at most 16 indexes");
    let wide: String = (0..65).map(|n| format!("f{n}: text, ")).collect();
    refused(
        &format!("  notes: {{ fields: {{ {wide} }} }}"),
        "indexes.notes.fields: at most 64 fields",
    );
}
