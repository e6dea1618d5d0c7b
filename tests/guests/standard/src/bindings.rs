//! Types and functions generated from `wit/` for what this module uses of WASI.

#![allow(missing_docs, unreachable_pub, reason = "generated; documented in wit/")]

wit_bindgen::generate!({
    world: "standard",
    path: "../../../wit",
    generate_all,
});
