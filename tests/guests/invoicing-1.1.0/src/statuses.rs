//! The query `StatusReport`, which the release before does not have.

use std::collections::BTreeMap;

use millwork_sdk::{Query, QueryContext, QueryError, documents};
use serde::Deserialize;
use serde_json::json;

use crate::view::COLLECTION;

const STATUSES: [&str; 5] = ["draft", "finalized", "partial", "paid", "voided"];

/// Counts invoices.
pub(crate) struct StatusReport;

/// None.
#[derive(Debug, Deserialize)]
pub(crate) struct Params {}

impl Query for StatusReport {
    const NAME: &'static str = "StatusReport";
    type Params = Params;
    type Answer = BTreeMap<&'static str, u64>;

    fn answer(_: Params, _: &QueryContext) -> Result<Self::Answer, QueryError> {
        let mut counts = BTreeMap::new();
        for status in STATUSES {
            counts.insert(
                status,
                documents::count(COLLECTION, &json!({ "status": status }))?,
            );
        }
        Ok(counts)
    }
}
