//! From a wish to what has to change: versions that fit together, their configuration, and what needs consent.

use millwork_registry::Error as Refusal;
use millwork_registry::consent::{self, Difference};
use millwork_registry::generation::{Generation, Installation};
use millwork_registry::manifest::Manifest;
use millwork_registry::resolve::{self, Change as Wish, Planned};
use millwork_registry::swap::{Action, Change, Request};
use semver::Version;
use serde_json::Value;

use crate::capability::platform::now_ms;
use crate::error::Error;
use crate::host::Host;
use crate::tenant::{self, Tenant};

/// What has to change.
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) wider: Vec<Difference>,
}

/// Plans a change; nothing when the tenant runs that already. Blocks.
pub(super) fn plan(
    host: &Host,
    tenant: &Tenant,
    before: &Generation,
    request: &Request,
) -> Result<Option<Plan>, Error> {
    let serving = &*tenant.generation();
    if let Some(problem) = request
        .options
        .canary
        .as_ref()
        .and_then(|canary| canary.problem())
    {
        return Err(Error::Malformed(problem.to_owned()));
    }
    let wish = wish(host, before, request)?;
    let running = before.installations.keys().map(String::as_str);
    let names = running.chain([request.module.as_str()]);
    let resolved = resolve::resolve(before, &[wish], &host.catalog.offers(names)?)?;
    let mut changes: Vec<Change> = Vec::new();
    let mut manifests = Vec::new();
    for (module, version) in resolved.removed {
        changes.push(Change {
            module,
            from: Some(version),
            to: None,
        });
    }
    for planned in &resolved.modules {
        let old = before.installations.get(&planned.name);
        // What is not touched is not judged anew: a module that does not load must not bar every change of another.
        if let Some(old) = old.filter(|old| !planned.named && old.version == planned.version) {
            manifests.extend(manifest(host, serving, old));
            continue;
        }
        let installed = old.map(|old| &old.digest);
        let release = host
            .catalog
            .installable(&planned.name, &planned.version, installed)?;
        let given = given(host, before, request, planned)?;
        let mut new = Installation::of(&release, given, now_ms())?;
        new.wanted.clone_from(&planned.wanted);
        manifests.push(release.manifest);
        let same = |old: &&Installation| {
            old.digest == new.digest && old.config == new.config && old.wanted == new.wanted
        };
        if old.filter(same).is_none() {
            changes.push(Change {
                module: planned.name.clone(),
                from: old.map(|old| old.version.clone()),
                to: Some(new),
            });
        }
    }
    if changes.is_empty() {
        return Ok(None);
    }
    before.after(&changes, &manifests)?;
    let wider = wider(before, request, &changes, &manifests);
    Ok(Some(Plan { changes, wider }))
}

/// The request in the words of the resolution.
fn wish(host: &Host, before: &Generation, request: &Request) -> Result<Wish, Error> {
    let name = request.module.clone();
    let installed = before.installations.get(&name).map(|installed| &installed.digest);
    Ok(match &request.action {
        Action::Disable => Wish::Disable { name },
        Action::RollBack { version } => Wish::Move {
            name,
            version: version.clone(),
        },
        Action::Enable {
            version: Some(version),
            ..
        } => {
            // That it is unknown or withdrawn is said before anything about how it would fit.
            host.catalog.installable(&name, version, installed)?;
            Wish::Move {
                name,
                version: version.clone(),
            }
        }
        Action::Enable { wanted: None, .. } if installed.is_none() => {
            let version = host.catalog.latest(&name)?.version;
            Wish::Move { name, version }
        }
        Action::Enable { wanted, .. } => Wish::Enable {
            name,
            wanted: wanted.clone(),
        },
    })
}

/// The configuration that a module is given: as the request has it, else as it had it before; when it goes back, as it
/// had it when that version served, whose schema need not know later settings.
fn given(
    host: &Host,
    before: &Generation,
    request: &Request,
    planned: &Planned,
) -> Result<Option<Value>, Refusal> {
    let old = before.installations.get(&planned.name);
    let past = match &request.action {
        Action::Enable {
            config: Some(config), ..
        } if planned.named => return Ok(Some(config.clone())),
        Action::RollBack { version } if planned.named => {
            last_installation(host, before, &planned.name, |past| past.version == *version)?
        }
        _ => None,
    };
    Ok(past
        .as_ref()
        .or(old)
        .and_then(|installed| installed.given.clone()))
}

/// What the tenant has not agreed to. Who enables a module sees what it asks for and agrees by that; what an upgrade
/// wants anew, and what modules want that come along, is asked for.
fn wider(
    before: &Generation,
    request: &Request,
    changes: &[Change],
    manifests: &[Manifest],
) -> Vec<Difference> {
    let is_new = |change: &&Change| change.module == request.module && change.from.is_none();
    let asked = changes
        .iter()
        .filter(|change| change.to.is_some() && !is_new(change));
    let manifest_of = |change: &Change| manifests.iter().find(|manifest| manifest.name == change.module);
    let mut differences = consent::differences(before, asked.filter_map(manifest_of));
    differences.retain(|difference| !difference.new.is_empty());
    differences
}

/// The manifests of what a tenant runs, but for the modules that a swap changes.
pub(super) fn manifests(
    host: &Host,
    before: &Generation,
    serving: &tenant::Generation,
    changes: &[Change],
) -> Vec<Manifest> {
    let is_kept = |name: &String| !changes.iter().any(|change| change.module == *name);
    let kept = before.installations.iter().filter(|(name, _)| is_kept(name));
    kept.filter_map(|(_, installed)| manifest(host, serving, installed))
        .collect()
}

/// The manifest of an installed release, also of one that does not load here; nothing when it cannot even be read.
fn manifest(host: &Host, serving: &tenant::Generation, installed: &Installation) -> Option<Manifest> {
    match serving.modules.get(&installed.name) {
        Some(module) => Some(module.manifest.clone()),
        None => {
            let shown = host.catalog.show(&installed.name, &installed.version);
            shown.ok().map(|shown| shown.release.manifest)
        }
    }
}

/// The version that a module served in before the one it serves in now, from the generations kept.
///
/// # Errors
/// [`Refusal::NotEnabled`], [`Error::NotFound`] when no other is known.
pub(super) fn previous_version(host: &Host, tenant: &Tenant, module: &str) -> Result<Version, Error> {
    let now = host.generations.load(&tenant.id)?;
    let serving = now.installations.get(module).ok_or_else(|| Refusal::NotEnabled {
        name: module.to_owned(),
        tenant: tenant.id.clone(),
    })?;
    let other = last_installation(host, &now, module, |past| past.version != serving.version)?;
    other.map(|past| past.version).ok_or_else(|| Error::NotFound {
        what: "earlier version of module".to_owned(),
        id: module.to_owned(),
    })
}

/// The last installation of a module, before a generation, that `wanted` picks; as far back as generations are kept.
pub(super) fn last_installation(
    host: &Host,
    before: &Generation,
    module: &str,
    wanted: impl Fn(&Installation) -> bool,
) -> Result<Option<Installation>, Refusal> {
    for number in (0..before.number).rev() {
        let past = match host.generations.past(&before.tenant, number) {
            Err(Refusal::NoGeneration { .. }) => break,
            past => past?,
        };
        if let Some(found) = past.installations.get(module).filter(|past| wanted(past)) {
            return Ok(Some(found.clone()));
        }
    }
    Ok(None)
}
