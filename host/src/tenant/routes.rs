//! The routes of a generation, as its modules' manifests declare them.

use std::sync::Arc;

use matchit::Router;
use millwork_registry::manifest::{Action, Method};

use super::Module;
use crate::error::Error;

/// Method and path to action.
#[derive(Default, Clone)]
pub(super) struct Routes {
    paths: Router<usize>,
    actions: Vec<Vec<Entry>>,
}

#[derive(Clone)]
struct Entry {
    method: Method,
    module: Arc<Module>,
    action: Action,
    pattern: Arc<str>,
}

/// What stands behind a method and a path.
pub enum Routed {
    /// An action of a module.
    Found {
        /// The module whose route it is.
        module: Arc<Module>,
        /// What to do.
        action: Action,
        /// Parameters of the path, by name.
        params: Vec<(String, String)>,
        /// The path as the manifest has it, for metrics and logs.
        pattern: Arc<str>,
    },
    /// The path exists with other methods.
    WrongMethod(Vec<Method>),
    /// No module has such a path.
    None,
}

impl Routes {
    pub(super) fn new<'a>(modules: impl Iterator<Item = &'a Arc<Module>>) -> Result<Self, Error> {
        let mut routes = Self::default();
        for module in modules {
            for route in &module.manifest.routes {
                let entry = Entry {
                    method: route.method,
                    module: Arc::clone(module),
                    action: route.action.clone(),
                    pattern: Arc::from(route.path.as_str()),
                };
                routes.add(&route.path, entry).map_err(|detail| Error::Load {
                    release: module.release.to_string(),
                    detail: format!("route {}: {detail}", route.path),
                })?;
            }
        }
        Ok(routes)
    }

    fn add(&mut self, path: &str, entry: Entry) -> Result<(), String> {
        let same = self
            .actions
            .iter_mut()
            .find(|entries| entries.iter().any(|known| &*known.pattern == path));
        if let Some(entries) = same {
            if entries.iter().any(|known| known.method == entry.method) {
                return Err("another module has it already".to_owned());
            }
            entries.push(entry);
            return Ok(());
        }
        self.paths
            .insert(path, self.actions.len())
            .map_err(|error| error.to_string())?;
        self.actions.push(vec![entry]);
        Ok(())
    }

    pub(super) fn find(&self, method: Method, path: &str) -> Routed {
        let Ok(found) = self.paths.at(path) else {
            return Routed::None;
        };
        let Some(entries) = self.actions.get(*found.value) else {
            return Routed::None;
        };
        let Some(entry) = entries.iter().find(|entry| entry.method == method) else {
            return Routed::WrongMethod(entries.iter().map(|entry| entry.method).collect());
        };
        let params = found
            .params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Routed::Found {
            module: Arc::clone(&entry.module),
            action: entry.action.clone(),
            params,
            pattern: Arc::clone(&entry.pattern),
        }
    }
}
