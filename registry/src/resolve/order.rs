//! The order in which a plan's modules are to be started.

use semver::Version;

use super::Planned;
use super::asked::Asked;
use super::solve::Chosen;

/// Every module after those that it depends on; modules that depend on each other in a circle in the order of the
/// generation. Otherwise modules stand as the generation has them, and new ones by name.
pub(super) fn dependencies_first(asked: &Asked<'_>, chosen: &Chosen) -> Vec<Planned> {
    let running = asked.running.installations.keys();
    let new = chosen
        .keys()
        .filter(|name| !asked.running.installations.contains_key(*name));
    let mut ordered = Vec::with_capacity(chosen.len());
    for name in running.chain(new) {
        place(asked, chosen, name, &mut Vec::new(), &mut ordered);
    }
    let planned = ordered.into_iter().filter_map(|(name, version)| {
        let root = asked.roots.get(name);
        Some(Planned {
            name: name.to_owned(),
            version: version.clone(),
            digest: asked.offer(name, version)?.digest.clone(),
            wanted: root.and_then(|root| root.wanted.clone()),
            from: asked.installed(name).map(|old| old.version.clone()),
            named: root.is_some_and(|root| root.named),
        })
    });
    planned.collect()
}

/// Depth first. `path` holds the modules under way; what is on it or placed already is not entered again, so no path
/// is longer than there are modules.
fn place<'c>(
    asked: &Asked<'_>,
    chosen: &'c Chosen,
    name: &str,
    path: &mut Vec<&'c str>,
    ordered: &mut Vec<(&'c str, &'c Version)>,
) {
    let Some((name, version)) = chosen.get_key_value(name) else {
        return;
    };
    if path.contains(&name.as_str()) || ordered.iter().any(|(placed, _)| placed == name) {
        return;
    }
    path.push(name);
    let dependencies = asked
        .offer(name, version)
        .into_iter()
        .flat_map(|offer| offer.dependencies.keys());
    for dependency in dependencies {
        place(asked, chosen, dependency, path, ordered);
    }
    path.pop();
    ordered.push((name, version));
}
