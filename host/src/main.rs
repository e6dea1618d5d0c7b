//! The process `millwork`.

use std::process::ExitCode;

fn main() -> ExitCode {
    millwork_host::cli::main()
}
