//! The parts of a running host wired together: stores, engine, registry, tenants and their projectors.
//!
//! Opening a host brings every tenant to where it was left: the generation on disk is loaded, read models that an
//! interrupted swap left behind are built anew, and the projectors go on from their checkpoints.

mod trial;
mod artifacts;
mod verify;
mod lifecycle;
pub mod migrate;
mod health;
mod outlet;
mod start;
mod cluster;
mod home;
mod stay;
mod moves;
mod empty;
mod remove;
pub mod swap;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use millwork_registry::catalog::Catalog;
use millwork_registry::generation::{self, Generations, TenantRecord};
use millwork_registry::id::TenantId;
use millwork_registry::release::Release;
use millwork_registry::swap::Swaps;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

pub use self::cluster::Residence;
use self::cluster::{Cluster, Patience};
use self::moves::{Moves, exists};
pub use self::remove::Removed;
use self::stay::Work;
use self::swap::Live;
pub use self::trial::Tried;
use crate::backends::Backends;
use crate::backends::routes::Routes;
use crate::blocking;
use crate::capability::messaging::Bus;
use crate::capability::platform::now_ms;
use crate::config::Config;
use crate::deliver::{DeliverLimits, Deliverer};
use crate::dispatch::Dispatcher;
use crate::engine::Engine;
use crate::error::Error;
use crate::event_store::EventStore;
use crate::event_store::portable::Gate;
use crate::project::{Projector, StepError};
use crate::registry_store::RegistryStore;
use crate::replay::Replayer;
use crate::tenant::{Module, Tenant};

/// A release that was published.
pub struct Published {
    /// What it is.
    pub release: Release,
    /// What its publisher should know: what callers lose against the release before, what it says of its health.
    pub notes: Vec<String>,
}

/// A tenant as this host knows it.
enum Known {
    /// It runs.
    Here(Arc<Tenant>),
    /// It did not start.
    Broken {
        /// As it is recorded.
        record: TenantRecord,
        /// Why it did not.
        why: String,
    },
    /// It has gone, and what worked for it is about to end.
    Leaving,
}

/// A running host.
pub struct Host {
    /// Executes commands.
    pub dispatcher: Dispatcher,
    config: Config,
    engine: Engine,
    /// Above those of all profiles.
    events: Arc<Routes<dyn EventStore>>,
    embedded: Backends,
    /// Those that were opened, by profile. tokio's lock, since opening waits for servers, and is done once.
    backends: tokio::sync::Mutex<HashMap<String, Backends>>,
    /// Whether the registry's servers were not reached yet, so that it is not known which tenants there are.
    unread: AtomicBool,
    /// Tenants that wait for the servers of their profile, and which. std's lock: held for a look-up only.
    waiting: RwLock<BTreeMap<TenantId, String>>,
    catalog: Catalog,
    generations: Generations,
    swaps: Swaps,
    /// The swap of each tenant that is under way. std's lock: held for a look-up only.
    lives: RwLock<HashMap<TenantId, Arc<Live>>>,
    /// What it shares with others; nothing when it is alone.
    cluster: Option<Arc<Cluster>>,
    /// The tenants whose home this is. std's lock: held for a look-up only.
    homes: RwLock<HashMap<TenantId, Arc<Work>>>,
    /// What works for tenants whose home may be elsewhere. std's lock: held for a look-up only.
    stays: RwLock<HashMap<TenantId, Arc<Work>>>,
    projector: Arc<Projector>,
    /// Above those of all profiles.
    bus: Arc<Routes<dyn Bus>>,
    deliverer: Arc<Deliverer>,
    replayer: Replayer,
    /// std's lock: held for a look-up only.
    tenants: RwLock<HashMap<TenantId, Known>>,
    moves: Moves,
    /// Held while a tenant is made and started, so that nobody else starts it too.
    creating: tokio::sync::Mutex<()>,
    /// Projectors and drains, joined by [`Host::close`]. tokio's lock, since joining waits.
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    ready: AtomicBool,
}

