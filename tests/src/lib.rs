//! What the tests and the bench share: a host as a process of its own ([`server`]), a client for it ([`client`]),
//! an OCI registry ([`oci`]), the servers that production backends speak to ([`servers`]), hosts over them ([`production`],
//! [`cluster`]), and what is said of all that ([`report`]).
//!
//! Made for tests: whatever does not go as it must ends the caller with a message.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

pub mod artifacts;
pub mod client;
pub mod disk;
pub mod oci;
pub mod poll;
pub mod report;
pub mod server;
pub mod servers;
pub mod production;
pub mod cluster;
