//! Compiled components on disk, by digest: compile once, map many times.
//!
//! The folder's name holds the engine's compatibility hash, so that another wasmtime, CPU or setting compiles anew. This
//! is the one module that loads machine code, which is only ever code that this host wrote: each file has a checksum
//! beside it, and a file that does not match is compiled again.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::LoadError;

/// The component with this digest, mapped from `folder` or compiled into it.
pub(super) fn load(
    engine: &Engine,
    folder: &Path,
    digest: &str,
    wasm: &[u8],
) -> Result<Component, LoadError> {
    let folder = folder.join(compatibility(engine));
    let code = folder.join(format!("{digest}.cwasm"));
    if let Some(component) = map(engine, &code) {
        return Ok(component);
    }
    let start = std::time::Instant::now();
    let machine_code = engine.precompile_component(wasm)?;
    tracing::info!(
        digest,
        ms = start.elapsed().as_millis(),
        bytes = machine_code.len(),
        "component compiled"
    );
    if let Err(error) = save(&folder, &code, &machine_code) {
        // It runs all the same, and is compiled again when it is loaded next.
        tracing::warn!(file = %code.display(), %error, "a compiled component cannot be kept");
        return take(engine, &machine_code);
    }
    map(engine, &code).ok_or_else(|| LoadError(format!("cannot load {} just compiled", code.display())))
}

fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn checksum_of(code: &Path) -> PathBuf {
    code.with_extension("sha256")
}

/// The component in the file, or nothing when it is absent, damaged or made for another engine or CPU.
#[expect(unsafe_code, reason = "mapping machine code is what this module is for")]
fn map(engine: &Engine, code: &Path) -> Option<Component> {
    let expected = fs::read_to_string(checksum_of(code)).ok()?;
    let actual = hex::encode(Sha256::digest(fs::read(code).ok()?));
    if expected != actual {
        tracing::warn!(file = %code.display(), "compiled component is damaged, compiling again");
        return None;
    }
    // SAFETY: the file's content is what `save` wrote: `precompile_component`'s output, as the checksum beside it shows.
    // Nobody but the owner of the data folder can write there, and files are replaced by renames, never in place.
    let component = unsafe { Component::deserialize_file(engine, code) };
    component
        .inspect_err(|error| tracing::info!(%error, "compiled component does not fit, compiling again"))
        .ok()
}

/// The component of code that was compiled a moment ago.
#[expect(unsafe_code, reason = "taking machine code is what this module is for")]
fn take(engine: &Engine, machine_code: &[u8]) -> Result<Component, LoadError> {
    // SAFETY: `load` calls this with `precompile_component`'s output as it came, of the same engine.
    Ok(unsafe { Component::deserialize(engine, machine_code) }?)
}

/// Writes code, then its checksum: a crash between the two leaves a file that [`map`] does not take.
fn save(folder: &Path, code: &Path, machine_code: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let checksum = checksum_of(code);
    if checksum.exists() {
        fs::remove_file(&checksum)?;
    }
    replace(code, machine_code)?;
    replace(&checksum, hex::encode(Sha256::digest(machine_code)).as_bytes())
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension(format!("{}.tmp", uuid::Uuid::now_v7()));
    let written = write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The first error is the one that counts; the folder may be deleted at any time.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
