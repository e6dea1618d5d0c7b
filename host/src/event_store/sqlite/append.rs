//! One append inside the writer's transaction: every condition is checked before the first row is written, so that a
//! refused append leaves the others of its batch intact.

use std::collections::HashMap;

use millwork_registry::id::TenantId;
use rusqlite::{Connection, OptionalExtension};

use super::super::portable::Gate;
use super::super::{Append, AppendError, Appended, Claim, NumberTaken, Position, StoreError, Subject};
use super::portable;
use super::read;
use super::schema::TenantKey;

/// Tenants that the writer remembers; beyond that it starts to learn them again.
const TENANTS_REMEMBERED: usize = 10_000;

/// What came of an append, as far as SQLite did its work.
pub(super) type Outcome = Result<Appended, AppendError>;

/// What the writer knows of tenants within its transaction; forgotten when that is rolled back.
#[derive(Default)]
pub(super) struct Tenants(HashMap<TenantId, Tenant>);

/// A tenant within the transaction.
#[derive(Clone, Copy)]
pub(super) struct Tenant {
    /// Its number in the file.
    pub(super) key: TenantKey,
    /// Its last position.
    pub(super) position: Position,
    /// Whether it takes appends.
    pub(super) gate: Gate,
}

impl Tenants {
    /// After a rollback nothing known is sure any more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The tenant, made when it is new.
    pub(super) fn get(&mut self, db: &Connection, id: &TenantId) -> rusqlite::Result<&mut Tenant> {
        if self.0.len() >= TENANTS_REMEMBERED && !self.0.contains_key(id) {
            self.0.clear();
        }
        if !self.0.contains_key(id) {
            let key = match TenantKey::find(db, id.as_str())? {
                Some(key) => key,
                None => {
                    db.execute("INSERT INTO tenants (name) VALUES (?1)", [id.as_str()])?;
                    TenantKey(db.last_insert_rowid())
                }
            };
            let position = key.last_position(db)?;
            let gate = portable::gate(db, key)?;
            self.0.insert(id.clone(), Tenant { key, position, gate });
        }
        self.0.get_mut(id).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }
}

