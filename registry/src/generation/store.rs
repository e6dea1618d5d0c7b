//! Tenants and their generations, a folder for each tenant: `tenants/<tenant>/tenant.json` says that there is one,
//! `generation.json` is what it runs, and `generations/<number>.json` are those before, so that a rollback finds them.
//!
//! A generation becomes the current one by a comparison with the one that it follows, so that of two hosts which replace
//! the same one only one does. The one replaced is written down first: its number stands for it from then on.
//!
//! A tenant that is being removed is marked in its record, which goes last: until then nobody takes its id.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Generation;
use crate::Error;
use crate::id::TenantId;
use crate::store::{Store, check_size, damaged, json, parse, read_json};

/// The folder of all tenants.
const TENANTS: &str = "tenants";
/// Largest record of a tenant, in bytes.
const RECORD_BYTES_MAX: usize = 64 << 10;
/// Largest generation, in bytes.
const GENERATION_BYTES_MAX: usize = 16 << 20;
/// How many generations of a tenant are kept, the running one included.
pub const GENERATIONS_KEPT: u64 = 100;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TenantRecord {
    /// What it is called everywhere; never changes.
    pub id: TenantId,
    /// What people call it.
    pub name: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub created_at_ms: u64,
    /// The host's profile that says where its data is; the host's own choice when absent. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Drawn when it is made, so that it is not taken for another that had its id before; absent for those that earlier
    /// versions made. Never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<String>,
    /// Since when it is being removed, in milliseconds since 1970; absent while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving_since_ms: Option<u64>,
}

/// All tenants and what they run. Its functions block; several at once do not disturb each other, also on several hosts.
#[derive(Debug)]
pub struct Generations {
    store: Arc<dyn Store>,
}

impl Generations {
    /// The tenants of a store. Nothing is read yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Makes a tenant that has nothing enabled; durable when this returns.
    ///
    /// # Errors
    /// [`Error::TenantExists`]; [`Error::TooLarge`]; those of the store.
    pub fn create_tenant(&self, tenant: &TenantRecord) -> Result<(), Error> {
        let name = record_name(&tenant.id);
        let bytes = json(tenant, &name)?;
        check_size("tenant", &bytes, RECORD_BYTES_MAX)?;
        if self.store.create(&name, &bytes)? {
            Ok(())
        } else {
            Err(Error::TenantExists(tenant.id.clone()))
        }
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`Error::NoTenant`], also for one that is being removed; [`Error::Damaged`]; those of the store.
    pub fn tenant(&self, id: &TenantId) -> Result<TenantRecord, Error> {
        let found = self.record(id)?;
        let there = found.filter(|tenant| tenant.leaving_since_ms.is_none());
        there.ok_or_else(|| Error::NoTenant(id.clone()))
    }

    /// The record of a tenant, also of one that is being removed; nothing when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the store.
    pub fn record(&self, id: &TenantId) -> Result<Option<TenantRecord>, Error> {
        let name = record_name(id);
        let tenant: Option<TenantRecord> = read_json(&*self.store, &name, RECORD_BYTES_MAX)?;
        match tenant {
            Some(other) if other.id != *id => Err(damaged(name, format!("it is the record of {}", other.id))),
            found => Ok(found),
        }
    }

    /// Every tenant, by id.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the store.
    pub fn tenants(&self) -> Result<Vec<TenantRecord>, Error> {
        let mut tenants = self.records()?;
        tenants.retain(|tenant| tenant.leaving_since_ms.is_none());
        Ok(tenants)
    }

    /// The records of all tenants, also of those that are being removed, by id.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the store.
    pub fn records(&self) -> Result<Vec<TenantRecord>, Error> {
        let mut records = Vec::new();
        for name in self.store.names(TENANTS)? {
            let Ok(id) = TenantId::new(name) else { continue };
            // A folder without a record is of a crash before the tenant was made.
            records.extend(self.record(&id)?);
        }
        Ok(records)
    }

    /// Marks a tenant as being removed; durable when this returns, and not taken back. Gives the record as it is then.
    ///
    /// # Errors
    /// [`Error::NoTenant`] when there is none, or another than this; [`Error::Damaged`]; those of the store.
    pub fn begin_removal(&self, tenant: &TenantRecord, at_ms: u64) -> Result<TenantRecord, Error> {
        let name = record_name(&tenant.id);
        let leaving = TenantRecord {
            leaving_since_ms: Some(at_ms),
            ..tenant.clone()
        };
        let stored = self.store.read(&name, RECORD_BYTES_MAX)?;
        let known =
            stored.filter(|bytes| parse::<TenantRecord>(&name, bytes).is_ok_and(|found| found == *tenant));
        if let Some(known) = known
            && self
                .store
                .replace_if(&name, Some(&known), &json(&leaving, &name)?)?
        {
            return Ok(leaving);
        }
        Err(Error::NoTenant(tenant.id.clone()))
    }

