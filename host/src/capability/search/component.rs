//! `millwork:search` as components see it: names are resolved against the manifest's indexes, grants, limits and budgets
//! are enforced, and only then a backend is asked.
//!
//! What a call writes is gathered and sent together when it has ended, or before it searches.

use std::collections::HashMap;
use std::sync::Arc;

use millwork_registry::id::TenantId;

use super::entry::{self, Entry};
use super::{Change, Find, Hits as Page, Index, Search, SearchError};
use crate::bindings::imports::millwork::search::search::{Error, Hit, Hits, Host, Query};
use crate::capability::Budget;

/// Writes that are gathered before they are sent.
const GATHERED_MAX: usize = 1_000;
/// Bytes of documents that are gathered before they are sent.
const GATHERED_BYTES_MAX: usize = 8 << 20;

/// Indexes of a module, by name.
pub type Indexes = HashMap<String, Arc<Index>>;

/// An index, where it is, and whose.
type Opened = (Arc<Index>, Arc<dyn Search>, TenantId);

/// What a call may do.
pub enum Searching {
    /// Nothing; says why.
    Denied(&'static str),
    /// Find and suggest.
    Read(Arc<dyn Search>),
    /// Write too.
    Write(Arc<dyn Search>),
    /// As before, but what it writes is checked and thrown away.
    Rehearse(Arc<dyn Search>),
}

/// The indexes as one call sees them.
pub struct SearchCall {
    searching: Searching,
    indexes: Option<Arc<Indexes>>,
    tenant: Option<TenantId>,
    budget: Arc<Budget>,
    gathered: Vec<(Arc<Index>, Vec<Change>)>,
    gathered_bytes: usize,
    failure: Option<String>,
}

impl SearchCall {
    /// For one call of a component of a tenant; without indexes the manifest did not ask for search.
    #[must_use]
    pub fn new(
        searching: Searching,
        indexes: Option<Arc<Indexes>>,
        tenant: &str,
        budget: Arc<Budget>,
    ) -> Self {
        Self {
            searching,
            indexes,
            tenant: TenantId::new(tenant).ok(),
            budget,
            gathered: Vec::new(),
            gathered_bytes: 0,
            failure: None,
        }
    }

    /// For a call that may not search, with the reason.
    #[must_use]
    pub fn denied(why: &'static str, budget: Arc<Budget>) -> Self {
        Self::new(Searching::Denied(why), None, "", budget)
    }

    /// Sends what the call has written, after it has ended well. Until then its writes are not promised to anybody.
    ///
    /// # Errors
    /// The failure of the index, also an earlier one: the call's result does not count then.
    pub async fn finish(&mut self) -> Result<(), String> {
        // A failure that was told counts as well, whatever the component has made of it.
        let sent = self.send().await.map_err(|error| error.to_string());
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => sent,
        }
    }

    /// The index, the store and the tenant, as far as this call may have them.
    fn open(&self, name: &str) -> Result<Opened, Error> {
        let store = match &self.searching {
            Searching::Denied(why) => return Err(Error::Denied((*why).to_owned())),
            Searching::Read(store) | Searching::Write(store) | Searching::Rehearse(store) => store,
        };
        let Some(indexes) = &self.indexes else {
            return Err(Error::Denied("the manifest does not ask for search".to_owned()));
        };
        let index = indexes.get(name);
        let index = index.ok_or_else(|| Error::Denied(format!("the manifest has no index {name:?}")))?;
        let no_tenant = || Error::Denied("this call is for no tenant".to_owned());
        let tenant = self.tenant.clone().ok_or_else(no_tenant)?;
        Ok((Arc::clone(index), Arc::clone(store), tenant))
    }