/// Checks an append against the transaction's state and then writes it.
///
/// The outer error is SQLite's: then the transaction must be rolled back, since part of the append may be written.
pub(super) fn append(db: &Connection, tenants: &mut Tenants, append: &Append) -> rusqlite::Result<Outcome> {
    let tenant = tenants.get(db, &append.tenant)?;
    let step = Step {
        db,
        tenant: *tenant,
        append,
    };
    if let Some((fingerprint, first)) = read::outcome(db, tenant.key, &append.command.id)? {
        if fingerprint == append.command.fingerprint {
            return Ok(Ok(first));
        }
        return Ok(Err(AppendError::CommandIdReused {
            id: append.command.id.clone(),
        }));
    }
    if let Err(refusal) = tenant.gate.check(&append.tenant) {
        return Ok(Err(refusal));
    }
    match step.check()? {
        Ok(checked) => {
            let appended = step.write(checked)?;
            tenant.position = appended.position;
            Ok(Ok(appended))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// An append with what it is checked against.
pub(super) struct Step<'a> {
    /// The connection, within its transaction.
    pub(super) db: &'a Connection,
    /// As it was before the append.
    pub(super) tenant: Tenant,
    /// What is asked.
    pub(super) append: &'a Append,
}

/// What the checks found out and the writes need.
pub(super) struct Checked<'a> {
    /// As [`Append::expected`], with the key of each aggregate's events, if it has any.
    pub(super) streams: Vec<Stream<'a>>,
    /// Sequences with the last number that this append takes.
    pub(super) sequences: Vec<(&'a str, u64)>,
}

/// An aggregate that the append is about.
pub(super) struct Stream<'a> {
    /// Which.
    pub(super) of: &'a Subject,
    /// The key of its events, if it has any.
    pub(super) key: Option<i64>,
    /// The version so far.
    pub(super) version: u64,
    /// Whether its first event is in the append.
    pub(super) begins: bool,
}

type Check<T> = rusqlite::Result<Result<T, AppendError>>;

impl<'a> Step<'a> {
    fn check(&self) -> Check<Checked<'a>> {
        if let Err(bug) = self.check_form() {
            return Ok(Err(StoreError::Failed(bug).into()));
        }
        let streams = match self.check_versions()? {
            Ok(streams) => streams,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.check_claims()? {
            return Ok(Err(refusal));
        }
        let sequences = match self.check_numbers()? {
            Ok(sequences) => sequences,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(Ok(Checked { streams, sequences }))
    }

    /// What only a bug of the caller can break.
    fn check_form(&self) -> Result<(), String> {
        let target = &self.append.command.target;
        if self.append.expected.first().map(|(of, _)| of) != Some(target) {
            return Err(format!(
                "the target {target:?} does not stand first among the expected versions"
            ));
        }
        let stray =
            |event: &&super::super::NewEvent| !self.append.expected.iter().any(|(of, _)| *of == event.of);
        match self.append.events.iter().find(stray) {
            Some(event) => Err(format!(
                "event {} is of {:?}, which is not expected",
                event.id, event.of
            )),
            None => Ok(()),
        }
    }

    fn check_versions(&self) -> Check<Vec<Stream<'a>>> {
        let mut streams = Vec::with_capacity(self.append.expected.len());
        for (of, expected) in &self.append.expected {
            let key = read::stream(self.db, self.tenant.key, of)?;
            let actual = match key {
                Some(key) => read::version(self.db, key)?,
                None => 0,
            };
            if actual != *expected {
                return Ok(Err(AppendError::Version {
                    subject: of.clone(),
                    expected: *expected,
                    actual,
                }));
            }
            streams.push(Stream {
                of,
                key,
                version: actual,
                begins: false,
            });
        }
        Ok(Ok(streams))
    }

    fn check_claims(&self) -> Check<()> {
        let target = &self.append.command.target;
        for claim in &self.append.releases {
            if !self.holder_is_target(claim)?.unwrap_or(false) {
                let (name, value) = (&claim.name, &claim.value);
                let bug = format!("{target:?} releases the claim {name} {value:?}, which it does not hold");
                return Ok(Err(StoreError::Failed(bug).into()));
            }
        }
        for claim in &self.append.claims {
            if self.holder_is_target(claim)? == Some(false) {
                return Ok(Err(AppendError::ClaimTaken { claim: claim.clone() }));
            }
        }
        Ok(Ok(()))
    }

    /// Whether the target holds the value; `None` when nobody does.
    fn holder_is_target(&self, claim: &Claim) -> rusqlite::Result<Option<bool>> {
        let target = &self.append.command.target;
        self.db
            .prepare_cached(
                "SELECT aggregate = ?5 AND subject = ?6 FROM claims \
                 WHERE tenant = ?1 AND module = ?2 AND name = ?3 AND value = ?4",
            )?
            .query_row(
                (
                    self.tenant.key.0,
                    &target.module,
                    &claim.name,
                    &claim.value,
                    &target.aggregate,
                    &target.id,
                ),
                |row| row.get(0),
            )
            .optional()
    }

    fn check_numbers(&self) -> Check<Vec<(&'a str, u64)>> {
        let mut numbers: Vec<&NumberTaken> = self.append.numbers.iter().collect();
        numbers.sort_by_key(|taken| (&taken.sequence, taken.number));
        let mut sequences = Vec::new();
        for taken in numbers.chunk_by(|a, b| a.sequence == b.sequence) {
            let Some(first) = taken.first() else { continue };
            let sequence = first.sequence.as_str();
            let last = read::last_number(
                self.db,
                self.tenant.key,
                &self.append.command.target.module,
                sequence,
            )?;
            let follows = (last + 1..).zip(taken).all(|(next, taken)| taken.number == next);
            if !follows {
                return Ok(Err(AppendError::Number {
                    sequence: sequence.to_owned(),
                    next: last + 1,
                }));
            }
            sequences.push((sequence, last + taken.len() as u64));
        }
        Ok(Ok(sequences))
    }
}
