//! The component's bytes: whether they are valid, what they import and export, and the custom sections within.

use serde::Serialize;
use wasmparser::{ComponentTypeRef, Parser, Payload, Validator, WasmFeatures};

use crate::Error;
use crate::manifest::Manifest;

/// Name of the custom section that holds the manifest, as text.
const SECTION: &str = "millwork:manifest";

/// What the host's engine compiles: WebAssembly 3.0 without garbage collection, threads and exceptions, and the
/// component model without its async ABI. What is refused here would fail there.
const FEATURES: WasmFeatures = WasmFeatures::WASM3
    .difference(WasmFeatures::GC_TYPES)
    .difference(WasmFeatures::EXCEPTIONS)
    .difference(WasmFeatures::THREADS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Names at the top level of a component, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Interfaces {
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

pub(super) fn validate(bytes: &[u8]) -> Result<(), Error> {
    if !Parser::is_component(bytes) {
        let found = if Parser::is_core_wasm(bytes) {
            "a core module, not a component"
        } else {
            "not WebAssembly"
        };
        return Err(Error::NotComponent(found.to_owned()));
    }
    Validator::new_with_features(FEATURES)
        .validate_all(bytes)
        .map(drop)
        .map_err(malformed)
}

pub(super) fn interfaces(bytes: &[u8]) -> Result<Interfaces, Error> {
    let mut found = Interfaces::default();
    for_top_level(bytes, |payload| {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import.map_err(malformed)?;
                    found.imports.push(label(import.name.name, import.ty));
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    found
                        .exports
                        .push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// Only instances are interfaces. Anything else gets a name that no interface has, so that it is refused by it.
fn label(name: &str, ty: ComponentTypeRef) -> String {
    match ty {
        ComponentTypeRef::Instance(_) => name.to_owned(),
        other => format!("{} {name}", other.kind().desc()),
    }
}

/// The one manifest of a component.
pub(super) fn manifest(bytes: &[u8]) -> Result<Manifest, Error> {
    let sections = custom_sections(bytes, SECTION)?;
    let [section] = sections.as_slice() else {
        return Err(Error::ManifestSections {
            found: sections.len(),
        });
    };
    let text = std::str::from_utf8(section).map_err(|_| Error::ManifestSyntax("not UTF-8".to_owned()))?;
    Manifest::parse(text)
}

/// What the custom sections of this name hold.
pub(super) fn custom_sections<'a>(bytes: &'a [u8], name: &str) -> Result<Vec<&'a [u8]>, Error> {
    let mut sections = Vec::new();
    for_top_level(bytes, |payload| {
        if let Payload::CustomSection(section) = payload
            && section.name() == name
        {
            sections.push(section.data());
        }
        Ok(())
    })?;
    Ok(sections)
}

/// The same component without the custom sections of this name.
pub(super) fn without(bytes: &[u8], name: &str) -> Result<Vec<u8>, Error> {
    let mut kept = Vec::with_capacity(bytes.len());
    // Sections follow one another without a gap, so one starts, with its id and length, where the last one ended.
    let (mut copied, mut ended) = (0, 0);
    for_top_level(bytes, |payload| {
        let end = match &payload {
            Payload::Version { range, .. } => range.end,
            other => other.as_section().map_or(ended, |(_, range)| range.end),
        };
        if matches!(&payload, Payload::CustomSection(section) if section.name() == name) {
            kept.extend_from_slice(bytes.get(copied..ended).unwrap_or_default());
            copied = end;
        }
        ended = end;
        Ok(())
    })?;
    kept.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    Ok(kept)
}

/// Sections of the component itself, not of the modules and components within.
fn for_top_level<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(Payload<'a>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(malformed)?;
        let opens = matches!(
            payload,
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. }
        );
        match payload {
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload if depth == 0 => each(payload)?,
            _ => {}
        }
        depth += usize::from(opens);
    }
    Ok(())
}

fn malformed(error: wasmparser::BinaryReaderError) -> Error {
    Error::NotComponent(error.to_string())
}

/// Puts a manifest into a component that has none, as the custom section `millwork:manifest`.
///
/// # Errors
/// Those of [`Manifest::parse`]; [`Error::NotComponent`]; [`Error::ManifestSections`] when it has one already.
pub fn embed(component: &[u8], manifest: &str) -> Result<Vec<u8>, Error> {
    Manifest::parse(manifest)?;
    if !Parser::is_component(component) {
        return Err(Error::NotComponent("not a component".to_owned()));
    }
    let found = custom_sections(component, SECTION)?.len();
    if found > 0 {
        return Err(Error::ManifestSections { found: found + 1 });
    }
    Ok([component, &custom_section(SECTION, manifest.as_bytes())].concat())
}

/// A custom section (WebAssembly core specification, 5.5.3): id 0, then name and content as one vector of bytes.
pub(super) fn custom_section(name: &str, content: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(content.len() + name.len() + 8);
    push_bytes(&mut body, name.as_bytes());
    body.extend_from_slice(content);
    let mut section = vec![0];
    push_bytes(&mut section, &body);
    section
}

/// A vector of bytes: its length as unsigned LEB128, then the bytes.
fn push_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes.len();
    while rest > 0x7f {
        to.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    to.push(low_bits(rest));
    to.extend_from_slice(bytes);
}

/// The lowest seven bits.
fn low_bits(number: usize) -> u8 {
    number.to_le_bytes().first().map_or(0, |byte| byte & 0x7f)
}
