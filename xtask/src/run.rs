//! `cargo xtask run`: a host to try things on.

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

use crate::build;
use crate::shell::say;
use crate::workspace::Workspace;

/// Builds, then becomes `millwork serve --demo`, which says when it is ready and what to ask it first: whatever the
/// terminal sends, Ctrl-C above all, goes to the host.
///
/// # Errors
/// When the build fails or the host cannot be started.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    build::build(workspace)?;
    let mut serve = workspace.command(workspace.millwork());
    serve.arg("serve");
    if !is_given(arguments, "--demo") {
        serve.arg("--demo");
    }
    let (data, components) = (workspace.target.join("data"), workspace.components());
    let defaults = [
        ("--data", data.as_os_str()),
        ("--listen", "127.0.0.1:8080".as_ref()),
        ("--components", components.as_os_str()),
    ];
    for (option, value) in defaults {
        if !is_given(arguments, option) {
            serve.arg(option).arg(value);
        }
    }
    say("starting the host; Ctrl-C ends it, and what it knows stays");
    Err(serve.args(arguments).exec()).context("start the host")
}

/// Whether the arguments have `--option`, `--option value` or `--option=value`.
fn is_given(arguments: &[String], option: &str) -> bool {
    arguments
        .iter()
        .any(|argument| argument.split('=').next() == Some(option))
}
