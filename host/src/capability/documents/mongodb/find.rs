//! Reads of one copy: the server finds candidates, sorted where keys stand for the sort; the filter has the last word.
//!
//! Outside a unit each read is one statement at one moment of the server (`snapshot`), so a commit in the middle does not
//! show in part.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ::mongodb::bson::{Bson, Document as Row, doc};
use ::mongodb::options::{FindOptions, ReadConcern};
use ::mongodb::{ClientSession, Collection as Rows};

use super::super::cursor::Cursor;
use super::super::document::check_id;
use super::super::query::fields::Fields;
use super::super::query::{Direction, Filter, Find, Sort};
use super::super::{Collection, Document, DocumentError, Page};
use super::codec::{from_row, key_text};
use super::connection::Connection;
use super::plan::{Plan, is_indexed, key_field};

/// Whether more rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// The next one.
    On,
    /// None.
    Home,
}

/// Shows the rows one after the other, without holding all of them.
pub(super) async fn each(
    rows: &Rows<Row>,
    filter: Row,
    options: FindOptions,
    session: Option<&mut ClientSession>,
    mut see: impl FnMut(Row) -> Result<Go, DocumentError>,
) -> Result<(), DocumentError> {
    let find = rows.find(filter).with_options(options);
    match session {
        Some(session) => {
            let mut cursor = find.session(&mut *session).await?;
            while let Some(row) = cursor.next(session).await {
                if see(row?)? == Go::Home {
                    break;
                }
            }
        }
        None => {
            let mut cursor = find.read_concern(ReadConcern::snapshot()).await?;
            while cursor.advance().await? {
                if see(cursor.deserialize_current()?)? == Go::Home {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// One document.
pub(super) async fn get(
    db: &Connection,
    of: &Collection,
    copy: i64,
    id: &str,
    session: Option<&mut ClientSession>,
) -> Result<Option<Document>, DocumentError> {
    check_id(id)?;
    let filter = doc! { "tenantId": db.tenant.as_str(), "_id": db.place(copy, id) };
    let find = db.documents(of);
    let find = find.find_one(filter);
    let row = match session {
        Some(session) => find.session(session).await?,
        None => find.await?,
    };
    row.map(document).transpose()
}

/// The document of a row.
pub(super) fn document(mut row: Row) -> Result<Document, DocumentError> {
    match row.remove("document") {
        Some(Bson::Document(document)) => from_row(document),
        _ => Err(DocumentError::Failed("a row has no document".to_owned())),
    }
}

/// One page.
pub(super) async fn find(
    db: &Connection,
    of: &Collection,
    copy: i64,
    find: &Find,
    session: Option<&mut ClientSession>,
) -> Result<Page, DocumentError> {
    find.check()?;
    let fields = Fields::parse(&find.fields)?;
    let filter = find.within_scope();
    let after = match &find.cursor {
        Some(text) => Some(Cursor::parse(text, of, &filter, &find.sort)?),
        None => None,
    };
    let skip = if after.is_some() { 0 } else { find.skip as usize };
    // One more than asked for tells whether there is a next page.
    let wanted = skip + find.limit as usize + 1;
    let search = Search {
        db,
        of,
        copy,
        filter: &filter,
        sort: &find.sort,
        after: after.as_ref(),
    };
    let found = if search.is_sorted_by_keys() {
        search.sorted(wanted, session).await?
    } else {
        search.to_sort(wanted, session).await?
    };
    let mut documents: Vec<Document> = found.into_iter().skip(skip).collect();
    let more = documents.len() > find.limit as usize;
    documents.truncate(find.limit as usize);
    let last = documents.last().filter(|_| more);
    let next = last.map(|last| Cursor::after(last, &find.sort, of).to_text(of, &filter, &find.sort));
    let documents = documents
        .into_iter()
        .map(|document| fields.of(document))
        .collect();
    Ok(Page { documents, next })
}

/// How many match.
pub(super) async fn count(
    db: &Connection,
    of: &Collection,
    copy: i64,
    find: &Find,
    session: Option<&mut ClientSession>,
) -> Result<u64, DocumentError> {
    let filter = find.within_scope();
    let plan = Plan::new(db, of, copy, &filter.node);
    let (exact, conditions) = (plan.exact, plan.into_filter());
    let rows = db.documents(of);
    if exact {
        return Ok(match session {
            Some(session) => rows.count_documents(conditions).session(session).await?,
            None => rows.count_documents(conditions).await?,
        });
    }
    let mut count = 0;
    each(&rows, conditions, FindOptions::default(), session, |row| {
        count += u64::from(filter.matches(&document(row)?, &of.decimals));
        Ok(Go::On)
    })
    .await?;
    Ok(count)
}

/// What is looked for in which order.
struct Search<'a> {
    db: &'a Connection,
    of: &'a Collection,
    copy: i64,
    filter: &'a Filter,
    sort: &'a Sort,
    after: Option<&'a Cursor>,
}

impl Search<'_> {
    fn is_sorted_by_keys(&self) -> bool {
        self.sort.fields.iter().all(|(path, _)| is_indexed(path, self.of))
    }

    /// The fields of the order, the id last, each with the key where the page before ended.
    fn order(&self) -> Vec<(String, Direction, Option<Bson>)> {
        let mut keys = self.after.map(|cursor| cursor.keys.iter()).into_iter().flatten();
        let mut order = Vec::with_capacity(self.sort.fields.len() + 1);
        for (path, direction) in &self.sort.fields {
            let key = keys.next().map(|key| Bson::String(key_text(key)));
            order.push((
                key_field(path, path.reading("", &self.of.decimals)),
                *direction,
                key,
            ));
        }
        let id = self.after.map(|cursor| self.db.place(self.copy, &cursor.id));
        order.push(("_id".to_owned(), self.sort.id, id));
        order
    }

    /// The server sorts; it is asked no further than needed.
    async fn sorted(
        &self,
        wanted: usize,
        session: Option<&mut ClientSession>,
    ) -> Result<Vec<Document>, DocumentError> {
        let mut plan = Plan::new(self.db, self.of, self.copy, &self.filter.node);
        let (exact, order) = (plan.exact, self.order());
        if self.after.is_some() {
            plan.and(beyond(&order));
        }
        let sort: Row = order
            .iter()
            .map(|(name, direction, _)| (name.clone(), Bson::Int32(sign(*direction))))
            .collect();
        let mut options = FindOptions::builder().sort(sort).allow_disk_use(true).build();
        if exact {
            options.limit = i64::try_from(wanted).ok();
        }
        let mut found = Vec::new();
        each(
            &self.db.documents(self.of),
            plan.into_filter(),
            options,
            session,
            |row| {
                let document = document(row)?;
                if exact || self.filter.matches(&document, &self.of.decimals) {
                    found.push(document);
                }
                Ok(if found.len() < wanted { Go::On } else { Go::Home })
            },
        )
        .await?;
        Ok(found)
    }

    /// No key stands for a field of the sort: all candidates are seen, and the first of them kept.
    async fn to_sort(
        &self,
        wanted: usize,
        session: Option<&mut ClientSession>,
    ) -> Result<Vec<Document>, DocumentError> {
        let plan = Plan::new(self.db, self.of, self.copy, &self.filter.node);
        let exact = plan.exact;
        let after = self.after.map(|cursor| self.place(cursor));
        let mut first: BTreeMap<Vec<Directed>, Document> = BTreeMap::new();
        let options = FindOptions::default();
        each(
            &self.db.documents(self.of),
            plan.into_filter(),
            options,
            session,
            |row| {
                let document = document(row)?;
                if !exact && !self.filter.matches(&document, &self.of.decimals) {
                    return Ok(Go::On);
                }
                let place = self.place(&Cursor::after(&document, self.sort, self.of));
                if after.as_ref().is_none_or(|after| place > *after) {
                    first.insert(place, document);
                }
                if first.len() > wanted {
                    first.pop_last();
                }
                Ok(Go::On)
            },
        )
        .await?;
        Ok(first.into_values().collect())
    }

    fn place(&self, cursor: &Cursor) -> Vec<Directed> {
        let fields = self.sort.fields.iter().zip(&cursor.keys);
        fields
            .map(|((_, direction), key)| Directed(key.clone(), *direction))
            .chain([Directed(cursor.id.clone().into_bytes(), self.sort.id)])
            .collect()
    }
}

/// What follows a place: equal in all but the last field and beyond in that one, or equal in one field less, and so on.
fn beyond(order: &[(String, Direction, Option<Bson>)]) -> Row {
    let mut places = Vec::with_capacity(order.len());
    for equal in (0..order.len()).rev() {
        let condition = |(at, (name, direction, key)): (usize, &(String, Direction, Option<Bson>))| {
            let operator = match direction {
                _ if at < equal => "$eq",
                Direction::Ascending => "$gt",
                Direction::Descending => "$lt",
            };
            (name.clone(), Bson::Document(doc! { operator: key.clone() }))
        };
        places.push(Bson::Document(
            order.iter().take(equal + 1).enumerate().map(condition).collect(),
        ));
    }
    doc! { "$or": places }
}

fn sign(direction: Direction) -> i32 {
    match direction {
        Direction::Ascending => 1,
        Direction::Descending => -1,
    }
}

/// A key that sorts the way it is asked to.
#[derive(Debug, PartialEq, Eq)]
struct Directed(Vec<u8>, Direction);

impl Ord for Directed {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.1 {
            Direction::Ascending => self.0.cmp(&other.0),
            Direction::Descending => other.0.cmp(&self.0),
        }
    }
}

impl PartialOrd for Directed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
