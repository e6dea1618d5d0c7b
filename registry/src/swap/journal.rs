//! The steps of swaps: a record `tenants/<tenant>/swaps/<number>.jsonl` for each, with a line for each step.
//!
//! A line is appended only behind those that the swap was made of. So of two hosts that go on with the same swap one is
//! refused, however late it comes, and no step is taken that does not follow from those before it.

use std::sync::Arc;

use super::{Entry, Request, Step, Swap};
use crate::Error;
use crate::id::TenantId;
use crate::store::{Store, damaged};

/// Largest journal of one swap, in bytes.
const JOURNAL_BYTES_MAX: usize = 64 << 20;
/// How many swaps of a tenant are kept.
pub const SWAPS_KEPT: u64 = 200;
/// Numbers that are tried for a new swap; each that is taken means that another host was faster.
const NUMBERS_TRIED_MAX: u64 = 100;

/// The swaps of all tenants. Its functions block; several at once do not disturb each other, also on several hosts.
#[derive(Debug)]
pub struct Swaps {
    store: Arc<dyn Store>,
}

impl Swaps {
    /// The swaps of a store. Nothing is read yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Begins a swap; durable when this returns.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when others begin one all the time; those of the store.
    pub fn begin(&self, tenant: &TenantId, request: Request, at_ms: u64) -> Result<Swap, Error> {
        let next = self.numbers(tenant)?.last().map_or(1, |last| last + 1);
        for number in next..next + NUMBERS_TRIED_MAX {
            let swap = Swap::begin(tenant.clone(), number, request.clone(), at_ms);
            let mut first = swap.history.first().map(line).transpose()?.unwrap_or_default();
            first.push(b'\n');
            if !self.store.create(&name(tenant, number), &first)? {
                continue;
            }
            if let Some(oldest) = number.checked_sub(SWAPS_KEPT).filter(|oldest| *oldest > 0) {
                self.store.remove(&name(tenant, oldest))?;
            }
            return Ok(swap);
        }
        let busy = format!("swaps of tenant {tenant} are begun all the time");
        Err(Error::Unavailable(busy))
    }

    /// Takes a step and writes it down; durable when this returns. On an error the swap is as it was, and what the store
    /// has of it tells [`Swaps::load`].
    ///
    /// # Errors
    /// [`Error::SwapStage`] when the step may not come now; [`Error::SwapTakenOver`] when another host has gone on with
    /// it, or it is no longer kept; those of the store.
    pub fn record(&self, swap: &mut Swap, step: Step, at_ms: u64) -> Result<(), Error> {
        let entry = Entry { at_ms, step };
        let text = line(&entry)?;
        let mut next = swap.clone();
        next.apply(entry)?;
        let name = name(&swap.tenant, swap.number);
        if !self.store.append(&name, swap.history.len(), &text)? {
            return Err(Error::SwapTakenOver {
                tenant: swap.tenant.clone(),
                number: swap.number,
            });
        }
        *swap = next;
        Ok(())
    }

    /// One swap.
    ///
    /// # Errors
    /// [`Error::NoSwap`], [`Error::Damaged`]; those of the store.
    pub fn load(&self, tenant: &TenantId, number: u64) -> Result<Swap, Error> {
        let missing = || Error::NoSwap {
            tenant: tenant.clone(),
            number,
        };
        let name = name(tenant, number);
        let bytes = self.store.read(&name, JOURNAL_BYTES_MAX)?.ok_or_else(missing)?;
        parse(tenant, number, &bytes).map_err(|detail| damaged(name, detail))
    }

    /// The last swaps of a tenant, newest first; those whose journal is damaged are left out.
    ///
    /// # Errors
    /// Those of the store.
    pub fn last(&self, tenant: &TenantId, count_max: usize) -> Result<Vec<Swap>, Error> {
        let numbers = self.numbers(tenant)?;
        let newest = numbers.iter().rev().take(count_max);
        let readable = newest
            .map(|number| self.load(tenant, *number))
            .filter(is_not_damaged);
        readable.collect()
    }

    /// The swaps of a tenant that are not over, oldest first: those that a crash or a stop has interrupted, and those that
    /// other hosts are at. One whose journal is damaged is left alone: what the tenant runs stands elsewhere.
    ///
    /// # Errors
    /// Those of the store.
    pub fn interrupted(&self, tenant: &TenantId) -> Result<Vec<Swap>, Error> {
        let numbers = self.numbers(tenant)?.into_iter();
        let swaps = numbers.map(|number| self.load(tenant, number));
        let is_open = |swap: &Result<Swap, Error>| !matches!(swap, Ok(swap) if swap.stage.is_over());
        swaps.filter(is_not_damaged).filter(is_open).collect()
    }

    /// Removes all swaps of a tenant that is being removed.
    ///
    /// # Errors
    /// Those of the store; some may be left then.
    pub fn clear(&self, tenant: &TenantId) -> Result<(), Error> {
        let mut numbers = self.numbers(tenant)?.into_iter();
        numbers.try_for_each(|number| self.store.remove(&name(tenant, number)))
    }

    fn numbers(&self, tenant: &TenantId) -> Result<Vec<u64>, Error> {
        let names = self.store.names(&folder(tenant))?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn folder(tenant: &TenantId) -> String {
    format!("tenants/{tenant}/swaps")
}

fn name(tenant: &TenantId, number: u64) -> String {
    format!("{}/{number}.jsonl", folder(tenant))
}

fn is_not_damaged(swap: &Result<Swap, Error>) -> bool {
    !matches!(swap, Err(Error::Damaged { .. }))
}

/// Without its end.
fn line(entry: &Entry) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(entry).map_err(|error| Error::Io {
        path: "swap".into(),
        source: error.into(),
    })
}

/// The bytes up to the last end of a line: on files a crash may have left half a line behind it.
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
    swap.ok_or_else(|| "it is empty".to_owned())
}
