//! Search in this process: an index of tantivy for each index of a tenant, in files below the tenant's folder.
//!
//! A write is one commit, flushed to the disk, and the reader is renewed with it: who asks afterwards finds it. The writer
//! of an index lives as long as one write, so that tenants that do nothing cost no memory.

mod best;
mod question;
mod schema;

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use tantivy::directory::MmapDirectory;
use tantivy::schema::{IndexRecordOption, TantivyDocument, Value};
use tantivy::{DocSet, IndexReader, IndexWriter, ReloadPolicy, Searcher, SegmentReader, TERMINATED, Term};

use self::best::Best;
use self::schema::Fields;
use super::{Change, Document, Find, Found, Index, Matches, Search, SearchError, entry, words};
use crate::blocking;

/// Bounds of [`TantivySearch`].
#[derive(Debug, Clone)]
pub struct TantivySearchLimits {
    /// Indexes that are kept open; beyond that, those that nobody uses are closed.
    pub open_max: usize,
    /// Memory of one write before it goes to the disk in parts; tantivy wants 15 MB at least.
    pub writer_bytes: usize,
}

impl Default for TantivySearchLimits {
    fn default() -> Self {
        Self {
            open_max: 256,
            writer_bytes: 32_000_000,
        }
    }
}

/// All tenants' indexes: `<folder>/<tenant>/search/<module>.<index>.<shape>/`.
pub struct TantivySearch {
    folder: PathBuf,
    limits: TantivySearchLimits,
    /// By folder, so that an index has one writer. A std mutex: no await inside.
    open: Mutex<HashMap<PathBuf, Arc<Open>>>,
}

/// An index in use.
struct Open {
    index: tantivy::Index,
    fields: Fields,
    reader: IndexReader,
    /// Held while somebody writes.
    writing: Mutex<()>,
}

impl TantivySearch {
    /// Files are made below `folder` when a tenant first writes to an index.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, limits: TantivySearchLimits) -> Self {
        Self {
            folder: folder.into(),
            limits,
            open: Mutex::default(),
        }
    }

    fn path(&self, tenant: &TenantId, of: &Index) -> PathBuf {
        let name = format!("{}.{}.{}", of.module, of.name, of.shape());
        self.folder.join(tenant.as_str()).join("search").join(name)
    }

    /// The index, unless nobody has written to it yet.
    fn existing(&self, tenant: &TenantId, of: &Index) -> Result<Option<Arc<Open>>, SearchError> {
        let path = self.path(tenant, of);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = open.get(&path) {
            return Ok(Some(Arc::clone(found)));
        }
        if !path.join("meta.json").is_file() {
            return Ok(None);
        }
        self.admit(&mut open, path, of).map(Some)
    }

    /// The index, made when it is not there.
    fn made(&self, tenant: &TenantId, of: &Index) -> Result<Arc<Open>, SearchError> {
        let path = self.path(tenant, of);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = open.get(&path) {
            return Ok(Arc::clone(found));
        }
        let failed = |error| SearchError::Failed(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(&path).map_err(failed)?;
        self.admit(&mut open, path, of)
    }

    fn admit(
        &self,
        open: &mut HashMap<PathBuf, Arc<Open>>,
        path: PathBuf,
        of: &Index,
    ) -> Result<Arc<Open>, SearchError> {
        if open.len() >= self.limits.open_max {
            open.retain(|_, index| Arc::strong_count(index) > 1);
        }
        let (schema, fields) = schema::of(of);
        let directory = MmapDirectory::open(&path).map_err(|error| SearchError::Failed(error.to_string()))?;
        let index = tantivy::Index::open_or_create(directory, schema)?;
        index.tokenizers().register(schema::STEMMING, words::stemming());
        index.tokenizers().register(schema::EXACT, words::exact());
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        let made = Arc::new(Open {
            index,
            fields,
            reader,
            writing: Mutex::new(()),
        });
        open.insert(path, Arc::clone(&made));
        Ok(made)
    }
}

#[async_trait]
impl Search for TantivySearch {
    async fn write(&self, tenant: &TenantId, of: &Index, changes: &[Change]) -> Result<(), SearchError> {
        blocking::run(|| self.made(tenant, of)?.write(changes, self.limits.writer_bytes))
    }

    async fn find(&self, tenant: &TenantId, of: &Index, find: &Find) -> Result<Matches, SearchError> {
        blocking::run(|| match self.existing(tenant, of)? {
            Some(open) => open.find(of, find),
            None => Ok(Matches::default()),
        })
    }

