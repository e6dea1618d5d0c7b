//! Read models built anew, in shadow collections, while the live ones go on serving.
//!
//! A rebuild fills the shadow from the first event until it has caught up; then, with the projector held still, it takes
//! the last events and puts the shadow in the place of the live line. A crash before that leaves the live line as it was.
//! On the way a part of it is repeated and compared ([`super::repeat`]): what is not the same twice is not put in place.

use std::sync::Arc;

use super::{Projector, Step, StepError};
use crate::capability::documents::Line;
use crate::event_store::Position;
use crate::tenant::{Module, Tenant};

impl Projector {
    /// The projections of `module` whose read models were not made by the version that its manifest names.
    ///
    /// # Errors
    /// [`StepError`] when the checkpoints cannot be read.
    pub async fn outdated(&self, tenant: &Tenant, module: &Module) -> Result<Vec<String>, StepError> {
        let mut outdated = Vec::new();
        for (name, declared) in &module.manifest.projections {
            let step = Step {
                tenant,
                module,
                name,
                declared,
                line: Line::Live,
            };
            let made_by = step.checkpoint().await?.map(|checkpoint| checkpoint.version);
            if made_by.is_some_and(|version| version != declared.version) {
                outdated.push(name.clone());
            }
        }
        Ok(outdated)
    }

    /// Fills the shadow of a projection from the first event until it has all that are there now. Blocks its thread
    /// while the component computes.
    ///
    /// # Errors
    /// [`StepError`]; the live line is as it was.
    pub async fn fill_shadow(
        &self,
        tenant: &Tenant,
        module: &Module,
        projection: &str,
    ) -> Result<(), StepError> {
        let Some(step) = shadow(tenant, module, projection) else {
            return Ok(());
        };
        self.clear_shadow(step).await?;
        self.catch_up(step, 0).await.map(drop)
    }

    /// The same, but a bounded number of the first events is applied a second time beside it and must lead to the same
    /// documents.
    ///
    /// # Errors
    /// [`StepError`], [`StepError::NotRepeatable`] among them; the live line is as it was.
    pub async fn fill_shadow_checked(
        &self,
        tenant: &Tenant,
        module: &Module,
        projection: &str,
    ) -> Result<(), StepError> {
        let Some(step) = shadow(tenant, module, projection) else {
            return Ok(());
        };
        self.clear_shadow(step).await?;
        let end = self.fill_part(step).await?;
        self.check_repeatable(step, end).await?;
        self.catch_up(step, end).await.map(drop)
    }

    /// Takes what has happened since into a shadow that was filled before, so that little is left for
    /// [`Projector::promote`]; gives its position. Nothing is held still.
    ///
    /// # Errors
    /// [`StepError`]; the live line is as it was.
    pub async fn catch_up_shadow(
        &self,
        tenant: &Tenant,
        module: &Module,
        projection: &str,
    ) -> Result<Position, StepError> {
        let Some(step) = shadow(tenant, module, projection) else {
            return Ok(0);
        };
        let filled = step.checkpoint().await?;
        self.catch_up(step, filled.map_or(0, |checkpoint| checkpoint.position))
            .await
    }

    async fn clear_shadow(&self, step: Step<'_>) -> Result<(), StepError> {
        let mut unit = step.tenant.documents.begin().await?;
        unit.clear_shadow(&step.key(), &step.module.collections_of(step.name))
            .await?;
        Ok(unit.commit(Some(step.checkpoint_at(0))).await?)
    }

    /// Takes the last events into the shadow and puts it in the place of the live line; gives its position. The caller
    /// holds [`Tenant::projecting`], so that nothing else moves.
    ///
    /// # Errors
    /// [`StepError`]; the live line is as it was.
    pub async fn promote(
        &self,
        tenant: &Tenant,
        module: &Module,
        projection: &str,
    ) -> Result<Position, StepError> {
        let Some(step) = shadow(tenant, module, projection) else {
            return Ok(0);
        };
        let end = self.catch_up_shadow(tenant, module, projection).await?;
        let mut unit = tenant.documents.begin().await?;
        unit.promote_shadow(&step.key(), &module.collections_of(projection))
            .await?;
        let live = Step {
            line: Line::Live,
            ..step
        };
        unit.commit(Some(live.checkpoint_at(end))).await?;
        live.end_kept_answers().await;
        tenant.progress.set(&step.key(), end, Some(end));
        Ok(end)
    }

    /// Builds a projection's read models anew with the module that serves now, and checks on the way that they come out
    /// the same twice.
    ///
    /// # Errors
    /// [`StepError`], [`StepError::NotRepeatable`] among them; the live line is as it was.
    pub async fn rebuild(
        &self,
        tenant: &Tenant,
        module: &Arc<Module>,
        projection: &str,
    ) -> Result<Position, StepError> {
        self.fill_shadow_checked(tenant, module, projection).await?;
        let _still = tenant.projecting.lock().await;
        self.promote(tenant, module, projection).await
    }

    /// Applies the events after `at` until it has seen the end of the feed; gives the position reached. A page that is
    /// not full ends with the last event of its moment: where commands never pause, there is no moment without another.
    pub(super) async fn catch_up(&self, step: Step<'_>, mut at: Position) -> Result<Position, StepError> {
        let mut saved = at;
        loop {
            let events = self
                .events
                .feed(&step.tenant.id, at, self.limits.batch_events_max)
                .await?;
            let Some(end) = events.last().map(|event| event.position) else {
                return Ok(at);
            };
            let is_last = events.len() < self.limits.batch_events_max as usize;
            if self.apply(step, &events, end, saved).await? {
                saved = end;
            }
            at = end;
            if is_last {
                return Ok(at);
            }
        }
    }
}

/// The shadow of a projection; nothing when the module has no such projection.
fn shadow<'a>(tenant: &'a Tenant, module: &'a Module, projection: &'a str) -> Option<Step<'a>> {
    let declared = module.manifest.projections.get(projection)?;
    Some(Step {
        tenant,
        module,
        name: projection,
        declared,
        line: Line::Shadow,
    })
}
