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
