//! What is generated from the WIT.

#![allow(missing_docs, unreachable_pub, reason = "generated; documented in wit/")]

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package millwork:hostile@0.1.0;
        world hostile {
            include millwork:guest/aggregates@0.1.0;
            include millwork:guest/projections@0.1.0;
            include millwork:guest/queries@0.1.0;
        }
    ",
    world: "millwork:hostile/hostile@0.1.0",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_hostile",
});
