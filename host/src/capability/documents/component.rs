//! `millwork:documents` as components see it: names are resolved against the manifest's collections, grants and budgets
//! are enforced, and only then a backend is asked. There is no way from here to another tenant's store.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::query::{Filter, Find, Scope, Sort};
use super::update::Change;
use super::{Collection, Document, DocumentError, Documents, Line, Page, Unit, document};
use crate::bindings::imports::millwork::documents::documents::{Error, Host, Page as WitPage, Query};
use crate::capability::Budget;

/// Collections of a module, by name.
pub type Collections = HashMap<String, Arc<Collection>>;

/// The documents as one call sees them.
pub struct DocumentsCall {
    access: Access,
    collections: Option<Arc<Collections>>,
    budget: Arc<Budget>,
    failure: Option<String>,
}

/// What a call may do.
pub enum Access {
    /// Nothing; says why.
    Denied(&'static str),
    /// Read what is committed.
    Read(Arc<dyn Documents>),
    /// Read and write the collections of one projection, inside a unit of work.
    Project {
        /// Commits when the call has ended well.
        unit: Box<dyn Unit>,
        /// Which copy.
        line: Line,
        /// The collections it may touch.
        writable: Vec<String>,
    },
}

impl DocumentsCall {
    /// For one call.
    #[must_use]
    pub fn new(access: Access, collections: Option<Arc<Collections>>, budget: Arc<Budget>) -> Self {
        Self {
            access,
            collections,
            budget,
            failure: None,
        }
    }

    /// The store's failure, if one happened: the call's result does not count then.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// The unit of work, to be committed after the call.
    #[must_use]
    pub fn into_unit(self) -> Option<Box<dyn Unit>> {
        match self.access {
            Access::Project { unit, .. } => Some(unit),
            Access::Denied(_) | Access::Read(_) => None,
        }
    }

    fn collection(&self, name: &str) -> Result<Arc<Collection>, Error> {
        if let Access::Denied(why) = self.access {
            return Err(Error::Denied(why.to_owned()));
        }
        let known = self.collections.as_ref().and_then(|all| all.get(name));
        let collection =
            known.ok_or_else(|| Error::Denied(format!("the manifest has no collection {name:?}")))?;
        if let Access::Project { writable, .. } = &self.access
            && !writable.iter().any(|own| own == name)
        {
            return Err(Error::Denied(format!(
                "collection {name:?} is not one of this projection's"
            )));
        }
        Ok(Arc::clone(collection))
    }

    /// Turns a backend's error into what the guest can react to, and remembers a failing store.
    fn told<T>(&mut self, result: Result<T, DocumentError>) -> Result<T, Error> {
        result.map_err(|error| match error {
            DocumentError::Malformed(text) => Error::Malformed(text),
            DocumentError::TooLarge(text) => Error::TooLarge(text),
            DocumentError::Failed(text) => {
                self.failure = Some(text);
                Error::Unavailable
            }
        })
    }

    async fn get_document(&mut self, name: &str, id: &str) -> Result<Option<String>, Error> {
        let of = self.collection(name)?;
        let result = match &mut self.access {
            Access::Read(store) => store.get(&of, id).await.and_then(document::found_text),
            Access::Project { unit, line, .. } => unit.get_text(&of, *line, id).await,
            Access::Denied(why) => return Err(Error::Denied((*why).to_owned())),
        };
        self.told(result)
    }

    async fn find_page(&mut self, name: &str, query: Query) -> Result<Page, Error> {
        let of = self.collection(name)?;
        let find = parse_find(query);
        let find = self.told(find)?;
        let result = match &mut self.access {
            Access::Read(store) => store.find(&of, &find).await,
            Access::Project { unit, line, .. } => unit.find(&of, *line, &find).await,
            Access::Denied(why) => return Err(Error::Denied((*why).to_owned())),
        };
        self.told(result)
    }

    async fn count_matches(&mut self, name: &str, filter: &str) -> Result<u64, Error> {
        let of = self.collection(name)?;
        let find = parse_json(filter, "filter")
            .and_then(|filter| Filter::parse(&filter))
            .map(all_matching);
        let find = self.told(find)?;
        let result = match &mut self.access {
            Access::Read(store) => store.count(&of, &find).await,
            Access::Project { unit, line, .. } => unit.count(&of, *line, &find).await,
            Access::Denied(why) => return Err(Error::Denied((*why).to_owned())),
        };
        self.told(result)
    }

