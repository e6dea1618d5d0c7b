//! A tenant as this host runs it: its documents, and the generation of modules that serves it.
//!
//! A [`Generation`] never changes. A swap replaces the pointer to it; whoever holds the old one keeps it to the end of
//! what it started.

pub mod module;
mod view;
pub mod epochs;
pub mod poison;
pub mod routes;
pub mod pulse;
pub mod canary;

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use indexmap::IndexMap;
use millwork_registry::generation::{Installation, TenantRecord};
use millwork_registry::id::TenantId;
use millwork_registry::manifest::{Action, Method};
use semver::Version;
use tokio::sync::{Mutex, Notify, RwLock, Semaphore, watch};

pub use self::canary::Canary;
use self::epochs::Epochs;
pub use self::module::Module;
pub use self::routes::Routed;
use self::routes::Routes;
use crate::capability::blobs::Blobs;
use crate::capability::cache::Cache;
use crate::capability::documents::Documents;
use crate::capability::messaging::Outlet;
use crate::capability::rate_limits::RateLimits;
use crate::capability::search::Search;
use crate::capability::sessions::Sessions;
use crate::engine::component::Caller;
use crate::error::Error;
use crate::project::Progress;

/// One tenant. Shared by all that works for it.
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// As it was when it started here. Where another is recorded, this one has gone.
    pub record: TenantRecord,
    /// Its documents.
    pub documents: Arc<dyn Documents>,
    /// The cache of the whole host; keys are made per tenant.
    pub cache: Arc<dyn Cache>,
    /// Which answers kept in the cache still count.
    pub epochs: Epochs,
    /// Where its requests are counted.
    pub rate_limits: Arc<dyn RateLimits>,
    /// The sessions of its users; each call names its tenant.
    pub sessions: Arc<dyn Sessions>,
    /// The indexes of the whole host; each call names its tenant.
    pub search: Arc<dyn Search>,
    /// The blobs of the whole host; each call names its tenant.
    pub blobs: Arc<dyn Blobs>,
    /// How far its projections have come.
    pub progress: Progress,
    /// Held by whoever changes the generation: one swap at a time. An `Arc`, so that a task can hold it to its end.
    pub swapping: Arc<Mutex<()>>,
    /// Held by the projector for one pass, and by a swap while it puts rebuilt read models in place.
    pub projecting: Mutex<()>,
    /// Wakes the projector when the generation has changed.
    pub changed: Notify,
    /// Read by each subscription for one step; whoever writes it waits for all steps under way.
    pub handing_over: RwLock<()>,
    /// Wakes the deliverer when the generation has changed.
    pub delivering: Notify,
    /// What its components say to others; set once, when it starts.
    pub outlet: OnceLock<Arc<dyn Outlet>>,
    /// Permits for calls with effects outside projections.
    pub effects: Arc<Semaphore>,
    /// Whether it is moving: changes are refused, and nothing is delivered.
    moving: watch::Sender<bool>,
    /// Whether it has gone from this host, or is about to.
    left: watch::Sender<bool>,
    caller: Caller,
    generation: ArcSwap<Generation>,
}

/// What a tenant's data is kept in.
pub struct Stores {
    /// See [`Tenant::documents`].
    pub documents: Arc<dyn Documents>,
    /// See [`Tenant::cache`].
    pub cache: Arc<dyn Cache>,
    /// See [`Tenant::rate_limits`].
    pub rate_limits: Arc<dyn RateLimits>,
    /// See [`Tenant::sessions`].
    pub sessions: Arc<dyn Sessions>,
    /// See [`Tenant::search`].
    pub search: Arc<dyn Search>,
    /// See [`Tenant::blobs`].
    pub blobs: Arc<dyn Blobs>,
}

/// The modules that a tenant runs at one moment.
pub struct Generation {
    /// Counts the swaps of the tenant.
    pub number: u64,
    /// All modules enabled, by name, but for those that did not load.
    pub modules: IndexMap<String, Arc<Module>>,
    /// Modules enabled that did not load, with the reason.
    pub broken: IndexMap<String, Broken>,
    /// Candidates that decide for a share of the aggregates.
    pub canary: Option<Arc<Canary>>,
    routes: Routes,
}

/// A module that did not load.
#[derive(Debug, Clone)]
pub struct Broken {
    /// The version that should run.
    pub version: Version,
    /// Stable, for programs.
    pub code: String,
    /// Why, in a sentence.
    pub why: String,
}

impl Broken {
    /// What is installed, and why it did not load.
    #[must_use]
    pub fn of(installed: &Installation, error: &Error) -> Self {
        Self {
            version: installed.version.clone(),
            code: error.code().to_owned(),
            why: error.told(),
        }
    }
}

