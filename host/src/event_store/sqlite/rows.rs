//! The rows that a checked append, a rejection and a snapshot become.

use std::sync::Arc;

use millwork_registry::id::TenantId;
use rusqlite::Connection;

use super::super::{Appended, Journalled, Origin, Position, Recorded, Snapshot, Subject};
use super::append::{Checked, Step, Stream, Tenants};
use super::read;
use super::schema::to_sql;

impl Step<'_> {
    /// Writes what was checked.
    pub(super) fn write(&self, checked: Checked<'_>) -> rusqlite::Result<Appended> {
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
            stream.begins |= stream.key.is_none();
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
        for stream in streams.iter().filter(|stream| stream.begins) {
            self.db
                .prepare_cached(
                    "INSERT INTO streams (tenant, module, aggregate, subject, stream) VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute((
                    self.tenant.key.0,
                    &stream.of.module,
                    &stream.of.aggregate,
                    &stream.of.id,
                    stream.key,
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
    let Some(stream) = read::stream(db, key, of)? else {
        return Ok(());
    };
    if snapshot.version > read::version(db, stream)? {
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

/// Forgets the snapshots of a module's aggregates.
pub(super) fn forget_snapshots(
    db: &Connection,
    tenants: &mut Tenants,
    tenant: &TenantId,
    module: &str,
) -> rusqlite::Result<()> {
    let key = tenants.get(db, tenant)?.key;
    db.prepare_cached(
        "DELETE FROM snapshots WHERE stream IN (SELECT stream FROM streams WHERE tenant = ?1 AND module = ?2)",
    )?
    .execute((key.0, module))
    .map(drop)
}

fn to_json(origin: &Origin) -> rusqlite::Result<String> {
    serde_json::to_string(origin).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