    /// The unit of work of a call that may write.
    fn unit(&mut self) -> Result<(&mut Box<dyn Unit>, Line), Error> {
        match &mut self.access {
            Access::Project { unit, line, .. } => Ok((unit, *line)),
            Access::Read(_) => Err(Error::Denied("this call may read, not write".to_owned())),
            Access::Denied(why) => Err(Error::Denied((*why).to_owned())),
        }
    }

    async fn put_document(&mut self, name: &str, id: &str, text: &str) -> Result<(), Error> {
        let of = self.collection(name)?;
        let document = self.told(parse_document(text))?;
        let (unit, line) = self.unit()?;
        let result = unit.put(&of, line, id, document).await;
        self.told(result)
    }

    async fn change_document(
        &mut self,
        name: &str,
        id: &str,
        change: Result<Change, DocumentError>,
    ) -> Result<bool, Error> {
        let of = self.collection(name)?;
        let change = self.told(change)?;
        let (unit, line) = self.unit()?;
        let result = unit.update(&of, line, id, &change).await;
        self.told(result)
    }

    async fn remove_document(&mut self, name: &str, id: &str) -> Result<bool, Error> {
        let of = self.collection(name)?;
        let (unit, line) = self.unit()?;
        let result = unit.remove(&of, line, id).await;
        self.told(result)
    }

    /// Documents as text, within the budget.
    fn give(&self, document: &Document) -> wasmtime::Result<String> {
        let text = serde_json::to_string(document)?;
        self.budget.spend_bytes(text.len())?;
        Ok(text)
    }
}

fn parse_json(text: &str, what: &str) -> Result<Value, DocumentError> {
    serde_json::from_str(text)
        .map_err(|error| DocumentError::Malformed(format!("{what} is no JSON: {error}")))
}

fn parse_document(text: &str) -> Result<Document, DocumentError> {
    serde_json::from_str(text)
        .map_err(|error| DocumentError::Malformed(format!("document is no JSON object: {error}")))
}

fn parse_find(query: Query) -> Result<Find, DocumentError> {
    let sort = if query.sort.is_empty() {
        Sort::default()
    } else {
        Sort::parse(&parse_json(&query.sort, "sort")?)?
    };
    Ok(Find {
        filter: Filter::parse(&parse_json(&query.filter, "filter")?)?,
        scope: Scope::whole_tenant(),
        sort,
        limit: query.limit,
        skip: query.skip,
        cursor: query.cursor,
        fields: query.fields,
    })
}

fn all_matching(filter: Filter) -> Find {
    Find {
        filter,
        scope: Scope::whole_tenant(),
        sort: Sort::default(),
        limit: 1,
        skip: 0,
        cursor: None,
        fields: Vec::new(),
    }
}

impl Host for DocumentsCall {
    async fn get(
        &mut self,
        collection: String,
        id: String,
    ) -> wasmtime::Result<Result<Option<String>, Error>> {
        self.budget.spend_call()?;
        match self.get_document(&collection, &id).await {
            Ok(None) => Ok(Ok(None)),
            Ok(Some(text)) => {
                self.budget.spend_bytes(text.len())?;
                Ok(Ok(Some(text)))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn find(&mut self, collection: String, query: Query) -> wasmtime::Result<Result<WitPage, Error>> {
        self.budget.spend_call()?;
        let page = match self.find_page(&collection, query).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let documents = page
            .documents
            .iter()
            .map(|document| self.give(document))
            .collect::<Result<_, _>>()?;
        Ok(Ok(WitPage {
            documents,
            next: page.next,
        }))
    }

    async fn count(&mut self, collection: String, filter: String) -> wasmtime::Result<Result<u64, Error>> {
        self.budget.spend_call()?;
        Ok(self.count_matches(&collection, &filter).await)
    }

    async fn put(
        &mut self,
        collection: String,
        id: String,
        text: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        self.budget.spend_call()?;
        Ok(self.put_document(&collection, &id, &text).await)
    }

    async fn update(
        &mut self,
        collection: String,
        id: String,
        change: String,
        upsert: bool,
    ) -> wasmtime::Result<Result<bool, Error>> {
        self.budget.spend_call()?;
        let change = parse_json(&change, "update").and_then(|change| Change::parse(&change));
        let change = change.map(|mut change| {
            change.upsert = upsert;
            change
        });
        Ok(self.change_document(&collection, &id, change).await)
    }

    async fn remove(&mut self, collection: String, id: String) -> wasmtime::Result<Result<bool, Error>> {
        self.budget.spend_call()?;
        Ok(self.remove_document(&collection, &id).await)
    }
}
