//! Rust types and traits generated from `wit/`: the only file that generates, so that a change of the contract shows here.
//!
//! One world per export, as components take them; what they share is generated once, in [`imports`] and [`aggregates`].

#![expect(missing_docs, reason = "generated; the WIT carries the documentation")]

/// What the host gives: `millwork:platform`, `millwork:documents`, `millwork:cache`, `millwork:search`,
/// `millwork:blobs`, `millwork:messaging`.
pub mod imports {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "millwork:guest/imports",
        imports: {
            "millwork:platform": trappable,
            default: async | trappable,
        },
    });
}

/// What the host gives under the names of WASI proposals: `wasi:keyvalue`, `wasi:config`, `wasi:logging`.
pub mod standard {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "millwork:guest/standard",
        imports: {
            "wasi:logging": trappable,
            default: async | trappable,
        },
        with: { "wasi:keyvalue/store.bucket": crate::bindings::Bucket },
    });
}

/// An open bucket of `wasi:keyvalue`: its name.
pub struct Bucket(pub String);

/// `millwork:module/aggregates` and the types that all exports share.
pub mod aggregates {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "millwork:guest/aggregates",
        with: { "millwork:platform": crate::bindings::imports::millwork::platform },
    });
}

/// `millwork:module/projections`.
pub mod projections {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "millwork:guest/projections",
        exports: { default: async },
        with: {
            "millwork:platform": crate::bindings::imports::millwork::platform,
            "millwork:documents": crate::bindings::imports::millwork::documents,
            "millwork:cache": crate::bindings::imports::millwork::cache,
            "millwork:search": crate::bindings::imports::millwork::search,
            "millwork:blobs": crate::bindings::imports::millwork::blobs,
            "millwork:messaging": crate::bindings::imports::millwork::messaging,
            "millwork:module/types": crate::bindings::aggregates::millwork::module::types,
        },
    });
}

/// `millwork:module/queries`.
pub mod queries {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "millwork:guest/queries",
        exports: { default: async },
        with: {
            "millwork:platform": crate::bindings::imports::millwork::platform,
            "millwork:documents": crate::bindings::imports::millwork::documents,
            "millwork:cache": crate::bindings::imports::millwork::cache,
            "millwork:search": crate::bindings::imports::millwork::search,
            "millwork:blobs": crate::bindings::imports::millwork::blobs,
            "millwork:messaging": crate::bindings::imports::millwork::messaging,
            "millwork:module/types": crate::bindings::aggregates::millwork::module::types,
        },
    });
}

/// `millwork:module/subscriptions`.
pub mod subscriptions {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "millwork:guest/subscriptions",
        exports: { default: async },
        with: {
            "millwork:platform": crate::bindings::imports::millwork::platform,
            "millwork:documents": crate::bindings::imports::millwork::documents,
            "millwork:cache": crate::bindings::imports::millwork::cache,
            "millwork:search": crate::bindings::imports::millwork::search,
            "millwork:blobs": crate::bindings::imports::millwork::blobs,
            "millwork:messaging": crate::bindings::imports::millwork::messaging,
            "millwork:module/types": crate::bindings::aggregates::millwork::module::types,
        },
    });
}

/// `millwork:module/lifecycle`.
pub mod lifecycle {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "millwork:guest/lifecycle",
        exports: { default: async },
        with: {
            "millwork:platform": crate::bindings::imports::millwork::platform,
            "millwork:documents": crate::bindings::imports::millwork::documents,
            "millwork:cache": crate::bindings::imports::millwork::cache,
            "millwork:search": crate::bindings::imports::millwork::search,
            "millwork:blobs": crate::bindings::imports::millwork::blobs,
            "millwork:messaging": crate::bindings::imports::millwork::messaging,
            "millwork:module/types": crate::bindings::aggregates::millwork::module::types,
        },
    });
}

pub use self::aggregates::millwork::module::types;
