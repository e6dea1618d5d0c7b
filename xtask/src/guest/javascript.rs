//! JavaScript: QuickJS and the script in one component, made by the npm package `componentize-qjs`.
//!
//! The folder has `module.js`, `world.wit` with the world `module`, and `package.json` and `package-lock.json` that
//! fix the version of the tool. Its packages are installed below the target folder, never in the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{inputs, wit};
use crate::debian;
use crate::shell::{find, run, say};
use crate::workspace::{Workspace, files_below};

/// Sees to it that node and npm are here, and the tool in the version that the folder asks for.
///
/// # Errors
/// When they are not and cannot be installed; says how to.
pub(super) fn ensure_tools(workspace: &Workspace, folder: &Path) -> Result<()> {
    if find("node").is_none() || find("npm").is_none() {
        debian::ensure(&["nodejs", "npm"], "making components of JavaScript")?;
    }
    let work = work_folder(workspace, folder);
    let wanted = [folder.join("package.json"), folder.join("package-lock.json")];
    inputs::once(&wanted, &work.join("node_modules"), || {
        say(&format!("installing the tool that {} asks for", folder.display()));
        fs::create_dir_all(&work)?;
        for file in &wanted {
            fs::copy(file, work.join(file.file_name().unwrap_or_default()))?;
        }
        let mut npm = workspace.command("npm");
        // Keeps to the lock as `npm ci` does, which would refuse it: the tool names bindings for machines that nobody
        // has published.
        run(npm
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&work))
    })
}

/// Makes the component in `folder`, as yet without its manifest.
///
/// # Errors
/// When the WIT or the script is wrong.
pub(super) fn component(workspace: &Workspace, folder: &Path) -> Result<Vec<u8>> {
    let work = work_folder(workspace, folder);
    let mut sources = wit::lay_out(workspace, folder, &work.join("wit"))?;
    sources.extend(files_below(folder)?);
    let component = work.join("module.wasm");
    inputs::once(&sources, &component, || {
        say(&format!("making a component of {}", folder.display()));
        let mut tool = workspace.command(work.join("node_modules/.bin/componentize-qjs"));
        // Without the imports of WASI, which no component here needs, and without asynchronous exports.
        tool.args(["--sync", "--stub-wasi", "--world", "module", "--wit"])
            .arg(work.join("wit"));
        run(tool
            .arg("--js")
            .arg(folder.join("module.js"))
            .arg("--output")
            .arg(&component))
    })?;
    fs::read(&component).with_context(|| format!("read {}", component.display()))
}

fn work_folder(workspace: &Workspace, folder: &Path) -> PathBuf {
    workspace
        .target
        .join("guest/javascript")
        .join(folder.file_name().unwrap_or_default())
}
