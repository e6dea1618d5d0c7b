//! One append inside the writer's transaction: every condition is checked before the first row is written, so that a
//! refused append leaves the others of its batch intact.

use std::collections::HashMap;
use std::sync::Arc;

use millwork_registry::id::TenantId;
use rusqlite::{Connection, OptionalExtension};

use super::super::{
    Append, AppendError, Appended, Claim, Journalled, NumberTaken, Origin, Position, Recorded, Snapshot,
    StoreError, Subject,
};
use super::read;
use super::schema::{TenantKey, to_sql};

/// Tenants that the writer remembers; beyond that it starts to learn them again.
const TENANTS_REMEMBERED: usize = 10_000;

/// What came of an append, as far as SQLite did its work.
pub(super) type Outcome = Result<Appended, AppendError>;

/// What the writer knows of tenants within its transaction; forgotten when that is rolled back.
#[derive(Default)]
pub(super) struct Tenants(HashMap<TenantId, Tenant>);

#[derive(Clone, Copy)]
struct Tenant {
    key: TenantKey,
    position: Position,
}

impl Tenants {
    /// After a rollback nothing known is sure any more.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    /// The tenant, made when it is new.
    fn get(&mut self, db: &Connection, id: &TenantId) -> rusqlite::Result<&mut Tenant> {
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
            self.0.insert(id.clone(), Tenant { key, position });
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
    match step.check()? {
        Ok(checked) => {
            let appended = step.write(checked)?;
            tenant.position = appended.position;
            Ok(Ok(appended))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

/// Keeps a rejected command.
pub(super) fn rejection(
    db: &Connection,
    tenants: &mut Tenants,
    tenant: &TenantId,
    command: &Journalled,
    origin: &Origin,
    rejection: &str,
) -> rusqlite::Result<()> {
    let key = tenants.get(db, tenant)?.key;
    db.prepare_cached(
        "INSERT INTO rejections (tenant, id, origin, decided_at, fingerprint, name, module, aggregate, subject, release, \
         input, rejection) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute((
        key.0,
        &command.id,
        to_json(origin)?,
        to_sql(command.decided_at)?,
        command.fingerprint,
        &command.name,
        &command.target.module,
        &command.target.aggregate,
        &command.target.id,
        &*command.release,
        &*command.input,
        rejection,
    ))?;
    Ok(())
}

/// Keeps a snapshot, unless there is a newer one or its version was never reached.
pub(super) fn snapshot(
    db: &Connection,
    tenants: &mut Tenants,
    tenant: &TenantId,
    of: &Subject,
    snapshot: &Snapshot,
) -> rusqlite::Result<()> {
    let key = tenants.get(db, tenant)?.key;
    let Some((stream, reached)) = read::stream(db, key, of)? else {
        return Ok(());
    };
    if snapshot.version > reached {
        return Ok(());
    }
    db.prepare_cached(
        "INSERT INTO snapshots (stream, state_version, version, state) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (stream, state_version) DO UPDATE SET version = excluded.version, state = excluded.state \
         WHERE excluded.version > snapshots.version",
    )?
    .execute((stream, snapshot.state_version, to_sql(snapshot.version)?, &*snapshot.state))?;
    Ok(())
}

/// An append with what it is checked against.
struct Step<'a> {
    db: &'a Connection,
    tenant: Tenant,
    append: &'a Append,
}

/// What the checks found out and the writes need.
struct Checked<'a> {
    /// As [`Append::expected`], with the key of each aggregate's events, if it has any.
    streams: Vec<Stream<'a>>,
    /// Sequences with the last number that this append takes.
    sequences: Vec<(&'a str, u64)>,
}

struct Stream<'a> {
    of: &'a Subject,
    key: Option<i64>,
    version: u64,
    touched: bool,
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
            let found = read::stream(self.db, self.tenant.key, of)?;
            let actual = found.map_or(0, |(_, version)| version);
            if actual != *expected {
                return Ok(Err(AppendError::Version {
                    subject: of.clone(),
                    expected: *expected,
                    actual,
                }));
            }
            streams.push(Stream {
                of,
                key: found.map(|(key, _)| key),
                version: actual,
                touched: false,
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

    fn write(&self, checked: Checked<'_>) -> rusqlite::Result<Appended> {
        let Checked {
            mut streams,
            sequences,
        } = checked;
        let before = self.tenant.position;
        let position = before + self.append.events.len() as u64;
        let target = &self.append.command.target;
        let own_events = self
            .append
            .events
            .iter()
            .filter(|event| event.of == *target)
            .count() as u64;
        let version = streams.first().map_or(0, |stream| stream.version) + own_events;
        let command = self.write_command(before, position, version)?;
        let events = self.write_events(command, &mut streams)?;
        self.write_streams(&streams)?;
        self.write_claims()?;
        self.write_sequences(&sequences)?;
        Ok(Appended {
            events,
            version,
            position,
            replayed: false,
        })
    }

    fn write_command(&self, before: Position, position: Position, version: u64) -> rusqlite::Result<i64> {
        let command = &self.append.command;
        self.db
            .prepare_cached(
                "INSERT INTO commands (tenant, id, origin, decided_at, position_before, position, version, fingerprint, \
                 name, module, aggregate, subject, release, input) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .insert((
                self.tenant.key.0,
                &command.id,
                to_json(&self.append.origin)?,
                to_sql(command.decided_at)?,
                to_sql(before)?,
                to_sql(position)?,
                to_sql(version)?,
                command.fingerprint,
                &command.name,
                &command.target.module,
                &command.target.aggregate,
                &command.target.id,
                &*command.release,
                &*command.input,
            ))
    }

    fn write_events(&self, command: i64, streams: &mut [Stream<'_>]) -> rusqlite::Result<Vec<Recorded>> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO events (key, stream, version, command, id, module, aggregate, subject, name, data) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let mut recorded = Vec::with_capacity(self.append.events.len());
        for (event, position) in self.append.events.iter().zip(self.tenant.position + 1..) {
            let key = self.tenant.key.event(position)?;
            let stream = streams.iter_mut().find(|stream| *stream.of == event.of);
            let stream = stream.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            stream.version += 1;
            stream.touched = true;
            let stream_key = *stream.key.get_or_insert(key);
            insert.execute((
                key,
                stream_key,
                to_sql(stream.version)?,
                command,
                &event.id,
                &event.of.module,
                &event.of.aggregate,
                &event.of.id,
                &event.name,
                &*event.data,
            ))?;
            recorded.push(Recorded {
                position,
                id: event.id.clone(),
                of: event.of.clone(),
                version: stream.version,
                name: event.name.clone(),
                recorded_at: self.append.command.decided_at,
                origin: Arc::clone(&self.append.origin),
                data: Arc::clone(&event.data),
            });
        }
        Ok(recorded)
    }

    fn write_streams(&self, streams: &[Stream<'_>]) -> rusqlite::Result<()> {
        for stream in streams.iter().filter(|stream| stream.touched) {
            self.db
                .prepare_cached(
                    "INSERT INTO streams (tenant, module, aggregate, subject, stream, version) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                     ON CONFLICT (tenant, module, aggregate, subject) DO UPDATE SET version = excluded.version",
                )?
                .execute((
                    self.tenant.key.0,
                    &stream.of.module,
                    &stream.of.aggregate,
                    &stream.of.id,
                    stream.key,
                    to_sql(stream.version)?,
                ))?;
        }
        Ok(())
    }

    fn write_claims(&self) -> rusqlite::Result<()> {
        let (tenant, target) = (self.tenant.key.0, &self.append.command.target);
        for claim in &self.append.releases {
            self.db
                .prepare_cached(
                    "DELETE FROM claims WHERE tenant = ?1 AND module = ?2 AND name = ?3 AND value = ?4",
                )?
                .execute((tenant, &target.module, &claim.name, &claim.value))?;
        }
        for claim in &self.append.claims {
            self.db
                .prepare_cached(
                    "INSERT INTO claims (tenant, module, name, value, aggregate, subject) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                )?
                .execute((
                    tenant,
                    &target.module,
                    &claim.name,
                    &claim.value,
                    &target.aggregate,
                    &target.id,
                ))?;
        }
        Ok(())
    }

    fn write_sequences(&self, sequences: &[(&str, u64)]) -> rusqlite::Result<()> {
        let (tenant, module) = (self.tenant.key.0, &self.append.command.target.module);
        for (sequence, last) in sequences {
            self.db
                .prepare_cached(
                    "INSERT INTO sequences (tenant, module, name, last) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (tenant, module, name) DO UPDATE SET last = excluded.last",
                )?
                .execute((tenant, module, sequence, to_sql(*last)?))?;
        }
        Ok(())
    }
}

fn to_json(origin: &Origin) -> rusqlite::Result<String> {
    serde_json::to_string(origin).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
