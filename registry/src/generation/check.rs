//! Whether components can run together.

use std::collections::HashMap;

use super::Generation;
use crate::Error;
use crate::manifest::{Manifest, Permission, Route};

/// Every component has what it wants.
pub(super) fn granted(generation: &Generation, manifests: &[&Manifest]) -> Result<(), Error> {
    for manifest in manifests {
        let missing = generation.new_permissions(manifest);
        if !missing.is_empty() {
            let permissions = missing
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            let (name, tenant) = (manifest.name.clone(), generation.tenant.clone());
            return Err(Error::NotGranted {
                name,
                permissions,
                tenant,
            });
        }
    }
    Ok(())
}

/// Every component finds the others that it needs, and the views of them that it reads.
pub(super) fn dependencies(manifests: &[&Manifest]) -> Result<(), Error> {
    let unmet: Vec<_> = manifests
        .iter()
        .flat_map(|manifest| unmet(manifest, manifests))
        .collect();
    if unmet.is_empty() {
        Ok(())
    } else {
        Err(Error::DependenciesUnmet(unmet.join("; ")))
    }
}

fn unmet(manifest: &Manifest, manifests: &[&Manifest]) -> Vec<String> {
    let find = |name: &str| manifests.iter().find(|other| other.name == name);
    let who = format!("{} {}", manifest.name, manifest.version);
    let components = manifest
        .dependencies
        .iter()
        .filter_map(|(name, wanted)| match find(name) {
            None => Some(format!("{who} needs {name} {wanted}, which is not enabled")),
            Some(other) if !wanted.matches(&other.version) => Some(format!(
                "{who} needs {name} {wanted}, and {} would be enabled",
                other.version
            )),
            Some(_) => None,
        });
    let views = manifest.permissions.iter().filter_map(|permission| {
        let Permission::View(view) = permission else {
            return None;
        };
        let other = find(&view.module).filter(|other| !other.views.contains_key(&view.name))?;
        Some(format!(
            "{who} reads the view {view}, which {} {} does not have",
            other.name, other.version
        ))
    });
    components.chain(views).collect()
}

/// No request could be meant for two components.
pub(super) fn routes(manifests: &[&Manifest]) -> Result<(), Error> {
    let mut shapes: HashMap<String, Vec<(&Manifest, &Route)>> = HashMap::new();
    for manifest in manifests {
        for route in &manifest.routes {
            shapes.entry(route.shape()).or_default().push((manifest, route));
        }
    }
    for manifest in manifests {
        for route in &manifest.routes {
            let same = shapes.get(&route.shape()).into_iter().flatten();
            for (other, theirs) in same.filter(|(other, _)| other.name != manifest.name) {
                collision(manifest, route, other, theirs)?;
            }
        }
    }
    Ok(())
}

fn collision(manifest: &Manifest, route: &Route, other: &Manifest, theirs: &Route) -> Result<(), Error> {
    let both = format!("{} {}", manifest.name, manifest.version);
    let both = format!("{both} and {} {}", other.name, other.version);
    if route.method == theirs.method {
        return Err(Error::RoutesCollide(format!(
            "{both} both have the route {} {}",
            route.method, route.path
        )));
    }
    // One path can have methods of two components, but only one set of names for its parameters.
    if route.path != theirs.path {
        let paths = format!("{} and {}", route.path, theirs.path);
        return Err(Error::RoutesCollide(format!(
            "{both} have the same path with other parameter names: {paths}"
        )));
    }
    Ok(())
}
