//! The contract keeps its promises: `wit/` against the golden copy, by wit-component's semver check.
//!
//! A golden copy that was released is never edited. While a package is at 0.x, UPDATE_GOLDEN=1 takes the present files.

use std::fs;
use std::path::{Path, PathBuf};

use millwork_tests::artifacts;
use tempfile::TempDir;
use wit_component::{WitPrinter, semver_check};
use wit_parser::{PackageId, Resolve, WorldId};

/// The package of worlds.
const GUEST: &str = "guest";
/// The package of what components export. The semver check would let it lose functions.
const EXPORTED: &str = "module";
/// What all packages have now, and what the golden copy gets so that both can be loaded at once.
const VERSION: &str = "@0.1.0";
const GOLDEN_VERSION: &str = "@0.0.1";
/// The same for drafts of WASI; a draft of 0.1.0 has its part above.
const DRAFTS: [(&str, &str); 2] = [("@0.2.0-draft2", "@0.0.2-draft2"), ("@0.2.0-rc.1", "@0.0.2-rc.1")];

fn golden() -> PathBuf {
    artifacts::repository().join("tests/it/golden/wit")
}

/// All `.wit` files below a folder, by their path in it.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "wit") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(folder).unwrap().to_path_buf(), text));
            }
        }
    }
    found.sort();
    found
}

/// A folder with these files, changed.
fn laid_out(files: &[(PathBuf, String)], change: impl Fn(&str) -> String) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, change(text)).unwrap();
    }
    folder
}

/// Whether what is built for the worlds of `old` works with those of `new`, world by world.
fn compare(old: &[(PathBuf, String)], new: &[(PathBuf, String)]) -> Result<(), String> {
    let old = laid_out(old, |text| {
        let text = text.replace(VERSION, GOLDEN_VERSION);
        let rename = |text: String, (now, golden): &(&str, &str)| text.replace(now, golden);
        DRAFTS.iter().fold(text, rename)
    });
    let new = laid_out(new, str::to_owned);
    let mut resolve = Resolve::default();
    let (old, _) = resolve
        .push_dir(old.path())
        .map_err(|error| format!("{error:#}"))?;
    let (new, _) = resolve
        .push_dir(new.path())
        .map_err(|error| format!("{error:#}"))?;
    let names: Vec<String> = resolve.packages[old].worlds.keys().cloned().collect();
    for name in names {
        let Some(world) = world(&resolve, new, &name) else {
            return Err(format!("world {name} is gone"));
        };
        let before = world_of(&resolve, old, &name);
        semver_check(resolve.clone(), before, world).map_err(|error| format!("world {name}: {error:#}"))?;
    }
    if text_of(&resolve, old, EXPORTED) != text_of(&resolve, new, EXPORTED) {
        return Err(format!(
            "{EXPORTED} is exported, and what is exported never changes"
        ));
    }
    Ok(())
}

/// A package that the worlds use, without comments and versions.
fn text_of(resolve: &Resolve, worlds: PackageId, name: &str) -> String {
    let version = resolve.packages[worlds].name.version.clone();
    let found = resolve
        .packages
        .iter()
        .find(|(_, package)| package.name.name == name && package.name.version == version);
    let mut printer = WitPrinter::default();
    printer
        .emit_docs(false)
        .print(resolve, found.unwrap().0, &[])
        .unwrap();
    printer
        .output
        .to_string()
        .replace(GOLDEN_VERSION, "")
        .replace(VERSION, "")
}

fn world(resolve: &Resolve, package: PackageId, name: &str) -> Option<WorldId> {
    resolve.packages[package].worlds.get(name).copied()
}

fn world_of(resolve: &Resolve, package: PackageId, name: &str) -> WorldId {
    world(resolve, package, name).unwrap()
}

#[test]
fn components_built_for_the_golden_contract_still_run() {
    let present = files(&artifacts::repository().join("wit"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::remove_dir_all(golden()).ok();
        for (path, text) in &present {
            fs::create_dir_all(golden().join(path).parent().unwrap()).unwrap();
            fs::write(golden().join(path), text).unwrap();
        }
    }
    compare(&files(&golden()), &present).unwrap();
}

#[test]
fn all_packages_have_the_version_that_this_test_takes_for_granted() {
    for (path, text) in files(&golden()) {
        let mut packages = text.lines().filter(|line| line.starts_with("package "));
        let drafts = DRAFTS.map(|(now, _)| now);
        let known = [VERSION, "@0.1.0-draft"].into_iter().chain(drafts);
        let known: Vec<String> = known.map(|version| format!("{version};")).collect();
        assert!(
            packages.all(|package| known.iter().any(|version| package.ends_with(version))),
            "{}",
            path.display()
        );
        assert!(!text.contains(GOLDEN_VERSION), "{}", path.display());
    }
    let guest = files(&golden())
        .into_iter()
        .any(|(_, text)| text.contains(&format!("package millwork:{GUEST}{VERSION};")));
    assert!(guest, "the worlds are in millwork:{GUEST}");
}

/// Whether the contract with one change keeps its promises.
fn changed(file: &str, from: &str, to: &str) -> Result<(), String> {
    let golden = files(&golden());
    let mut changed = golden.clone();
    let (_, text) = changed.iter_mut().find(|(path, _)| path.ends_with(file)).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    *text = text.replacen(from, to, 1);
    compare(&golden, &changed)
}

#[track_caller]
fn kept(file: &str, from: &str, to: &str) {
    changed(file, from, to).unwrap();
}

#[track_caller]
fn broken(file: &str, from: &str, to: &str) {
    assert!(changed(file, from, to).is_err(), "{file}: {from:?} -> {to:?}");
}

#[test]
fn each_kind_of_change_is_told_apart() {
    const COUNT: &str = "count: func(collection: string, filter: json) -> result<u64, error>;";
    // What the host gives may grow by functions, and not shrink or change.
    kept(
        "documents.wit",
        COUNT,
        &format!("{COUNT}\n    exists: func(id: string) -> bool;"),
    );
    broken("documents.wit", COUNT, "");
    broken(
        "documents.wit",
        COUNT,
        "count: func(collection: string) -> result<u64, error>;",
    );
    broken("documents.wit", "limit: u32,", "limit: u64,");
    broken("documents.wit", "unavailable,", "unavailable,\n        busy,");
    broken("cache.wit", "ttl-ms: u32", "ttl-seconds: u32");
    // What components export never changes: not a function more, which old ones would not have.
    broken(
        "exports.wit",
        "evolve: func(of: subject, events: list<event>) -> json;",
        "",
    );
    broken(
        "exports.wit",
        "health: func()",
        "ping: func();\n    health: func()",
    );
    broken("exports.wit", "-> result<decision, rejection>;", "-> decision;");
    broken(
        "types.wit",
        "version: u64,",
        "version: u64,\n        tenant: string,",
    );
    broken(
        "types.wit",
        "forbidden(reason),",
        "forbidden(reason),\n        other(string),",
    );
}
