//! What components may touch, one module per capability: a narrow trait, the one host implementation of the WIT
//! interface above it, and a file per backend below it. Capabilities do not know each other.

pub mod documents;
pub mod cache;
pub mod platform;
