//! Whether a projection is repeatable: the same events lead to the same documents.
//!
//! A read model that came out by chance, by the clock or by where batches end cannot be built anew, so one that is about to
//! take the place of another is held against a second run over its first events, in smaller batches, in a line of its own.
//! Its later events are not repeated: the documents of then would have to be copied, while the tenant's writer waits.

use std::sync::Arc;

use super::{Projector, Step, StepError};
use crate::capability::documents::query::{Filter, Find, Scope};
use crate::capability::documents::{Collection, Document, DocumentError, Line, Unit};
use crate::event_store::Position;

/// Documents that are compared at once.
const PAGE: u32 = 200;

impl Projector {
    /// Fills a shadow with the first events, until as many as are checked were of concern to the projection; gives the
    /// position reached.
    pub(super) async fn fill_part(&self, step: Step<'_>) -> Result<Position, StepError> {
        let (mut at, mut saved, mut applied) = (0, 0, 0);
        while applied < self.limits.check_events_max {
            let events = self
                .events
                .feed(&step.tenant.id, at, self.limits.batch_events_max)
                .await?;
            let Some(end) = events.last().map(|event| event.position) else {
                break;
            };
            applied += events.iter().filter(|event| step.wants(event)).count() as u64;
            if self.apply(step, &events, end, saved).await? {
                saved = end;
            }
            at = end;
        }
        Ok(at)
    }

    /// Applies the events up to `end` a second time and compares the outcome with the shadow, which stands there.
    pub(super) async fn check_repeatable(&self, shadow: Step<'_>, end: Position) -> Result<(), StepError> {
        let trial = Step {
            line: Line::Trial,
            ..shadow
        };
        let (documents, collections) = (
            &shadow.tenant.documents,
            shadow.module.collections_of(shadow.name),
        );
        let mut unit = documents.begin().await?;
        unit.begin_trial(&collections).await?;
        unit.commit(Some(trial.checkpoint_at(0))).await?;

        let repeated = self.repeat(trial, end).await;
        let mut unit = documents.begin().await?;
        let same = match repeated {
            Ok(()) => compare(&mut *unit, &collections).await,
            Err(error) => Err(error),
        };
        unit.end_trial(&trial.key(), &collections).await?;
        unit.commit(Some(shadow.checkpoint_at(end))).await?;
        same.map_err(|error| match error {
            StepError::NotRepeatable(where_from) => StepError::NotRepeatable(format!(
                "projection {} of {} makes other documents of the same events the second time: {where_from}",
                shadow.name, shadow.module.release
            )),
            other => other,
        })
    }

    /// The same events in batches of another size: where a batch ends must not show.
    async fn repeat(&self, trial: Step<'_>, end: Position) -> Result<(), StepError> {
        let batch = (self.limits.batch_events_max / 3).max(1);
        let (mut at, mut saved) = (0, 0);
        while at < end {
            let mut events = self.events.feed(&trial.tenant.id, at, batch).await?;
            events.retain(|event| event.position <= end);
            let Some(last) = events.last().map(|event| event.position) else {
                break;
            };
            if self.apply(trial, &events, last, saved).await? {
                saved = last;
            }
            at = last;
        }
        Ok(())
    }
}

/// Holds trial and shadow of all collections against each other.
async fn compare(unit: &mut dyn Unit, collections: &[Arc<Collection>]) -> Result<(), StepError> {
    for of in collections {
        let all = Find::new(Filter::all(), Scope::whole_tenant(), PAGE);
        let first = unit.count(of, Line::Shadow, &all).await?;
        let second = unit.count(of, Line::Trial, &all).await?;
        let differing = differing(unit, of, all).await?;
        let name = &of.name;
        match differing {
            Some(id) => {
                return Err(StepError::NotRepeatable(format!(
                    "{name} has {first} documents and then {second}, and {id} is not the same"
                )));
            }
            None => tracing::debug!(
                module = of.module,
                collection = name,
                first,
                "read model came out the same"
            ),
        }
    }
    Ok(())
}

/// The first document that is not the same in both lines.
async fn differing(
    unit: &mut dyn Unit,
    of: &Collection,
    mut find: Find,
) -> Result<Option<String>, DocumentError> {
    loop {
        let first = unit.find(of, Line::Shadow, &find).await?;
        let second = unit.find(of, Line::Trial, &find).await?;
        if first.documents != second.documents {
            let pairs = first.documents.iter().zip(&second.documents);
            let differing = pairs.into_iter().find(|(one, other)| one != other);
            let longer = [&first, &second].map(|page| page.documents.len());
            let shorter = longer.iter().min().copied().unwrap_or_default();
            let single = first.documents.get(shorter).or(second.documents.get(shorter));
            return Ok(differing.map(|(one, _)| one).or(single).map(id));
        }
        match first.next {
            Some(next) => find.cursor = Some(next),
            None => return Ok(None),
        }
    }
}

fn id(document: &Document) -> String {
    let id = document.get("_id").and_then(serde_json::Value::as_str);
    id.unwrap_or_default().to_owned()
}
