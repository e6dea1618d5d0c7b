//! Where the things under test are: the host's program and the components.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The host's program: `MILLWORK_BIN`, else `millwork` of the build that this executable belongs to.
#[must_use]
pub fn program() -> PathBuf {
    env::var_os("MILLWORK_BIN").map_or_else(|| profile_folder().join("millwork"), PathBuf::from)
}

/// The folder of components: `MILLWORK_COMPONENTS`, else `components` in the target folder.
#[must_use]
pub fn components() -> PathBuf {
    env::var_os("MILLWORK_COMPONENTS").map_or_else(|| profile_folder().join("../components"), PathBuf::from)
}

/// The bytes of a component by its file's name without the extension.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn component(name: &str) -> Vec<u8> {
    let file = components().join(format!("{name}.wasm"));
    fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask guest` makes it", file.display()))
}

/// The bytes of a component of the tests, if its tools were here when they were built.
#[must_use]
pub fn test_component(name: &str) -> Option<Vec<u8>> {
    fs::read(components().join("test").join(format!("{name}.wasm"))).ok()
}

/// A component without its signature, if it has one, and with another manifest.
///
/// # Panics
/// When it is no component with a manifest.
#[must_use]
pub fn with_manifest(wasm: &[u8], change: impl Fn(&str) -> String) -> Vec<u8> {
    let mut kept = wasm.split_at(PREAMBLE_BYTES).0.to_vec();
    let mut rest = wasm.split_at(PREAMBLE_BYTES).1;
    let mut manifest = None;
    while let Some((id, after)) = rest.split_first() {
        let (size, after) = leb128(after);
        let (content, after) = after.split_at(size);
        let (section, next) = rest.split_at(rest.len() - after.len());
        rest = next;
        let (name, text) = if *id == 0 { named(content) } else { ("", content) };
        match name {
            "millwork:manifest" => manifest = Some(std::str::from_utf8(text).expect("text")),
            "millwork:signature" => {}
            _ => kept.extend_from_slice(section),
        }
    }
    let name = b"millwork:manifest";
    let text = change(manifest.expect("a manifest"));
    let content = [&leb128_of(name.len()), name.as_slice(), text.as_bytes()].concat();
    [kept, vec![0], leb128_of(content.len()), content].concat()
}

/// Magic number and version of a component.
const PREAMBLE_BYTES: usize = 8;

/// A custom section's name and content.
fn named(content: &[u8]) -> (&str, &[u8]) {
    let (length, rest) = leb128(content);
    let (name, text) = rest.split_at(length);
    (std::str::from_utf8(name).expect("a name"), text)
}

/// An unsigned number as WebAssembly writes it, and what follows.
fn leb128(mut bytes: &[u8]) -> (usize, &[u8]) {
    let (mut value, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = rest;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (value, bytes)
}

fn leb128_of(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Debian's `docker-registry`: `MILLWORK_DOCKER_REGISTRY`, else where `cargo xtask test` unpacks it, if it is there.
#[must_use]
pub fn docker_registry() -> Option<PathBuf> {
    let unpacked = || profile_folder().join("../tools/usr/bin/docker-registry");
    let program = env::var_os("MILLWORK_DOCKER_REGISTRY").map_or_else(unpacked, PathBuf::from);
    program.is_file().then_some(program)
}

/// The program of a server that the tests start, if it is there: in the folder that `MILLWORK_TEST_SERVERS` names, else in
/// the one that `cargo xtask test` installs such programs into, else among those of the system.
#[must_use]
pub fn server_program(name: &str) -> Option<PathBuf> {
    let installed = profile_folder().join("../servers/bin");
    let first = env::var_os("MILLWORK_TEST_SERVERS").map_or(installed, PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(first)
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// The folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ stands in a folder")
        .to_path_buf()
}

/// `target/release` for an executable in it, or one folder below.
fn profile_folder() -> PathBuf {
    let executable = env::current_exe().expect("this executable has a path");
    let folder = executable.parent().expect("an executable stands in a folder");
    let folder = if folder.ends_with("deps") {
        folder.parent().expect("deps/ stands in a folder")
    } else {
        folder
    };
    folder.to_path_buf()
}
