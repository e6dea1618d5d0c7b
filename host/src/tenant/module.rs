//! One module of a generation, made ready: its component linked, its schemas compiled, its collections known.

use std::collections::HashMap;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jsonschema::Validator;
use millwork_registry::generation::Installation;
use millwork_registry::manifest::{self, Action, Command, Manifest, Permission, Schema};
use millwork_registry::release::Release;
use serde_json::Value;
use tokio::sync::watch;

use super::poison::Poison;
use crate::capability::Budget;
use crate::capability::blobs::Bucket;
use crate::capability::blobs::component::{BlobsCall, Buckets, Grants, Keeping};
use crate::capability::cache::Cache;
use crate::capability::cache::component::CacheCall;
use crate::capability::documents::Collection;
use crate::capability::documents::component::{Access, Collections, DocumentsCall};
use crate::capability::messaging::component::MessagingCall;
use crate::capability::search::Index;
use crate::capability::search::component::{Indexes, SearchCall, Searching};
use crate::capability::wasi_config::ConfigCall;
use crate::config::{EngineLimits, HealthLimits};
use crate::engine::call::Effects;
use crate::engine::{Component, Engine};
use crate::error::{Error, Violation};

/// Most violations that one answer lists.
const VIOLATIONS_MAX: usize = 32;

/// A module as a generation runs it.
pub struct Module {
    /// What it says about itself.
    pub manifest: Manifest,
    /// Name and version: `invoicing@1.0.0`.
    pub release: Arc<str>,
    /// The digest of its bytes, in hex: two releases never share cached states.
    pub digest: Arc<str>,
    /// Its code.
    pub component: Arc<Component>,
    /// The tenant's configuration of it, as JSON text.
    pub config: Arc<str>,
    /// Its collections, by name.
    pub collections: Arc<Collections>,
    /// Its indexes, by name.
    pub indexes: Arc<Indexes>,
    /// Its buckets, by name, and what it may do with them.
    pub blobs: Grants,
    commands: HashMap<String, Plan>,
    events: HashMap<String, Option<Validator>>,
    published: HashMap<String, Option<Validator>>,
    params: HashMap<String, Validator>,
    /// Closed when the last user of this module lets go of it.
    alive: watch::Sender<()>,
    /// How its calls have fared.
    pub poison: Poison,
    /// Why it cannot do its work, in its own words, as of the last time that it was asked. std's lock: held for a look.
    ailment: Mutex<Option<String>>,
}

/// A command and where it belongs.
pub struct Plan {
    /// The aggregate it is for.
    pub aggregate: String,
    /// As the manifest declares it.
    pub command: Command,
    body: Option<Validator>,
}

impl Module {
    /// Makes a release ready for one tenant. Blocks while it compiles what this machine has not compiled before.
    ///
    /// # Errors
    /// [`Error::Load`] when the component or a schema cannot be used.
    pub fn load(
        engine: &Engine,
        release: &Release,
        installed: &Installation,
        wasm: &[u8],
        health: &HealthLimits,
    ) -> Result<Self, Error> {
        let label: Arc<str> = Arc::from(format!("{}@{}", release.name, release.version));
        let fail = |detail: String| Error::Load {
            release: label.to_string(),
            detail,
        };
        let manifest = release.manifest.clone();
        let digest = release.digest.hex();
        let component = engine
            .load(Arc::clone(&label), digest, wasm)
            .map_err(|error| fail(error.to_string()))?;
        Ok(Self {
            commands: plans(&manifest).map_err(fail)?,
            events: event_validators(&manifest).map_err(fail)?,
            published: published_validators(&manifest).map_err(fail)?,
            params: param_validators(&manifest).map_err(fail)?,
            collections: Arc::new(collections(&manifest)),
            indexes: Arc::new(indexes(&manifest)),
            blobs: Grants {
                buckets: Arc::new(buckets(&manifest)),
                permissions: Arc::from(manifest.permissions.as_slice()),
            },
            config: Arc::from(installed.config.to_string()),
            component: Arc::new(component),
            digest: Arc::from(digest),
            release: label,
            manifest,
            alive: watch::Sender::new(()),
            poison: Poison::new(health.clone()),
            ailment: Mutex::default(),
        })
    }

    /// A command by name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the module has no such command.
    pub fn plan(&self, command: &str) -> Result<&Plan, Error> {
        self.commands.get(command).ok_or_else(|| Error::NotFound {
            what: "command".to_owned(),
            id: command.to_owned(),
        })
    }

