//! Changing what a tenant runs while it runs: the doors to it.
//!
//! A change is planned on the spot, so that one that cannot be is refused at once. What is planned becomes a swap, which
//! a task of its own drives from stage to stage ([`drive`]) until the tenant runs something else or all is as it was.
//! One swap at a time for each tenant; others go on meanwhile.

mod live;
mod plan;
mod drive;
mod steps;
mod canary;
mod flip;
mod resume;

use std::sync::{Arc, PoisonError};

use indexmap::IndexMap;
use millwork_registry::id::TenantId;
use millwork_registry::swap::{Action, Options, Request, Stage, Step, Swap};
use semver::Version;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{OwnedMutexGuard, oneshot};

use self::drive::Drive;
pub use self::live::{Live, View, Wish};
use self::plan::Plan;
use super::{Host, unavailable};
use crate::blocking;
use crate::capability::platform::now_ms;
use crate::error::Error;
use crate::event_store::Position;
use crate::tenant::{Generation, Module, Tenant};

/// What a swap changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swapped {
    /// The tenant.
    pub tenant: TenantId,
    /// The module that it was about.
    pub module: String,
    /// The version that served before.
    pub from: Option<Version>,
    /// The version that serves now.
    pub to: Option<Version>,
    /// The tenant's generation now.
    pub generation: u64,
    /// The swap's number; absent when there was nothing to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<u64>,
}

/// A change that was asked for.
pub enum Begun {
    /// The tenant runs that already.
    Nothing(Swapped),
    /// A swap is under way.
    Swap {
        /// Where it stands.
        live: Arc<Live>,
        /// How it ended, once the flip has happened or never will.
        settled: oneshot::Receiver<Result<Swapped, Error>>,
    },
}

/// How far a change has come when whoever asked for it is answered.
#[derive(Debug)]
pub enum Answer {
    /// It has happened.
    Settled(Swapped),
    /// It goes on, or waits for somebody.
    UnderWay(Box<View>),
}

impl Swapped {
    /// What a swap that has flipped came to.
    fn of(swap: &Swap) -> Self {
        let main = swap.main_change();
        Self {
            tenant: swap.tenant.clone(),
            module: swap.request.module.clone(),
            from: main.and_then(|change| change.from.clone()),
            to: main.and_then(|change| change.to_version().cloned()),
            generation: swap.generation.unwrap_or_default(),
            swap: Some(swap.number),
        }
    }
}

impl Begun {
    /// Waits until the swap is settled.
    ///
    /// # Errors
    /// Why it did not happen.
    pub async fn settled(self) -> Result<Swapped, Error> {
        match self {
            Self::Nothing(swapped) => Ok(swapped),
            Self::Swap { settled, .. } => settled.await.unwrap_or_else(|_| Err(interrupted())),
        }
    }

    /// Waits until the swap is settled, waits for somebody or lets a canary sing, or for as long as an answer may take.
    ///
    /// # Errors
    /// Why it did not happen.
    pub async fn answer(self, limit: std::time::Duration) -> Result<Answer, Error> {
        let (live, mut settled) = match self {
            Self::Nothing(swapped) => return Ok(Answer::Settled(swapped)),
            Self::Swap { live, settled } => (live, settled),
        };
        let mut follow = live.follow();
        let lasting = |swap: &Swap| matches!(swap.stage, Stage::AwaitingConsent | Stage::Canary);
        tokio::select! {
            biased;
            settled = &mut settled => return settled.unwrap_or_else(|_| Err(interrupted())).map(Answer::Settled),
            _ = follow.wait_for(lasting) => {}
            () = tokio::time::sleep(limit) => {}
        }
        Ok(Answer::UnderWay(Box::new(live.view())))
    }
}

/// Lets the modules of a generation go that the one in its place does not have.
pub(super) async fn retire_replaced(host: &Arc<Host>, tenant: &Arc<Tenant>, replaced: &Generation) {
    let gone = flip::gone(tenant, replaced);
    flip::retire(host, tenant, gone).await;
}

fn interrupted() -> Error {
    Error::Unavailable("the host is stopping; the swap goes on when it runs again".to_owned())
}

