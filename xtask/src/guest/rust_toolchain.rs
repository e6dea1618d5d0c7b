//! Which Rust compiles for WebAssembly on this machine, and how it is asked to.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::shell::{find, output, run, say};
use crate::workspace::Workspace;

/// No WASI: a component then imports what the WIT says and nothing else.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// A Rust toolchain, its standard library, its sources and a linker for WebAssembly.
const DEBIAN_PACKAGES: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "lld-22",
];

/// A Rust that has the target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RustToolchain {
    /// The one that runs this task: its standard library for the target is installed.
    Own,
    /// Debian's, beside the one that runs this task; the standard library is built from its sources.
    Debian,
}

impl RustToolchain {
    /// The one that runs this task if it has the target or can get it, else Debian's.
    ///
    /// # Errors
    /// When neither is here and neither can be installed; says what to install.
    pub(super) fn find(workspace: &Workspace) -> Result<Self> {
        if has_target(workspace) || add_target(workspace) {
            return Ok(Self::Own);
        }
        debian::ensure(&DEBIAN_PACKAGES, "compiling Rust to WebAssembly").with_context(|| {
            format!("no Rust toolchain here has the target {TARGET}; `rustup target add {TARGET}` is one way to it")
        })?;
        Ok(Self::Debian)
    }

    /// Its cargo, in the root; the arguments, first of all the subcommand, are to be added.
    ///
    /// # Errors
    /// When it cannot be told where cargo keeps what it downloads.
    pub(super) fn cargo(self, workspace: &Workspace) -> Result<Command> {
        let mut cargo = match self {
            Self::Own => workspace.cargo(),
            Self::Debian => debian_cargo(workspace),
        };
        // Flags meant for the machine's own code would break the guests.
        cargo
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.env("CARGO_BUILD_TARGET", TARGET);
        cargo.env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            remap_paths(workspace)?,
        );
        Ok(cargo)
    }
}

fn has_target(workspace: &Workspace) -> bool {
    let sysroot = output(workspace.command("rustc").args(["--print", "sysroot"]));
    sysroot.is_ok_and(|sysroot| {
        Path::new(&sysroot)
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib")
            .is_dir()
    })
}

/// Whether rustup has added the target.
fn add_target(workspace: &Workspace) -> bool {
    if env::var_os("RUSTUP_AUTO_INSTALL").is_some_and(|value| value == "0") || find("rustup").is_none() {
        return false;
    }
    say(&format!("adding {TARGET} to the Rust toolchain"));
    run(workspace.command("rustup").args(["target", "add", TARGET])).is_ok() && has_target(workspace)
}

fn debian_cargo(workspace: &Workspace) -> Command {
    let mut cargo = workspace.command("/usr/bin/cargo");
    // Debian ships no standard library for the target but its sources, and building it is an unstable feature.
    cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
    cargo.env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
    // Set for the toolchain that runs this task.
    for name in [
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "RUSTUP_HOME",
        "LD_LIBRARY_PATH",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        cargo.env_remove(name);
    }
    cargo
}

/// Keeps this machine's folders out of the components, which are the same wherever they are built.
fn remap_paths(workspace: &Workspace) -> Result<String> {
    let home =
        env::var_os("CARGO_HOME").or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo").into()));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    Ok([remap(&workspace.root, "."), remap(Path::new(&home), "cargo")].join(" "))
}