    /// Checks data that the component wants to record.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn check_event(&self, name: &str, data: &str) -> Result<(), String> {
        let validator = self
            .events
            .get(name)
            .ok_or_else(|| format!("event {name} is not in the manifest"))?;
        let data: Value =
            serde_json::from_str(data).map_err(|error| format!("event {name} is no JSON: {error}"))?;
        match validator {
            Some(validator) => validator
                .validate(&data)
                .map_err(|error| format!("event {name}: {error}")),
            None => Ok(()),
        }
    }

    /// Checks data that the component wants to publish.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn check_published(&self, name: &str, data: &Value) -> Result<(), String> {
        match self.published.get(name) {
            None => Err(format!("the manifest does not publish {name:?}")),
            Some(None) => Ok(()),
            Some(Some(validator)) => validator
                .validate(data)
                .map_err(|error| format!("event {name}: {}", error.masked())),
        }
    }

    /// Checks the parameters of a computed query.
    ///
    /// # Errors
    /// [`Error::Schema`] when they do not fit.
    pub fn check_params(&self, query: &str, params: &Value) -> Result<(), Error> {
        self.params
            .get(query)
            .map_or(Ok(()), |validator| check(validator, params))
    }

    /// Names of the collections that a view or query reads.
    #[must_use]
    pub fn collections_behind(&self, action: &Action) -> &[String] {
        let manifest = &self.manifest;
        let read = match action {
            Action::Command(_) => None,
            Action::View(name) => manifest
                .views
                .get(name)
                .map(|view| slice::from_ref(&view.collection)),
            Action::Query(name) => manifest
                .queries
                .get(name)
                .map(|query| query.collections.as_slice()),
        };
        read.unwrap_or_default()
    }

    /// Names of the projections that write what a view or query reads.
    #[must_use]
    pub fn projections_behind(&self, action: &Action) -> Vec<&str> {
        let read = self.collections_behind(action);
        let writes = |names: &[String]| read.iter().any(|collection| names.contains(collection));
        let behind = self
            .manifest
            .projections
            .iter()
            .filter(|(_, projection)| writes(&projection.collections));
        behind.map(|(name, _)| name.as_str()).collect()
    }

    /// All its collections.
    #[must_use]
    pub fn all_collections(&self) -> Vec<Arc<Collection>> {
        self.collections.values().cloned().collect()
    }

    /// The collections that one projection writes.
    #[must_use]
    pub fn collections_of(&self, projection: &str) -> Vec<Arc<Collection>> {
        let names = self
            .manifest
            .projections
            .get(projection)
            .map(|declared| declared.collections.as_slice());
        names
            .unwrap_or_default()
            .iter()
            .filter_map(|name| self.collections.get(name).cloned())
            .collect()
    }

    /// The capabilities of one call, as far as the manifest asks for them.
    #[must_use]
    pub fn effects(
        &self,
        tenant: &str,
        access: Access,
        cache: &Arc<dyn Cache>,
        searching: Searching,
        keeping: Keeping,
        limits: &EngineLimits,
    ) -> Effects {
        let budget = Arc::new(Budget::new(limits.host_calls_max, limits.returned_bytes_max));
        let may = |permission: &Permission| self.manifest.permissions.contains(permission);
        let access = if may(&Permission::Documents) {
            access
        } else {
            Access::Denied("the manifest does not ask for documents")
        };
        let cache = may(&Permission::Cache).then(|| Arc::clone(cache));
        let indexes = may(&Permission::Search).then(|| Arc::clone(&self.indexes));
        Effects {
            documents: DocumentsCall::new(access, Some(Arc::clone(&self.collections)), Arc::clone(&budget)),
            cache: CacheCall::new(cache, tenant, &self.manifest.name, Arc::clone(&budget)),
            search: SearchCall::new(searching, indexes, tenant, Arc::clone(&budget)),
            blobs: BlobsCall::new(keeping, self.blobs.clone(), tenant, Arc::clone(&budget)),
            messaging: MessagingCall::closed(Arc::clone(&budget)),
            config: ConfigCall::new(Arc::clone(&self.config), budget),
        }
    }

    /// Why it cannot do its work, as of the last time that it was asked.
    #[must_use]
    pub fn ailment(&self) -> Option<String> {
        self.ailment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Keeps what it said when asked for its health.
    pub fn note_ailment(&self, ailment: Option<String>) {
        *self.ailment.lock().unwrap_or_else(PoisonError::into_inner) = ailment;
    }

    /// Whether calls go to it now.
    ///
    /// # Errors
    /// [`Error::Quarantined`] when it has failed too often in a row.
    pub fn check_admitted(&self) -> Result<(), Error> {
        match self.poison.barred(Instant::now()) {
            None => Ok(()),
            Some(left) => Err(Error::Quarantined {
                release: self.release.to_string(),
                left,
            }),
        }
    }

    /// Ends when nobody uses this module any more.
    #[must_use]
    pub fn drained(&self) -> watch::Receiver<()> {
        self.alive.subscribe()
    }
}

