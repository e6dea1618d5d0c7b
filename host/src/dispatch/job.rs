//! One command on its way: what stays the same over all attempts, and the forms it takes for component and journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::facts::Seen;
use super::states::State;
use super::trial::Rival;
use super::{Executed, Request};
use crate::bindings::types;
use crate::capability::platform::now_ms;
use crate::config::{COMMAND_ID_BYTES_MAX, ID_BYTES_MAX};
use crate::engine::component::Asked;
use crate::error::{Error, Rejection};
use crate::event_store::{Appended, Journalled, Origin, Subject};
use crate::tenant::Module;
use crate::tenant::module::Plan;

/// A command on its way.
pub(super) struct Job {
    pub(super) module: Arc<Module>,
    pub(super) name: String,
    pub(super) target: Subject,
    /// Whether the target's id was made for this command, so that nothing can be recorded under it.
    pub(super) target_is_fresh: bool,
    pub(super) data: Value,
    pub(super) origin: Arc<Origin>,
    pub(super) dry_run: bool,
    /// Time of the command in milliseconds since 1970; the same in every attempt.
    pub(super) now: u64,
    /// SHA-256 over what makes two requests the same: module, command, target as asked for, body.
    pub(super) fingerprint: [u8; 32],
    id: String,
    id_given: bool,
    data_text: String,
    expected_version: Option<u64>,
    ids: Vec<String>,
    /// Whether it tries a candidate.
    pub(super) on_trial: bool,
    /// What must agree with the decision then.
    pub(super) rival: Option<Rival>,
    /// How long the last decision took, in microseconds.
    decided_us: AtomicU64,
}

/// The whole input of `decide`, as the journal keeps it.
#[derive(Serialize)]
struct Input<'a> {
    data: &'a RawValue,
    now: u64,
    ids: &'a [String],
    facts: &'a RawValue,
    numbers: Vec<(&'a str, &'a str)>,
    config: &'a RawValue,
    versions: Vec<(&'a str, &'a str, u64)>,
}

impl Job {
    /// Checks the request and gives it id, time and fresh ids.
    pub(super) fn new(request: Request) -> Result<Self, Error> {
        let plan = request.module.plan(&request.command)?;
        plan.check_body(&request.data)?;
        let data_text = request.data.to_string();
        let fingerprint = fingerprint(&request);
        let ids = (0..plan.command.ids).map(|_| fresh_id()).collect();
        let target_is_fresh = request.target.is_none();
        let target = Subject {
            module: request.module.manifest.name.clone(),
            aggregate: plan.aggregate.clone(),
            id: request.target.map_or_else(|| Ok(fresh_id()), checked_id)?,
        };
        let id_given = request.command_id.is_some();
        let id = request.command_id.unwrap_or_else(fresh_id);
        if id.is_empty() || id.len() > COMMAND_ID_BYTES_MAX {
            return Err(Error::Malformed(format!(
                "an idempotency key has 1 to {COMMAND_ID_BYTES_MAX} bytes"
            )));
        }
        let origin = Origin {
            causation_id: id.clone(),
            ..request.origin
        };
        Ok(Self {
            module: request.module,
            name: request.command,
            target,
            target_is_fresh,
            data: request.data,
            origin: Arc::new(origin),
            dry_run: request.dry_run,
            now: now_ms(),
            fingerprint,
            id,
            id_given,
            data_text,
            expected_version: request.expected_version,
            ids,
            on_trial: false,
            rival: None,
            decided_us: AtomicU64::new(0),
        })
    }

    /// The same command for a candidate of its module. `None` when the candidate has no such command.
    ///
    /// # Errors
    /// [`Error::Schema`] when its schema does not take the body.
    pub(super) fn on(&self, candidate: &Arc<Module>, rival: Option<Rival>) -> Result<Option<Self>, Error> {
        let Ok(plan) = candidate.plan(&self.name) else {
            return Ok(None);
        };
        if plan.aggregate != self.target.aggregate {
            return Ok(None);
        }
        plan.check_body(&self.data)?;
        Ok(Some(Self {
            module: Arc::clone(candidate),
            name: self.name.clone(),
            target: self.target.clone(),
            target_is_fresh: self.target_is_fresh,
            data: self.data.clone(),
            origin: Arc::clone(&self.origin),
            dry_run: self.dry_run,
            now: self.now,
            fingerprint: self.fingerprint,
            id: self.id.clone(),
            id_given: self.id_given,
            data_text: self.data_text.clone(),
            expected_version: self.expected_version,
            ids: (0..plan.command.ids).map(|_| fresh_id()).collect(),
            on_trial: true,
            rival,
            decided_us: AtomicU64::new(0),
        }))
    }

