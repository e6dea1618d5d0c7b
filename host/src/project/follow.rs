//! Whether a projection that another host runs has come far enough, for those here who wait for it.
//!
//! Its checkpoint tells, but is saved only now and then while no event is of concern to the projection: then the feed
//! tells that nothing is missing. It is looked at only while somebody waits.

use std::time::Duration;

use super::{Projector, Step, StepError};
use crate::capability::documents::Line;
use crate::error::Error;
use crate::event_store::Position;
use crate::tenant::{Module, Tenant};

/// First and longest pause between two looks.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

impl Projector {
    /// Waits until a projection has applied `after`, whichever host runs it.
    ///
    /// # Errors
    /// [`Error::Behind`] when it has not within `limit`.
    pub async fn reach(
        &self,
        tenant: &Tenant,
        module: &Module,
        projection: &str,
        after: Position,
        limit: Duration,
    ) -> Result<(), Error> {
        let key = super::key(&module.manifest.name, projection);
        let reached = tenant.progress.reach(&key, after, limit);
        if !tenant.documents.is_shared() {
            return reached.await;
        }
        tokio::select! {
            biased;
            reached = reached => reached,
            () = self.follow(tenant, module, projection, after) => Ok(()),
        }
    }

    /// Returns when a projection has applied `after`, on whichever host; notes it in the tenant's progress. While it cannot
    /// be seen, this waits on: the caller has a limit.
    async fn follow(&self, tenant: &Tenant, module: &Module, projection: &str, after: Position) {
        let Some(declared) = module.manifest.projections.get(projection) else {
            return;
        };
        let step = Step {
            tenant,
            module,
            name: projection,
            declared,
            line: Line::Live,
        };
        let mut pause = PAUSE_MIN;
        loop {
            match self.has_reached(step, after).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(tenant = %tenant.id, projection, %error, "cannot follow a projection")
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn has_reached(&self, step: Step<'_>, after: Position) -> Result<bool, StepError> {
        let saved = step
            .checkpoint()
            .await?
            .map_or(0, |checkpoint| checkpoint.position);
        let mut at = saved;
        while at < after {
            let events = self
                .events
                .feed(&step.tenant.id, at, self.limits.batch_events_max)
                .await?;
            let mut until = events.iter().take_while(|event| event.position <= after);
            let missing = until.any(|event| step.wants(event));
            match events.last() {
                Some(last) if !missing => at = last.position.min(after),
                _ => break,
            }
        }
        step.tenant.progress.seen(&step.key(), at, saved);
        Ok(at >= after)
    }
}