impl Plan {
    /// Checks a body.
    ///
    /// # Errors
    /// [`Error::Schema`] with every violation, up to a bound.
    pub fn check_body(&self, data: &Value) -> Result<(), Error> {
        match &self.body {
            Some(validator) => check(validator, data),
            None if data.as_object().is_some_and(|fields| !fields.is_empty()) => {
                let message = "this command takes no body".to_owned();
                Err(Error::Schema(vec![Violation {
                    pointer: String::new(),
                    code: "no-body".to_owned(),
                    message,
                }]))
            }
            None => Ok(()),
        }
    }
}

fn check(validator: &Validator, data: &Value) -> Result<(), Error> {
    if validator.is_valid(data) {
        return Ok(());
    }
    let violations = validator
        .iter_errors(data)
        .take(VIOLATIONS_MAX)
        .map(|error| Violation {
            pointer: error.instance_path().to_string(),
            code: error.kind().keyword().to_owned(),
            // Without the value, which may be long or not for the log.
            message: error.masked().to_string(),
        });
    Err(Error::Schema(violations.collect()))
}

fn compile(of: &Manifest, schema: &Schema, what: &str) -> Result<Validator, String> {
    manifest::compile(&of.schema_document(schema)).map_err(|error| format!("schema of {what}: {error}"))
}

fn plans(manifest: &Manifest) -> Result<HashMap<String, Plan>, String> {
    let mut plans = HashMap::new();
    for (aggregate, declared) in &manifest.aggregates {
        for (name, command) in &declared.commands {
            let body = command
                .body
                .as_ref()
                .map(|schema| compile(manifest, schema, name))
                .transpose()?;
            plans.insert(
                name.clone(),
                Plan {
                    aggregate: aggregate.clone(),
                    command: command.clone(),
                    body,
                },
            );
        }
    }
    Ok(plans)
}

fn event_validators(manifest: &Manifest) -> Result<HashMap<String, Option<Validator>>, String> {
    let declared = manifest
        .aggregates
        .values()
        .flat_map(|aggregate| &aggregate.events);
    declared
        .map(|(name, schema)| {
            let validator = schema
                .as_ref()
                .map(|schema| compile(manifest, schema, name))
                .transpose()?;
            Ok((name.clone(), validator))
        })
        .collect()
}

fn published_validators(manifest: &Manifest) -> Result<HashMap<String, Option<Validator>>, String> {
    let declared = manifest.publishes.iter().map(|(name, schema)| {
        let schema = schema.as_ref();
        let validator = schema.map(|schema| compile(manifest, schema, name)).transpose()?;
        Ok((name.clone(), validator))
    });
    declared.collect()
}

fn param_validators(manifest: &Manifest) -> Result<HashMap<String, Validator>, String> {
    let declared = manifest
        .queries
        .iter()
        .filter_map(|(name, query)| Some((name, query.params.as_ref()?)));
    declared
        .map(|(name, schema)| Ok((name.clone(), compile(manifest, schema, name)?)))
        .collect()
}

fn collections(manifest: &Manifest) -> Collections {
    let declared = manifest.collections.iter().map(|(name, declared)| {
        let collection = Collection {
            module: manifest.name.clone(),
            name: name.clone(),
            decimals: declared.decimals.clone(),
            indexes: declared.indexes.clone(),
        };
        (name.clone(), Arc::new(collection))
    });
    declared.collect()
}

fn indexes(manifest: &Manifest) -> Indexes {
    let declared = manifest.indexes.iter().map(|(name, declared)| {
        (
            name.clone(),
            Arc::new(Index::declared(&manifest.name, name, declared)),
        )
    });
    declared.collect()
}

fn buckets(manifest: &Manifest) -> Buckets {
    let declared = manifest.buckets.iter().map(|(name, declared)| {
        (
            name.clone(),
            Arc::new(Bucket::declared(&manifest.name, name, declared)),
        )
    });
    declared.collect()
}
