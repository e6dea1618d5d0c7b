//! From source to component, and the only file that knows how Rust becomes one.
//!
//! A folder with a `plugin.yaml` is a component; what lies beside it says in which language. The result is one `.wasm`
//! file that carries its manifest, `<folder>.wasm`.

mod c;
mod inputs;
mod javascript;
mod manifest;
mod rust_toolchain;
mod wit;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wasm_encoder::{CustomSection, Section};
use wit_component::ComponentEncoder;

use self::rust_toolchain::{RustToolchain, TARGET};
use crate::shell::{run, say};
use crate::workspace::{Workspace, folders_with};

/// The custom section at a component's top level that holds its `plugin.yaml`.
const MANIFEST_SECTION: &str = "millwork:manifest";

/// A component that could not be built here.
pub(crate) struct NotBuilt {
    /// Its folder's name.
    pub(crate) name: String,
    /// Which tool is missing, and how to get it.
    pub(crate) reason: String,
}

/// One component's source.
struct Guest {
    folder: PathBuf,
    output: PathBuf,
    language: Language,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    C,
    JavaScript,
}

/// Builds `components/*` and `plugins-examples/*` into `target/components/`; of them `only` those named, if any are.
///
/// # Errors
/// When a tool is missing and cannot be installed, or a component does not compile.
pub(crate) fn build_components(workspace: &Workspace, only: &[String]) -> Result<()> {
    let outputs = workspace.components();
    let mut guests = Vec::new();
    for parent in ["components", "plugins-examples"] {
        guests.extend(find_guests(&workspace.root.join(parent), &outputs, only)?);
    }
    let not_built = build_all(workspace, &guests, "building the components")?;
    if let Some(missing) = not_built.first() {
        bail!("{} cannot be built here: {}", missing.name, missing.reason);
    }
    if only.is_empty() {
        remove_others(&outputs, &guests)
    } else {
        Ok(())
    }
}

/// Builds `tests/guests/*` into `target/components/test/`, of them `only` those named, if any are; gives those for
/// which a tool is missing.
///
/// # Errors
/// When one does not compile though its tools are here.
pub(crate) fn build_test_guests(workspace: &Workspace, only: &[String]) -> Result<Vec<NotBuilt>> {
    let outputs = workspace.components().join("test");
    let guests = find_guests(&workspace.root.join("tests/guests"), &outputs, only)?;
    build_all(workspace, &guests, "building the components of the tests")
}

fn build_all(workspace: &Workspace, guests: &[Guest], step: &str) -> Result<Vec<NotBuilt>> {
    if guests.is_empty() {
        return Ok(Vec::new());
    }
    say(step);
    let toolchain = RustToolchain::find(workspace)?;
    let mut not_built = Vec::new();
    for guest in guests {
        if let Err(missing) = guest.ensure_tools(workspace) {
            // A file from an earlier day would be used in its place.
            fs::remove_file(&guest.output).ok();
            not_built.push(NotBuilt {
                name: guest.name().to_owned(),
                reason: format!("{missing:#}"),
            });
            continue;
        }
        guest
            .build(workspace, toolchain)
            .with_context(|| format!("build {}", guest.folder.display()))?;
    }
    Ok(not_built)
}

