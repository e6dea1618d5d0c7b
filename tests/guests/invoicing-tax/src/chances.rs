//! A projection that throws dice: built anew, it never comes out the same.

use millwork_sdk::{Projection, Recorded, documents, random};
use serde_json::json;

/// Keeps `chances`.
pub struct Chances;

impl Projection for Chances {
    const NAME: &'static str = "Chances";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        documents::put(
            "chances",
            event.aggregate_id(),
            &json!({ "drawn": random::uuid() }),
        )
    }
}
