//! Which components exist and which of them a tenant runs.
//!
//! A component arrives as one `.wasm` file that carries its [`manifest`] and the signature of its publisher's [`key`],
//! which this installation [trusts](trust) or not; stored under its digest it is a [`release`], listed in the
//! [`catalog`]. What a tenant runs at one moment is a [`generation`]; replacing it is a [`swap`]: [`resolve`] says which
//! versions fit together, [`consent`] what the tenant has to agree to, [`replay`] what a candidate made of its history.
//! Records are kept in a [`store`], which several hosts may share. This crate knows bytes, names and versions; it never runs a
//! component and knows neither the engine nor the host.

pub mod id;
pub mod store;
pub mod manifest;
pub mod key;
pub mod release;
pub mod trust;
pub mod compat;
pub mod catalog;
pub mod generation;
pub mod resolve;
pub mod consent;
pub mod replay;
pub mod swap;
mod error;

pub use error::Error;
