//! What a module written in Rust is made with: aggregates, projections, queries, and tests without a host.
//!
//! A whole module, with its test; `plugin.yaml` beside it says the rest (routes, schemas, views):
//!
//! ```
//! use millwork_sdk::{Aggregate, Context, Decision, Projection, Recorded, Rejection, documents, testing};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! enum Command { AddTask { title: String }, FinishTask {} }
//!
//! #[derive(Serialize, Deserialize)]
//! enum Event { TaskAdded { title: String }, TaskFinished {} }
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Task { title: String, finished: bool }
//!
//! impl Aggregate for Task {
//!     const NAME: &'static str = "Task";
//!     type Command = Command;
//!     type Event = Event;
//!
//!     fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
//!         match command {
//!             Command::AddTask { title } => Ok(Event::TaskAdded { title }.into()),
//!             Command::FinishTask {} if self.finished => {
//!                 Err(Rejection::conflict("task-finished", format!("{:?} is finished already.", self.title)))
//!             }
//!             Command::FinishTask {} => Ok(Event::TaskFinished {}.into()),
//!         }
//!     }
//!
//!     fn evolve(&mut self, event: Event) {
//!         match event {
//!             Event::TaskAdded { title } => self.title = title,
//!             Event::TaskFinished {} => self.finished = true,
//!         }
//!     }
//! }
//!
//! struct OpenTasks;
//!
//! impl Projection for OpenTasks {
//!     const NAME: &'static str = "OpenTasks";
//!
//!     fn apply(event: &Recorded) -> Result<(), documents::Error> {
//!         match event.decode() {
//!             Some(Event::TaskAdded { title }) => {
//!                 documents::put("tasks", event.aggregate_id(), &serde_json::json!({ "title": title }))
//!             }
//!             Some(Event::TaskFinished {}) => documents::remove("tasks", event.aggregate_id()).map(drop),
//!             None => Ok(()),
//!         }
//!     }
//! }
//!
//! millwork_sdk::module! {
//!     aggregates: [Task],
//!     projections: [OpenTasks],
//! }
//!
//! # fn main() {
//! let task = || Event::TaskAdded { title: "paint".into() };
//! testing::given::<Task>("t-1", [task()])
//!     .when("FinishTask", serde_json::json!({}))
//!     .then(&[Event::TaskFinished {}])
//!     .when("FinishTask", serde_json::json!({}))
//!     .then_rejected("task-finished", "");
//! # assert_eq!(describe(), concat!(r#"{"aggregates":{"Task":{"commands":["AddTask","FinishTask"],"#,
//! #     r#""events":["TaskAdded","TaskFinished"]}},"projections":["OpenTasks"],"queries":[],"subscriptions":[]}"#));
//! # let mut models = testing::ReadModels::default();
//! # models.apply::<OpenTasks>(("Task", "t-1"), "TaskAdded", serde_json::json!({ "title": "paint" }));
//! # assert_eq!(models.document("tasks", "t-1")["title"], "paint");
//! # }
//! ```
//!
//! Decisions are pure: no clock, no randomness, no documents; what they need stands in their [`Context`], because the
//! manifest declares it. Projections may read and write documents, queries read them. A panic ends the call and is
//! logged with its message; other calls do not notice, since each has an instance of its own.

mod aggregate;
#[doc(hidden)]
pub mod bindings;
pub mod blobs;
pub mod cache;
pub mod clock;
pub mod documents;
#[doc(hidden)]
pub mod glue;
mod host;
mod lifecycle;
pub mod log;
#[cfg(target_arch = "wasm32")]
mod memory;
pub mod messaging;
mod module;
pub mod money;
mod patch;
mod projection;
mod query;
pub mod random;
mod rejection;
pub mod search;
mod subscription;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod timestamp;
mod trap;
mod wire;
mod json;
mod text;

pub use aggregate::{Aggregate, Context, Decision, NoCommands, Origin, Related};
#[doc(hidden)]
pub use bindings::lifecycle::millwork::module::types as wit;
pub use lifecycle::{Failure, Lifecycle, NoLifecycle, Reason};
pub use patch::Patch;
pub use projection::{Projection, Recorded};
pub use query::{Query, QueryContext, QueryError};
pub use rejection::{Rejection, Violation, Violations};
pub use subscription::{NotHandled, Subscription, SubscriptionContext};
#[doc(hidden)]
pub use trap::report_panics;
