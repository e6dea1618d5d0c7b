//! Tenants and their generations on files, a folder for each tenant: `tenant.json` says that there is one,
//! `generation.json` is what it runs, and `generations/<number>.json` are the last ones, so that a rollback finds them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Generation;
use crate::Error;
use crate::files;
use crate::id::TenantId;

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
}

/// All tenants and what they run. Its functions block.
#[derive(Debug)]
pub struct Generations {
    tenants: PathBuf,
    /// Held while a generation is stored: what it is compared with must not change meanwhile. Nothing waits for it across
    /// an await, so a plain mutex does.
    storing: Mutex<()>,
}

impl Generations {
    /// Opens the folder, made when it is not there. One process at a time.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        files::open_folder(folder)?;
        let generations = Self {
            tenants: folder.to_owned(),
            storing: Mutex::new(()),
        };
        for tenant in generations.folders()? {
            files::open_folder(&generations.folder(&tenant))?;
            files::open_folder(&generations.folder(&tenant).join("generations"))?;
        }
        Ok(generations)
    }

    /// Makes a tenant that has nothing enabled; durable when this returns.
    ///
    /// # Errors
    /// [`Error::TenantExists`]; [`Error::TooLarge`]; [`Error::Io`].
    pub fn create_tenant(&self, tenant: &TenantRecord) -> Result<(), Error> {
        let path = self.record_path(&tenant.id);
        let bytes = files::json(tenant, &path)?;
        check_size("tenant", &bytes, RECORD_BYTES_MAX)?;
        files::make_folder(&self.folder(&tenant.id))?;
        if files::create(&path, &bytes)? {
            Ok(())
        } else {
            Err(Error::TenantExists(tenant.id.clone()))
        }
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`Error::NoTenant`], [`Error::Damaged`], [`Error::Io`].
    pub fn tenant(&self, id: &TenantId) -> Result<TenantRecord, Error> {
        let path = self.record_path(id);
        let tenant: Option<TenantRecord> = files::read_json(&path, RECORD_BYTES_MAX)?;
        match tenant {
            Some(other) if other.id != *id => {
                Err(files::damaged(&path, format!("it is the record of {}", other.id)))
            }
            Some(tenant) => Ok(tenant),
            None => Err(Error::NoTenant(id.clone())),
        }
    }

    /// Every tenant, by id.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn tenants(&self) -> Result<Vec<TenantRecord>, Error> {
        let mut tenants = Vec::new();
        for id in self.folders()? {
            match self.tenant(&id) {
                // A folder without a record is of a crash before the tenant was made.
                Err(Error::NoTenant(_)) => {}
                found => tenants.push(found?),
            }
        }
        Ok(tenants)
    }

    /// What a tenant runs; generation 0 when nothing was stored yet.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn load(&self, tenant: &TenantId) -> Result<Generation, Error> {
        let stored = self.read(tenant, &self.current_path(tenant))?;
        Ok(stored.unwrap_or_else(|| Generation::first(tenant.clone())))
    }

    /// A generation that a tenant has run, one of the last [`GENERATIONS_KEPT`].
    ///
    /// # Errors
    /// [`Error::NoGeneration`], [`Error::Damaged`], [`Error::Io`].
    pub fn past(&self, tenant: &TenantId, number: u64) -> Result<Generation, Error> {
        let current = self.load(tenant)?;
        // A file with a higher number is of a crash before it became the current one.
        let kept = if number <= current.number {
            self.read(tenant, &self.numbered_path(tenant, number))?
        } else {
            None
        };
        kept.ok_or_else(|| Error::NoGeneration {
            tenant: tenant.clone(),
            number,
        })
    }

    /// Makes a generation the current one of its tenant; durable when this returns. It must follow the one stored.
    ///
    /// # Errors
    /// [`Error::GenerationOutdated`] when it does not; [`Error::Damaged`], [`Error::Io`].
    pub fn save(&self, next: &Generation) -> Result<(), Error> {
        // What the lock protects is on the disk and whole at every moment, so a panic of another holder changes nothing.
        let _storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = &next.tenant;
        let current = self.load(tenant)?.number;
        if next.number != current + 1 {
            return Err(Error::GenerationOutdated {
                tenant: tenant.clone(),
                current,
                number: next.number,
            });
        }
        let numbered = self.numbered_path(tenant, next.number);
        let bytes = files::json(next, &numbered)?;
        if bytes.len() > GENERATION_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "generation",
                bytes: bytes.len(),
                bytes_max: GENERATION_BYTES_MAX,
            });
        }
        files::make_folder(&self.folder(tenant).join("generations"))?;
        files::replace(&numbered, &bytes)?;
        files::replace(&self.current_path(tenant), &bytes)?;
        match next.number.checked_sub(GENERATIONS_KEPT) {
            Some(oldest) => files::remove(&self.numbered_path(tenant, oldest)),
            None => Ok(()),
        }
    }

    fn read(&self, tenant: &TenantId, path: &Path) -> Result<Option<Generation>, Error> {
        let stored: Option<Generation> = files::read_json(path, GENERATION_BYTES_MAX)?;
        match stored {
            Some(other) if other.tenant != *tenant => Err(files::damaged(
                path,
                format!("it is a generation of {}", other.tenant),
            )),
            stored => Ok(stored),
        }
    }

    fn folders(&self) -> Result<Vec<TenantId>, Error> {
        Ok(files::names(&self.tenants)?
            .into_iter()
            .filter_map(|name| TenantId::new(name).ok())
            .collect())
    }

    fn folder(&self, tenant: &TenantId) -> PathBuf {
        self.tenants.join(tenant.as_str())
    }

    fn record_path(&self, tenant: &TenantId) -> PathBuf {
        self.folder(tenant).join("tenant.json")
    }

    fn current_path(&self, tenant: &TenantId) -> PathBuf {
        self.folder(tenant).join("generation.json")
    }

    fn numbered_path(&self, tenant: &TenantId, number: u64) -> PathBuf {
        self.folder(tenant)
            .join("generations")
            .join(format!("{number}.json"))
    }
}

fn check_size(what: &'static str, bytes: &[u8], bytes_max: usize) -> Result<(), Error> {
    if bytes.len() <= bytes_max {
        Ok(())
    } else {
        Err(Error::TooLarge {
            what,
            bytes: bytes.len(),
            bytes_max,
        })
    }
}
