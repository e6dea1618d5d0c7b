//! What a component must be to be published. Components are written as text; their code does nothing.

use super::{RELEASE_BYTES_MAX, Release, embed, sign};
use crate::key::KeyPair;
use crate::manifest::tests::GOOD;

/// What a module with everything in [`GOOD`] exports.
const EXPORTS: [&str; 3] = [
    "millwork:module/aggregates@0.1.0",
    "millwork:module/projections@0.1.0",
    "millwork:module/queries@0.1.0",
];

/// A component that imports and exports empty instances of these names.
fn component(imports: &[&str], exports: &[&str]) -> Vec<u8> {
    let imports: String = imports
        .iter()
        .map(|name| format!("(import {name:?} (instance))"))
        .collect();
    let exports: String = exports
        .iter()
        .map(|name| format!("(instance) (export {name:?} (instance E))"))
        .collect();
    let numbered = exports.split("instance E").enumerate().map(|(n, part)| match n {
        0 => part.to_owned(),
        n => format!(
            "instance {}{part}",
            imports.matches("(import").count() + 2 * (n - 1)
        ),
    });
    wat::parse_str(format!("(component {imports} {})", numbered.collect::<String>())).unwrap()
}

/// A release of this manifest, complete.
pub(crate) fn release(manifest: &str) -> Vec<u8> {
    embed(&component(&[], &EXPORTS), manifest).unwrap()
}

/// The key of the publisher in [`GOOD`], or of another; the number makes it another key.
pub(crate) fn key(publisher: &str, number: u8) -> KeyPair {
    KeyPair::new(publisher, &[number; 32]).unwrap()
}

/// A release of this manifest, complete and signed.
pub(crate) fn signed(manifest: &str) -> Vec<u8> {
    sign(&release(manifest), &key("millwork", 1)).unwrap()
}

#[track_caller]
fn check(imports: &[&str], exports: &[&str], manifest: &str, expected: Result<(), &str>) {
    let bytes = embed(&component(imports, exports), manifest).unwrap();
    let found = Release::read(&bytes, 7)
        .map(drop)
        .map_err(|error| error.to_string());
    assert_eq!(found, expected.map_err(str::to_owned));
}

#[test]
fn a_release_says_what_it_is() {
    let bytes = release(GOOD);
    let release = Release::read(&bytes, 7).unwrap();
    assert_eq!(
        (release.name.as_str(), release.version.to_string().as_str()),
        ("invoicing", "1.0.0")
    );
    assert_eq!(
        (release.size_bytes, release.published_at_ms),
        (bytes.len() as u64, 7)
    );
    assert_eq!((release.publisher.as_str(), release.key), ("millwork", None));
    assert_eq!(release.digest, crate::id::Digest::of(&bytes));
    assert_eq!(release.manifest.routes.len(), 7);
}

#[test]
fn imports_of_wasi_proposals() {
    let cache = GOOD.replace("  - documents\n", "  - documents\n  - cache\n");
    let refused = |text: &str, why: &str| {
        check(
            &[text],
            &EXPORTS,
            GOOD,
            Err(&format!("imports refused: {text} {why}")),
        );
    };
    let config = "wasi:config/store@0.2.0-rc.1";
    check(
        &[config, "wasi:logging/logging@0.1.0-draft"],
        &EXPORTS,
        GOOD,
        Ok(()),
    );
    for name in [
        "wasi:keyvalue/store@0.2.0-draft2",
        "wasi:keyvalue/atomics@0.2.0-draft2",
    ] {
        refused(name, "needs the permission cache");
        check(&[name], &EXPORTS, &cache, Ok(()));
    }
    refused("wasi:keyvalue/store@0.2.0-draft", "is not known to this host");
    refused("wasi:keyvalue/batch@0.2.0-draft2", "is not known to this host");
    refused("wasi:logging/logging", "is not known to this host");
}

#[test]
fn imports() {
    let cache = GOOD.replace("  - documents\n", "  - documents\n  - cache\n");
    check(
        &[
            "millwork:documents/documents@0.1.0",
            "millwork:platform/log@0.1.0",
        ],
        &EXPORTS,
        GOOD,
        Ok(()),
    );
    check(
        &["millwork:platform/clock@0.1.0", "millwork:platform/random@0.1.0"],
        &EXPORTS,
        GOOD,
        Ok(()),
    );
    check(
        &["millwork:module/types@0.1.0", "millwork:cache/cache@0.1.0"],
        &EXPORTS,
        &cache,
        Ok(()),
    );
    check(
        &["wasi:cli/environment@0.2.0", "wasi:io/streams@0.2.12"],
        &EXPORTS,
        GOOD,
        Ok(()),
    );
    let refused = |text: &str, why: &str| {
        check(
            &[text],
            &EXPORTS,
            GOOD,
            Err(&format!("imports refused: {text} {why}")),
        );
    };
    refused("millwork:cache/cache@0.1.0", "needs the permission cache");
    refused(
        "millwork:documents/documents@0.2.0",
        "is not known to this host, which gives 0.1.0",
    );
    refused(
        "millwork:documents/documents@0.1.1",
        "is not known to this host, which gives 0.1.0",
    );
    refused("millwork:documents/secrets@0.1.0", "is not known to this host");
    refused("millwork:documents/documents", "is not known to this host");
    refused(
        "wasi:http/outgoing-handler@0.2.4",
        "needs the permission http:outbound",
    );
    refused("wasi:http/outgoing-handler@0.3.0", "is not known to this host");
    refused("wasi:http/proxy@0.2.4", "is not known to this host");
    refused("wasi:cli/environment@0.3.0", "is not known to this host");
    refused("wasi:cli/run@0.2.0", "is not known to this host");
    refused("env", "is not known to this host");
    check(
        &["wasi:nn/tensor@0.2.0", "millwork:cache/cache@0.1.0"],
        &EXPORTS,
        GOOD,
        Err(
            "imports refused: wasi:nn/tensor@0.2.0 is not known to this host; \
             millwork:cache/cache@0.1.0 needs the permission cache",
        ),
    );
}

