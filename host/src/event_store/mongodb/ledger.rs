//! What a batch of appends is checked against: what its transaction has read, and what the appends before it in the batch
//! have added. A refused append adds nothing, so it leaves the others alone. Pure: no word goes to the server here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use millwork_registry::id::TenantId;
use mongodb::bson::oid::ObjectId;

use super::super::portable::Gate;
use super::super::{Append, AppendError, Appended, Claim, Position, Recorded, StoreError, Subject};
use super::schema::{
    AggregateRow, ClaimRow, CommandRow, EventRow, SequenceRow, aggregate_id, claim_id, command_key,
    sequence_id,
};

/// One tenant within one transaction.
pub(super) struct Ledger {
    /// The batch: the same whenever it is tried again.
    pub(super) batch: ObjectId,
    /// The tenant's last position.
    pub(super) position: Position,
    /// How many commands it has recorded.
    pub(super) commands: u64,
    /// Whether it takes appends.
    pub(super) gate: Gate,
    /// Commands recorded, by id, with their fingerprints.
    pub(super) outcomes: HashMap<String, ([u8; 32], Appended)>,
    /// Aggregates by their `_id`.
    pub(super) aggregates: HashMap<String, AggregateRow>,
    /// Holders of claims by the claims' `_id`.
    pub(super) claims: HashMap<String, String>,
    /// Last numbers of sequences by their `_id`.
    pub(super) sequences: HashMap<String, u64>,
    /// What is to be written.
    pub(super) changes: Changes,
}

/// What accepted appends change.
#[derive(Default)]
pub(super) struct Changes {
    /// New commands.
    pub(super) commands: Vec<CommandRow>,
    /// New events.
    pub(super) events: Vec<EventRow>,
    /// Aggregates that were started.
    pub(super) started: BTreeMap<String, AggregateRow>,
    /// New versions of aggregates that were there.
    pub(super) moved: BTreeMap<String, u64>,
    /// Claims with their holders after the batch; nobody's are given back.
    pub(super) claims: BTreeMap<String, Option<ClaimRow>>,
    /// New sequences and those that went on, with their last numbers.
    pub(super) sequences: BTreeMap<String, SequenceRow>,
}

/// What the checks found out.
struct Checked {
    /// As [`Append::expected`]: `_id` and version.
    versions: Vec<(Subject, String, u64)>,
    /// `_id` and last number after the append.
    sequences: Vec<(String, u64)>,
}

impl Ledger {
    /// Enters an append, or says why not.
    pub(super) fn enter(&mut self, append: &Append) -> Result<Appended, AppendError> {
        if let Some((fingerprint, first)) = self.outcomes.get_mut(&append.command.id) {
            if *fingerprint == append.command.fingerprint {
                let given = first.clone();
                // What this batch recorded before its commit went unanswered is news once.
                first.replayed = true;
                return Ok(given);
            }
            return Err(AppendError::CommandIdReused {
                id: append.command.id.clone(),
            });
        }
        self.gate.check(&append.tenant)?;
        check_form(append)?;
        let versions = self.check_versions(append)?;
        self.check_claims(append)?;
        let sequences = self.check_numbers(append)?;
        self.write(append, Checked { versions, sequences })
    }

    fn check_versions(&self, append: &Append) -> Result<Vec<(Subject, String, u64)>, AppendError> {
        let mut versions = Vec::with_capacity(append.expected.len());
        for (of, expected) in &append.expected {
            let id = aggregate_id(&append.tenant, of);
            let actual = self.aggregates.get(&id).map_or(0, |found| found.version);
            if actual != *expected {
                return Err(AppendError::Version {
                    subject: of.clone(),
                    expected: *expected,
                    actual,
                });
            }
            versions.push((of.clone(), id, actual));
        }
        Ok(versions)
    }

    fn check_claims(&self, append: &Append) -> Result<(), AppendError> {
        let target = &append.command.target;
        let holder = aggregate_id(&append.tenant, target);
        let held_by = |claim: &Claim| self.claims.get(&claim_id(&append.tenant, &target.module, claim));
        for claim in &append.releases {
            if held_by(claim) != Some(&holder) {
                let (name, value) = (&claim.name, &claim.value);
                let bug = format!("{target:?} releases the claim {name} {value:?}, which it does not hold");
                return Err(StoreError::Failed(bug).into());
            }
        }
        for claim in &append.claims {
            if held_by(claim).is_some_and(|other| *other != holder) {
                return Err(AppendError::ClaimTaken { claim: claim.clone() });
            }
        }
        Ok(())
    }

