//! Attacks from a pure call, and one command that does nothing wrong.

use crate::bindings::exports::millwork::module::aggregates::{Claim, Decision, NewEvent};
use crate::bindings::millwork::cache::cache;
use crate::bindings::millwork::documents::documents;
use crate::bindings::millwork::module::types::{Command, SubjectId};
use crate::bindings::millwork::platform::{clock, log, random};
use crate::excess;

/// The state of every aggregate here.
pub(crate) const STATE: &str = "{}";

const ALIASED_EVENTS: usize = 1_000;
const MANY_EVENTS: usize = 500_000;
const JSON_DEPTH: usize = 100_000;
const LOG_LINES: usize = 1_000_000;

/// Carries out the attack that the command names. What returns a decision is for the host to refuse.
pub(crate) fn decide(target: SubjectId, command: &Command) -> Decision {
    let one = |name: &str, data: String| decision(&target, vec![event(&target, name, data)]);
    match command.name.as_str() {
        "Behave" | "BehaveAgain" => one("Behaved", STATE.to_owned()),
        "LoopForever" => excess::spin(),
        "AllocateWithoutEnd" => excess::allocate_without_end(),
        "Recurse" => one("Behaved", excess::recurse(0).to_string()),
        "Trap" => excess::trap("the message of a deliberate panic"),
        "ReturnHugeText" => one("Behaved", excess::huge_json()),
        "ReturnAliasedText" => aliased_text(&target),
        "ReturnManyEvents" => decision(
            &target,
            (0..MANY_EVENTS)
                .map(|_| event(&target, "Behaved", STATE.to_owned()))
                .collect(),
        ),
        "ReturnDeepJson" => one("Behaved", excess::deep_json(JSON_DEPTH)),
        "ReturnNoJson" => one("Behaved", "{nothing".to_owned()),
        "ReturnInvalidEvent" => one("Behaved", r#"{"surplus":true}"#.to_owned()),
        "ReturnUndeclaredEvent" => one("Invented", STATE.to_owned()),
        "ReturnForeignEvent" => foreign_event(&target),
        "ReturnUndeclaredClaim" => undeclared_claim(&target),
        "Trespass" => one("Trespassed", command.data.clone()),
        "PoisonProjection" => one("Poisoned", STATE.to_owned()),
        "StallProjection" => one("Stalled", STATE.to_owned()),
        capability => {
            use_capability(capability);
            one("Behaved", STATE.to_owned())
        }
    }
}

/// Only the log may be called from here, and not without end.
fn use_capability(command: &str) {
    match command {
        "ReadDocumentInDecide" => drop(documents::get("outcomes", "any")),
        "ReadClockInDecide" => drop(std::hint::black_box(clock::now())),
        "DrawRandomInDecide" => drop(random::bytes(1)),
        "UseCacheInDecide" => drop(cache::get("any")),
        "FloodLog" => {
            for _ in 0..LOG_LINES {
                log::write(log::Level::Info, "one of a million lines", "");
            }
        }
        other => excess::trap(&format!("there is no command {other}")),
    }
}

fn aliased_text(target: &SubjectId) -> Decision {
    let text = excess::aliased_json();
    decision(
        target,
        (0..ALIASED_EVENTS)
            .map(|_| event(target, "Behaved", text()))
            .collect(),
    )
}

fn foreign_event(target: &SubjectId) -> Decision {
    let other = SubjectId {
        aggregate: target.aggregate.clone(),
        id: "somebody-else".to_owned(),
    };
    decision(target, vec![event(&other, "Behaved", STATE.to_owned())])
}

fn undeclared_claim(target: &SubjectId) -> Decision {
    let claim = Claim {
        name: "code".to_owned(),
        value: "ACME".to_owned(),
    };
    let event = event(target, "Behaved", STATE.to_owned());
    Decision {
        claims: vec![claim],
        ..decision(target, vec![event])
    }
}

fn decision(target: &SubjectId, events: Vec<NewEvent>) -> Decision {
    let states = vec![(target.clone(), STATE.to_owned())];
    Decision {
        events,
        states,
        claims: Vec::new(),
        releases: Vec::new(),
    }
}

fn event(of: &SubjectId, name: &str, data: String) -> NewEvent {
    NewEvent {
        name: name.to_owned(),
        of: of.clone(),
        data,
    }
}
