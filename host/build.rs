//! Encodes `wit/` in the binary form of a WIT package, so that components can be held against it when they are published.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// Where the contract is, from this folder.
const WIT: &str = "../wit";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={WIT}");
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(WIT)?;
    let encoded = wit_component::encode(&resolve, package)?;
    let out = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(Path::new(&out).join("contract.wasm"), encoded)?;
    Ok(())
}
