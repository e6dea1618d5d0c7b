//! One folder of WIT for the tools of other languages, which take a world by name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::{Workspace, files_below};

/// Lays `world.wit` of a component's folder and all packages of the repository's `wit/` as its dependencies below
/// `to`, and gives the files that they were made of.
///
/// # Errors
/// When something cannot be read or written.
pub(super) fn lay_out(workspace: &Workspace, folder: &Path, to: &Path) -> Result<Vec<PathBuf>> {
    let wit = workspace.root.join("wit");
    let worlds = wit.join("world.wit");
    let own = folder.join("world.wit");
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    copy(&own, &to.join("world.wit"))?;
    copy(&worlds, &to.join("deps/guest/world.wit"))?;
    let mut sources = files_below(&wit.join("deps"))?;
    for source in &sources {
        copy(source, &to.join(source.strip_prefix(&wit)?))?;
    }
    sources.extend([worlds, own]);
    Ok(sources)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("a file in no folder")?)?;
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    Ok(())
}