    /// Adds a change to those that are sent together.
    async fn gather(
        &mut self,
        name: &str,
        change: Result<Change, SearchError>,
        bytes: usize,
    ) -> Result<(), Error> {
        let (index, ..) = self.open(name)?;
        let change = self.told(change)?;
        match self.searching {
            Searching::Write(_) => {}
            Searching::Rehearse(_) => return Ok(()),
            _ => return Err(Error::Denied("this call may search, not write".to_owned())),
        }
        match self.gathered.last_mut() {
            Some((last, changes)) if last.name == index.name => changes.push(change),
            _ => self.gathered.push((index, vec![change])),
        }
        self.gathered_bytes += bytes;
        let count: usize = self.gathered.iter().map(|(_, changes)| changes.len()).sum();
        if count < GATHERED_MAX && self.gathered_bytes < GATHERED_BYTES_MAX {
            return Ok(());
        }
        let sent = self.send().await;
        self.told(sent)
    }

    async fn send(&mut self) -> Result<(), SearchError> {
        let gathered = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let (Searching::Write(store), Some(tenant)) = (&self.searching, &self.tenant) else {
            return Ok(());
        };
        for (index, changes) in gathered {
            store.write(tenant, &index, &changes).await?;
        }
        Ok(())
    }

    async fn find_page(&mut self, name: &str, query: Query) -> Result<Page, Error> {
        let (index, store, tenant) = self.open(name)?;
        let sent = self.send().await;
        self.told(sent)?;
        let Query {
            text,
            filter,
            limit,
            cursor,
            highlight,
        } = query;
        let find = Find::parse(&index, &text, &filter, limit, cursor.as_deref(), highlight);
        let find = self.told(find)?;
        let found = super::find(&store, &tenant, &index, &find).await;
        self.told(found)
    }

    async fn suggestions(
        &mut self,
        name: &str,
        field: &str,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let (index, store, tenant) = self.open(name)?;
        let sent = self.send().await;
        self.told(sent)?;
        let values = super::suggest(&store, &tenant, &index, field, prefix, limit).await;
        self.told(values)
    }

    /// Turns a backend's error into what the guest can react to, and remembers a failing index.
    fn told<T>(&mut self, result: Result<T, SearchError>) -> Result<T, Error> {
        result.map_err(|error| match error {
            SearchError::Malformed(text) => Error::Malformed(text),
            SearchError::TooLarge(text) => Error::TooLarge(text),
            SearchError::Failed(text) => {
                tracing::warn!(error = text, "search is not available");
                // A call that only searches may have an answer without.
                if matches!(self.searching, Searching::Write(_)) {
                    self.failure = Some(text);
                }
                Error::Unavailable
            }
        })
    }

    fn given(&self, page: Page) -> wasmtime::Result<Hits> {
        let mut hits = Vec::with_capacity(page.hits.len());
        for (found, fragments) in page.hits {
            let document = serde_json::to_string(&found.document)?;
            let marked: usize = fragments
                .iter()
                .flat_map(|(_, texts)| texts)
                .map(String::len)
                .sum();
            self.budget.spend_bytes(document.len() + marked)?;
            hits.push(Hit {
                id: found.id,
                score: found.score,
                document,
                fragments,
            });
        }
        Ok(Hits {
            total: page.total,
            hits,
            next: page.next,
        })
    }
}

impl Host for SearchCall {
    async fn index(
        &mut self,
        name: String,
        id: String,
        document: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.budget.spend_call()?;
        let change = match self.open(&name) {
            Ok((index, ..)) => Entry::read(&index, &id, &document).map(Change::Put),
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.gather(&name, change, document.len()).await)
    }

    async fn remove(&mut self, name: String, id: String) -> wasmtime::Result<Result<(), Error>> {
        self.budget.spend_call()?;
        let bytes = id.len();
        let change = entry::check_id(&id).map(|()| Change::Remove(id));
        Ok(self.gather(&name, change, bytes).await)
    }

    async fn find(&mut self, name: String, query: Query) -> wasmtime::Result<Result<Hits, Error>> {
        self.budget.spend_call()?;
        match self.find_page(&name, query).await {
            Ok(page) => Ok(Ok(self.given(page)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn suggest(
        &mut self,
        name: String,
        field: String,
        prefix: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        self.budget.spend_call()?;
        let values = match self.suggestions(&name, &field, &prefix, limit).await {
            Ok(values) => values,
            Err(error) => return Ok(Err(error)),
        };
        self.budget.spend_bytes(values.iter().map(String::len).sum())?;
        Ok(Ok(values))
    }
}
