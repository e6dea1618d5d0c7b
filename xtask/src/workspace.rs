//! Where things lie: the checkout, and the folder for all that is built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

/// A checkout and its target folder.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// `CARGO_TARGET_DIR`, or `target` in the root.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The checkout that `cargo xtask` was called in.
    ///
    /// # Errors
    /// When the working directory cannot be told.
    pub(crate) fn find() -> Result<Self> {
        // Set by `cargo run`: a binary in a shared target folder may have been built from another checkout.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("xtask/ lies in no folder")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => env::current_dir()?.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The cargo that runs this task, in the root.
    pub(crate) fn cargo(&self) -> Command {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// Any program, in the root and with the target folder as here.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        // What cargo told this program about itself is not true of the programs that it starts.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Where components are laid: `<name>.wasm`, and those of the tests in `test/`.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("components")
    }

    /// The host's program.
    pub(crate) fn millwork(&self) -> PathBuf {
        self.program("millwork")
    }

    /// Any of the programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }
}

/// The folders in `folder` that hold `marker`, by name; none when `folder` is not there.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn folders_with(folder: &Path, marker: &str) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.join(marker).is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Every file below `folder`, by path; what `node_modules` holds is not ours.
///
/// # Errors
/// When a folder cannot be read.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("read {}", next.display()))? {
            let path = entry?.path();
            if !path.is_dir() {
                files.push(path);
            } else if !path.ends_with("node_modules") {
                folders.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
