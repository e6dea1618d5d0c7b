//! Swaps on the disk: `tenants/<tenant>/swaps/<number>.jsonl`, a line for each step.
//!
//! A line counts once it is whole and flushed. What a crash has left half written at the end is cut off when the swap is
//! opened again, so nothing is ever appended behind it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{Entry, Request, Step, Swap};
use crate::Error;
use crate::files;
use crate::id::TenantId;

/// Largest journal of one swap, in bytes.
const JOURNAL_BYTES_MAX: usize = 64 << 20;
/// How many swaps of a tenant are kept.
pub const SWAPS_KEPT: u64 = 200;

/// The swaps of all tenants. Its functions block. Of one tenant only one swap is written at a time but for the last step
/// of those that drain.
#[derive(Debug)]
pub struct Swaps {
    tenants: PathBuf,
}

impl Swaps {
    /// Swaps in the folder of the tenants.
    #[must_use]
    pub fn new(tenants: &Path) -> Self {
        Self {
            tenants: tenants.to_owned(),
        }
    }

    /// Begins a swap; durable when this returns.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn begin(&self, tenant: &TenantId, request: Request, at_ms: u64) -> Result<Swap, Error> {
        let number = self.numbers(tenant)?.last().map_or(1, |last| last + 1);
        let swap = Swap::begin(tenant.clone(), number, request, at_ms);
        files::make_folder(&self.folder(tenant))?;
        let path = self.path(tenant, number);
        let first = swap.history.first().map(line).transpose()?.unwrap_or_default();
        if !files::create(&path, &first)? {
            return Err(files::damaged(&path, "it is there already".to_owned()));
        }
        if let Some(oldest) = number.checked_sub(SWAPS_KEPT).filter(|oldest| *oldest > 0) {
            files::remove(&self.path(tenant, oldest))?;
        }
        Ok(swap)
    }

    /// Takes a step and writes it down; durable when this returns.
    ///
    /// # Errors
    /// [`Error::SwapStage`] when the step may not come now; [`Error::Io`].
    pub fn record(&self, swap: &mut Swap, step: Step, at_ms: u64) -> Result<(), Error> {
        let entry = Entry { at_ms, step };
        let text = line(&entry)?;
        let mut next = swap.clone();
        next.apply(entry)?;
        let path = self.path(&swap.tenant, swap.number);
        append(&path, &text).map_err(|source| Error::Io { path, source })?;
        *swap = next;
        Ok(())
    }

    /// One swap.
    ///
    /// # Errors
    /// [`Error::NoSwap`], [`Error::Damaged`], [`Error::Io`].
    pub fn load(&self, tenant: &TenantId, number: u64) -> Result<Swap, Error> {
        let missing = || Error::NoSwap {
            tenant: tenant.clone(),
            number,
        };
        let path = self.path(tenant, number);
        let bytes = files::read(&path, JOURNAL_BYTES_MAX)?.ok_or_else(missing)?;
        parse(tenant, number, &bytes).map_err(|detail| files::damaged(&path, detail))
    }

    /// The last swaps of a tenant, newest first; those whose journal is damaged are left out.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn last(&self, tenant: &TenantId, count_max: usize) -> Result<Vec<Swap>, Error> {
        let numbers = self.numbers(tenant)?;
        let newest = numbers.iter().rev().take(count_max);
        let readable = newest
            .map(|number| self.load(tenant, *number))
            .filter(is_not_damaged);
        readable.collect()
    }

    /// The swaps of a tenant that a crash or a stop has interrupted, oldest first; their journals end with a whole line
    /// afterwards. One whose journal is damaged is left alone: what the tenant runs stands elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn interrupted(&self, tenant: &TenantId) -> Result<Vec<Swap>, Error> {
        let mut open = Vec::new();
        let swaps = self
            .numbers(tenant)?
            .into_iter()
            .map(|number| self.load(tenant, number));
        for swap in swaps.filter(is_not_damaged) {
            let swap = swap?;
            if !swap.stage.is_over() {
                self.cut(&swap)?;
                open.push(swap);
            }
        }
        Ok(open)
    }

    /// Cuts off what is half written.
    fn cut(&self, swap: &Swap) -> Result<(), Error> {
        let path = self.path(&swap.tenant, swap.number);
        let bytes = files::read(&path, JOURNAL_BYTES_MAX)?.unwrap_or_default();
        let whole = whole_lines(&bytes);
        if whole.len() < bytes.len() {
            files::replace(&path, whole)?;
        }
        Ok(())
    }

    fn numbers(&self, tenant: &TenantId) -> Result<Vec<u64>, Error> {
        let names = files::names(&self.folder(tenant))?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn folder(&self, tenant: &TenantId) -> PathBuf {
        self.tenants.join(tenant.as_str()).join("swaps")
    }

    fn path(&self, tenant: &TenantId, number: u64) -> PathBuf {
        self.folder(tenant).join(format!("{number}.jsonl"))
    }
}

fn is_not_damaged(swap: &Result<Swap, Error>) -> bool {
    !matches!(swap, Err(Error::Damaged { .. }))
}

fn line(entry: &Entry) -> Result<Vec<u8>, Error> {
    let mut text = serde_json::to_vec(entry).map_err(|error| Error::Io {
        path: PathBuf::from("swap"),
        source: error.into(),
    })?;
    text.push(b'\n');
    Ok(text)
}

fn append(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().append(true).open(path)?;
    let before = file.metadata()?.len();
    let written = file.write_all(text).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // Half a line must not stand before the next one.
        file.set_len(before)?;
        return Err(error);
    }
    Ok(())
}

/// The bytes up to the last end of a line.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    bytes.split_at(end).0
}

fn parse(tenant: &TenantId, number: u64, bytes: &[u8]) -> Result<Swap, String> {
    let text = std::str::from_utf8(whole_lines(bytes)).map_err(|error| error.to_string())?;
    let mut swap: Option<Swap> = None;
    for (index, line) in text.lines().enumerate() {
        let entry: Entry =
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1))?;
        match (&mut swap, entry) {
            (Some(swap), entry) => swap.apply(entry).map_err(|error| error.to_string())?,
            (
                None,
                Entry {
                    at_ms,
                    step: Step::Requested { request },
                },
            ) => swap = Some(Swap::begin(tenant.clone(), number, *request, at_ms)),
            (None, _) => return Err("it does not begin with a request".to_owned()),
        }
    }
    swap.ok_or_else(|| ErrorKind::UnexpectedEof.to_string())
}