impl Host {
    /// Asks for a change of what a tenant runs.
    ///
    /// # Errors
    /// [`Error::SwapUnderWay`] when another one does not end in time; [`Error::Registry`] when there is no such release
    /// or it does not fit the others. Nothing has happened then.
    pub async fn change(self: &Arc<Self>, tenant: &TenantId, request: Request) -> Result<Begun, Error> {
        let tenant = self.tenant(tenant)?;
        let host = Arc::clone(self);
        // A task of its own, so that a caller who goes away does not leave a swap behind that nobody drives.
        let begun = tokio::spawn(async move { host.begin(&tenant, request).await });
        begun.await.unwrap_or_else(|_| Err(interrupted()))
    }

    async fn begin(self: &Arc<Self>, tenant: &Arc<Tenant>, request: Request) -> Result<Begun, Error> {
        self.find_home(&tenant.id).await;
        let turn = self.turn(tenant).await?;
        self.check_home(tenant)?;
        tenant.check_open()?;
        let before = blocking::run(|| self.generations.load(&tenant.id))?;
        let planned = blocking::run(|| plan::plan(self, tenant, &before, &request))?;
        let Some(planned) = planned else {
            let serving = before.installations.get(&request.module);
            let version = serving.map(|serving| serving.version.clone());
            return Ok(Begun::Nothing(Swapped {
                tenant: tenant.id.clone(),
                module: request.module,
                from: version.clone(),
                to: version,
                generation: before.number,
                swap: None,
            }));
        };
        let swap = blocking::run(|| self.swaps.begin(&tenant.id, request, now_ms()))?;
        let live = Live::new(swap);
        let Plan { changes, wider } = planned;
        live.record(self, Step::Resolved { changes, wider })?;
        self.hold(tenant, &live);
        let settled = self.drive(tenant, Arc::clone(&live), turn).await;
        Ok(Begun::Swap { live, settled })
    }

    /// Enables a module in a version, or moves it there, with nothing but the usual care, and waits for the outcome.
    ///
    /// # Errors
    /// As for [`Host::change`]; why it did not happen.
    pub async fn enable(
        self: &Arc<Self>,
        tenant: &TenantId,
        module: &str,
        version: &Version,
        config: Option<Value>,
    ) -> Result<Swapped, Error> {
        let version = Some(version.clone());
        let action = Action::Enable {
            version,
            wanted: None,
            config,
        };
        self.change_plainly(tenant, module, action).await
    }

    /// Disables a module and waits for the outcome. Its events and documents stay.
    ///
    /// # Errors
    /// As for [`Host::change`].
    pub async fn disable(self: &Arc<Self>, tenant: &TenantId, module: &str) -> Result<Swapped, Error> {
        self.change_plainly(tenant, module, Action::Disable).await
    }

    async fn change_plainly(
        self: &Arc<Self>,
        tenant: &TenantId,
        module: &str,
        action: Action,
    ) -> Result<Swapped, Error> {
        let request = Request {
            module: module.to_owned(),
            action,
            options: Options::default(),
            by: "host".to_owned(),
        };
        self.change(tenant, request).await?.settled().await
    }

    /// Builds one projection's read models anew, while the old ones serve. Gives the position reached.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such projection, [`Error::Unavailable`] when it cannot be built.
    pub async fn rebuild(
        &self,
        tenant: &TenantId,
        module: &str,
        projection: &str,
    ) -> Result<Position, Error> {
        let tenant = self.tenant(tenant)?;
        let turn = self.turn(&tenant).await?;
        self.check_home(&tenant)?;
        let generation = tenant.generation();
        let module = generation.module(module)?;
        if !module.manifest.projections.contains_key(projection) {
            return Err(Error::NotFound {
                what: "projection".to_owned(),
                id: projection.to_owned(),
            });
        }
        self.rebuild_with(&tenant, module, projection, Some(turn)).await
    }