impl Tenant {
    /// A tenant at the generation it was left with.
    #[must_use]
    pub fn new(record: TenantRecord, stores: Stores, generation: Generation, slow_calls_max: usize) -> Self {
        let id = record.id.clone();
        let caller = Caller {
            tenant: Arc::from(id.as_str()),
            slow: Arc::new(Semaphore::new(slow_calls_max)),
        };
        Self {
            epochs: Epochs::new(Arc::clone(&stores.cache), id.clone()),
            id,
            record,
            documents: stores.documents,
            cache: stores.cache,
            rate_limits: stores.rate_limits,
            sessions: stores.sessions,
            search: stores.search,
            blobs: stores.blobs,
            progress: Progress::default(),
            swapping: Arc::default(),
            projecting: Mutex::new(()),
            changed: Notify::new(),
            handing_over: RwLock::new(()),
            delivering: Notify::new(),
            outlet: OnceLock::new(),
            effects: Arc::new(Semaphore::new(slow_calls_max)),
            moving: watch::Sender::new(false),
            left: watch::Sender::new(false),
            caller,
            generation: ArcSwap::from_pointee(generation),
        }
    }

    /// What it runs now. The answer stays as it is, whatever is swapped meanwhile.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Puts another generation in place and gives the one before.
    pub fn replace(&self, generation: Generation) -> Arc<Generation> {
        let before = self.generation.swap(Arc::new(generation));
        self.changed.notify_one();
        self.delivering.notify_one();
        before
    }

    /// Whether it is moving to another place, and every change of that.
    #[must_use]
    pub fn moving(&self) -> watch::Receiver<bool> {
        self.moving.subscribe()
    }

    /// Says that it is moving. The event store has the last word: what it has closed takes no events.
    pub fn close(&self) {
        self.moving.send_replace(true);
    }

    /// Says that it is not moving, or no more.
    pub fn open(&self) {
        self.moving.send_replace(false);
    }

    /// Says that it goes from this host: what works for it is to end.
    pub fn leave(&self) {
        self.left.send_replace(true);
    }

    /// Turns true when it goes from this host.
    #[must_use]
    pub fn left(&self) -> watch::Receiver<bool> {
        self.left.subscribe()
    }

    /// Whether it is still here.
    ///
    /// # Errors
    /// [`Error::NoTenant`].
    pub fn check_here(&self) -> Result<(), Error> {
        match *self.left.borrow() {
            true => Err(Error::NoTenant(self.id.clone())),
            false => Ok(()),
        }
    }

    /// Whether it takes changes.
    ///
    /// # Errors
    /// [`Error::Moving`].
    pub fn check_open(&self) -> Result<(), Error> {
        match *self.moving.borrow() {
            true => Err(Error::Moving(self.id.clone())),
            false => Ok(()),
        }
    }

    /// For calls into components.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Generation {
    /// A generation of these modules.
    ///
    /// # Errors
    /// [`Error::Load`] when the routes of two modules clash.
    pub fn new(number: u64, modules: IndexMap<String, Arc<Module>>) -> Result<Self, Error> {
        let routes = Routes::new(modules.values())?;
        Ok(Self {
            number,
            modules,
            broken: IndexMap::new(),
            canary: None,
            routes,
        })
    }

    /// The same, with modules that are enabled but did not load.
    #[must_use]
    pub fn without(self, broken: IndexMap<String, Broken>) -> Self {
        Self { broken, ..self }
    }

    /// The same, with candidates that decide for a share of the aggregates, or without.
    #[must_use]
    pub fn with_canary(&self, canary: Option<Arc<Canary>>) -> Self {
        Self {
            number: self.number,
            modules: self.modules.clone(),
            broken: self.broken.clone(),
            canary,
            routes: self.routes.clone(),
        }
    }

    /// The action behind a method and a path below `/api/v1`.
    #[must_use]
    pub fn route(&self, method: Method, path: &str) -> Routed {
        self.routes.find(method, path)
    }

    /// A module by name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not enabled, [`Error::ModuleBroken`] when it did not load.
    pub fn module(&self, name: &str) -> Result<&Arc<Module>, Error> {
        if let Some(broken) = self.broken.get(name) {
            return Err(Error::ModuleBroken(format!(
                "{name} {}: {}",
                broken.version, broken.why
            )));
        }
        self.modules.get(name).ok_or_else(|| Error::NotFound {
            what: "module".to_owned(),
            id: name.to_owned(),
        })
    }
}

/// What a route leads to, for messages.
#[must_use]
pub fn action_name(action: &Action) -> &str {
    match action {
        Action::Command(name) | Action::View(name) | Action::Query(name) => name,
    }
}
