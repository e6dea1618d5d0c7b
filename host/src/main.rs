//! The process `millwork`.

use std::process::ExitCode;

// Threads that allocate at once would wait for each other in that of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    millwork_host::cli::main()
}
