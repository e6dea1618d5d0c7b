//! Tests of the whole, at its boundaries: HTTP, the command line, the WIT, the source tree. Each test starts the host that
//! it needs as a process of its own.

#![recursion_limit = "256"]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is a failed test"
)]

mod blobs;
mod books;
mod cli;
mod cli_swaps;
mod cluster;
mod command_path;
mod compat;
mod conformance;
mod crash;
mod headers;
mod health;
mod full_disk;
mod hostile;
mod hot_swap;
mod kept_answers;
mod languages;
mod lists;
mod marketplace;
mod messaging;
mod migration;
mod numbers;
mod oci;
mod openapi;
mod outages;
mod production;
mod publishing;
mod replay;
mod rates;
mod restart;
mod search;
mod sessions;
mod sequences;
mod settings;
mod shared_registry;
mod standard;
mod servers;
mod swaps;
mod tenancy;
mod tidy;
mod under_load;

mod verification;
