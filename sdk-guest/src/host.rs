//! What the host gives, or natively what [`crate::testing`] puts in its place: the one switch between the two.

#[cfg(target_family = "wasm")]
pub(crate) use crate::bindings::lifecycle::millwork::{
    blobs::blobs,
    cache::cache,
    documents::documents,
    messaging::{commands, events, requests},
    platform::{clock, log, random},
    search::search,
};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::memory::{cache, clock, commands, documents, events, log, random, requests};
#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::{blobs, search};