/// What is left of components that are no longer there: `--demo` would enable it.
fn remove_others(outputs: &Path, guests: &[Guest]) -> Result<()> {
    for entry in fs::read_dir(outputs)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm")
            && guests.iter().all(|g| g.output != path)
        {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn find_guests(parent: &Path, outputs: &Path, only: &[String]) -> Result<Vec<Guest>> {
    let mut folders = folders_with(parent, "plugin.yaml")?;
    folders.retain(|folder| only.is_empty() || only.iter().any(|name| folder.ends_with(name)));
    folders
        .into_iter()
        .map(|folder| Guest::in_folder(folder, outputs))
        .collect()
}

impl Guest {
    fn in_folder(folder: PathBuf, outputs: &Path) -> Result<Self> {
        let languages = [
            ("Cargo.toml", Language::Rust),
            ("module.c", Language::C),
            ("package.json", Language::JavaScript),
        ];
        let language = languages
            .into_iter()
            .find(|(marker, _)| folder.join(marker).is_file());
        let Some((_, language)) = language else {
            bail!(
                "{} has a plugin.yaml, but no Cargo.toml, module.c or package.json",
                folder.display()
            );
        };
        let name = folder
            .file_name()
            .context("a component in no folder")?
            .to_string_lossy();
        let output = outputs.join(format!("{name}.wasm"));
        Ok(Self {
            folder,
            output,
            language,
        })
    }

    /// Whether all its tools are here, once what can be installed has been.
    fn ensure_tools(&self, workspace: &Workspace) -> Result<()> {
        match self.language {
            Language::Rust => Ok(()),
            Language::C => c::ensure_tools(),
            Language::JavaScript => javascript::ensure_tools(workspace, &self.folder),
        }
    }

    fn name(&self) -> &str {
        self.folder
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("?")
    }

    fn build(&self, workspace: &Workspace, toolchain: RustToolchain) -> Result<()> {
        let component = match self.language {
            Language::Rust => encode(&rust_module(workspace, toolchain, &self.folder)?)?,
            Language::C => encode(&c::module(workspace, &self.folder)?)?,
            Language::JavaScript => javascript::component(workspace, &self.folder)?,
        };
        let manifest = manifest::read(&self.folder)?;
        write_if_new(&self.output, &with_manifest(component, manifest.as_bytes()))
    }
}

/// Compiles a crate to a core module.
///
/// The crate is a plain library, because exports with a component's names do not link natively and its tests are
/// native; so the kind that a module needs is asked for here.
fn rust_module(workspace: &Workspace, toolchain: RustToolchain, folder: &Path) -> Result<Vec<u8>> {
    let package = package_name(&folder.join("Cargo.toml"))?;
    // A folder of its own: two versions of cargo would wait for, and undo, each other's work in a shared one.
    let target = workspace.target.join("guest");
    let mut cargo = toolchain.cargo(workspace)?;
    cargo.args([
        "rustc",
        "--profile",
        "guest",
        "--package",
        &package,
        "--lib",
        "--crate-type",
        "cdylib",
    ]);
    run(cargo.env("CARGO_TARGET_DIR", &target))?;
    let module = target
        .join(TARGET)
        .join("guest")
        .join(format!("{}.wasm", package.replace('-', "_")));
    fs::read(&module).with_context(|| format!("read {}", module.display()))
}

/// The first `name = "..."` of a `Cargo.toml`.
fn package_name(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.map(str::to_owned)
        .with_context(|| format!("{} names no package", file.display()))
}

/// A component from a core module, whose custom sections say which worlds it implements.
fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(module)?;
    encoder.encode()
}

/// The component with its manifest, as it is, in a custom section at its end.
fn with_manifest(mut component: Vec<u8>, manifest: &[u8]) -> Vec<u8> {
    CustomSection {
        name: MANIFEST_SECTION.into(),
        data: manifest.into(),
    }
    .append_to(&mut component);
    component
}

/// Lays a file at its place in one step, and only when it says something new: who compares times sees no change.
fn write_if_new(file: &Path, content: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|present| present == content) {
        return Ok(());
    }
    fs::create_dir_all(file.parent().context("a file in no folder")?)?;
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, content)?;
    fs::rename(&unfinished, file)?;
    eprintln!("    {} ({} KiB)", file.display(), content.len().div_ceil(1024));
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload, Validator};

    use super::{MANIFEST_SECTION, encode, with_manifest};

    /// A module without anything.
    const EMPTY: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn manifest_is_found_at_the_top_level_of_a_valid_component() {
        for length in [0, 1, 127, 128, 70_000] {
            let manifest = "m".repeat(length);
            let component = with_manifest(encode(EMPTY).unwrap(), manifest.as_bytes());
            Validator::new().validate_all(&component).unwrap();
            let found: Vec<_> = Parser::new(0)
                .parse_all(&component)
                .filter_map(|payload| match payload.unwrap() {
                    Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => {
                        Some(section.data().to_vec())
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(found, [manifest.into_bytes()]);
        }
    }
}
