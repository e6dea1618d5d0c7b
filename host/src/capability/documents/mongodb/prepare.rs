//! Collections and indexes, made as far as they are missing.
//!
//! An index that a new release asks for needs a key beside each document that is there. First all writers learn of the key,
//! then the documents of before get it, in units of their own; only then the collection counts as prepared.

use std::sync::Arc;

use ::mongodb::IndexModel;
use ::mongodb::bson::{Document as Row, doc};
use ::mongodb::error::ErrorKind;
use ::mongodb::options::{FindOptions, IndexOptions};
use sha2::{Digest, Sha256};

use super::super::query::Path;
use super::super::{Collection, DocumentError};
use super::TenantDocuments;
use super::connection::Connection;
use super::find::{self, Go};
use super::lines::{Key, Lines, keys_of};
use super::plan::key_field;

/// Documents that get a key in one unit.
const FILL_PAGE: usize = 200;
/// MongoDB's code of a collection that is there already.
const NAMESPACE_EXISTS: i32 = 48;

/// Makes what is missing of a collection, for all tenants and for this one.
pub(super) async fn prepare(tenant: &TenantDocuments, of: &Arc<Collection>) -> Result<(), DocumentError> {
    let db = &tenant.db;
    let keys = keys_of(of)?;
    db.bounded(make_collections(db, of)).await?;
    db.bounded(make_indexes(db, of)).await?;
    let known = db.bounded(Lines::look_up(db, of, None)).await?;
    let is_ready = |key: &Key| known.as_ref().is_some_and(|lines| lines.keys.contains(key));
    if known.is_some() && keys.iter().all(is_ready) {
        return Ok(());
    }
    announce(tenant, of, keys).await?;
    let mut after = None;
    loop {
        after = fill(tenant, of, after).await?;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// A transaction finds them there, since it may not make one everywhere.
async fn make_collections(db: &Connection, of: &Collection) -> Result<(), DocumentError> {
    for name in [
        format!("{}.{}", of.module, of.name),
        "lines".to_owned(),
        "checkpoints".to_owned(),
    ] {
        let full = format!("documents.{name}");
        match db.database().create_collection(full).await {
            Ok(()) => {}
            Err(error) => match *error.kind {
                ErrorKind::Command(ref command) if command.code == NAMESPACE_EXISTS => {}
                _ => return Err(error.into()),
            },
        }
    }
    Ok(())
}

async fn make_indexes(db: &Connection, of: &Collection) -> Result<(), DocumentError> {
    let mut models = Vec::with_capacity(of.indexes.len());
    for fields in &of.indexes {
        let mut keys = doc! { "tenantId": 1, "copy": 1 };
        for field in fields {
            let path = Path::parse(field)?;
            if !path.is_id() {
                keys.insert(key_field(&path, path.reading("", &of.decimals)), 1);
            }
        }
        keys.insert("_id", 1);
        let names: Vec<&str> = keys.keys().map(String::as_str).collect();
        let digest = Sha256::digest(names.join(","));
        let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let options = IndexOptions::builder().name(name).build();
        models.push(IndexModel::builder().keys(keys).options(options).build());
    }
    if !models.is_empty() {
        db.documents(of).create_indexes(models).await?;
    }
    Ok(())
}

/// Makes lines and keys known to all who write.
async fn announce(
    tenant: &TenantDocuments,
    of: &Arc<Collection>,
    keys: Vec<Key>,
) -> Result<(), DocumentError> {
    let mut unit = tenant.begin_unit().await?;
    let db = &tenant.db;
    let work = async {
        let lines = match Lines::look_up(db, of, Some(unit.session()?)).await? {
            None => Lines::first(db, of)?,
            Some(mut lines) => {
                for mut key in keys {
                    if !lines.keys.iter().any(|known| known.name == key.name) {
                        key.filled = false;
                        lines.keys.push(key);
                    }
                }
                lines
            }
        };
        lines.save(db, of, unit.session()?).await?;
        unit.commit_in(None).await
    };
    db.bounded(work).await
}

/// Gives one page of documents the keys that they do not have; gives the last one's place. After the last page the keys
/// count as filled.
async fn fill(
    tenant: &TenantDocuments,
    of: &Arc<Collection>,
    after: Option<String>,
) -> Result<Option<String>, DocumentError> {
    let mut unit = tenant.begin_unit().await?;
    let db = &tenant.db;
    let work = async {
        let lines = unit.lines(of).await?.clone();
        let missing: Vec<&Key> = lines.keys.iter().filter(|key| !key.filled).collect();
        let page = match missing.is_empty() {
            true => Vec::new(),
            false => page(db, of, &lines, after, unit.session()?).await?,
        };
        for row in &page {
            let (place, keys) = keys_for(row, &missing)?;
            db.documents(of)
                .update_one(
                    doc! { "tenantId": db.tenant.as_str(), "_id": place },
                    doc! { "$set": keys },
                )
                .session(unit.session()?)
                .await?;
        }
        let last = page
            .last()
            .and_then(|row| row.get_str("_id").ok())
            .map(str::to_owned);
        if last.is_none() && !missing.is_empty() {
            unit.lines(of)
                .await?
                .keys
                .iter_mut()
                .for_each(|key| key.filled = true);
            unit.save(of).await?;
        }
        unit.commit_in(None).await?;
        Ok(last)
    };
    db.bounded(work).await
}

async fn page(
    db: &Connection,
    of: &Collection,
    lines: &Lines,
    after: Option<String>,
    session: &mut ::mongodb::ClientSession,
) -> Result<Vec<Row>, DocumentError> {
    let copies: Vec<Row> = lines.copies().map(|copy| db.copy(copy)).collect();
    let mut conditions = vec![doc! { "$or": copies }];
    if let Some(after) = after {
        conditions.push(doc! { "_id": { "$gt": after } });
    }
    let options = FindOptions::builder()
        .sort(doc! { "_id": 1 })
        .limit(i64::try_from(FILL_PAGE).ok())
        .build();
    let mut rows = Vec::with_capacity(FILL_PAGE);
    find::each(
        &db.documents(of),
        doc! { "$and": conditions },
        options,
        Some(session),
        |row| {
            rows.push(row);
            Ok(Go::On)
        },
    )
    .await?;
    Ok(rows)
}

/// A row's place and what to set there.
fn keys_for(row: &Row, missing: &[&Key]) -> Result<(String, Row), DocumentError> {
    let place = row
        .get_str("_id")
        .map_err(|error| DocumentError::Failed(error.to_string()))?
        .to_owned();
    let document = find::document(row.clone())?;
    let mut keys = Row::new();
    for key in missing {
        if key.meets_array(&document)? {
            let path = key.path();
            return Err(DocumentError::Failed(format!(
                "{path} is indexed and holds an array"
            )));
        }
        keys.insert(format!("keys.{}", key.name), key.text(&document)?);
    }
    Ok((place, keys))
}
