//! What no compiler checks: which way dependencies point, and how files look.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use millwork_tests::artifacts;
use regex::Regex;

/// Lines of a file, tests left out; the aim is 300.
const LINES_MAX: usize = 500;

/// A source file: its path in the repository, and its text.
struct Source {
    path: String,
    text: String,
}

/// All Rust files of the repository.
fn sources() -> Vec<Source> {
    let root = artifacts::repository();
    let mut folders: Vec<PathBuf> = FOLDERS
        .iter()
        .map(|folder| root.join(folder))
        .filter(|path| path.is_dir())
        .collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source {
                    path: path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
                    text,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 100, "{} files", found.len());
    found
}

const FOLDERS: [&str; 7] = [
    "xtask",
    "registry",
    "host",
    "sdk-guest",
    "components",
    "plugins-examples",
    "tests",
];

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    fn is_test(&self) -> bool {
        self.is_in("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Without comments and tests, which stand last.
    fn code(&self) -> String {
        let end = self
            .text
            .find("\n#[cfg(test)]\nmod tests")
            .unwrap_or(self.text.len());
        let lines = self.text[..end]
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Collects what breaks a rule, so that one run shows all of it.
fn assert_none(rule: &str, broken: impl IntoIterator<Item = String>) {
    let broken: Vec<String> = broken.into_iter().collect();
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn each_file_says_what_it_is() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "));
    assert_none("the first line is `//! `", silent.map(|source| source.path));
}

#[test]
fn modules_stand_beside_their_folders() {
    let mods = sources()
        .into_iter()
        .filter(|source| source.path.ends_with("/mod.rs"));
    assert_none(
        "`foo.rs` beside `foo/`, never mod.rs",
        mods.map(|source| source.path),
    );
}

#[test]
fn files_have_one_noun() {
    let long = sources().into_iter().filter_map(|source| {
        let end = source
            .text
            .find("\n#[cfg(test)]\nmod tests")
            .unwrap_or(source.text.len());
        let lines = source.text[..end].lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", source.path))
    });
    assert_none("files have at most 500 lines", long);
}

#[test]
fn nothing_is_left_to_do() {
    // Put together here, so that this file does not find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"]].map(|parts| parts.concat());
    let marked = sources()
        .into_iter()
        .filter(|source| marks.iter().any(|mark| source.text.contains(mark)));
    assert_none("what is not done is absent", marked.map(|source| source.path));
}

#[test]
fn no_glob_imports() {
    let glob = Regex::new(r"(?m)^\s*(pub )?use [^;]*\*").unwrap();
    let globs = sources()
        .into_iter()
        .filter(|source| !source.is_test() && glob.is_match(&source.code()));
    assert_none("imports are named", globs.map(|source| source.path));
}

#[test]
fn only_one_file_names_statuses() {
    let status = Regex::new(r"StatusCode::[A-Z]").unwrap();
    let naming = sources()
        .into_iter()
        .filter(|source| source.is_in("host/") && source.path != "host/src/http/problem.rs");
    let naming = naming.filter(|source| status.is_match(&source.code()));
    assert_none(
        "only http/problem.rs names HTTP statuses",
        naming.map(|source| source.path),
    );
}

#[test]
fn only_bindings_are_generated() {
    let generating = sources()
        .into_iter()
        .filter(|source| source.is_in("host/") && source.code().contains("bindgen!"));
    assert_eq!(
        generating.map(|source| source.path).collect::<Vec<_>>(),
        ["host/src/bindings.rs"]
    );
}

#[test]
fn only_the_engine_enters_components() {
    let entering = sources().into_iter().filter(|source| {
        let may = ["host/src/engine", "host/src/bindings.rs", "host/src/capability/"]
            .iter()
            .any(|part| source.is_in(part));
        source.is_in("host/src/") && !may && Regex::new(r"\bwasmtime::").unwrap().is_match(&source.code())
    });
    assert_none("only engine/ uses wasmtime", entering.map(|source| source.path));
}

#[test]
fn the_host_knows_no_business() {
    let words = Regex::new(r"(?i)invoice|customer|payment|warehouse|receivable").unwrap();
    let knowing = sources()
        .into_iter()
        .filter(|source| source.is_in("host/src/") && !source.is_test());
    let knowing = knowing.filter_map(|source| {
        words
            .find(&source.code())
            .map(|word| format!("{}: {}", source.path, word.as_str()))
    });
    assert_none("the host contains no word of the business", knowing);
}

/// The host's modules, each of which may use those before it.
const HOST_ORDER: [&[&str]; 18] = [
    &[
        "error",
        "config",
        "blocking",
        "secret_file",
        "sqlite",
        "mongodb",
        "redis_link",
        "bindings",
    ],
    &["artifact"],
    &["event_store"],
    &["capability"],
    &["registry_store"],
    &["backends"],
    &["engine"],
    &["tenant"],
    &["replay"],
    &["project"],
    &["dispatch"],
    &["query"],
    &["deliver"],
    &["migrate"],
    &["host"],
    &["telemetry"],
    &["http"],
    &["cli"],
];
/// Uses that go against the order: who, whom. Each is a type that the earlier module names in an error or a field.
const HOST_EXCEPTIONS: [(&str, &str); 6] = [
    ("error", "artifact"),
    ("error", "capability"),
    ("error", "engine"),
    ("error", "event_store"),
    ("error", "migrate"),
    ("tenant", "project"),
];

#[test]
fn the_hosts_modules_depend_one_way() {
    let rank: BTreeMap<&str, usize> = HOST_ORDER
        .iter()
        .enumerate()
        .flat_map(|(rank, names)| names.iter().map(move |name| (*name, rank)))
        .collect();
    let used = Regex::new(r"\bcrate::(\w+)").unwrap();
    let mut broken = Vec::new();
    for source in sources()
        .into_iter()
        .filter(|source| source.is_in("host/src/") && !source.is_test())
    {
        let part = source
            .path
            .trim_start_matches("host/src/")
            .split(['/', '.'])
            .next()
            .unwrap()
            .to_owned();
        let Some(own) = rank.get(part.as_str()) else {
            assert!(
                ["lib", "main"].contains(&part.as_str()),
                "{part} has no place in the order"
            );
            continue;
        };
        for found in used.captures_iter(&source.code()) {
            let other = found.get(1).unwrap().as_str();
            // What starts large is an item of lib.rs.
            let Some(theirs) = rank.get(other) else { continue };
            if theirs > own && !HOST_EXCEPTIONS.contains(&(part.as_str(), other)) {
                broken.push(format!("{} uses {other}", source.path));
            }
        }
    }
    assert_none("the host's modules depend one way (ARCHITECTURE.md)", broken);
}

#[test]
fn capabilities_do_not_know_each_other() {
    let names = [
        "documents",
        "cache",
        "locks",
        "rate_limits",
        "search",
        "messaging",
        "blobs",
    ];
    let mut broken = Vec::new();
    for source in sources()
        .into_iter()
        .filter(|source| source.is_in("host/src/capability/") && !source.is_test())
    {
        let own = names
            .iter()
            .find(|name| source.path.contains(&format!("capability/{name}")));
        let others = names.iter().filter(|name| own.is_some_and(|own| own != *name));
        broken.extend(
            others
                .filter(|name| source.code().contains(&format!("capability::{name}")))
                .map(|name| format!("{} uses {name}", source.path)),
        );
    }
    assert_none("capabilities do not know each other", broken);
}

#[test]
fn backends_do_not_see_the_wit() {
    let seeing = sources().into_iter().filter(|source| {
        let backend = source.is_in("host/src/event_store")
            || source.path.contains("/sqlite")
            || source.path.contains("/memory")
            || source.path.contains("/redis")
            || source.path.contains("/nats")
            || source.path.contains("/files")
            || source.path.contains("/s3");
        source.is_in("host/src/") && backend && source.code().contains("crate::bindings")
    });
    assert_none(
        "backends never see types of the WIT",
        seeing.map(|source| source.path),
    );
}

/// The dependencies of a crate, those for tests left out.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(artifacts::repository().join(manifest)).unwrap();
    let section = text.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_depend_one_way() {
    let check = |manifest: &str, allowed: &[&str]| {
        let ours = dependencies(manifest)
            .into_iter()
            .filter(|name| name.starts_with("millwork-"));
        let wrong = ours.filter(|name| !allowed.contains(&name.as_str()));
        assert_none(manifest, wrong);
    };
    check("xtask/Cargo.toml", &[]);
    check("registry/Cargo.toml", &[]);
    check("host/Cargo.toml", &["millwork-registry"]);
    check("sdk-guest/Cargo.toml", &[]);
    check("components/client/Cargo.toml", &["millwork-sdk"]);
    check("components/invoicing/Cargo.toml", &["millwork-sdk"]);
    // The SDK for the bench, which runs a module natively beside its component.
    check(
        "tests/Cargo.toml",
        &["millwork-host", "millwork-registry", "millwork-sdk"],
    );
    let native = Regex::new(r"\b(millwork_sdk|invoicing)::").unwrap();
    let knowing = sources()
        .into_iter()
        .filter(|source| source.is_in("tests/it/") && native.is_match(&source.code()));
    assert_none(
        "tests know built components alone",
        knowing.map(|source| source.path),
    );
    let registry = dependencies("registry/Cargo.toml");
    assert!(
        !registry
            .iter()
            .any(|name| name.starts_with("wasmtime") || name == "axum" || name == "tokio"),
        "{registry:?}"
    );
}
