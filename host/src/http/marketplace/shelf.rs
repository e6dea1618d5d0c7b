//! The catalogue as one tenant sees it.

use std::sync::Arc;

use millwork_registry::Error as Refusal;
use millwork_registry::catalog::{Catalog, Listed};
use millwork_registry::consent::Told;
use millwork_registry::generation::{Generation, Installation};
use millwork_registry::manifest::Permission;
use millwork_registry::release::Summary;
use millwork_registry::trust::TrustedKeys;
use semver::VersionReq;
use serde_json::{Map, Value};

use super::item::{Configuration, Dependency, Details, Installed, Item, Page, Release};
use super::wanted::{Wanted, cursor_after};
use crate::error::{Error, Reason};
use crate::host::swap::View;
use crate::tenant;

/// Most versions of a component that are shown, the newest.
const VERSIONS_SHOWN_MAX: usize = 100;

/// The catalogue as one tenant sees it.
pub(super) struct Shelf<'a> {
    pub(super) catalog: &'a Catalog,
    /// Those that are trusted now.
    pub(super) keys: TrustedKeys,
    pub(super) installed: Generation,
    pub(super) serving: Arc<tenant::Generation>,
    /// The swap that is under way.
    pub(super) live: Option<View>,
}

impl Shelf<'_> {
    /// One page.
    pub(super) fn page(&self, wanted: &Wanted) -> Result<Page, Error> {
        let known = self.catalog.list()?;
        let mut fitting = known
            .chunk_by(|one, other| one.summary.name == other.summary.name)
            .filter(|versions| !is_before(versions, wanted.after.as_deref()))
            .filter_map(|versions| Some(self.item(versions, self.offered(versions)?)))
            .filter(|item| wanted.fits(item));
        let items: Vec<Item> = fitting.by_ref().take(wanted.limit).collect();
        let last = items.last().map(|item| cursor_after(&item.name));
        let next = last.filter(|_| fitting.next().is_some());
        Ok(Page { items, next })
    }

    /// All of one component.
    pub(super) fn details(&self, name: &str) -> Result<Details, Error> {
        let versions = self.catalog.of_name(name)?;
        // One that cannot be enabled any more can still be looked at.
        let described = self.offered(&versions).or(versions.last());
        let described = described.ok_or_else(|| Refusal::NoRelease {
            name: name.to_owned(),
            version: "in any version".to_owned(),
        })?;
        let item = self.item(&versions, described);
        let Summary {
            key,
            changelog,
            dependencies,
            exports,
            ..
        } = &described.summary;
        let dependencies = dependencies.iter().map(|(name, range)| Dependency {
            name: name.clone(),
            range: range.clone(),
            installed: self.installation(name).map(|installed| installed.version.clone()),
        });
        let newest = versions.iter().rev().take(VERSIONS_SHOWN_MAX);
        Ok(Details {
            item,
            key_id: key.map(|key| key.id()),
            changelog: changelog.clone(),
            dependencies: dependencies.collect(),
            exports: exports.clone(),
            versions: newest.map(|listed| self.release(listed)).collect(),
            version_count: versions.len(),
            under_way: None,
            configuration: None,
        })
    }

    /// How a component is set, where the tenant has it.
    pub(super) fn configuration(&self, name: &str) -> Option<Configuration> {
        let installed = self.installation(name)?;
        let module = self.serving.modules.get(name);
        Some(Configuration {
            given: installed
                .given
                .clone()
                .unwrap_or_else(|| Value::Object(Map::new())),
            schema: module.and_then(|module| module.manifest.config.clone()),
        })
    }

    /// The release that describes a component: the newest that can be enabled, else the one that the tenant has.
    fn offered<'v>(&self, versions: &'v [Listed]) -> Option<&'v Listed> {
        let name = &versions.first()?.summary.name;
        let runs = self.installation(name).map(|installed| &installed.version);
        let has = |listed: &&Listed| Some(&listed.summary.version) == runs;
        self.newest(versions, None).or_else(|| versions.iter().find(has))
    }

    /// The newest release that can be enabled, within a range if one is given. A pre-release only if nothing else is
    /// there.
    fn newest<'v>(&self, versions: &'v [Listed], range: Option<&VersionReq>) -> Option<&'v Listed> {
        let fits = |listed: &&Listed| {
            let version = &listed.summary.version;
            listed.yanked.is_none()
                && range.is_none_or(|range| range.matches(version))
                && self.keys.check_summary(&listed.summary).is_ok()
        };
        let order = |listed: &&Listed| {
            let version = &listed.summary.version;
            (version.pre.is_empty(), version.clone())
        };
        versions.iter().filter(fits).max_by_key(order)
    }

    fn item(&self, versions: &[Listed], described: &Listed) -> Item {
        let summary = described.summary.clone();
        let installed = self.installation(&summary.name);
        Item {
            installed: installed.map(|installed| self.installed(versions, installed)),
            swap: self.swap_of(&summary.name).map(|view| view.swap.number),
            trusted: self.keys.check_summary(&summary).is_ok(),
            title: summary.title.unwrap_or_else(|| summary.name.clone()),
            name: summary.name,
            description: summary.description,
            publisher: summary.publisher,
            categories: summary.categories,
            licence: summary.licence,
            version: summary.version,
            size_bytes: summary.size_bytes,
            published_at: summary.published_at_ms,
            permissions: summary.permissions.iter().map(Told::of).collect(),
        }
    }

    fn installed(&self, versions: &[Listed], installed: &Installation) -> Installed {
        let newer = |range| {
            let newest = self.newest(versions, range)?;
            let version = &newest.summary.version;
            (*version > installed.version).then(|| version.clone())
        };
        let broken = self.serving.broken.get(&installed.name);
        Installed {
            version: installed.version.clone(),
            wanted: installed.wanted.clone(),
            enabled_at: installed.enabled_at_ms,
            upgrade: newer(installed.wanted.as_ref()),
            newer: newer(None),
            broken: broken.map(|broken| Reason {
                code: broken.code.clone(),
                message: broken.why.clone(),
            }),
        }
    }

    fn release(&self, listed: &Listed) -> Release {
        let summary = &listed.summary;
        let refused = self.keys.check_summary(summary).err();
        let granted = self
            .installation(&summary.name)
            .map(|installed| installed.granted.as_slice());
        let is_granted = |asked: &Permission| granted.unwrap_or_default().iter().any(|had| had.covers(asked));
        let asks = summary.permissions.iter().filter(|asked| !is_granted(asked));
        Release {
            version: summary.version.clone(),
            published_at: summary.published_at_ms,
            size_bytes: summary.size_bytes,
            digest: summary.digest.to_string(),
            changelog: summary.changelog.clone(),
            yanked: listed.yanked.as_ref().map(|yanked| yanked.reason.clone()),
            refused: refused.map(|refusal| Reason {
                code: refusal.code().to_owned(),
                message: refusal.to_string(),
            }),
            asks: asks.map(Told::of).collect(),
        }
    }

    fn installation(&self, name: &str) -> Option<&Installation> {
        self.installed.installations.get(name)
    }

    /// The swap under way that is about a component.
    pub(super) fn swap_of(&self, name: &str) -> Option<&View> {
        let is_about = |view: &&View| {
            let swap = &view.swap;
            swap.request.module == name || swap.changes.iter().any(|change| change.module == name)
        };
        self.live.as_ref().filter(is_about)
    }
}

/// Whether a component stood on a page before.
fn is_before(versions: &[Listed], after: Option<&str>) -> bool {
    let name = versions.first().map(|listed| listed.summary.name.as_str());
    name <= after
}
