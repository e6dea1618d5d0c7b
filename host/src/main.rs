//! The process `millwork`.

use std::process::ExitCode;

// In the C library threads that allocate wait for each other: docs/decisions/0017-an-allocator-of-its-own.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    millwork_host::cli::main()
}
