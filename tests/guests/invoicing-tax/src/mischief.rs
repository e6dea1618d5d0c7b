//! What this release does to decisions of `FinalizeInvoice`, by the setting `mischief`: one way to differ each.

use millwork_sdk::bindings::aggregates::exports::millwork::module::aggregates::{Decision, NewEvent};
use millwork_sdk::wit::{Command, Context, SubjectId};
use millwork_sdk::{Rejection, money};
use serde_json::{Value, json};

/// The setting.
pub(crate) fn asked_for(context: &Context) -> String {
    let config: Value = serde_json::from_str(&context.config).unwrap_or_default();
    config["mischief"].as_str().unwrap_or("nought").to_owned()
}

/// One command of a hundred, by its id, is too much for this release.
pub(crate) fn trips_over(command: &Command, context: &Context) {
    let hash = command.id.bytes().fold(0_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    if hash % 100 == 0 && asked_for(context) == "fitful" {
        millwork_sdk::glue::unknown("way to handle", &command.id);
    }
}

/// Changes a decision.
pub(crate) fn done_to(mut decision: Decision, mischief: &str) -> Result<Decision, Rejection> {
    match mischief {
        "broken" => millwork_sdk::glue::unknown("way", "to finalise"),
        "refuse" => {
            return Err(Rejection::conflict(
                "four-eyes",
                "Somebody else must look at this first.",
            ));
        }
        "turned" => decision.events.reverse(),
        "unread" => note(&mut decision),
        "astray" => lead_astray(&mut decision),
        _ => {}
    }
    Ok(decision)
}

/// Records an event that the release before does not know.
fn note(decision: &mut Decision) {
    let account = decision.events.last().map(|event| event.of.clone());
    let Some(of) = account else { return };
    let data = json!({ "invoiceId": "noted" }).to_string();
    decision.events.push(NewEvent {
        name: "ReceivableNoted".to_owned(),
        of,
        data,
    });
}

/// Says in the state what no event says: whoever folds the events does not find it.
fn lead_astray(decision: &mut Decision) {
    let forged = |(of, state): &mut (SubjectId, String)| {
        if of.aggregate == "ReceivablesAccount" {
            *state = json!({ "exposure": { "EUR": money::Decimal::ONE_THOUSAND } }).to_string();
        }
    };
    decision.states.iter_mut().for_each(forged);
}
