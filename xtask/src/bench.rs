//! `cargo xtask bench`: everything the benchmarks need, then the benchmarks.

use std::path::Path;

use anyhow::Result;

use crate::build;
use crate::guest;
use crate::servers;
use crate::shell::{run, say};
use crate::workspace::Workspace;

/// Where the benchmarks write what they measured, below the target folder.
const RESULTS: &str = "bench.json";

/// Builds the host and the components, then runs the benchmarks with `arguments`.
///
/// They are told by `MILLWORK_BENCH_JSON` where to write, and by the variables of the tests where things are.
///
/// # Errors
/// When something does not compile, or a benchmark fails.
pub(crate) fn bench(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    build::build(workspace)?;
    build::program(workspace, "bench")?;
    guest::build_test_guests(workspace, &[])?;
    let servers = servers::install(workspace);
    let results = workspace.target.join(RESULTS);
    say("running the benchmarks");
    let mut bench = workspace.command(workspace.program("bench"));
    bench
        .args(arguments)
        .env("MILLWORK_COMPONENTS", workspace.components())
        .env("MILLWORK_BIN", workspace.millwork())
        .env("MILLWORK_TEST_SERVERS", &servers.programs);
    run(bench.env("MILLWORK_BENCH_JSON", &results))?;
    report(&results);
    Ok(())
}

fn report(results: &Path) {
    if results.is_file() {
        eprintln!("\nresults: {}", results.display());
    }
}
