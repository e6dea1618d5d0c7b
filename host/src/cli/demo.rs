//! The tenant `demo`: every component of a folder published and enabled, as often as one likes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use millwork_registry::id::TenantId;
use millwork_registry::manifest::{Action, Manifest, Method};
use millwork_registry::release::Release;
use semver::Version;

use super::output::progress;
use crate::blocking;
use crate::error::Error;
use crate::host::Host;
use crate::http::PREFIX;

const TENANT: &str = "demo";

/// Publishes what the folder holds and enables it for the demo tenant. A module that the tenant runs in the same or a
/// newer version stays as it is, so that upgrades outlive a restart.
pub(super) async fn set_up(host: &Arc<Host>, components: &Path) -> Result<TenantId> {
    let tenant = TenantId::new(TENANT)?;
    match host.create_tenant(tenant.clone(), "Demo".to_owned()).await {
        Ok(()) | Err(Error::Exists { .. }) => {}
        Err(error) => return Err(error).context("make the demo tenant"),
    }
    let mut found = Vec::new();
    for file in files(components)? {
        found.extend(publish(host, &file).await?);
    }
    ensure!(
        !found.is_empty(),
        "{} holds no component; `cargo xtask build` makes them",
        components.display()
    );
    for release in in_order(newest(found))? {
        enable(host, &tenant, &release).await?;
    }
    Ok(tenant)
}

/// A path of the tenant's API that shows something at once.
pub(super) fn first_path(host: &Host, tenant: &TenantId) -> Result<String> {
    let generation = host.tenant(tenant)?.generation();
    let mut routes = generation
        .modules
        .values()
        .flat_map(|module| &module.manifest.routes);
    let list = routes.find(|route| {
        route.method == Method::Get && matches!(route.action, Action::View(_)) && !route.path.contains('{')
    });
    Ok(format!(
        "{PREFIX}{}",
        list.map_or("/openapi.json", |route| &route.path)
    ))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read components in {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    Ok(files)
}

/// Publishes a file. What was published before under this version stays what it is.
async fn publish(host: &Arc<Host>, file: &Path) -> Result<Option<Release>> {
    progress(&format!("publishing {}", file.display()));
    let wasm = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    match host.publish(wasm).await {
        Ok(release) => Ok(Some(release)),
        Err(Error::Registry(millwork_registry::Error::ReleaseExists { name, version })) => {
            tracing::warn!(
                name,
                %version,
                "the component has changed since it was published, but its version has not; the published one is used"
            );
            Ok(Some(blocking::run(|| host.catalog().get(&name, &version))?))
        }
        Err(error) => Err(error).with_context(|| format!("publish {}", file.display())),
    }
}

/// The newest release of each component.
fn newest(mut found: Vec<Release>) -> Vec<Release> {
    found.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| b.version.cmp(&a.version)));
    found.dedup_by(|next, kept| next.name == kept.name);
    found
}

/// Dependencies before those who need them.
fn in_order(mut waiting: Vec<Release>) -> Result<Vec<Release>> {
    let mut ordered: Vec<Release> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .position(|release| satisfied(&release.manifest, &ordered));
        match ready {
            Some(index) => ordered.push(waiting.remove(index)),
            None => bail!("these components miss one another or others: {}", names(&waiting)),
        }
    }
    Ok(ordered)
}

fn satisfied(manifest: &Manifest, enabled: &[Release]) -> bool {
    manifest
        .dependencies
        .keys()
        .all(|needed| enabled.iter().any(|release| release.name == *needed))
}

fn names(releases: &[Release]) -> String {
    releases
        .iter()
        .map(|release| release.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

async fn enable(host: &Arc<Host>, tenant: &TenantId, release: &Release) -> Result<()> {
    let running = running(host, tenant, &release.name)?;
    if running.is_some_and(|version| version >= release.version) {
        return Ok(());
    }
    progress(&format!("enabling {} {}", release.name, release.version));
    let enabled = host.enable(tenant, &release.name, &release.version, None).await;
    enabled.with_context(|| format!("enable {} {}", release.name, release.version))?;
    Ok(())
}

fn running(host: &Host, tenant: &TenantId, module: &str) -> Result<Option<Version>> {
    let generation = host.tenant(tenant)?.generation();
    Ok(generation
        .modules
        .get(module)
        .map(|module| module.manifest.version.clone()))
}
