//! Aggregates and their commands: what a module lets happen, and what the host fetches before it decides.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Number, Reference, Schema, Upcasts};

/// One aggregate.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Aggregate {
    /// Raised when `evolve` starts to give another shape of state, so that older snapshots are not used.
    #[serde(default = "one")]
    pub state_version: u32,
    /// What can be asked of it.
    #[serde(default)]
    pub commands: IndexMap<String, Command>,
    /// What can happen to it, with the schema of the event's data where there is one.
    pub events: IndexMap<String, Option<Schema>>,
    /// What this release needs of events and earlier ones did not record, by the event's name.
    #[serde(default)]
    pub upcasts: IndexMap<String, Upcasts>,
}

fn one() -> u32 {
    1
}

/// One command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Command {
    /// One sentence for the API's documentation.
    #[serde(default)]
    pub summary: String,
    /// Whether it starts an aggregate: then the id is a fresh one, else the aggregate must exist (404 when not).
    #[serde(default)]
    pub creates: bool,
    /// Schema of the body, an object. Absent: no body.
    #[serde(default)]
    pub body: Option<Schema>,
    /// How many fresh ids `decide` wants, at most 1,000.
    #[serde(default)]
    pub ids: u32,
    /// Documents to fetch first, by the name under which `decide` finds them.
    #[serde(default)]
    pub facts: IndexMap<String, Fact>,
    /// Further aggregates of this module whose versions the append checks, by name; `decide` gets them in this order.
    #[serde(default)]
    pub related: IndexMap<String, Related>,
    /// Gapless numbers to hand out, by the name under which `decide` finds them.
    #[serde(default)]
    pub numbers: IndexMap<String, Number>,
    /// Names of claims that its decisions may take or release.
    #[serde(default)]
    pub claims: Vec<String>,
    /// What the caller's roles must allow; default `<module>.write`.
    #[serde(default)]
    pub permission: Option<String>,
}

/// A document that a decision sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Own view (`InvoiceDetail`) or another module's (`client.ClientDetail`, needs the permission).
    pub view: String,
    /// Where the document's id stands.
    pub id: Reference,
}

/// A consistent fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Related {
    /// An aggregate of this module.
    pub aggregate: String,
    /// Where its id stands.
    pub id: Reference,
}
