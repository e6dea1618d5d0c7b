//! What the event store has of a tenant: out of one, into another, and held against each other.

use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use millwork_registry::id::TenantId;
use serde::de::DeserializeOwned;

use super::lines::{ClaimLine, CommandLine, EventLine, HoldingLine, NumberLine, RejectionLine};
use super::manifest::{Kind, Manifest};
use super::pack::{Lines, Sums, line};
use super::unpack::Archive;
use super::{ArchiveError, next_lines, scratch};
use crate::blocking;
use crate::error::Error;
use crate::event_store::portable::{Accepted, Holding, Mark};
use crate::event_store::{
    Append, AppendError, EventStore, NewEvent, Position, Recorded, StoreError, Subject,
};

/// Events that are read at once.
const EVENTS_AT_ONCE: u32 = 500;
/// Commands, with their inputs, that are read or put down at once.
const COMMANDS_AT_ONCE: u32 = 200;
/// Bytes of commands and events that are put down at once, unless a single command has more.
const BYTES_AT_ONCE: usize = 4 << 20;
/// Claims and sequences that are read or put down at once.
const HOLDINGS_AT_ONCE: usize = 500;

/// Hands out all that a store has of a tenant as of one position, while the tenant goes on being used: claims and
/// sequences as they are at that position, by way of a file in `folder`; events and commands up to it.
///
/// # Errors
/// [`Error::Unavailable`] when the store fails, [`Error::Archive`] when nobody takes what is handed out.
pub async fn pack(
    store: &dyn EventStore,
    tenant: &TenantId,
    folder: &Path,
    out: &mut dyn Lines,
) -> Result<Mark, Error> {
    let mut held = BufWriter::new(scratch(folder).map_err(ArchiveError::from)?);
    let mut keep = |holding: Holding| {
        let kept =
            line(&HoldingLine::from(holding)).map_err(|error| StoreError::Failed(error.to_string()))?;
        held.write_all(&kept)
            .map_err(|error| StoreError::Failed(error.to_string()))
    };
    let mark = store.mark(tenant, &mut keep).await?;
    let mut at = 0;
    while at < mark.position {
        let page = store.feed(tenant, at, EVENTS_AT_ONCE).await?;
        if page.is_empty() {
            return Err(missing(at + 1));
        }
        for event in page
            .into_iter()
            .take_while(|event| event.position <= mark.position)
        {
            if event.position != at + 1 {
                return Err(missing(at + 1));
            }
            at = event.position;
            out.line(Kind::Events, line(&EventLine::from(event))?).await?;
        }
    }
    let mut after = 0;
    while after < mark.command {
        let page = store
            .accepted(tenant, after, mark.command, COMMANDS_AT_ONCE)
            .await?;
        after = page.last().map_or(mark.command, |last| last.key);
        for command in page {
            out.line(Kind::Commands, line(&CommandLine::from(command))?)
                .await?;
        }
    }
    let mut after = 0;
    while after < mark.rejection {
        let page = store
            .rejected(tenant, after, mark.rejection, COMMANDS_AT_ONCE)
            .await?;
        after = page.last().map_or(mark.rejection, |last| last.key);
        for command in page {
            out.line(Kind::Rejections, line(&RejectionLine::from(command))?)
                .await?;
        }
    }
    let held = held
        .into_inner()
        .map_err(|error| ArchiveError::from(error.into_error()))?;
    pack_holdings(held, out).await?;
    Ok(mark)
}

/// Claims and sequences from the file that they were written to: claims first, as the store gave them.
async fn pack_holdings(mut held: std::fs::File, out: &mut dyn Lines) -> Result<(), Error> {
    held.rewind().map_err(ArchiveError::from)?;
    let mut held = BufReader::new(held);
    loop {
        let page = blocking::run(|| next_lines(&mut held, HOLDINGS_AT_ONCE)).map_err(ArchiveError::from)?;
        if page.is_empty() {
            return Ok(());
        }
        for kept in page {
            // A sequence is the one of both that has a last number.
            let kind = match serde_json::from_slice::<NumberLine>(&kept) {
                Ok(_) => Kind::Numbers,
                Err(_) => Kind::Claims,
            };
            out.line(kind, kept).await?;
        }
    }
}

fn missing(position: Position) -> Error {
    Error::Unavailable(format!("the feed has no event at position {position}"))
}

/// Puts all that an archive has for the event store into one that has nothing of the tenant.
///
/// # Errors
/// [`Error::Archive`] when the archive contradicts itself, [`Error::Unavailable`] when the store fails. Some of it is there
/// then.
pub async fn unpack(archive: &Archive, store: &dyn EventStore, tenant: &TenantId) -> Result<(), Error> {
    unpack_commands(archive, store, tenant).await?;
    let mut rejections = archive.lines::<RejectionLine>(Kind::Rejections);
    loop {
        let page = blocking::run(|| next(&mut rejections, COMMANDS_AT_ONCE as usize))?;
        if page.is_empty() {
            break;
        }
        let page: Result<Vec<_>, _> = page.into_iter().map(RejectionLine::into_rejected).collect();
        store.restore_rejected(tenant, page?).await?;
    }
    unpack_holdings::<ClaimLine>(archive, Kind::Claims, store, tenant).await?;
    unpack_holdings::<NumberLine>(archive, Kind::Numbers, store, tenant).await
}