    fn check_numbers(&self, append: &Append) -> Result<Vec<(String, u64)>, AppendError> {
        let mut numbers: Vec<_> = append.numbers.iter().collect();
        numbers.sort_by_key(|taken| (&taken.sequence, taken.number));
        let mut sequences = Vec::new();
        for taken in numbers.chunk_by(|a, b| a.sequence == b.sequence) {
            let Some(first) = taken.first() else { continue };
            let id = sequence_id(&append.tenant, &append.command.target.module, &first.sequence);
            let last = self.sequences.get(&id).copied().unwrap_or(0);
            let follows = (last + 1..).zip(taken).all(|(next, taken)| taken.number == next);
            if !follows {
                return Err(AppendError::Number {
                    sequence: first.sequence.clone(),
                    next: last + 1,
                });
            }
            sequences.push((id, last + taken.len() as u64));
        }
        Ok(sequences)
    }

    fn write(&mut self, append: &Append, checked: Checked) -> Result<Appended, AppendError> {
        let Checked {
            mut versions,
            sequences,
        } = checked;
        let mut events = Vec::with_capacity(append.events.len());
        for (event, position) in append.events.iter().zip(self.position + 1..) {
            let Some((_, id, version)) = versions.iter_mut().find(|(of, _, _)| *of == event.of) else {
                continue;
            };
            *version += 1;
            self.move_aggregate(&append.tenant, id, &event.of, *version, position);
            events.push(Recorded {
                position,
                id: event.id.clone(),
                of: event.of.clone(),
                version: *version,
                name: event.name.clone(),
                recorded_at: append.command.decided_at,
                origin: Arc::clone(&append.origin),
                data: Arc::clone(&event.data),
            });
        }
        self.position += events.len() as u64;
        self.commands += 1;
        self.write_claims(append);
        for (id, last) in sequences {
            self.sequences.insert(id.clone(), last);
            let tenant = append.tenant.to_string();
            let row = SequenceRow {
                id: id.clone(),
                tenant,
                last,
            };
            self.changes.sequences.insert(id, row);
        }
        let appended = Appended {
            version: versions.first().map_or(0, |(_, _, version)| *version),
            position: self.position,
            replayed: false,
            events,
        };
        let rows = appended
            .events
            .iter()
            .map(|event| EventRow::of(&append.tenant, event));
        self.changes.events.extend(rows);
        let key = command_key(&append.tenant, self.commands);
        let row = CommandRow::of(append, key, self.batch, &appended);
        self.changes.commands.push(row);
        let again = Appended {
            replayed: true,
            ..appended.clone()
        };
        self.outcomes
            .insert(append.command.id.clone(), (append.command.fingerprint, again));
        Ok(appended)
    }

    fn move_aggregate(
        &mut self,
        tenant: &TenantId,
        id: &str,
        of: &Subject,
        version: u64,
        position: Position,
    ) {
        if let Some(known) = self.aggregates.get_mut(id) {
            known.version = version;
            match self.changes.started.get_mut(id) {
                Some(started) => started.version = version,
                None => drop(self.changes.moved.insert(id.to_owned(), version)),
            }
            return;
        }
        let row = AggregateRow {
            id: id.to_owned(),
            tenant: tenant.to_string(),
            module: of.module.clone(),
            aggregate: of.aggregate.clone(),
            subject: of.id.clone(),
            first: position,
            version,
        };
        self.aggregates.insert(id.to_owned(), row.clone());
        self.changes.started.insert(id.to_owned(), row);
    }

    fn write_claims(&mut self, append: &Append) {
        let target = &append.command.target;
        for claim in &append.releases {
            let id = claim_id(&append.tenant, &target.module, claim);
            self.claims.remove(&id);
            self.changes.claims.insert(id, None);
        }
        let holder = aggregate_id(&append.tenant, target);
        for claim in &append.claims {
            let id = claim_id(&append.tenant, &target.module, claim);
            self.claims.insert(id.clone(), holder.clone());
            let row = ClaimRow {
                id: id.clone(),
                tenant: append.tenant.to_string(),
                holder: holder.clone(),
            };
            self.changes.claims.insert(id, Some(row));
        }
    }
}

/// What only a bug of the caller can break.
fn check_form(append: &Append) -> Result<(), StoreError> {
    let target = &append.command.target;
    if append.expected.first().map(|(of, _)| of) != Some(target) {
        return Err(StoreError::Failed(format!(
            "the target {target:?} does not stand first among the expected versions"
        )));
    }
    let mut strays = append
        .events
        .iter()
        .filter(|event| !append.expected.iter().any(|(of, _)| *of == event.of));
    match strays.next() {
        Some(event) => Err(StoreError::Failed(format!(
            "event {} is of {:?}, which is not expected",
            event.id, event.of
        ))),
        None => Ok(()),
    }
}
