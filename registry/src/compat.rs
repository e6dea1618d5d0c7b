//! Whether a component fits the interfaces it names, by role: what it exports must give all that is called there, what it
//! imports must need no more than is given. wac-types judges; this file asks it function by function, and says which.
//!
//! Types are compared by their structure, so a component built against another copy of an interface of the same version
//! is refused where the copies differ in what it uses, and only there.

mod manifest;
mod schema;

use std::collections::HashSet;

use indexmap::IndexMap;
use wac_types::{InterfaceId, ItemKind, Package, SubtypeChecker, Type, Types};

use crate::Error;
use crate::release::{serves, versioned};

pub(crate) use self::manifest::{Dependants, changes};

/// Interfaces by their full name: `millwork:module/queries@0.1.0`.
type Interfaces = IndexMap<String, InterfaceId>;

/// The interfaces that a host gives and calls.
pub struct Contract {
    types: Types,
    /// What components may import.
    given: Interfaces,
    /// What components may export.
    called: Interfaces,
}

impl Contract {
    /// Reads the worlds of a WIT package, in its binary form: all that they import is given, all that they export called.
    ///
    /// # Errors
    /// [`Error::NotComponent`] when it is no such package.
    pub fn read(wit: &[u8]) -> Result<Self, Error> {
        let mut types = Types::default();
        let package = package(wit, &mut types)?;
        let (mut given, mut called) = (Interfaces::new(), Interfaces::new());
        for item in package.definitions().values() {
            if let ItemKind::Type(Type::World(world)) = item {
                given.extend(interfaces(&types[*world].imports));
                called.extend(interfaces(&types[*world].exports));
            }
        }
        Ok(Self { types, given, called })
    }

    /// Whether a component fits. Interfaces that the contract does not have are not looked at.
    ///
    /// # Errors
    /// [`Error::InterfaceIncompatible`] with each function that does not fit, and why; [`Error::NotComponent`].
    pub fn check(&self, component: &[u8]) -> Result<(), Error> {
        let own = Own::read(component)?;
        let mut unfit = Vec::new();
        for (name, exported) in &own.exports {
            if let Some(called) = find(&self.called, name) {
                let lacking = lacking((&own.types, *exported), (&self.types, called), Role::Export);
                unfit.extend(lacking.into_iter().map(|why| format!("export {name}: {why}")));
            }
        }
        for (name, imported) in &own.imports {
            if let Some(given) = find(&self.given, name) {
                let lacking = lacking((&self.types, given), (&own.types, *imported), Role::Import);
                unfit.extend(lacking.into_iter().map(|why| format!("import {name}: {why}")));
            }
        }
        if unfit.is_empty() {
            Ok(())
        } else {
            Err(Error::InterfaceIncompatible(format!(
                "it was built against other interfaces than this host's: {}",
                unfit.join("; ")
            )))
        }
    }
}

/// What a component exported before and no longer does, or no longer in the same way, in words. Plain names are what
/// toolchains leave behind; nobody calls them.
///
/// # Errors
/// [`Error::NotComponent`].
pub(crate) fn broken_exports(old: &[u8], new: &[u8]) -> Result<Vec<String>, Error> {
    let (old, new) = (Own::read(old)?, Own::read(new)?);
    let mut broken = Vec::new();
    for (name, before) in old.exports.iter().filter(|(name, _)| versioned(name).is_some()) {
        match new.exports.get(name) {
            Some(after) => {
                let lacking = lacking((&new.types, *after), (&old.types, *before), Role::Export);
                broken.extend(lacking.into_iter().map(|why| format!("export {name}: {why}")));
            }
            None => broken.push(format!("export {name} is gone")),
        }
    }
    Ok(broken)
}

/// The interfaces of one component.
struct Own {
    types: Types,
    imports: Interfaces,
    exports: Interfaces,
}

impl Own {
    fn read(component: &[u8]) -> Result<Self, Error> {
        let mut types = Types::default();
        let world = package(component, &mut types)?.ty();
        let imports = interfaces(&types[world].imports).collect();
        let exports = interfaces(&types[world].exports).collect();
        Ok(Self {
            types,
            imports,
            exports,
        })
    }
}

fn package(bytes: &[u8], types: &mut Types) -> Result<Package, Error> {
    Package::from_bytes("component", None, bytes, types)
        .map_err(|error| Error::NotComponent(format!("{error:#}")))
}

fn interfaces(items: &IndexMap<String, ItemKind>) -> impl Iterator<Item = (String, InterfaceId)> {
    items.iter().filter_map(|(name, item)| match item {
        ItemKind::Instance(interface) => Some((name.clone(), *interface)),
        _ => None,
    })
}

/// The interface of this name, in a version that serves the one asked for.
fn find(among: &Interfaces, name: &str) -> Option<InterfaceId> {
    let (interface, asked) = versioned(name)?;
    let known = among.iter().find(|(known, _)| {
        versioned(known).is_some_and(|(known, version)| known == interface && serves(&version, &asked))
    });
    known.map(|(_, id)| *id)
}

/// From whose side an error is told.
#[derive(Clone, Copy)]
enum Role {
    Export,
    Import,
}

/// Functions that one interface needs and another does not give in the same way. Named types are not asked for: they
/// count where a function uses them.
fn lacking(
    (giving_types, giving): (&Types, InterfaceId),
    (needing_types, needing): (&Types, InterfaceId),
    role: Role,
) -> Vec<String> {
    let given = &giving_types[giving].exports;
    let needed = needing_types[needing].exports.iter();
    let needed = needed.filter(|(_, item)| !matches!(item, ItemKind::Type(Type::Value(_))));
    let mut lacking = Vec::new();
    for (name, needs) in needed {
        let Some(gives) = given.get(name) else {
            lacking.push(match role {
                Role::Export => format!("{name} is missing"),
                Role::Import => format!("{name} is not given by this host"),
            });
            continue;
        };
        let mut cache = HashSet::new();
        let mut checker = SubtypeChecker::new(&mut cache);
        if matches!(role, Role::Import) {
            // So that `expected` is what the host has, for both roles.
            checker.invert();
        }
        if let Err(error) = checker.is_subtype(*gives, giving_types, *needs, needing_types) {
            lacking.push(format!("{name}: {error:#}"));
        }
    }
    lacking
}

#[cfg(test)]
mod tests;