    async fn forget(&self, tenant: &TenantId, indexes: &[Index]) -> Result<(), SearchError> {
        blocking::run(|| {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            for of in indexes {
                let path = self.path(tenant, of);
                // Who still searches it has its files open, which are there until then.
                open.remove(&path);
                match std::fs::remove_dir_all(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
            Ok(())
        })
    }

    fn begin(&self, _: &TenantId) {}

    async fn suggest(
        &self,
        tenant: &TenantId,
        of: &Index,
        field: &str,
        folded: &str,
        limit: u32,
    ) -> Result<Vec<String>, SearchError> {
        blocking::run(|| match self.existing(tenant, of)? {
            Some(open) => open.suggest(field, folded, usize::try_from(limit).unwrap_or(usize::MAX)),
            None => Ok(Vec::new()),
        })
    }
}

impl Open {
    fn write(&self, changes: &[Change], writer_bytes: usize) -> Result<(), SearchError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer: IndexWriter = self.index.writer_with_num_threads(1, writer_bytes)?;
        for change in changes {
            match change {
                Change::Put(entry) => {
                    writer.delete_term(Term::from_field_text(self.fields.id, &entry.id));
                    writer.add_document(self.fields.document_of(entry)?)?;
                }
                Change::Remove(id) => drop(writer.delete_term(Term::from_field_text(self.fields.id, id))),
            }
        }
        writer.commit()?;
        // Small segments are put together before the next write adds another.
        writer.wait_merging_threads()?;
        Ok(self.reader.reload()?)
    }

    fn find(&self, of: &Index, find: &Find) -> Result<Matches, SearchError> {
        let searcher = self.reader.searcher();
        let query = question::of(&self.fields, of, find);
        let best = Best {
            // One more says whether there is another page.
            keep: usize::try_from(find.limit)
                .unwrap_or(usize::MAX)
                .saturating_add(1),
            after: find.after.clone(),
        };
        let (total, best) = searcher.search(&*query, &best)??;
        let found: Result<_, SearchError> = best
            .into_iter()
            .map(|ranked| {
                Ok(Found {
                    document: self.document(&searcher, ranked.address)?,
                    id: ranked.id,
                    score: ranked.score,
                })
            })
            .collect();
        Ok(Matches { total, found: found? })
    }

    fn document(&self, searcher: &Searcher, address: tantivy::DocAddress) -> Result<Document, SearchError> {
        let stored: TantivyDocument = searcher.doc(address)?;
        let text = stored
            .get_first(self.fields.document)
            .and_then(|value| value.as_str());
        let text = text.ok_or_else(|| SearchError::Failed("a document is not stored".to_owned()))?;
        serde_json::from_str(text)
            .map_err(|error| SearchError::Failed(format!("a document cannot be read: {error}")))
    }

    fn suggest(&self, field: &str, folded: &str, limit: usize) -> Result<Vec<String>, SearchError> {
        let Some(field) = self.fields.suggestions.get(field) else {
            return Ok(Vec::new());
        };
        let mut all = BTreeSet::new();
        for segment in self.reader.searcher().segment_readers() {
            all.extend(suggestions_of(segment, *field, folded, limit)?);
        }
        let values = all.iter().filter_map(|key| entry::suggested(key));
        Ok(values.take(limit).map(str::to_owned).collect())
    }
}

/// Suggestions of one segment that some document still has.
fn suggestions_of(
    segment: &SegmentReader,
    field: tantivy::schema::Field,
    folded: &str,
    limit: usize,
) -> tantivy::Result<Vec<String>> {
    let inverted = segment.inverted_index(field)?;
    let mut terms = inverted.terms().range().ge(folded).into_stream()?;
    let mut found = Vec::new();
    while found.len() < limit && terms.advance() {
        let key = terms.key();
        if !key.starts_with(folded.as_bytes()) {
            break;
        }
        let mut postings = inverted.read_postings_from_terminfo(terms.value(), IndexRecordOption::Basic)?;
        let mut there = false;
        while !there && postings.doc() != TERMINATED {
            there = !segment.is_deleted(postings.doc());
            postings.advance();
        }
        if let (true, Ok(key)) = (there, std::str::from_utf8(key)) {
            found.push(key.to_owned());
        }
    }
    Ok(found)
}

impl From<tantivy::TantivyError> for SearchError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for SearchError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
