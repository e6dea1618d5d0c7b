//! `cargo xtask check`: what must hold before a commit lands, the tests apart.

use anyhow::{Result, bail};

use crate::shell::{run, say, succeeds};
use crate::workspace::Workspace;

/// Formatting, lints, dependencies; all of them are run, whichever fails first.
///
/// # Errors
/// Names the checks that failed.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    ensure_rustup_component(workspace, "fmt", "rustfmt")?;
    ensure_rustup_component(workspace, "clippy", "clippy")?;
    let clippy = [
        "clippy",
        "--release",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    let mut failed = Vec::new();
    for (name, arguments) in [
        ("formatting", &["fmt", "--all", "--check"] as &[&str]),
        ("lints", &clippy),
    ] {
        say(name);
        if let Err(error) = run(workspace.cargo().args(arguments)) {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    let skipped = !succeeds(workspace.cargo().args(["deny", "--version"]));
    if !skipped {
        say("dependencies");
        if let Err(error) = run(workspace
            .cargo()
            .args(["deny", "check", "bans", "licenses", "sources"]))
        {
            eprintln!("{error:#}");
            failed.push("dependencies");
        }
    }
    say("checked");
    if skipped {
        eprintln!("skipped: bans, licences and sources of dependencies (cargo install --locked cargo-deny)");
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("failed: {}", failed.join(", "))
    }
}

/// Adds a part of the Rust toolchain that is not there yet.
fn ensure_rustup_component(workspace: &Workspace, subcommand: &str, component: &str) -> Result<()> {
    if succeeds(workspace.cargo().args([subcommand, "--version"])) {
        return Ok(());
    }
    say(&format!("adding {component} to the Rust toolchain"));
    run(workspace.command("rustup").args(["component", "add", component]))
}
