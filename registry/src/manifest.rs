//! What a component says about itself in `plugin.yaml`, embedded in it as the custom section `millwork:manifest`.
//!
//! Types only say the shape; [`Manifest::parse`] is the one door, and what comes out of it is consistent: every name
//! that is referred to exists, every collection has one projection that writes it, every schema compiles.

use indexmap::IndexMap;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

/// A JSON Schema (draft 2020-12), as written in the manifest; `#/schemas/X` refers to [`Manifest::schemas`].
pub type Schema = serde_json::Value;

/// A whole `plugin.yaml`. Unknown keys are errors that name the key, so that a typing mistake grants nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this format: 1.
    pub manifest: u32,
    /// Name of the component: lowercase letters, digits and hyphens, at most 40, starting with a letter.
    pub name: String,
    /// Version of the component.
    pub version: Version,
    /// Who publishes it.
    pub publisher: String,
    /// One sentence for the marketplace.
    pub description: String,
    /// SPDX expression.
    pub licence: String,
    /// What the component may touch beyond its own aggregates.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// Components that must be enabled beside this one, with the versions that will do.
    #[serde(default)]
    pub dependencies: IndexMap<String, VersionReq>,
    /// Schema of the tenant's configuration; its `default`s fill what the tenant leaves out.
    #[serde(default)]
    pub config: Option<Schema>,
    /// Shared definitions for the schemas below.
    #[serde(default)]
    pub schemas: IndexMap<String, Schema>,
    /// Consistency boundaries, by name.
    #[serde(default)]
    pub aggregates: IndexMap<String, Aggregate>,
    /// Where documents are kept, by name.
    #[serde(default)]
    pub collections: IndexMap<String, Collection>,
    /// What turns events into documents, by name.
    #[serde(default)]
    pub projections: IndexMap<String, Projection>,
    /// Questions that the host answers from documents, by name.
    #[serde(default)]
    pub views: IndexMap<String, View>,
    /// Questions that the component answers, by name.
    #[serde(default)]
    pub queries: IndexMap<String, Query>,
    /// What each role may do beside the host's own roles `admin`, `editor` and `viewer`: role to permissions of routes.
    #[serde(default)]
    pub roles: IndexMap<String, Vec<String>>,
    /// Where all this is reached over HTTP, below `/api/v1`.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// One thing a component may touch, as text: `documents`, `cache`, `view:<module>.<View>`, `events:<module>.<Event>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Permission {
    /// Read and write own collections through `millwork:documents`.
    Documents,
    /// Use `millwork:cache`.
    Cache,
    /// Read one view of another module as a fact.
    View(QualifiedName),
    /// Project one event of another module.
    Events(QualifiedName),
}

/// A name of another module: `client.ClientDetail`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QualifiedName {
    /// The module it belongs to.
    pub module: String,
    /// Its name there.
    pub name: String,
}

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
    /// Schema of the body. Absent: no body.
    #[serde(default)]
    pub body: Option<Schema>,
    /// How many fresh ids `decide` wants.
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Own view (`InvoiceDetail`) or another module's (`client.ClientDetail`, needs the permission).
    pub view: String,
    /// Where the document's id stands.
    pub id: Reference,
}

/// A consistent fact.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Related {
    /// An aggregate of this module.
    pub aggregate: String,
    /// Where its id stands.
    pub id: Reference,
}

/// Where an id is taken from: `/data/<pointer>` in the command's body or `/state/<pointer>` in the target's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reference {
    /// JSON Pointer into the body.
    Data(String),
    /// JSON Pointer into the state.
    State(String),
}

/// A gapless number.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The sequence it comes from; `{year}` and `{month}` of the command's time (UTC) start a new one: `invoice-{year}`.
    pub sequence: String,
    /// How it is written: `INV-{year}-{number:06}` pads to six digits.
    pub format: String,
}

/// Where documents are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// Fields (dotted paths) whose text is an exact decimal: they compare and sort as numbers.
    #[serde(default)]
    pub decimals: Vec<String>,
    /// Fields of each index, most significant first. An indexed field holds one value, never an array.
    #[serde(default)]
    pub indexes: Vec<Vec<String>>,
}

/// What turns events into documents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// Raised when documents must be built again from the first event.
    pub version: u32,
    /// Own events (`InvoiceCreated`) and other modules' (`client.ClientUpdated`, needs the permission).
    pub events: Vec<String>,
    /// The collections it alone writes.
    pub collections: Vec<String>,
}

/// A question that the host answers from one collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct View {
    /// One sentence for the API's documentation.
    #[serde(default)]
    pub summary: String,
    /// The collection it reads.
    pub collection: String,
    /// Fields it gives, dotted paths; empty is all.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Fields by which callers may filter.
    #[serde(default)]
    pub filter: Vec<String>,
    /// Fields by which callers may sort.
    #[serde(default)]
    pub sort: Vec<String>,
    /// Order when the caller does not say: `-issuedAt,_id`.
    #[serde(default)]
    pub default_sort: String,
    /// Schema of one document, for the API's documentation.
    #[serde(default)]
    pub schema: Option<Schema>,
    /// What the caller's roles must allow; default `<module>.read`.
    #[serde(default)]
    pub permission: Option<String>,
}

/// A question that the component answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Query {
    /// One sentence for the API's documentation.
    #[serde(default)]
    pub summary: String,
    /// Schema of its parameters, an object; query strings are turned into the types it names.
    #[serde(default)]
    pub params: Option<Schema>,
    /// Own collections it reads: `?after=` waits for the projections that write them.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Schema of the answer, for the API's documentation.
    #[serde(default)]
    pub result: Option<Schema>,
    /// What the caller's roles must allow; default `<module>.read`.
    #[serde(default)]
    pub permission: Option<String>,
}

/// One line: `POST /invoices/{id}/finalize: command FinalizeInvoice`.
///
/// In a command's path `{id}` is the target; other parameters are added to the body under their names. A view with
/// `{id}` gives one document, one without gives pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RouteText", into = "RouteText")]
pub struct Route {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Below `/api/v1`, segments in lowercase, parameters in braces.
    pub path: String,
    /// What answers.
    pub action: Action,
}

/// HTTP methods that routes may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Views and queries only.
    Get,
    /// Commands.
    Post,
    /// Commands.
    Put,
    /// Commands.
    Patch,
    /// Commands.
    Delete,
}

/// What a route leads to, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command of one of the aggregates.
    Command(String),
    /// A view.
    View(String),
    /// A query.
    Query(String),
}

/// A route as YAML has it: a mapping of one key, `POST /invoices`, to `command CreateInvoice`.
pub(crate) type RouteText = IndexMap<String, String>;
