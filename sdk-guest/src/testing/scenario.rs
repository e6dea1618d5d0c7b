//! Given events, when a command, then events or a rejection.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::Serialize;
use serde_json::{Value, json};

use super::{NOW, context, event, event_json, fail, millis};
use crate::aggregate::Aggregate;
use crate::bindings::aggregates::exports::millwork::module::aggregates::Decision;
use crate::bindings::lifecycle::millwork::module::types::{Command, Event, Subject, SubjectId};
use crate::glue;
use crate::rejection::Rejection;

/// Starts a scenario of an aggregate that has this history; with none, of one that does not exist yet.
pub fn given<A: Aggregate>(id: &str, history: impl IntoIterator<Item = A::Event>) -> Scenario<A> {
    let mut histories = BTreeMap::new();
    histories.insert(
        (A::NAME.to_owned(), id.to_owned()),
        history.into_iter().map(|e| event_json(&e)).map(owned).collect(),
    );
    Scenario {
        id: id.to_owned(),
        histories,
        related: Vec::new(),
        facts: json!({}),
        config: json!({}),
        numbers: Vec::new(),
        ids: (1..=8).map(|n| format!("id-{n}")).collect(),
        now: NOW,
        outcome: None,
        of: PhantomData,
    }
}

fn owned((name, data): (&'static str, Value)) -> (String, Value) {
    (name.to_owned(), data)
}

type History = Vec<(String, Value)>;
type EvolveFn = fn(&Subject, &[Event]) -> String;

/// One aggregate, what a decision about it may know, and what the last command came to.
///
/// Each `when` that succeeds adds its events to the history, so that scenarios go on; and checks that the states of the
/// decision are those that `evolve` makes of the events.
#[derive(Debug)]
pub struct Scenario<A> {
    id: String,
    histories: BTreeMap<(String, String), History>,
    related: Vec<(String, String, EvolveFn)>,
    facts: Value,
    config: Value,
    numbers: Vec<(String, String)>,
    ids: Vec<String>,
    now: u64,
    outcome: Option<Result<Decision, Rejection>>,
    of: PhantomData<A>,
}

impl<A: Aggregate> Scenario<A> {
    /// Relates another aggregate with this history to the commands that follow, in the manifest's order.
    pub fn related<R: Aggregate>(mut self, id: &str, history: impl IntoIterator<Item = R::Event>) -> Self {
        let history = history.into_iter().map(|e| event_json(&e)).map(owned).collect();
        self.histories
            .insert((R::NAME.to_owned(), id.to_owned()), history);
        self.related
            .push((R::NAME.to_owned(), id.to_owned(), glue::evolve::<R>));
        self
    }

    /// Sets the facts.
    pub fn facts(mut self, facts: Value) -> Self {
        self.facts = facts;
        self
    }

    /// Sets the tenant's configuration; the schema's defaults are not filled in here.
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Sets the next number under this name.
    pub fn number(mut self, name: &str, number: &str) -> Self {
        self.numbers.retain(|(n, _)| n != name);
        self.numbers.push((name.to_owned(), number.to_owned()));
        self
    }

    /// Sets the fresh ids; unless set they are `id-1` to `id-8`.
    pub fn ids(mut self, ids: &[&str]) -> Self {
        self.ids = ids.iter().map(|id| (*id).to_owned()).collect();
        self
    }

    /// Sets the time, in RFC 3339.
    pub fn at(mut self, time: &str) -> Self {
        self.now = millis(time);
        self
    }

    /// Gives a command.
    ///
    /// # Panics
    /// When the module traps, or its states are not those that `evolve` gives.
    #[track_caller]
    pub fn when(mut self, command: &str, body: Value) -> Self {
        let of = (A::NAME.to_owned(), self.id.clone());
        let target = self.subject(&of, glue::evolve::<A>);
        let related = self
            .related
            .iter()
            .map(|(a, id, evolve)| self.subject(&(a.clone(), id.clone()), *evolve))
            .collect();
        let command = Command {
            id: "command".to_owned(),
            name: command.to_owned(),
            data: body.to_string(),
        };
        let given = context(
            self.now,
            &self.facts.to_string(),
            &self.config,
            &self.ids,
            &self.numbers,
        );
        let outcome = glue::decide::<A>(target, related, command, given);
        if let Ok(decision) = &outcome {
            self.record(decision);
        }
        self.outcome = Some(outcome);
        self
    }

    #[track_caller]
    fn record(&mut self, decision: &Decision) {
        for new in &decision.events {
            let data =
                serde_json::from_str(&new.data).unwrap_or_else(|e| fail(&format!("{}: {e}", new.name)));
            let history = self
                .histories
                .get_mut(&(new.of.aggregate.clone(), new.of.id.clone()));
            let Some(history) = history else {
                fail(&format!("{} is neither target nor related", new.of.id))
            };
            history.push((new.name.clone(), data));
        }
        for (of, state) in &decision.states {
            let key = (of.aggregate.clone(), of.id.clone());
            let folded = self
                .subject(&key, self.evolve_of(&of.aggregate))
                .state
                .map(|s| parse(&s));
            assert_eq!(
                Some(parse(state)),
                folded,
                "state of {} differs from what evolve gives",
                of.aggregate
            );
        }
        let touched = |new: &crate::bindings::aggregates::exports::millwork::module::aggregates::NewEvent| {
            decision
                .states
                .iter()
                .any(|(of, _)| of.aggregate == new.of.aggregate && of.id == new.of.id)
        };
        assert!(
            decision.events.iter().all(touched),
            "a touched aggregate has no state in the decision"
        );
    }

    fn evolve_of(&self, aggregate: &str) -> EvolveFn {
        let related = self
            .related
            .iter()
            .find(|(name, ..)| name == aggregate && name != A::NAME);
        related.map_or(glue::evolve::<A>, |(.., evolve)| *evolve)
    }

    fn subject(&self, key: &(String, String), evolve: EvolveFn) -> Subject {
        let of = SubjectId {
            aggregate: key.0.clone(),
            id: key.1.clone(),
        };
        let history = self.histories.get(key).map_or(&[] as &[_], Vec::as_slice);
        let event = |(n, (name, data)): (usize, &(String, Value))| {
            event((&key.0, &key.1), n as u64 + 1, self.now, name, &data.to_string())
        };
        let events: Vec<Event> = history.iter().enumerate().map(event).collect();
        let mut subject = Subject {
            of,
            version: events.len() as u64,
            state: None,
        };
        if !events.is_empty() {
            subject.state = Some(evolve(&subject, &events));
        }
        subject
    }

    /// The last command recorded exactly these events of the target, in this order.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn then<E: Serialize>(self, events: &[E]) -> Self {
        let expected: Vec<_> = events.iter().map(|e| owned(event_json(e))).collect();
        let recorded = self.recorded(A::NAME);
        assert_eq!(recorded, expected);
        self
    }

    /// The last command recorded exactly these events of the related aggregate `R`.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn then_related<R: Aggregate>(self, events: &[R::Event]) -> Self {
        let expected: Vec<_> = events.iter().map(|e| owned(event_json(e))).collect();
        let recorded = self.recorded(R::NAME);
        assert_eq!(recorded, expected);
        self
    }

    /// The data of the one event of this name that the last command recorded.
    ///
    /// # Panics
    /// When it recorded none or several.
    #[track_caller]
    #[must_use]
    pub fn recorded_event(&self, name: &str) -> Value {
        let mut found = self
            .decision()
            .events
            .iter()
            .filter(|e| e.name == name)
            .map(|e| parse(&e.data));
        match (found.next(), found.next()) {
            (Some(data), None) => data,
            other => fail(&format!("{name}: {other:?}")),
        }
    }

    /// The last command succeeded and recorded nothing.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        assert_eq!(self.decision().events.len(), 0, "{:?}", self.decision().events);
        self
    }

    /// The last command was refused with this code, at this pointer where it is a violation (else give "").
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn then_rejected(self, code: &str, pointer: &str) -> Self {
        let rejection = self.rejection();
        let at = match rejection {
            Rejection::Invalid(violations) => violations.first().map_or("", |v| v.pointer.as_str()),
            _ => "",
        };
        assert_eq!((rejection.code(), at), (code, pointer), "{rejection:?}");
        self
    }

    /// How the last command was refused.
    ///
    /// # Panics
    /// When it was not.
    #[track_caller]
    pub fn rejection(&self) -> &Rejection {
        match &self.outcome {
            Some(Err(rejection)) => rejection,
            other => fail(&format!("not refused: {other:?}")),
        }
    }

    /// Claims that the last command took and released, as `name=value`.
    ///
    /// # Panics
    /// When it was refused.
    #[track_caller]
    #[must_use]
    pub fn claims(&self) -> (Vec<String>, Vec<String>) {
        let text = |c: &crate::bindings::aggregates::exports::millwork::module::aggregates::Claim| {
            format!("{}={}", c.name, c.value)
        };
        let decision = self.decision();
        (
            decision.claims.iter().map(text).collect(),
            decision.releases.iter().map(text).collect(),
        )
    }

    /// The target's state now, as JSON.
    #[must_use]
    pub fn state(&self) -> Value {
        let subject = self.subject(&(A::NAME.to_owned(), self.id.clone()), glue::evolve::<A>);
        subject.state.map_or(Value::Null, |s| parse(&s))
    }

    #[track_caller]
    fn decision(&self) -> &Decision {
        match &self.outcome {
            Some(Ok(decision)) => decision,
            other => fail(&format!("not decided: {other:?}")),
        }
    }

    #[track_caller]
    fn recorded(&self, aggregate: &str) -> History {
        let events = self
            .decision()
            .events
            .iter()
            .filter(|e| e.of.aggregate == aggregate);
        events.map(|e| (e.name.clone(), parse(&e.data))).collect()
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| fail(&format!("{json}: {error}")))
}