    /// Removes what a tenant runs and has run.
    ///
    /// # Errors
    /// Those of the store; some of it may be left then.
    pub fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        let folder = numbered_folder(tenant);
        for name in self.store.names(&folder)? {
            self.store.remove(&format!("{folder}/{name}"))?;
        }
        self.store.remove(&current_name(tenant))
    }

    /// Removes the record of a tenant that is being removed: its id is free from then on. Another's stays.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the store.
    pub fn end_removal(&self, leaving: &TenantRecord) -> Result<(), Error> {
        let name = record_name(&leaving.id);
        let Some(stored) = self.store.read(&name, RECORD_BYTES_MAX)? else {
            return Ok(());
        };
        if parse::<TenantRecord>(&name, &stored)? == *leaving {
            self.store.remove_if(&name, &stored)?;
        }
        Ok(())
    }

    /// What a tenant runs; generation 0 when nothing was stored yet.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the store.
    pub fn load(&self, tenant: &TenantId) -> Result<Generation, Error> {
        let (current, _) = self.current(tenant)?;
        Ok(current)
    }

    /// A generation that a tenant has run, one of the last [`GENERATIONS_KEPT`].
    ///
    /// # Errors
    /// [`Error::NoGeneration`], [`Error::Damaged`]; those of the store.
    pub fn past(&self, tenant: &TenantId, number: u64) -> Result<Generation, Error> {
        let missing = || Error::NoGeneration {
            tenant: tenant.clone(),
            number,
        };
        let current = self.load(tenant)?;
        match number {
            // It stands for nothing that was ever current.
            0 => Err(missing()),
            number if number == current.number => Ok(current),
            // A record with a higher number is of an earlier version, and of a crash before it became the current one.
            number if number > current.number => Err(missing()),
            number => {
                let name = numbered_name(tenant, number);
                let bytes = self.store.read(&name, GENERATION_BYTES_MAX)?;
                read(tenant, &name, &bytes.ok_or_else(missing)?)
            }
        }
    }

    /// Makes a generation the current one of its tenant; durable when this returns. It must follow the one stored.
    ///
    /// # Errors
    /// [`Error::GenerationOutdated`] when it does not, or another was stored meanwhile; [`Error::TooLarge`],
    /// [`Error::Damaged`]; those of the store: whether it is the current one tells [`Generations::load`] then.
    pub fn save(&self, next: &Generation) -> Result<(), Error> {
        let tenant = &next.tenant;
        let (current, stored) = self.current(tenant)?;
        let outdated = |current| Error::GenerationOutdated {
            tenant: tenant.clone(),
            current,
            number: next.number,
        };
        if next.number != current.number + 1 {
            return Err(outdated(current.number));
        }
        let name = current_name(tenant);
        let bytes = json(next, &name)?;
        check_size("generation", &bytes, GENERATION_BYTES_MAX)?;
        if let Some(stored) = &stored {
            self.store
                .replace(&numbered_name(tenant, current.number), stored)?;
        }
        if !self.store.replace_if(&name, stored.as_deref(), &bytes)? {
            return Err(outdated(self.load(tenant)?.number));
        }
        match next.number.checked_sub(GENERATIONS_KEPT) {
            Some(oldest) => self.store.remove(&numbered_name(tenant, oldest)),
            None => Ok(()),
        }
    }

    /// What a tenant runs, and the record that says so.
    fn current(&self, tenant: &TenantId) -> Result<(Generation, Option<Vec<u8>>), Error> {
        let name = current_name(tenant);
        let stored = self.store.read(&name, GENERATION_BYTES_MAX)?;
        let current = match &stored {
            Some(bytes) => read(tenant, &name, bytes)?,
            None => Generation::first(tenant.clone()),
        };
        Ok((current, stored))
    }
}

/// The generation of a record, which must be the tenant's.
fn read(tenant: &TenantId, name: &str, bytes: &[u8]) -> Result<Generation, Error> {
    let found: Generation = parse(name, bytes)?;
    if found.tenant == *tenant {
        return Ok(found);
    }
    Err(damaged(name, format!("it is a generation of {}", found.tenant)))
}

fn record_name(tenant: &TenantId) -> String {
    format!("{TENANTS}/{tenant}/tenant.json")
}

fn current_name(tenant: &TenantId) -> String {
    format!("{TENANTS}/{tenant}/generation.json")
}

fn numbered_folder(tenant: &TenantId) -> String {
    format!("{TENANTS}/{tenant}/generations")
}

fn numbered_name(tenant: &TenantId, number: u64) -> String {
    format!("{}/{number}.json", numbered_folder(tenant))
}
