//! A module that keeps notes in an index and finds them: what `millwork:search` is to a component written with the SDK.

use std::fmt::Display;

use millwork_sdk::{
    Aggregate, Context, Decision, Projection, Query, QueryContext, QueryError, Recorded, Rejection,
    documents, search,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The index.
const NOTES: &str = "notes";

/// What is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    title: String,
    body: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<String>,
}

/// What can be asked of a note.
#[derive(Debug, Deserialize)]
pub enum Command {
    /// For the first time.
    WriteNote(Text),
    /// Again.
    RewriteNote(Text),
    /// For good.
    DiscardNote {},
}

/// What happened to a note.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// As a whole.
    NoteWritten(Text),
    /// It is no longer to be found.
    NoteDiscarded {},
}

/// A note.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Note {}

impl Aggregate for Note {
    const NAME: &'static str = "Note";
    type Command = Command;
    type Event = Event;

    fn decide(&self, command: Command, _: &Context) -> Result<Decision<Event>, Rejection> {
        Ok(match command {
            Command::WriteNote(text) | Command::RewriteNote(text) => Event::NoteWritten(text).into(),
            Command::DiscardNote {} => Event::NoteDiscarded {}.into(),
        })
    }

    fn evolve(&mut self, _: Event) {}
}

/// Keeps the index in step with the notes.
pub struct Notes;

impl Projection for Notes {
    const NAME: &'static str = "Notes";

    fn apply(event: &Recorded) -> Result<(), documents::Error> {
        let id = event.aggregate_id();
        match event.decode() {
            Some(Event::NoteWritten(text)) => search::index(NOTES, id, &text)?,
            Some(Event::NoteDiscarded {}) => search::remove(NOTES, id)?,
            None => {}
        }
        documents::put("seen", id, &json!({}))
    }
}

/// Finds notes.
pub struct FindNotes;

/// What to find.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    text: String,
    filter: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Query for FindNotes {
    const NAME: &'static str = "FindNotes";
    type Params = Wanted;
    type Answer = Value;

    fn answer(wanted: Wanted, _: &QueryContext) -> Result<Value, QueryError> {
        let mut find = search::find(NOTES, &wanted.text).highlight(&["title", "body"]);
        if let Some(filter) = &wanted.filter {
            let filter = serde_json::from_str(filter).map_err(refused)?;
            find = find.filter(&filter);
        }
        if let Some(limit) = wanted.limit {
            find = find.limit(limit);
        }
        if let Some(cursor) = wanted.cursor {
            find = find.after(cursor);
        }
        let page = find.page::<Text>().map_err(told)?;
        let hits = page
            .hits
            .iter()
            .map(|hit| json!({ "id": hit.id, "title": hit.document.title, "fragments": hit.fragments }));
        Ok(json!({ "total": page.total, "hits": hits.collect::<Vec<_>>(), "next": page.next }))
    }
}

/// Suggests titles.
pub struct SuggestTitles;

/// How they begin.
#[derive(Debug, Deserialize)]
pub struct Beginning {
    prefix: String,
}

impl Query for SuggestTitles {
    const NAME: &'static str = "SuggestTitles";
    type Params = Beginning;
    type Answer = Vec<String>;

    fn answer(beginning: Beginning, _: &QueryContext) -> Result<Vec<String>, QueryError> {
        search::suggest(NOTES, "title", &beginning.prefix, 10).map_err(told)
    }
}

/// Does what a query may not.
pub struct Trespass;

/// Nothing.
#[derive(Debug, Deserialize)]
pub struct Nothing {}

impl Query for Trespass {
    const NAME: &'static str = "Trespass";
    type Params = Nothing;
    type Answer = Value;

    fn answer(_: Nothing, _: &QueryContext) -> Result<Value, QueryError> {
        let write = search::index(NOTES, "planted", &Text::default());
        let other = search::find("invoices", "")
            .page::<Value>()
            .map(|page| page.total);
        let error = |error: Option<search::Error>| error.map(|error| error.to_string());
        Ok(json!({ "write": error(write.err()), "other": error(other.err()) }))
    }
}

/// What the caller can mend is told; the rest fails the call.
fn told(error: search::Error) -> QueryError {
    match error {
        search::Error::Malformed(why) | search::Error::TooLarge(why) => refused(why),
        other => other.into(),
    }
}

fn refused(why: impl Display) -> QueryError {
    Rejection::invalid("/text", "query-refused", why.to_string()).into()
}

millwork_sdk::module! {
    aggregates: [Note],
    projections: [Notes],
    queries: [FindNotes, SuggestTitles, Trespass],
}

#[cfg(test)]
mod tests {
    use millwork_sdk::testing::ReadModels;

    use super::*;

    #[test]
    fn notes_are_found_without_a_host() {
        let mut models = ReadModels::default();
        let text = |title: &str| json!({ "title": title, "body": "A <b> of use", "tags": ["x"] });
        models.apply::<Notes>(("Note", "a"), "NoteWritten", text("Paint the fence"));
        models.apply::<Notes>(("Note", "b"), "NoteWritten", text("Paper"));
        let found = models
            .ask::<FindNotes>(&json!({ "text": "use", "filter": r#"{"tags":"x"}"#, "limit": 1 }))
            .unwrap();
        assert_eq!(
            found,
            json!({
                "total": 2,
                "hits": [{ "id": "a", "title": "Paint the fence", "fragments": [["body", ["A &lt;b&gt; of <em>use</em>"]]] }],
                "next": "1",
            })
        );
        let next = models
            .ask::<FindNotes>(&json!({ "text": "use", "cursor": "1" }))
            .unwrap();
        assert_eq!(next["hits"][0]["id"], "b");
        let suggested = models.ask::<SuggestTitles>(&json!({ "prefix": "PA" })).unwrap();
        assert_eq!(suggested, json!(["Paint the fence", "Paper"]));
        models.apply::<Notes>(("Note", "a"), "NoteDiscarded", json!({}));
        assert_eq!(
            models.ask::<FindNotes>(&json!({ "text": "paint" })).unwrap()["total"],
            0
        );
    }
}