#[test]
fn requests_to_other_servers_are_declared() {
    let imports = ["wasi:http/types@0.2.4", "wasi:http/outgoing-handler@0.2.4"];
    for permission in ["http:outbound", "http:outbound:api.example.com"] {
        let manifest = GOOD.replace("  - documents\n", &format!("  - documents\n  - {permission}\n"));
        check(&imports, &EXPORTS, &manifest, Ok(()));
    }
}

#[test]
fn a_function_cannot_pass_for_an_interface() {
    let text = r#"(component (import "millwork:platform/log@0.1.0" (func)))"#;
    // The component model itself allows interfaces to be instances only.
    let refused = wat::parse_str(text).map(|bytes| {
        Release::read(&embed(&bytes, GOOD).unwrap(), 7)
            .unwrap_err()
            .code()
    });
    assert!(
        matches!(refused, Err(_) | Ok("not-a-component" | "imports-refused")),
        "{refused:?}"
    );
    let text = r#"(component (import "log" (func)))"#;
    let bytes = embed(&wat::parse_str(text).unwrap(), GOOD).unwrap();
    let error = Release::read(&bytes, 7).unwrap_err().to_string();
    assert_eq!(error, "imports refused: func log is not known to this host");
}

#[test]
fn exports() {
    let more = [
        &EXPORTS[..],
        &["init", "millwork:module/lifecycle@0.1.0", "a:b/c@9.0.0"],
    ]
    .concat();
    check(&[], &more, GOOD, Ok(()));
    let missing = |exports: &[&str], what: &str| {
        check(&[], exports, GOOD, Err(&format!("exports missing: {what}")));
    };
    missing(&EXPORTS[1..], "millwork:module/aggregates@0.1.0");
    missing(
        &EXPORTS[..1],
        "millwork:module/projections@0.1.0, millwork:module/queries@0.1.0",
    );
    missing(
        &["millwork:module/aggregates@0.2.0", EXPORTS[1], EXPORTS[2]],
        "millwork:module/aggregates@0.1.0",
    );
    missing(
        &["millwork:module/aggregates@0.1.9", EXPORTS[1], EXPORTS[2]],
        "millwork:module/aggregates@0.1.0",
    );
    check(
        &[],
        &[],
        "{manifest: 1, name: a, version: 1.0.0, publisher: b, description: c, licence: MIT}",
        Ok(()),
    );
}

#[test]
fn what_is_no_component_is_refused() {
    let refused = |bytes: &[u8]| Release::read(bytes, 7).unwrap_err().to_string();
    assert_eq!(refused(b""), "not a valid component: not WebAssembly");
    assert_eq!(refused(b"#!/bin/sh"), "not a valid component: not WebAssembly");
    assert_eq!(
        refused(&wat::parse_str("(module)").unwrap()),
        "not a valid component: a core module, not a component"
    );
    let whole = release(GOOD);
    for length in [9, whole.len() / 2, whole.len() - 1] {
        assert!(
            refused(&whole[..length]).starts_with("not a valid component: "),
            "{length} bytes"
        );
    }
    assert_eq!(
        refused(&vec![0; RELEASE_BYTES_MAX + 1]),
        "component of 67108865 bytes is over the limit of 67108864"
    );
}

#[test]
fn what_the_engine_does_not_run_is_refused() {
    let refused = |module: &str| {
        let bytes = wat::parse_str(format!("(component (core module {module}))")).unwrap();
        let error = Release::read(&embed(&bytes, GOOD).unwrap(), 7).unwrap_err();
        assert_eq!(error.code(), "not-a-component", "{module}: {error}");
    };
    refused("(memory 1 1 shared)");
    refused("(type (struct (field i32)))");
    refused("(tag)");
    refused("(func (result i32) i64.const 0)");
}

#[test]
fn a_component_has_one_manifest() {
    let bare = component(&[], &EXPORTS);
    let refused = |bytes: &[u8]| Release::read(bytes, 7).unwrap_err().to_string();
    assert_eq!(
        refused(&bare),
        "a component must have one custom section millwork:manifest, not 0"
    );
    let once = embed(&bare, GOOD).unwrap();
    let section = &once[bare.len()..];
    assert_eq!(
        refused(&[&once, section].concat()),
        "a component must have one custom section millwork:manifest, not 2"
    );
    assert_eq!(embed(&once, GOOD).unwrap_err().code(), "manifest-sections");
    assert_eq!(
        embed(&bare, "manifest: 2").unwrap_err().code(),
        "manifest-malformed"
    );
    assert_eq!(embed(b"\0asm", GOOD).unwrap_err().code(), "not-a-component");
}

#[test]
fn a_manifest_within_a_module_of_the_component_does_not_count() {
    let text = r#"(component (core module (@custom "millwork:manifest" "x")) (component (@custom "millwork:manifest" "y")))"#;
    let bytes = wat::parse_str(text).unwrap();
    assert_eq!(Release::read(&bytes, 7).unwrap_err().code(), "manifest-sections");
    let minimal = "{manifest: 1, name: a, version: 1.0.0, publisher: b, description: c, licence: MIT}";
    assert_eq!(
        Release::read(&embed(&bytes, minimal).unwrap(), 7).unwrap().name,
        "a"
    );
}