async fn unpack_holdings<T: DeserializeOwned + Into<Holding> + Send>(
    archive: &Archive,
    kind: Kind,
    store: &dyn EventStore,
    tenant: &TenantId,
) -> Result<(), Error> {
    let mut lines = archive.lines::<T>(kind);
    loop {
        let page = blocking::run(|| next(&mut lines, HOLDINGS_AT_ONCE))?;
        if page.is_empty() {
            return Ok(());
        }
        let page = page.into_iter().map(Into::into).collect();
        store.restore_holdings(tenant, page).await?;
    }
}

fn next<T>(
    lines: &mut impl Iterator<Item = Result<T, ArchiveError>>,
    limit: usize,
) -> Result<Vec<T>, ArchiveError> {
    lines.take(limit).collect()
}

/// Appends each command with its events again, which gives them their positions and versions.
async fn unpack_commands(archive: &Archive, store: &dyn EventStore, tenant: &TenantId) -> Result<(), Error> {
    let mut commands = archive.lines::<CommandLine>(Kind::Commands);
    let mut events = archive.lines::<EventLine>(Kind::Events);
    loop {
        let batch = blocking::run(|| {
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while batch.len() < COMMANDS_AT_ONCE as usize
                && bytes < BYTES_AT_ONCE
                && let Some(line) = commands.next()
            {
                let accepted = line?.into_accepted()?;
                let own = own_events(&accepted, &mut events)?;
                let position = accepted.position;
                let append = append(tenant, accepted, own);
                bytes += append.command.input.len();
                bytes += append.events.iter().map(|event| event.data.len()).sum::<usize>();
                batch.push((position, append));
            }
            Ok::<_, ArchiveError>(batch)
        })?;
        if batch.is_empty() {
            return Ok(());
        }
        let queued: Vec<_> = batch
            .into_iter()
            .map(|(position, append)| (position, store.append(append)))
            .collect();
        for (position, outcome) in queued {
            let appended = outcome.await.map_err(refused)?;
            if appended.replayed || appended.position != position {
                return Err(unverified(format!(
                    "position {position} became {}",
                    appended.position
                )));
            }
        }
    }
}

/// The next events of the feed, as many as the command has.
fn own_events(
    command: &Accepted,
    events: &mut impl Iterator<Item = Result<EventLine, ArchiveError>>,
) -> Result<Vec<Recorded>, ArchiveError> {
    let mut own = Vec::new();
    for position in command.before + 1..=command.position {
        let event = events.next().transpose()?.map(Recorded::from);
        match event.filter(|event| event.position == position) {
            Some(event) => own.push(event),
            None => {
                return Err(ArchiveError::Damaged(format!(
                    "there is no event at position {position}"
                )));
            }
        }
    }
    Ok(own)
}

fn append(tenant: &TenantId, accepted: Accepted, events: Vec<Recorded>) -> Append {
    let target = accepted.command.target.clone();
    let own = events.iter().filter(|event| event.of == target).count() as u64;
    let mut expected: Vec<(Subject, u64)> = vec![(target, accepted.version.saturating_sub(own))];
    for event in &events {
        if !expected.iter().any(|(of, _)| *of == event.of) {
            expected.push((event.of.clone(), event.version.saturating_sub(1)));
        }
    }
    let events = events.into_iter().map(|event| NewEvent {
        id: event.id,
        of: event.of,
        name: event.name,
        data: Arc::clone(&event.data),
    });
    Append {
        tenant: tenant.clone(),
        command: accepted.command,
        origin: accepted.origin,
        expected,
        events: events.collect(),
        claims: Vec::new(),
        releases: Vec::new(),
        numbers: Vec::new(),
    }
}

fn refused(error: AppendError) -> Error {
    match error {
        AppendError::Store(error) => error.into(),
        other => unverified(other.to_string()),
    }
}

/// Reads everything back and holds it against the archive.
///
/// # Errors
/// [`Error::Archive`] with what differs; [`Error::Unavailable`] when the store fails.
pub async fn verify(
    manifest: &Manifest,
    store: &dyn EventStore,
    tenant: &TenantId,
    folder: &Path,
) -> Result<(), Error> {
    let mut sums = Sums::default();
    let mark = pack(store, tenant, folder, &mut sums).await?;
    if mark.position != manifest.position {
        let (found, said) = (mark.position, manifest.position);
        return Err(unverified(format!("the last position is {found}, not {said}")));
    }
    Ok(sums.hold_against(manifest, &Kind::RECORDS)?)
}

fn unverified(detail: String) -> Error {
    ArchiveError::Unverified(detail).into()
}