    /// Keeps how long a decision took.
    pub(super) fn note_decision(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.decided_us.store(us, Ordering::Relaxed);
    }

    /// How long the last decision took.
    pub(super) fn decided_in(&self) -> Duration {
        Duration::from_micros(self.decided_us.load(Ordering::Relaxed))
    }

    /// The command as the manifest declares it.
    pub(super) fn plan(&self) -> Result<&Plan, Error> {
        self.module.plan(&self.name)
    }

    /// The key under which an earlier request may have been recorded.
    pub(super) fn idempotency_key(&self) -> Option<&str> {
        self.id_given.then_some(self.id.as_str())
    }

    /// An aggregate of this command's module.
    pub(super) fn subject(&self, aggregate: &str, id: String) -> Subject {
        Subject {
            module: self.target.module.clone(),
            aggregate: aggregate.to_owned(),
            id,
        }
    }

    /// The sequences that it takes numbers from.
    pub(super) fn sequences(&self) -> impl Iterator<Item = String> {
        let numbers = self.plan().ok().map(|plan| plan.command.numbers.values());
        numbers
            .into_iter()
            .flatten()
            .map(|number| number.sequence_at(self.now))
    }

    /// A command that does not create needs an aggregate that is there.
    pub(super) fn check_exists(&self, target: &State) -> Result<(), Error> {
        if target.version > 0 || self.plan()?.command.creates {
            return Ok(());
        }
        Err(Error::NotFound {
            what: self.target.aggregate.to_lowercase(),
            id: self.target.id.clone(),
        })
    }

    /// Holds the state against what the caller and the manifest expect of it.
    pub(super) fn check(&self, seen: &Seen) -> Result<(), Error> {
        self.check_exists(&seen.target)?;
        let actual = seen.target.version;
        if actual > 0 && self.plan()?.command.creates {
            return Err(Error::Exists {
                what: self.target.aggregate.to_lowercase(),
                id: self.target.id.clone(),
            });
        }
        match self.expected_version {
            Some(expected) if expected != actual => Err(Error::VersionMismatch { expected, actual }),
            _ => Ok(()),
        }
    }

    /// The input of `decide`.
    pub(super) fn ask(&self, seen: &Seen) -> Asked {
        let subject = |of: &Subject, state: &State| types::Subject {
            of: types::SubjectId {
                aggregate: of.aggregate.clone(),
                id: of.id.clone(),
            },
            version: state.version,
            state: state.json.as_ref().map(ToString::to_string),
        };
        Asked {
            target: subject(&self.target, &seen.target),
            related: seen
                .related
                .iter()
                .map(|(of, state)| subject(of, state))
                .collect(),
            command: types::Command {
                id: self.id.clone(),
                name: self.name.clone(),
                data: self.data_text.clone(),
            },
            context: types::Context {
                now: self.now,
                origin: types::Origin {
                    user: self.origin.user.clone(),
                    correlation_id: self.origin.correlation_id.clone(),
                    causation_id: self.origin.causation_id.clone(),
                },
                ids: self.ids.clone(),
                facts: seen.facts.to_string(),
                numbers: seen
                    .numbers
                    .iter()
                    .map(|number| (number.name.clone(), number.text.clone()))
                    .collect(),
                config: self.module.config.to_string(),
            },
        }
    }

