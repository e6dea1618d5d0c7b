//! Projections: what turns events into documents.

use serde::de::DeserializeOwned;

use crate::aggregate::read;
use crate::bindings::lifecycle::millwork::module::types;
use crate::bindings::lifecycle::millwork::module::types::Origin;
use crate::documents;
use crate::timestamp::Timestamp;
use crate::trap::trap;
use crate::wire;

/// Keeps the documents of its collections in step with events.
///
/// Each event takes effect once: the writes commit together with the projection's checkpoint.
pub trait Projection {
    /// As in the manifest.
    const NAME: &'static str;

    /// Applies one event, through [`documents`].
    ///
    /// # Errors
    /// An error ends the call without effect; the host tries again, with backoff.
    fn apply(event: &Recorded) -> Result<(), documents::Error>;
}

/// An event as the host recorded it.
#[derive(Debug, Clone)]
pub struct Recorded(pub(crate) types::Event);

impl Recorded {
    /// Unique for ever.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// As in the manifest; another module's as `<module>.<event>`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The name of the aggregate it belongs to.
    #[must_use]
    pub fn aggregate(&self) -> &str {
        &self.0.of.aggregate
    }

    /// The id of the aggregate it belongs to.
    #[must_use]
    pub fn aggregate_id(&self) -> &str {
        &self.0.of.id
    }

    /// Its number within the aggregate, from 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// When the host recorded it.
    #[must_use]
    pub fn recorded_at(&self) -> Timestamp {
        Timestamp::from_millis(self.0.recorded_at)
    }

    /// Who caused it.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The event's data as one type, whatever its name. Traps when it does not fit.
    #[must_use]
    pub fn data<T: DeserializeOwned>(&self) -> T {
        read(&self.0.name, &self.0.data)
    }

    /// The event as one of an enum's variants; `None` when it is none of them. Another module's events are variants with
    /// `#[serde(rename = "<module>.<event>")]`. Traps when the name fits and the data does not.
    #[must_use]
    pub fn decode<E: DeserializeOwned>(&self) -> Option<E> {
        match wire::decode(&self.0.name, &self.0.data) {
            Ok(event) => event,
            Err(error) => trap(format_args!(
                "{} {} of {}: {error}",
                self.0.name, self.0.version, self.0.of.id
            )),
        }
    }
}
