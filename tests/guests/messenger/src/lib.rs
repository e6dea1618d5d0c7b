//! Uses messaging in every way: what the name of a new client begins with says which.

use millwork_sdk::{
    Aggregate, Context, Decision, NotHandled, Projection, Query, QueryContext, QueryError, Recorded,
    Rejection, Subscription, SubscriptionContext, documents,
    messaging::{self, Command},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Takes a note.
#[derive(Deserialize)]
pub enum Commands {
    /// With this text.
    TakeNote {
        /// The text.
        text: String,
    },
}

/// What happens to notes.
#[derive(Serialize, Deserialize)]
pub enum Events {
    /// One was taken.
    NoteTaken {
        /// The text.
        text: String,
    },
}

/// A text.
#[derive(Default, Serialize, Deserialize)]
pub struct Note {
    text: String,
}

impl Aggregate for Note {
    const NAME: &'static str = "Note";
    type Command = Commands;
    type Event = Events;

    fn decide(&self, command: Commands, _: &Context) -> Result<Decision<Events>, Rejection> {
        let Commands::TakeNote { text } = command;
        Ok(Events::NoteTaken { text }.into())
    }

    fn evolve(&mut self, event: Events) {
        let Events::NoteTaken { text } = event;
        self.text = text;
    }
}

/// All notes.
pub struct Notes;

impl Projection for Notes {
    const NAME: &'static str = "Notes";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        match event.decode() {
            Some(Events::NoteTaken { text }) => {
                documents::put("notes", event.aggregate_id(), &json!({ "text": text }))
            }
            None => Ok(()),
        }
    }
}

/// Asks itself, and ends with the host's bound.
pub struct Echo;

impl Query for Echo {
    const NAME: &'static str = "Echo";
    type Params = Value;
    type Answer = Value;

    fn answer(_: Value, _: &QueryContext) -> Result<Value, QueryError> {
        match messaging::ask::<Value>("messenger", "Echo", &json!({})) {
            Ok(answer) => Ok(answer),
            Err(error) => Ok(json!({ "ended": error.to_string() })),
        }
    }
}

/// New clients.
pub struct Welcome;

impl Subscription for Welcome {
    const NAME: &'static str = "Welcome";

    fn handle(event: &Recorded, _: &SubscriptionContext) -> Result<(), NotHandled> {
        let id = event.aggregate_id();
        let name = text(&event.data(), "name");
        let command = |key| Command {
            key,
            module: "client",
            name: "UpdateClient",
            target: Some(id),
        };
        match name.split(' ').next().unwrap_or_default() {
            "Execute" => command(event.id())
                .execute(&json!({ "tags": ["executed"] }))
                .map(drop)?,
            "Send" => {
                command(event.id()).send(&json!({ "tags": ["sent"] }))?;
                command(event.id()).send(&json!({ "tags": ["sent"] }))?;
            }
            "Wrong" => command(event.id()).send(&json!({ "no": "field" }))?,
            "Denied" => {
                let denied = Command {
                    module: "invoicing",
                    ..command("k")
                };
                let told = match denied.send(&json!({})) {
                    Err(messaging::Error::Denied(_)) => "denied",
                    _ => "not denied",
                };
                command(event.id()).execute(&json!({ "tags": [told] }))?;
            }
            "Ask" => {
                let seen: Value = messaging::ask("client", "ClientDetail", &json!({ "id": id }))
                    .map_err(|error| NotHandled::retry("not-yet", error.to_string()))?;
                command(event.id()).execute(&json!({ "tags": [text(&seen, "code")] }))?;
            }
            "Cycle" => {
                let ended: Value = messaging::ask("messenger", "Echo", &json!({}))?;
                let told = text(&ended, "ended").contains("ask-depth");
                command(event.id()).execute(&json!({ "tags": [told.to_string()] }))?;
            }
            "Publish" => {
                messaging::publish("Welcomed", event.id(), &json!({ "client": id }))?;
                messaging::publish("Welcomed", event.id(), &json!({ "client": id }))?;
            }
            "Misfit" => messaging::publish("Welcomed", event.id(), &json!({ "client": 1 }))?,
            "Retry" => return Err(NotHandled::retry("not-now", "It never works.")),
            "Reject" => return Err(NotHandled::reject("not-ever", "It is not wanted.")),
            "Panic" => fail(),
            _ => {}
        }
        Ok(())
    }
}

#[expect(clippy::panic, reason = "a bug, to see what becomes of the event")]
fn fail() {
    panic!("as the name says")
}

/// Changes of clients: one whose name is `Broken` is never taken.
pub struct Follow;

impl Subscription for Follow {
    const NAME: &'static str = "Follow";

    fn handle(event: &Recorded, _: &SubscriptionContext) -> Result<(), NotHandled> {
        match text(&event.data(), "name").as_str() {
            "Broken" => Err(NotHandled::reject("broken", "It is broken.")),
            _ => Ok(()),
        }
    }
}

/// A member's text; empty when it has none.
fn text(value: &Value, member: &str) -> String {
    let text = value.get(member).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

millwork_sdk::module! {
    aggregates: [Note],
    projections: [Notes],
    queries: [Echo],
    subscriptions: [Welcome, Follow],
}
