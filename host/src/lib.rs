//! Millwork's host: a thin program that runs an ERP made of sandboxed WebAssembly components.
//!
//! The path of a command, and the file that holds each step:
//!
//! 1. [`http`]: the request is authenticated, which gives the tenant; the route table of the tenant's [`tenant::Generation`]
//!    (an `Arc`: a swap cannot pull it away) gives module and command; the body is checked against its schema.
//! 2. [`dispatch`]: the state is loaded (cache, else snapshot and events through the component's `evolve`), facts and
//!    numbers are fetched, and the component decides.
//! 3. [`engine`]: `decide` runs in a fresh instance, without any capability.
//! 4. [`event_store`]: one atomic append of events, claims, numbers and the command itself; durable before the reply.
//! 5. [`project`]: the feed goes through the component's projections into [`capability::documents`].
//! 6. [`query`]: views and queries answer from there.
//! 7. [`deliver`]: the feed goes to subscriptions, and commands that were sent are executed.
//!
//! Modules stand in the order of their dependencies: each may use those above it, never those below.

pub mod error;
pub mod config;
pub mod blocking;
pub mod secret_file;
pub mod sqlite;
pub mod mongodb;
pub mod redis_link;
pub mod bindings;
pub mod artifact;
pub mod event_store;
pub mod capability;
pub mod registry_store;
pub mod backends;
pub mod engine;
pub mod tenant;
pub mod replay;
pub mod dispatch;
pub mod project;
pub mod query;
pub mod deliver;
pub mod migrate;
pub mod host;
pub mod telemetry;
pub mod http;
pub mod cli;
