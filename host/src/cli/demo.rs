//! The tenant `demo`: every component of a folder published and enabled, as often as one likes.
//!
//! Components come from the build unsigned. The demo is their publisher: it signs them with keys of its own, which this
//! host trusts. What somebody else has signed is published as it is, or refused like any other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use millwork_registry::Error as Refusal;
use millwork_registry::id::TenantId;
use millwork_registry::manifest::{Action, Manifest, Method, Route};
use millwork_registry::release::{Release, is_signed, sign};
use semver::Version;

use super::keys;
use super::output::progress;
use crate::blocking;
use crate::capability::platform::now_ms;
use crate::error::Error;
use crate::host::Host;
use crate::http::PREFIX;

const TENANT: &str = "demo";
/// Folder with the keys that the demo signs with, in the data folder.
const PUBLISHER_KEYS: &str = "publisher-keys";

/// Publishes what the folder holds and enables it for the demo tenant. A module that the tenant runs in the same or a
/// newer version stays as it is, so that upgrades outlive a restart.
pub(super) async fn set_up(host: &Arc<Host>, components: &Path) -> Result<TenantId> {
    let tenant = TenantId::new(TENANT)?;
    match host.create_tenant(tenant.clone(), "Demo".to_owned(), None).await {
        Ok(()) | Err(Error::Exists { .. }) => {}
        Err(error) => return Err(error).context("make the demo tenant"),
    }
    let files = files(components)?;
    ensure!(
        !files.is_empty(),
        "{} holds no component; `cargo xtask build` makes them",
        components.display()
    );
    let mut found = Vec::new();
    for file in files {
        found.extend(publish(host, &file).await?);
    }
    for release in in_order(newest(found))? {
        enable(host, &tenant, &release).await?;
    }
    Ok(tenant)
}

/// A path of the tenant's API that shows something at once.
pub(super) fn first_path(host: &Host, tenant: &TenantId) -> String {
    let is_list = |route: &&Route| {
        route.method == Method::Get && matches!(route.action, Action::View(_)) && !route.path.contains('{')
    };
    // A tenant that does not start, such as after its publisher's key was revoked, has no list to show.
    let list = host.tenant(tenant).ok().and_then(|tenant| {
        let generation = tenant.generation();
        let mut modules = generation.modules.values();
        modules.find_map(|module| {
            module
                .manifest
                .routes
                .iter()
                .find(is_list)
                .map(|route| route.path.clone())
        })
    });
    format!("{PREFIX}{}", list.as_deref().unwrap_or("/openapi.json"))
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

/// Publishes a file. What was published before under this version stays what it is; what a revoked key signed is left
/// out, so that a revocation does not keep the host from starting.
async fn publish(host: &Arc<Host>, file: &Path) -> Result<Option<Release>> {
    progress(&format!("publishing {}", file.display()));
    let wasm = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let wasm = signed(host, wasm).with_context(|| format!("sign {}", file.display()))?;
    let published = match host.publish(wasm).await {
        Err(Error::Registry(Refusal::ReleaseExists { name, version })) => {
            tracing::warn!(
                name,
                %version,
                "the component has changed since it was published, but its version has not; the published one is used"
            );
            blocking::run(|| host.catalog().get(&name, &version)).map_err(Error::from)
        }
        published => published.map(|published| published.release),
    };
    match published {
        Ok(release) => Ok(Some(release)),
        Err(Error::Registry(refusal @ Refusal::KeyRevoked { .. })) => {
            tracing::warn!(file = %file.display(), %refusal, "the component is left out");
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("publish {}", file.display())),
    }
}

/// The component with a signature: its own, or one with the demo's key for its publisher, which is trusted unless it was
/// revoked.
fn signed(host: &Host, component: Vec<u8>) -> Result<Vec<u8>> {
    if is_signed(&component)? {
        return Ok(component);
    }
    let publisher = Release::read(&component, 0)?.publisher;
    let key = keys::open(&host.config().data.join(PUBLISHER_KEYS), &publisher)?;
    match host.catalog().trust().trust(&publisher, key.public(), now_ms()) {
        Ok(_) | Err(Refusal::KeyRevoked { .. }) => Ok(sign(&component, &key)?),
        Err(error) => Err(error.into()),
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