impl Host {
    /// Opens the data folder and all tenants in it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the folder cannot be used, [`Error::Registry`] when what it says cannot. A tenant that
    /// does not start takes no other down: it is logged, and asking for it says why. Where a cluster's registry is not
    /// reached, the tenants start when it is.
    pub async fn open(config: Config) -> Result<Arc<Self>, Error> {
        let cluster = Cluster::join(&config).await;
        let opened = blocking::run(|| Self::parts(config, cluster.clone()))?;
        let host = Arc::new(opened);
        host.start_all_or_wait().await?;
        host.spawn(health::watch(Arc::clone(&host))).await;
        if let Some(cluster) = cluster {
            host.spawn(Arc::clone(&host).hear_of_others(cluster)).await;
        }
        Ok(host)
    }

    fn parts(config: Config, cluster: Option<Arc<Cluster>>) -> Result<Self, Error> {
        let failed =
            |what: &str, error: &dyn std::fmt::Display| Error::Unavailable(format!("{what}: {error}"));
        std::fs::create_dir_all(&config.data).map_err(|error| failed("data folder", &error))?;
        let embedded = Backends::embedded(&config)?;
        let events = Arc::<Routes<dyn EventStore>>::default();
        let store: Arc<dyn EventStore> = Arc::<Routes<dyn EventStore>>::clone(&events);
        let engine = Engine::new(config.engine.clone(), config.data.join("compiled"));
        let engine = engine.map_err(|error| failed("engine", &error))?;
        let projector = Projector::new(Arc::clone(&store), config.project.clone(), config.engine.clone());
        let projector = Arc::new(projector);
        let bus = Arc::<Routes<dyn Bus>>::default();
        let carrier: Arc<dyn Bus> = Arc::<Routes<dyn Bus>>::clone(&bus);
        let deliverer = Deliverer::new(
            Arc::clone(&store),
            carrier,
            DeliverLimits::default(),
            config.engine.clone(),
        );
        let replayer = Replayer::new(Arc::clone(&store), config.replay.clone());
        let RegistryStore { records, artifacts } = RegistryStore::open(&config)?;
        Ok(Self {
            dispatcher: Dispatcher::new(store, Arc::clone(&projector), config.dispatch.clone()),
            engine,
            events,
            embedded,
            backends: tokio::sync::Mutex::default(),
            unread: AtomicBool::new(false),
            waiting: RwLock::default(),
            catalog: Catalog::new(Arc::clone(&records), artifacts),
            generations: Generations::new(Arc::clone(&records)),
            swaps: Swaps::new(records),
            lives: RwLock::default(),
            cluster,
            homes: RwLock::default(),
            stays: RwLock::default(),
            projector,
            bus,
            deliverer: Arc::new(deliverer),
            replayer,
            tenants: RwLock::default(),
            moves: Moves::new(&config.moving),
            creating: tokio::sync::Mutex::default(),
            tasks: tokio::sync::Mutex::default(),
            stop: watch::Sender::new(false),
            closing: watch::Sender::new(false),
            ready: AtomicBool::new(false),
            config,
        })
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All releases published here.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Whether set-up is done and requests are served.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && self.unreached().is_empty()
    }

    /// Profiles of tenants of this host, and that of its cluster, whose servers were not reached since it started.
    #[must_use]
    pub fn unreached(&self) -> BTreeSet<String> {
        let waiting = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        let unread = self.unread.load(Ordering::Acquire);
        let registry = self.config.cluster.iter().filter(|_| unread);
        let registry = registry.map(|cluster| &cluster.profile);
        waiting.values().chain(registry).cloned().collect()
    }

