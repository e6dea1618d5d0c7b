//! Manifests that are too large, and shapes that look like mistakes but are none.

use crate::manifest::tests::GOOD;
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};

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
}

#[test]
fn too_many_schemas_are_refused_before_they_are_compiled() {
    let many: String = (0..500).map(|n| format!("  S{n}: true\n")).collect();
    let error = Manifest::parse(&GOOD.replace("schemas:\n", &format!("schemas:\n{many}"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "manifest: schemas: at most 500 schemas, inner ones not counted"
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
fn a_schema_may_contain_itself() {
    let tree = GOOD.replace(
        "properties: { price:",
        "properties: { more: { $ref: '#/schemas/Line' }, price:",
    );
    Manifest::parse(&tree).unwrap();
    let inside = GOOD.replace(
        "pattern:",
        "not: { items: { $ref: '#/schemas/Amount' } }, pattern:",
    );
    Manifest::parse(&inside).unwrap();
}
