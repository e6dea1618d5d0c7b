//! C: bindings from the WIT, then clang with Debian's libc for WebAssembly.
//!
//! The folder has `module.c` and `world.wit` with the world `module`; the bindings' header is `module.h`. What needs
//! no standard input and output imports nothing of WASI.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};
use wit_bindgen_core::Files;
use wit_parser::Resolve;

use super::{inputs, wit};
use crate::debian;
use crate::shell::{run, say};
use crate::workspace::{Workspace, files_below};

const DEBIAN_PACKAGES: [&str; 4] = ["clang-19", "lld-19", "wasi-libc", "libclang-rt-19-dev-wasm32"];

/// The world's name in `world.wit`, and hence the name of the generated files.
const WORLD: &str = "module";

/// Sees to it that the compiler is here.
///
/// # Errors
/// When it is not and cannot be installed; says how to.
pub(super) fn ensure_tools() -> Result<()> {
    debian::ensure(&DEBIAN_PACKAGES, "compiling C to WebAssembly")
}

/// Compiles the component in `folder` to a core module.
///
/// # Errors
/// When the WIT or the C is wrong.
pub(super) fn module(workspace: &Workspace, folder: &Path) -> Result<Vec<u8>> {
    let name = folder.file_name().unwrap_or_default();
    let work = workspace.target.join("guest/c").join(name);
    let mut sources = wit::lay_out(workspace, folder, &work.join("wit"))?;
    sources.extend(files_below(folder)?);
    // Knows the version of the generator.
    sources.push(workspace.root.join("Cargo.lock"));
    let module = work.join("module.wasm");
    inputs::once(&sources, &module, || {
        say(&format!("compiling {}", folder.display()));
        generate_bindings(&work)?;
        compile(workspace, folder, &work, &module)
    })?;
    Ok(fs::read(&module)?)
}

fn generate_bindings(work: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(work.join("wit"))?;
    let world = resolve
        .select_world(&[package], Some(WORLD))
        .map_err(|error| anyhow!("{error:#}"))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)?;
    for (name, content) in files.iter() {
        fs::write(work.join(name), content)?;
    }
    Ok(())
}

fn compile(workspace: &Workspace, folder: &Path, work: &Path, module: &Path) -> Result<()> {
    let mut clang = workspace.command("clang-19");
    clang.args([
        "--target=wasm32-wasi",
        "-mexec-model=reactor",
        "-O2",
        "-std=c17",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]);
    clang.args([
        "--sysroot=/usr",
        "-isystem",
        "/usr/include/wasm32-wasi",
        "-L/usr/lib/wasm32-wasi",
    ]);
    clang.args(["-fuse-ld=/usr/bin/wasm-ld-19", "-Wl,--strip-debug"]);
    clang.arg("-isystem").arg(work).arg(folder.join("module.c"));
    // Not ours to keep free of warnings.
    clang
        .args(["-Wno-error", "-w"])
        .arg(work.join(format!("{WORLD}.c")));
    clang
        .arg(work.join(format!("{WORLD}_component_type.o")))
        .arg("-o")
        .arg(module);
    run(&mut clang)
}