    /// The journal's entry for what was asked.
    pub(super) fn journal(&self, seen: &Seen, asked: &Asked) -> Journalled {
        let raw = |text: &'_ str| serde_json::from_str::<Box<RawValue>>(text).unwrap_or_default();
        let (data, facts, config) = (
            raw(&asked.command.data),
            raw(&asked.context.facts),
            raw(&asked.context.config),
        );
        let input = Input {
            data: &data,
            now: self.now,
            ids: &self.ids,
            facts: &facts,
            numbers: seen
                .numbers
                .iter()
                .map(|number| (number.name.as_str(), number.text.as_str()))
                .collect(),
            config: &config,
            versions: seen
                .versions()
                .map(|(of, version)| (of.aggregate.as_str(), of.id.as_str(), version))
                .collect(),
        };
        Journalled {
            id: self.id.clone(),
            fingerprint: self.fingerprint,
            name: self.name.clone(),
            target: self.target.clone(),
            release: Arc::clone(&self.module.release),
            input: Arc::from(serde_json::to_string(&input).unwrap_or_default()),
            decided_at: self.now,
        }
    }

    /// The reply to a command just recorded.
    pub(super) fn executed(&self, appended: Appended) -> Executed {
        let creates = self.plan().is_ok_and(|plan| plan.command.creates);
        let target = match appended
            .events
            .iter()
            .find(|event| event.of.aggregate == self.target.aggregate)
        {
            Some(event) if appended.replayed && creates => event.of.clone(),
            _ => self.target.clone(),
        };
        Executed {
            target,
            created: creates,
            version: appended.version,
            position: appended.position,
            events: appended.events,
            replayed: appended.replayed,
            dry_run_states: None,
        }
    }

    /// The reply to a command recorded before.
    pub(super) fn replayed(&self, appended: Appended) -> Executed {
        self.executed(Appended {
            replayed: true,
            ..appended
        })
    }

    /// The component broke the contract.
    pub(super) fn contract(&self, detail: impl Into<String>) -> Error {
        let detail = detail.into();
        tracing::error!(
            release = &*self.module.release,
            command = self.name,
            detail,
            "component broke its contract"
        );
        Error::Contract {
            component: Arc::clone(&self.module.release),
            detail,
        }
    }
}

impl From<types::Reason> for crate::error::Reason {
    fn from(reason: types::Reason) -> Self {
        Self {
            code: reason.code,
            message: reason.message,
        }
    }
}

impl From<types::Rejection> for Rejection {
    fn from(rejection: types::Rejection) -> Self {
        match rejection {
            types::Rejection::Invalid(violations) => {
                Self::Invalid(violations.into_iter().map(Into::into).collect())
            }
            types::Rejection::NotFound(reason) => Self::NotFound(reason.into()),
            types::Rejection::Conflict(reason) => Self::Conflict(reason.into()),
            types::Rejection::Forbidden(reason) => Self::Forbidden(reason.into()),
        }
    }
}

impl From<types::Violation> for crate::error::Violation {
    fn from(violation: types::Violation) -> Self {
        Self {
            pointer: violation.pointer,
            code: violation.code,
            message: violation.message,
        }
    }
}

fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}

/// An aggregate's id from a path: bounded, and without characters that would not survive in one.
fn checked_id(id: String) -> Result<String, Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'~');
    if !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(plain) {
        return Ok(id);
    }
    Err(Error::Malformed(format!(
        "an id has 1 to {ID_BYTES_MAX} letters, digits and -_.:~, this is {id:?}"
    )))
}

fn fingerprint(request: &Request) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [
        &request.module.manifest.name,
        &request.command,
        request.target.as_deref().unwrap_or_default(),
    ] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash_value(&mut hash, &request.data);
    hash.finalize().into()
}

/// Hashes JSON by its meaning: the order of an object's keys does not count.
fn hash_value(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            hash.update([b'{']);
            for (name, value) in sorted {
                hash.update(name.len().to_be_bytes());
                hash.update(name);
                hash_value(hash, value);
            }
            hash.update([b'}']);
        }
        Value::Array(items) => {
            hash.update([b'[']);
            items.iter().for_each(|item| hash_value(hash, item));
            hash.update([b']']);
        }
        other => {
            let text = other.to_string();
            hash.update(text.len().to_be_bytes());
            hash.update(text);
        }
    }
}
