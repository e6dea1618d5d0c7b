//! Removes all that a tenant has: its turn first, so that no unit of work begins any more on any host, and its lines last,
//! since they say where its documents are.

use ::mongodb::Collection as Rows;
use ::mongodb::bson::{Bson, Document as Row, doc};
use ::mongodb::options::FindOptions;

use super::super::DocumentError;
use super::connection::Connection;
use super::find::{self, Go};

/// Documents removed at once.
const PART: i64 = 1_000;

/// See the module.
pub(super) async fn forget(db: &Connection) -> Result<(), DocumentError> {
    let turn = async {
        db.rows::<Row>("turns").delete_one(db.own("turn")).await?;
        Ok(())
    };
    db.bounded(turn).await?;
    for collection in db.bounded(collections(db)).await? {
        remove_all(db, &db.rows(&collection)).await?;
    }
    remove_all(db, &db.rows("checkpoints")).await?;
    remove_all(db, &db.rows("lines")).await
}

/// The names of the collections that the tenant has lines of.
async fn collections(db: &Connection) -> Result<Vec<String>, DocumentError> {
    let before = db.id("");
    let mut names = Vec::new();
    find::each(&db.rows("lines"), db.all(), FindOptions::default(), None, |row| {
        let name = row.get_str("_id").ok().and_then(|id| id.strip_prefix(&before));
        names.extend(name.map(str::to_owned));
        Ok(Go::On)
    })
    .await?;
    Ok(names)
}

/// Removes what the tenant has among these rows.
async fn remove_all(db: &Connection, rows: &Rows<Row>) -> Result<(), DocumentError> {
    while db.bounded(remove_part(db, rows, db.all())).await? {}
    Ok(())
}

/// Removes some of the rows that a filter of the tenant's finds; whether there may be more.
pub(super) async fn remove_part(
    db: &Connection,
    rows: &Rows<Row>,
    filter: Row,
) -> Result<bool, DocumentError> {
    let options = FindOptions::builder()
        .projection(doc! { "_id": 1 })
        .limit(PART)
        .build();
    let mut ids: Vec<Bson> = Vec::new();
    find::each(rows, filter, options, None, |mut row| {
        ids.extend(row.remove("_id"));
        Ok(Go::On)
    })
    .await?;
    if ids.is_empty() {
        return Ok(false);
    }
    rows.delete_many(doc! { "tenantId": db.tenant.as_str(), "_id": { "$in": ids } })
        .await?;
    Ok(true)
}
