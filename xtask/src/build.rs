//! `cargo xtask build` and `cargo xtask guest`: what the other tasks need to be there.

use anyhow::{Result, bail};

use crate::guest::{self, NotBuilt};
use crate::shell::{run, say};
use crate::workspace::Workspace;

/// All packages but the tasks', which have a profile of their own.
pub(crate) const EVERYTHING: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// Builds all that a user runs: `target/release/millwork` and `target/components/*.wasm`.
///
/// # Errors
/// When a tool is missing and cannot be installed, or something does not compile.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    guest::build_components(workspace, &[])?;
    say("building the host");
    program(workspace, "millwork")?;
    eprintln!("\nbuilt {}", workspace.millwork().display());
    eprintln!("      {}/*.wasm", workspace.components().display());
    Ok(())
}

/// Builds one program. Of all packages, as the tests are: so what they share has the same features, and is compiled once.
///
/// # Errors
/// When something does not compile.
pub(crate) fn program(workspace: &Workspace, name: &str) -> Result<()> {
    run(workspace
        .cargo()
        .args(["build", "--release", "--bin", name])
        .args(EVERYTHING))
}

/// Builds every component, those of the tests included, or `only` those named.
///
/// # Errors
/// As [`build`]; and when a component of the tests cannot be built here for lack of a tool.
pub(crate) fn guests(workspace: &Workspace, only: &[String]) -> Result<()> {
    guest::build_components(workspace, only)?;
    let not_built = guest::build_test_guests(workspace, only)?;
    eprintln!("\nbuilt {}", workspace.components().display());
    if not_built.is_empty() {
        return Ok(());
    }
    bail!("not everything could be built here:\n{}", list(&not_built));
}

/// One line for each component that could not be built.
pub(crate) fn list(not_built: &[NotBuilt]) -> String {
    let lines = not_built
        .iter()
        .map(|one| format!("  {}: {}", one.name, one.reason));
    lines.collect::<Vec<_>>().join("\n")
}
