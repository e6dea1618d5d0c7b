//! A module that does what no module may: each command and query of `plugin.yaml` is one attack on the host.
//!
//! Written against the WIT, since the SDK would stand in the way. [`decide`] has the attacks from pure calls, [`read`]
//! those from projections and queries, [`excess`] the ways to want too much that both use.

mod bindings;
mod decide;
mod excess;
mod read;

use self::bindings::exports::millwork::module::aggregates::{Decision, Guest as Aggregates};
use self::bindings::exports::millwork::module::projections::Guest as Projections;
use self::bindings::exports::millwork::module::queries::Guest as Queries;
use self::bindings::millwork::module::types::{Command, Context, Event, Rejection, Subject};

/// What the component exports.
pub struct Component;

impl Aggregates for Component {
    fn decide(
        target: Subject,
        _related: Vec<Subject>,
        command: Command,
        _context: Context,
    ) -> Result<Decision, Rejection> {
        excess::report_panics();
        Ok(decide::decide(target.of, &command))
    }

    fn evolve(_of: Subject, _events: Vec<Event>) -> String {
        decide::STATE.to_owned()
    }
}

impl Projections for Component {
    fn apply(projection: String, events: Vec<Event>) {
        excess::report_panics();
        for event in events {
            read::apply(&projection, &event);
        }
    }
}

impl Queries for Component {
    fn answer(query: String, params: String, _context: Context) -> Result<String, Rejection> {
        excess::report_panics();
        Ok(read::answer(&query, &params))
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, unreachable_pub, reason = "generated glue of the canonical ABI")]
mod glue {
    use super::Component;

    crate::bindings::export_hostile!(Component with_types_in crate::bindings);
}
