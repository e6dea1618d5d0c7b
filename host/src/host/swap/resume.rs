//! Swaps that a stop or a crash has interrupted, when a tenant starts again, here or on another host.
//!
//! The generation on the disk says whether a swap has happened. One that has is brought to its end; one that has not
//! goes on from the last step written down. Only a canary is not taken up again: it is over, and the old release serves.

use std::sync::Arc;

use millwork_registry::generation::Installation;
use millwork_registry::swap::{Action, Change, Stage, Step, Swap};

use tokio::sync::OwnedMutexGuard;

use super::live::Live;
use crate::blocking;
use crate::error::Error;
use crate::event_store::EventStore as _;
use crate::host::{Host, lifecycle};
use crate::tenant::Tenant;

impl Host {
    /// Takes up what was interrupted, before anything else is begun: `turn` is the right to.
    pub(in crate::host) async fn resume_swaps(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        turn: OwnedMutexGuard<()>,
    ) -> Result<(), Error> {
        let mut turn = Some(turn);
        for swap in blocking::run(|| self.swaps.interrupted(&tenant.id))? {
            tracing::info!(tenant = %tenant.id, swap = swap.number, stage = %swap.stage, "taking up a swap");
            let live = Live::new(swap.clone());
            match swap.stage {
                Stage::Draining => self.end_drain(tenant, &live).await?,
                Stage::Flipping => self.end_flip(tenant, &swap, &live).await?,
                Stage::Canary => self.not_taken_up(&live, "the host stopped during its canary")?,
                Stage::Resolving => self.not_taken_up(&live, "the host stopped before it was planned")?,
                _ => self.go_on(tenant, live, turn.take()).await,
            }
        }
        Ok(())
    }

    async fn go_on(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        live: Arc<Live>,
        turn: Option<OwnedMutexGuard<()>>,
    ) {
        let turn = match turn {
            Some(turn) => turn,
            // The one before has it.
            None => Arc::clone(&tenant.swapping).lock_owned().await,
        };
        self.hold(tenant, &live);
        drop(self.drive(tenant, live, turn).await);
    }

    async fn end_flip(&self, tenant: &Arc<Tenant>, swap: &Swap, live: &Live) -> Result<(), Error> {
        let current = blocking::run(|| self.generations.load(&tenant.id))?;
        match swap.generation {
            Some(generation) if generation == current.number => {
                live.record(self, Step::Flipped { generation })?;
                self.end_drain(tenant, live).await
            }
            _ => self.not_taken_up(live, "the host stopped before its generation was in place"),
        }
    }

    /// The calls on what was replaced have ended with the process; what is left is to tell it so.
    async fn end_drain(&self, tenant: &Arc<Tenant>, live: &Live) -> Result<(), Error> {
        let swap = live.swap();
        self.forget_snapshots(tenant, &swap).await?;
        if let Err(error) = self.tell_replaced(tenant, &swap).await {
            tracing::warn!(tenant = %tenant.id, swap = swap.number, %error, "a replaced release could not be told");
        }
        live.record(self, Step::Drained { resident: Vec::new() })
    }

    /// The states that a release taken back has left behind are not gone on from.
    pub(super) async fn forget_snapshots(&self, tenant: &Tenant, swap: &Swap) -> Result<(), Error> {
        if matches!(swap.request.action, Action::RollBack { .. }) {
            for change in &swap.changes {
                self.events.forget_snapshots(&tenant.id, &change.module).await?;
            }
        }
        Ok(())
    }

    async fn tell_replaced(&self, tenant: &Arc<Tenant>, swap: &Swap) -> Result<(), Error> {
        let Some(before) = swap.generation.and_then(|generation| generation.checked_sub(1)) else {
            return Ok(());
        };
        let before = blocking::run(|| self.generations.past(&tenant.id, before))?;
        let current = blocking::run(|| self.generations.load(&tenant.id))?;
        // A later swap may have brought it back.
        let serves = |installed: &Installation| {
            let now = current.installations.get(&installed.name);
            now.is_some_and(|now| now.digest == installed.digest)
        };
        let replaced = |change: &&Change| change.from.is_some();
        for change in swap.changes.iter().filter(replaced) {
            if let Some(installed) = before.installations.get(&change.module)
                && !serves(installed)
            {
                let module = blocking::run(|| self.load(installed))?;
                lifecycle::farewell(self, tenant, &module).say().await;
            }
        }
        Ok(())
    }

    fn not_taken_up(&self, live: &Live, why: &str) -> Result<(), Error> {
        live.record(
            self,
            Step::Failed {
                code: "swap-interrupted".to_owned(),
                message: format!("{why}; what served before goes on"),
            },
        )
    }
}
