//! Everything generated from `wit/`: types, imports, and the macros that make exports.
//!
//! One generation per world, so that a component exports only what it implements; all share the types and imports of
//! the first. Nobody writes against these but the rest of this crate and what [`crate::module!`] expands to. Natively
//! the imports are stubs that nothing calls: `host.rs` puts memory in their place.

#![allow(missing_docs, unreachable_pub, reason = "generated; documented in wit/")]

pub mod lifecycle {
    wit_bindgen::generate!({
        world: "lifecycle",
        path: "../wit",
        generate_all,
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
    });
}

pub mod aggregates {
    wit_bindgen::generate!({
        world: "aggregates",
        path: "../wit",
        pub_export_macro: true,
        export_macro_name: "export_aggregates",
        with: {
            "millwork:platform/log@0.1.0": super::lifecycle::millwork::platform::log,
            "millwork:module/types@0.1.0": super::lifecycle::millwork::module::types,
        },
    });
}

pub mod projections {
    wit_bindgen::generate!({
        world: "projections",
        path: "../wit",
        pub_export_macro: true,
        export_macro_name: "export_projections",
        with: {
            "millwork:platform/log@0.1.0": super::lifecycle::millwork::platform::log,
            "millwork:platform/clock@0.1.0": super::lifecycle::millwork::platform::clock,
            "millwork:platform/random@0.1.0": super::lifecycle::millwork::platform::random,
            "millwork:documents/documents@0.1.0": super::lifecycle::millwork::documents::documents,
            "millwork:cache/cache@0.1.0": super::lifecycle::millwork::cache::cache,
            "millwork:search/search@0.1.0": super::lifecycle::millwork::search::search,
            "millwork:blobs/blobs@0.1.0": super::lifecycle::millwork::blobs::blobs,
            "millwork:messaging/types@0.1.0": super::lifecycle::millwork::messaging::types,
            "millwork:messaging/events@0.1.0": super::lifecycle::millwork::messaging::events,
            "millwork:messaging/commands@0.1.0": super::lifecycle::millwork::messaging::commands,
            "millwork:messaging/requests@0.1.0": super::lifecycle::millwork::messaging::requests,
            "millwork:module/types@0.1.0": super::lifecycle::millwork::module::types,
        },
    });
}

pub mod queries {
    wit_bindgen::generate!({
        world: "queries",
        path: "../wit",
        pub_export_macro: true,
        export_macro_name: "export_queries",
        with: {
            "millwork:platform/log@0.1.0": super::lifecycle::millwork::platform::log,
            "millwork:platform/clock@0.1.0": super::lifecycle::millwork::platform::clock,
            "millwork:platform/random@0.1.0": super::lifecycle::millwork::platform::random,
            "millwork:documents/documents@0.1.0": super::lifecycle::millwork::documents::documents,
            "millwork:cache/cache@0.1.0": super::lifecycle::millwork::cache::cache,
            "millwork:search/search@0.1.0": super::lifecycle::millwork::search::search,
            "millwork:blobs/blobs@0.1.0": super::lifecycle::millwork::blobs::blobs,
            "millwork:messaging/types@0.1.0": super::lifecycle::millwork::messaging::types,
            "millwork:messaging/events@0.1.0": super::lifecycle::millwork::messaging::events,
            "millwork:messaging/commands@0.1.0": super::lifecycle::millwork::messaging::commands,
            "millwork:messaging/requests@0.1.0": super::lifecycle::millwork::messaging::requests,
            "millwork:module/types@0.1.0": super::lifecycle::millwork::module::types,
        },
    });
}

pub mod subscriptions {
    wit_bindgen::generate!({
        world: "subscriptions",
        path: "../wit",
        pub_export_macro: true,
        export_macro_name: "export_subscriptions",
        with: {
            "millwork:platform/log@0.1.0": super::lifecycle::millwork::platform::log,
            "millwork:platform/clock@0.1.0": super::lifecycle::millwork::platform::clock,
            "millwork:platform/random@0.1.0": super::lifecycle::millwork::platform::random,
            "millwork:documents/documents@0.1.0": super::lifecycle::millwork::documents::documents,
            "millwork:cache/cache@0.1.0": super::lifecycle::millwork::cache::cache,
            "millwork:search/search@0.1.0": super::lifecycle::millwork::search::search,
            "millwork:blobs/blobs@0.1.0": super::lifecycle::millwork::blobs::blobs,
            "millwork:messaging/types@0.1.0": super::lifecycle::millwork::messaging::types,
            "millwork:messaging/events@0.1.0": super::lifecycle::millwork::messaging::events,
            "millwork:messaging/commands@0.1.0": super::lifecycle::millwork::messaging::commands,
            "millwork:messaging/requests@0.1.0": super::lifecycle::millwork::messaging::requests,
            "millwork:module/types@0.1.0": super::lifecycle::millwork::module::types,
        },
    });
}
