//! Dead letters: listed, tried again, discarded.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Addressee, DeliverError, Deliverer};
use crate::bindings::subscriptions::exports::millwork::module::subscriptions::Outcome;
use crate::bindings::types;
use crate::capability::messaging::Outlet;
use crate::capability::messaging::bus::{BusError, Letter, LetterKind, Message};
use crate::error::Error;
use crate::tenant::Tenant;

/// Most dead letters that one answer lists.
pub const LETTERS_MAX: u32 = 100;

impl Deliverer {
    /// Dead letters of a tenant with numbers above `after`, oldest first, at most [`LETTERS_MAX`].
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn letters(&self, tenant: &Tenant, after: u64) -> Result<Vec<(u64, Letter)>, Error> {
        Ok(self.bus.letters(&tenant.id, after, LETTERS_MAX).await?)
    }

    /// Forgets a dead letter.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none with this number.
    pub async fn discard(&self, tenant: &Tenant, number: u64) -> Result<(), Error> {
        if self.bus.discard(&tenant.id, number).await? {
            Ok(())
        } else {
            Err(none(number))
        }
    }

    /// Hands an event to its subscription once more, or puts a command back in its queue; the letter is gone then.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::NotDelivered`] with the component's words when it fails again, and the letter stays.
    pub async fn retry(
        &self,
        tenant: &Arc<Tenant>,
        outlet: &Arc<dyn Outlet>,
        number: u64,
    ) -> Result<(), Error> {
        let before = number.checked_sub(1).ok_or_else(|| none(number))?;
        let found = self.bus.letters(&tenant.id, before, 1).await?;
        let letter = found.into_iter().find(|(found, _)| *found == number);
        let (_, letter) = letter.ok_or_else(|| none(number))?;
        match letter.kind {
            LetterKind::Event => self.retry_event(tenant, outlet, &letter).await?,
            LetterKind::Command => {
                let text = |name: &str| letter.content.get(name).and_then(Value::as_str);
                let message = Message {
                    // Another attempt at what may have been done: the command's own key makes it harmless.
                    id: format!("{}.{number}", letter.id),
                    subject: text("subject").unwrap_or_default().to_owned(),
                    payload: text("payload").unwrap_or_default().to_owned().into(),
                };
                self.bus.enqueue(&tenant.id, &message).await?;
            }
        }
        self.bus.discard(&tenant.id, number).await?;
        Ok(())
    }

    async fn retry_event(
        &self,
        tenant: &Arc<Tenant>,
        outlet: &Arc<dyn Outlet>,
        letter: &Letter,
    ) -> Result<(), Error> {
        let not_delivered = |why: String| Error::NotDelivered {
            addressee: letter.addressee.clone(),
            why,
        };
        let (module, name) = letter.addressee.split_once('.').unwrap_or_default();
        let generation = tenant.generation();
        let module = generation.module(module)?;
        let declared = module.manifest.subscriptions.get(name);
        let declared = declared.ok_or_else(|| not_delivered("there is no such subscription".to_owned()))?;
        let to = Addressee {
            tenant: Arc::clone(tenant),
            module: Arc::clone(module),
            name: name.to_owned(),
            declared: declared.clone(),
        };
        let event = event(&letter.content).ok_or_else(|| not_delivered("it cannot be read".to_owned()))?;
        module.check_admitted()?;
        let handled = self.hand_over(&to, outlet, &event).await;
        let outcome = handled.map_err(|error| module.failed(&tenant.id, name, error))?;
        module.poison.answered();
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Retry(delay) => Err(not_delivered(delay.reason.message)),
            Outcome::Reject(reason) => Err(not_delivered(reason.message)),
        }
    }
}

fn none(number: u64) -> Error {
    Error::NotFound {
        what: "dead letter".to_owned(),
        id: number.to_string(),
    }
}

impl From<DeliverError> for Error {
    fn from(error: DeliverError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<BusError> for Error {
    fn from(error: BusError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// An event as a dead letter keeps it.
pub(super) fn content(event: &types::Event) -> Value {
    json!({
        "id": event.id,
        "name": event.name,
        "aggregate": event.of.aggregate,
        "aggregateId": event.of.id,
        "version": event.version,
        "recordedAt": event.recorded_at,
        "user": event.origin.user,
        "correlationId": event.origin.correlation_id,
        "causationId": event.origin.causation_id,
        "data": event.data,
    })
}

/// The event that [`content`] kept.
fn event(content: &Value) -> Option<types::Event> {
    let text = |name: &str| Some(content.get(name)?.as_str()?.to_owned());
    let number = |name: &str| content.get(name)?.as_u64();
    Some(types::Event {
        id: text("id")?,
        name: text("name")?,
        of: types::SubjectId {
            aggregate: text("aggregate")?,
            id: text("aggregateId")?,
        },
        version: number("version")?,
        recorded_at: number("recordedAt")?,
        origin: types::Origin {
            user: text("user")?,
            correlation_id: text("correlationId")?,
            causation_id: text("causationId")?,
        },
        data: text("data")?,
    })
}
