//! `cargo xtask test`: everything the tests need, then the tests.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::build::{self, EVERYTHING};
use crate::debian;
use crate::guest::{self, NotBuilt};
use crate::servers;
use crate::shell::{run, say};
use crate::workspace::Workspace;

/// Builds the host and all components, then runs `cargo test` with `filters` added to its arguments.
///
/// The tests are told by `MILLWORK_COMPONENTS` where the components are, by `MILLWORK_BIN` where the host is, and by
/// `MILLWORK_TEST_SERVERS` where the programs of the servers are that they start. A component or a server that cannot be had
/// is not there; the tests that need it say that they are not run, and so does the end of this task.
///
/// # Errors
/// When something does not compile, or a test fails.
pub(crate) fn test(workspace: &Workspace, filters: &[String]) -> Result<()> {
    guest::build_components(workspace, &[])?;
    let mut not_built = guest::build_test_guests(workspace, &[])?;
    let registry = oci_registry(workspace)
        .map_err(|missing| not_built.push(missing))
        .ok();
    let servers = servers::install(workspace);
    not_built.extend(servers.missing);
    say("building the host and the tests");
    // Both at once: the features of what they share are then the same, and it is compiled once.
    run(workspace
        .cargo()
        .args(["build", "--release", "--bins", "--tests"])
        .args(EVERYTHING))?;
    say("running the tests");
    let outcome = run_tests(workspace, filters, registry.as_deref(), &servers.programs);
    say(if outcome.is_ok() {
        "all tests that were run passed"
    } else {
        "tests failed"
    });
    if not_built.is_empty() {
        eprintln!("not run for lack of a tool: none");
    } else {
        eprintln!(
            "not run for lack of a tool, the tests that need:\n{}",
            build::list(&not_built)
        );
    }
    outcome
}

/// The OCI registry that releases are pushed to.
fn oci_registry(workspace: &Workspace) -> Result<PathBuf, NotBuilt> {
    const NAME: &str = "docker-registry";
    debian::unpacked(NAME, NAME, &workspace.target.join("tools")).map_err(|error| NotBuilt {
        name: NAME.to_owned(),
        reason: format!("{error:#}"),
    })
}

fn run_tests(
    workspace: &Workspace,
    filters: &[String],
    registry: Option<&Path>,
    servers: &Path,
) -> Result<()> {
    if filters.is_empty() {
        run(workspace
            .cargo()
            .args(["test", "--profile", "xtask", "--package", "xtask"]))?;
    }
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--release", "--no-fail-fast"]);
    if !filters
        .iter()
        .any(|filter| filter == "-p" || filter.starts_with("--package"))
    {
        cargo.args(EVERYTHING);
    }
    cargo.args(filters);
    cargo
        .env("MILLWORK_COMPONENTS", workspace.components())
        .env("MILLWORK_BIN", workspace.millwork())
        .env("MILLWORK_TEST_SERVERS", servers);
    if let Some(registry) = registry {
        cargo.env("MILLWORK_DOCKER_REGISTRY", registry);
    }
    run(&mut cargo)
}