    /// Says that set-up is done.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// A tenant of this host.
    ///
    /// # Errors
    /// [`Error::NoTenant`]; [`Error::Unavailable`] when it did not start; [`Error::Busy`] while it leaves this host.
    pub fn tenant(&self, id: &TenantId) -> Result<Arc<Tenant>, Error> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        match tenants.get(id) {
            Some(Known::Here(tenant)) => Ok(Arc::clone(tenant)),
            Some(Known::Broken { why, .. }) => {
                Err(Error::Unavailable(format!("tenant {id} did not start: {why}")))
            }
            Some(Known::Leaving) => Err(Error::Busy(id.clone())),
            None => Err(Error::NoTenant(id.clone())),
        }
    }

    fn keep(&self, id: TenantId, tenant: Known) {
        self.tenants
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, tenant);
    }

    /// Forgets a tenant that did not start, if it is not the one that is recorded now.
    fn let_go_broken(&self, id: &TenantId, recorded: Option<&TenantRecord>) {
        self.let_go_if(
            id,
            |known| matches!(known, Known::Broken { record, .. } if Some(record) != recorded),
        );
    }

    /// Forgets a tenant that does not run.
    fn let_go(&self, id: &TenantId) {
        self.let_go_if(id, |known| !matches!(known, Known::Here(_)));
    }

    fn let_go_if(&self, id: &TenantId, is_so: impl FnOnce(&Known) -> bool) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if tenants.get(id).is_some_and(is_so) {
            tenants.remove(id);
            self.waiting().remove(id);
        }
    }

    /// Whether it is this tenant that did not start, and none that was made since.
    fn is_broken(&self, tenant: &TenantRecord) -> bool {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        matches!(tenants.get(&tenant.id), Some(Known::Broken { record, .. }) if record == tenant)
    }

    /// All tenants, by id.
    ///
    /// # Errors
    /// [`Error::Registry`] when they cannot be read.
    pub fn tenants(&self) -> Result<Vec<TenantRecord>, Error> {
        Ok(self.generations.tenants()?)
    }

    /// What a tenant has installed now, with the ranges that it wants and what it has granted.
    ///
    /// # Errors
    /// [`Error::NoTenant`]; [`Error::Registry`] when it cannot be read.
    pub fn installed(&self, id: &TenantId) -> Result<generation::Generation, Error> {
        self.tenant(id)?;
        Ok(blocking::run(|| self.generations.load(id))?)
    }

    /// Makes a tenant without modules, with its data where a profile says: the host's own choice when none is named.
    ///
    /// # Errors
    /// [`Error::Exists`] when there is one with this id; [`Error::NotFound`] when there is no such profile;
    /// [`Error::Malformed`] for a tenant that this host does not serve, or whose data other hosts of a cluster could not read.
    /// It goes on to its end when the caller goes away.
    pub async fn create_tenant(
        self: &Arc<Self>,
        id: TenantId,
        name: String,
        profile: Option<String>,
    ) -> Result<(), Error> {
        let host = Arc::clone(self);
        moves::to_its_end(async move { host.create(id, name, profile).await }).await
    }

    async fn create(
        self: &Arc<Self>,
        id: TenantId,
        name: String,
        profile: Option<String>,
    ) -> Result<(), Error> {
        let profile = profile.unwrap_or_else(|| self.config.profile.clone());
        let _under_way = self.moves.arrive(&id)?;
        self.check_free(&id).await?;
        let _creating = self.creating.lock().await;
        self.check_shared(&profile)?;
        // Before anything is written: a tenant whose data has no place is no use.
        let backends = self.backends_of(&profile).await?;
        let record = TenantRecord {
            id,
            name,
            created_at_ms: now_ms(),
            profile: Some(profile),
            life: Some(new_life()),
            leaving_since_ms: None,
        };
        let made = self.alone(&record.id, Patience::Long, self.make(&record, &backends));
        made.await?;
        self.start_tenant(record).await
    }

    /// Makes a tenant in the place of what is left of one.
    async fn make(&self, record: &TenantRecord, backends: &Backends) -> Result<(), Error> {
        let id = &record.id;
        if backends.events.gate(id).await? != Gate::Open {
            self.empty(id, backends).await?;
            backends.events.set_gate(id, Gate::Open).await?;
        }
        Ok(blocking::run(|| self.generations.create_tenant(record))?)
    }

    /// Whether there is no tenant of this id; what a removal has left of one is removed first.
    pub(super) async fn check_free(&self, id: &TenantId) -> Result<(), Error> {
        if !self.config.serves(id) {
            return Err(Error::Malformed(format!("this host does not serve tenant {id}")));
        }
        // One that another host has removed is none, whether this one has heard of it or not.
        if let Ok(tenant) = self.tenant(id)
            && !self.is_recorded(&tenant)?
        {
            self.part(&tenant).await;
        }
        self.until_left(id).await;
        self.let_go_broken(id, blocking::run(|| self.generations.record(id))?.as_ref());
        if !matches!(self.tenant(id), Err(Error::NoTenant(_))) {
            return Err(exists(id));
        }
        self.finish_removal(id).await?;
        match blocking::run(|| self.generations.record(id))? {
            None => Ok(()),
            Some(_) => Err(exists(id)),
        }
    }

    /// Whether any host of a cluster can serve a tenant of this profile.
    fn check_shared(&self, name: &str) -> Result<(), Error> {
        let found = self.config.find_profile(name);
        match found.filter(|_| self.config.cluster.is_some()) {
            Some(profile) if !profile.is_shared() => Err(Error::Malformed(format!(
                "profile {name} keeps data on one host, which the others of the cluster cannot read; choose one that has \
                 everything on servers"
            ))),
            _ => Ok(()),
        }
    }

    /// Delivers messages, and keeps those that could not be delivered.
    #[must_use]
    pub fn deliverer(&self) -> &Deliverer {
        &self.deliverer
    }

    /// Delivers a dead letter once more.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Moving`]; [`Error::NotDelivered`] when it stays.
    pub async fn retry_letter(&self, tenant: &TenantId, number: u64) -> Result<(), Error> {
        let tenant = self.tenant(tenant)?;
        tenant.check_open()?;
        let closed = || Error::Unavailable(format!("tenant {} has not started", tenant.id));
        let outlet = tenant.outlet.get().ok_or_else(closed)?;
        self.deliverer.retry(&tenant, outlet, number).await
    }

    /// Makes an installed release ready. Blocks while it compiles.
    fn load(&self, installed: &generation::Installation) -> Result<Arc<Module>, Error> {
        let (release, wasm) = self
            .catalog
            .load(&installed.name, &installed.version, &installed.digest)?;
        Module::load(&self.engine, &release, installed, &wasm, &self.config.health).map(Arc::new)
    }

    /// Publishes a release after holding it against its own manifest, its publisher's signature, the contract, and what an
    /// earlier release promised. Code of somebody who is not trusted does not run.
    ///
    /// # Errors
    /// [`Error::Registry`] or [`Error::Load`] with the reason when it is refused.
    pub async fn publish(&self, wasm: Vec<u8>) -> Result<Published, Error> {
        let (release, mut notes) = blocking::run(|| {
            let release = Release::read(&wasm, now_ms())?;
            self.catalog.admit(&release)?;
            let notes = self.catalog.compare(&release, &wasm)?;
            Ok::<_, millwork_registry::Error>((release, notes))
        })?;
        notes.extend(verify::verify(&self.engine, &release, &wasm).await?);
        let release = blocking::run(|| self.catalog.publish(&release, &wasm))?;
        Ok(Published { release, notes })
    }

    /// What runs the projections of all tenants.
    #[must_use]
    pub fn projector(&self) -> &Projector {
        &self.projector
    }

    /// Turns true when the host is about to stop: what would last for ever ends.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Says that the host is about to stop.
    pub fn set_closing(&self) {
        self.ready.store(false, Ordering::Release);
        self.closing.send_replace(true);
    }

    /// Why a module cannot do its work, in its own words; nothing when it can.
    pub async fn ailment(&self, tenant: &Tenant, module: &Module) -> Option<String> {
        let ailment = lifecycle::ailment(self, tenant, module).await;
        module.note_ailment(ailment.clone());
        ailment
    }

    /// Every tenant that has started.
    fn running(&self) -> Vec<Arc<Tenant>> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let running = tenants.values().filter_map(|known| match known {
            Known::Here(tenant) => Some(Arc::clone(tenant)),
            Known::Broken { .. } | Known::Leaving => None,
        });
        running.collect()
    }

    /// Starts a task that [`Host::close`] waits for.
    async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().await;
        // Those that have ended are let go of, so that a host that swaps for years does not remember them all.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Stops the projectors and writes out what waits to be written.
    pub async fn close(&self) {
        self.set_closing();
        self.stop.send_replace(true);
        let works = self.end_work();
        let mut tasks = std::mem::take(&mut *self.tasks.lock().await);
        while tasks.join_next().await.is_some() {}
        for work in works {
            work.end().await;
        }
        // Also where no tenant has started, or none is any more.
        self.embedded.events.close().await;
        for backends in self.backends.lock().await.values() {
            backends.events.close().await;
        }
    }
}

/// A projection that could not be built: the world failed, or the component; the log has the cause.
fn unavailable(error: StepError) -> Error {
    if let StepError::NotRepeatable(detail) = error {
        return Error::NotRepeatable(detail);
    }
    tracing::error!(%error, "read model could not be built");
    Error::Unavailable(format!("read model: {error}"))
}

/// Told apart from all others.
fn new_life() -> String {
    Uuid::now_v7().simple().to_string()
}
