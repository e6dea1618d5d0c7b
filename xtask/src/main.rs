//! The tasks of this repository: `cargo xtask <task>`.
//!
//! Each sets up what it needs on a bare machine, says what it does, asks nothing, and takes seconds the second time.
//! None of the workspace's own crates is used here, so that a task runs whatever state they are in.

mod bench;
mod build;
mod check;
mod debian;
mod guest;
mod run;
mod servers;
mod shell;
mod test;
mod workspace;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

const HELP: &str = "\
cargo xtask <task> [-- arguments]

  run     build, then serve with a demo tenant on 127.0.0.1:8080; arguments go to `millwork serve`
  build   the host and the components: target/release/millwork, target/components/*.wasm
  guest   the components alone, those of the tests included (target/components/test/*.wasm); arguments name some
  test    all tests; arguments go to `cargo test`, such as a part of a test's name
  check   formatting, lints, dependencies
  bench   the benchmarks; arguments go to them

CARGO_TARGET_DIR moves target/. Nothing is downloaded through rustup where RUSTUP_AUTO_INSTALL=0.";

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let task = arguments.next().unwrap_or_else(|| "help".to_owned());
    let mut rest: Vec<String> = arguments.collect();
    if rest.first().is_some_and(|first| first == "--") {
        rest.remove(0);
    }
    let workspace = Workspace::find()?;
    match task.as_str() {
        "run" => run::run(&workspace, &rest),
        "build" => build::build(&workspace),
        "guest" => build::guests(&workspace, &rest),
        "test" => test::test(&workspace, &rest),
        "check" => check::check(&workspace),
        "bench" => bench::bench(&workspace, &rest),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("there is no task {other}\n\n{HELP}"),
    }
}