    pub(super) async fn rebuild_with(
        &self,
        tenant: &Arc<Tenant>,
        module: &Arc<Module>,
        projection: &str,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<Position, Error> {
        let projector = Arc::clone(&self.projector);
        let (tenant, module, projection) = (Arc::clone(tenant), Arc::clone(module), projection.to_owned());
        // It goes on when the caller goes away, and the turn with it: two at once would fill one shadow.
        let rebuilt = blocking::on_own_thread(move || async move {
            let _turn = turn;
            projector.rebuild(&tenant, &module, &projection).await
        });
        let stopped = || Error::Unavailable("the rebuild was stopped".to_owned());
        rebuilt.await.ok_or_else(stopped)?.map_err(unavailable)
    }

    /// The version that a module of a tenant served in before the one it serves in now.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no other is known; [`Error::Registry`] when it is not enabled.
    pub fn previous_version(&self, tenant: &TenantId, module: &str) -> Result<Version, Error> {
        let tenant = self.tenant(tenant)?;
        blocking::run(|| plan::previous_version(self, &tenant, module))
    }

    /// Where a swap stands, under way or not.
    ///
    /// # Errors
    /// [`Error::NoTenant`], [`Error::Registry`] when there is none with this number.
    pub fn swap_view(&self, tenant: &TenantId, number: u64) -> Result<View, Error> {
        match self.live(tenant).filter(|live| live.swap().number == number) {
            Some(live) => Ok(live.view()),
            None => {
                self.tenant(tenant)?;
                Ok(View::of(blocking::run(|| self.swaps.load(tenant, number))?))
            }
        }
    }

    /// The last swaps of a tenant, newest first.
    ///
    /// # Errors
    /// [`Error::NoTenant`], [`Error::Registry`] when they cannot be read.
    pub fn swaps_of(&self, tenant: &TenantId) -> Result<Vec<View>, Error> {
        self.tenant(tenant)?;
        let swaps = blocking::run(|| self.swaps.last(tenant, self.config.swap.listed_max))?;
        Ok(swaps.into_iter().map(View::of).collect())
    }

    /// The swap of a tenant that is under way and not settled.
    #[must_use]
    pub fn live(&self, tenant: &TenantId) -> Option<Arc<Live>> {
        self.lives
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(tenant)
            .cloned()
    }

    /// Tells a swap that is under way a wish.
    ///
    /// # Errors
    /// [`Error::SwapStage`] when it is not where that makes sense; [`Error::Registry`] when there is no such swap.
    pub fn tell(&self, tenant: &TenantId, number: u64, wish: Wish) -> Result<Arc<Live>, Error> {
        if let Some(live) = self.live(tenant).filter(|live| live.swap().number == number) {
            live.tell(wish)?;
            return Ok(live);
        }
        let ended = Live::new(self.swap_view(tenant, number)?.swap);
        ended.tell(wish)?;
        Ok(ended)
    }

    /// Waits, within a bound, for the right to change what a tenant runs.
    pub(super) async fn turn(&self, tenant: &Tenant) -> Result<OwnedMutexGuard<()>, Error> {
        let waited = Arc::clone(&tenant.swapping).lock_owned();
        match tokio::time::timeout(self.config.swap.turn_wait_max, waited).await {
            // It may have been removed meanwhile.
            Ok(turn) => tenant.check_here().map(|()| turn),
            Err(_) => Err(Error::SwapUnderWay {
                tenant: tenant.id.clone(),
                number: self.live(&tenant.id).map_or(0, |live| live.swap().number),
            }),
        }
    }

    /// Starts the task that drives a swap.
    async fn drive(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        live: Arc<Live>,
        turn: OwnedMutexGuard<()>,
    ) -> oneshot::Receiver<Result<Swapped, Error>> {
        let (settle, settled) = oneshot::channel();
        let drive = Drive {
            host: Arc::clone(self),
            tenant: Arc::clone(tenant),
            live,
            candidates: IndexMap::new(),
        };
        self.spawn(drive.run(turn, settle)).await;
        settled
    }

    /// Makes a swap the one that is under way.
    fn hold(&self, tenant: &Tenant, live: &Arc<Live>) {
        let mut lives = self.lives.write().unwrap_or_else(PoisonError::into_inner);
        lives.insert(tenant.id.clone(), Arc::clone(live));
    }

    /// None is under way any more.
    fn release(&self, tenant: &Tenant) {
        self.lives
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&tenant.id);
    }
}
