//! A swap from stage to stage, until the tenant runs what it asks for or it has failed.
//!
//! Each stage does its work, writes down that it is done, and leaves the next to the machine; so a swap that was
//! interrupted goes on from the stage that its journal ends with.

use std::sync::Arc;

use indexmap::IndexMap;
use millwork_registry::swap::{Stage, Step};
use tokio::sync::{OwnedMutexGuard, oneshot};

use super::live::{Live, Wish};
use super::{Swapped, canary, flip, steps};
use crate::error::Error;
use crate::host::Host;
use crate::tenant::{Module, Tenant};

/// One swap and all that works on it.
pub(super) struct Drive {
    pub(super) host: Arc<Host>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) live: Arc<Live>,
    /// The modules that will be new, once they are loaded.
    pub(super) candidates: IndexMap<String, Arc<Module>>,
}

impl Drive {
    /// Drives the swap to its end, holding the tenant's turn until it is settled. Whoever asked for it hears the outcome
    /// from `settled`, if they still listen.
    pub(super) async fn run(
        mut self,
        turn: OwnedMutexGuard<()>,
        settled: oneshot::Sender<Result<Swapped, Error>>,
    ) {
        let mut stop = self.host.home_stop(&self.tenant);
        let prepared = tokio::select! {
            prepared = self.prepare() => prepared,
            // It goes on when the host runs again, or where the tenant has its home then.
            _ = stop.wait_for(|stop| *stop) => return self.host.release(&self.tenant),
        };
        let replaced = match prepared {
            Ok(()) => flip::flip(&self).await,
            Err(error) => Err(error),
        };
        let candidates = std::mem::take(&mut self.candidates);
        let (outcome, gone) = match replaced {
            Ok(replaced) => {
                drop(candidates);
                let gone = flip::gone(&self.tenant, &replaced);
                (Ok(Swapped::of(&self.live.swap())), gone)
            }
            Err(error) => {
                let known = candidates.into_values().collect();
                let activated = if self.give_up(&error) { known } else { Vec::new() };
                (Err(error), activated)
            }
        };
        self.host.release(&self.tenant);
        drop(turn);
        // Whoever asked may have gone.
        let _ = settled.send(outcome);
        self.forget_snapshots().await;
        // When the host stops meanwhile, the modules are told when it runs again.
        let resident = flip::retire(&self.host, &self.tenant, gone).await;
        // What was in flight may have left some more.
        let forgotten = self.forget_snapshots().await;
        if let Some(resident) = resident
            && forgotten
            && self.live.stage() == Stage::Draining
        {
            self.record_end(Step::Drained { resident });
        }
    }

    /// False when that is left to the next start.
    async fn forget_snapshots(&self) -> bool {
        let swap = self.live.swap();
        let forgotten = self.host.forget_snapshots(&self.tenant, &swap).await;
        if let Err(error) = &forgotten {
            tracing::error!(tenant = %self.tenant.id, swap = swap.number, %error, "states of a release that was taken back are kept");
        }
        forgotten.is_ok()
    }

    /// Everything that comes before the flip. Whatever stage the swap is in, this goes on from there.
    async fn prepare(&mut self) -> Result<(), Error> {
        let live = Arc::clone(&self.live);
        loop {
            let swap = live.swap();
            if let Some(cancelled) = live.is_cancelled() {
                return Err(cancelled);
            }
            match swap.stage {
                Stage::Verifying if !swap.consented && !swap.wider.is_empty() => {
                    self.record(Step::ConsentAsked)?;
                }
                Stage::AwaitingConsent => {
                    let consented = |wish: &Wish| match wish {
                        Wish::Consent { by } => Some(by.clone()),
                        _ => None,
                    };
                    let by = tokio::select! {
                        by = live.wish(consented) => by,
                        cancelled = live.cancelled() => return Err(cancelled),
                    };
                    self.record(Step::Consented { by })?;
                }
                Stage::Verifying => tokio::select! {
                    verified = steps::verify(self) => verified?,
                    cancelled = live.cancelled() => return Err(cancelled),
                },
                Stage::Activating => steps::activate(self).await?,
                Stage::Rebuilding => steps::rebuild(self).await?,
                Stage::Ready => {
                    steps::load(self)?;
                    match &swap.request.options.canary {
                        Some(plan) if !swap.canary_passed() && canary::has_what_to_try(self) => {
                            canary::run(self, plan.clone()).await?;
                        }
                        _ => return Ok(()),
                    }
                }
                stage => {
                    let told = format!("swap {} is {stage}, which nothing goes on from", swap.number);
                    return Err(Error::Unavailable(told));
                }
            }
        }
    }

    pub(super) fn record(&self, step: Step) -> Result<(), Error> {
        self.live.record(&self.host, step)
    }

    /// Puts everything back and writes down why; whether candidates may have been told that they would serve.
    fn give_up(&self, error: &Error) -> bool {
        let swap = self.live.swap();
        canary::end(self);
        tracing::warn!(tenant = %swap.tenant, swap = swap.number, %error, "swap did not happen");
        self.record_end(match error {
            Error::SwapCancelled { by, .. } => Step::Cancelled { by: by.clone() },
            error => Step::Failed {
                code: error.code().to_owned(),
                message: error.told(),
            },
        });
        matches!(
            swap.stage,
            Stage::Activating | Stage::Rebuilding | Stage::Ready | Stage::Canary | Stage::Flipping
        )
    }

    /// The last step changes nothing for the tenant now. One that cannot be written is looked into at the next start, when
    /// a swap that has failed or was cancelled is taken up again as if it had not: an operator must know.
    fn record_end(&self, step: Step) {
        let swap = self.live.swap();
        if let Err(error) = self.record(step) {
            tracing::error!(tenant = %swap.tenant, swap = swap.number, %error, "the end of a swap could not be written");
        }
    }
}
