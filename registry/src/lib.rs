//! Which components exist and which of them a tenant runs.
//!
//! A component arrives as one `.wasm` file that carries its [`manifest`]; stored under its digest it is a [`release`],
//! listed in the [`catalog`]. What a tenant runs at one moment is a [`generation`]: replacing it is a swap. This crate
//! knows bytes, names and versions; it never runs a component and knows neither the engine nor the host.

pub mod id;
pub mod manifest;
pub mod release;
pub mod catalog;
pub mod generation;
mod files;
mod error;

pub use error::Error;
