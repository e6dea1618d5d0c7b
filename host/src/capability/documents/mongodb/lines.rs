//! Which copy of a collection is which line, and how far projections have come: one small document each, read and written
//! in the transaction of who relies on it.

use ::mongodb::ClientSession;
use ::mongodb::bson::{Document as Row, doc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::key::Reading;
use super::super::query::{Direction, Path};
use super::super::{Checkpoint, Collection, Document, DocumentError, Line};
use super::codec::key_text;
use super::connection::Connection;
use super::find;
use crate::capability::platform::now_ms;

/// Bytes of the digest that names a key.
const NAME_BYTES: usize = 8;

/// One collection of a tenant. Copies are numbered from 1 and no number is given twice, so what a number stands for never
/// changes under a reader.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lines {
    #[serde(rename = "_id")]
    id: String,
    tenant_id: String,
    live: i64,
    shadow: i64,
    trial: Option<i64>,
    next: i64,
    /// Every key that any release asked for: a document written by one release is found by the indexes of another.
    pub(super) keys: Vec<Key>,
    /// Copies that are no line any more.
    pub(super) old: Vec<Old>,
}

/// A field whose key stands beside each document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    /// Below `keys`.
    pub(super) name: String,
    path: String,
    decimal: bool,
    /// Whether documents that were there before have it too.
    pub(super) filled: bool,
}

/// A copy to remove.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Old {
    pub(super) module: String,
    pub(super) name: String,
    pub(super) copy: i64,
    /// Milliseconds since 1970, by the clock of the host that gave it up.
    pub(super) since: i64,
}

impl Key {
    /// Of a field of an index; nothing for the id, which stands in `_id`.
    pub(super) fn of(path: &Path, reading: Reading) -> Option<Self> {
        (!path.is_id()).then(|| Self {
            name: key_name(path, reading),
            path: path.as_str().to_owned(),
            decimal: reading == Reading::Decimal,
            filled: true,
        })
    }

    /// The document's.
    pub(super) fn text(&self, document: &Document) -> Result<String, DocumentError> {
        let reading = if self.decimal {
            Reading::Decimal
        } else {
            Reading::Text
        };
        let path = Path::parse(&self.path)?;
        Ok(key_text(&Direction::Ascending.key(&path, document, reading)))
    }

    /// Whether the document has an array where the key stands for one value.
    pub(super) fn meets_array(&self, document: &Document) -> Result<bool, DocumentError> {
        Ok(Path::parse(&self.path)?.meets_array(document))
    }

    /// As it was declared.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// The name of a field's key: paths have points, and MongoDB bounds the length of names of indexes.
pub(super) fn key_name(path: &Path, reading: Reading) -> String {
    let mut digest = Sha256::new();
    digest.update(path.as_str());
    digest.update([0, u8::from(reading == Reading::Decimal)]);
    let bytes = digest.finalize();
    bytes
        .iter()
        .take(NAME_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The keys that a collection's indexes need, each once.
pub(super) fn keys_of(of: &Collection) -> Result<Vec<Key>, DocumentError> {
    let mut keys: Vec<Key> = Vec::new();
    for field in of.indexes.iter().flatten() {
        let path = Path::parse(field)?;
        if let Some(key) = Key::of(&path, path.reading("", &of.decimals))
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    Ok(keys)
}

impl Lines {
    /// Of a collection that nobody has prepared before.
    pub(super) fn first(db: &Connection, of: &Collection) -> Result<Self, DocumentError> {
        Ok(Self {
            id: db.id(&name(of)),
            tenant_id: db.tenant.to_string(),
            live: 1,
            shadow: 2,
            trial: None,
            next: 3,
            keys: keys_of(of)?,
            old: Vec::new(),
        })
    }

    /// As they are now; nothing when the collection was not prepared.
    pub(super) async fn look_up(
        db: &Connection,
        of: &Collection,
        session: Option<&mut ClientSession>,
    ) -> Result<Option<Self>, DocumentError> {
        let rows = db.rows::<Self>("lines");
        let filter = db.own(&name(of));
        Ok(match session {
            Some(session) => rows.find_one(filter).session(session).await?,
            None => rows.find_one(filter).await?,
        })
    }

    /// As they are now.
    pub(super) async fn load(
        db: &Connection,
        of: &Collection,
        session: Option<&mut ClientSession>,
    ) -> Result<Self, DocumentError> {
        Self::look_up(db, of, session)
            .await?
            .ok_or_else(|| not_prepared(of))
    }

    /// Writes them in a unit.
    pub(super) async fn save(
        &self,
        db: &Connection,
        of: &Collection,
        session: &mut ClientSession,
    ) -> Result<(), DocumentError> {
        db.rows::<Self>("lines")
            .replace_one(db.own(&name(of)), self)
            .upsert(true)
            .session(session)
            .await?;
        Ok(())
    }

    /// The number of a line's copy.
    pub(super) fn number(&self, of: &Collection, line: Line) -> Result<i64, DocumentError> {
        match line {
            Line::Live => Ok(self.live),
            Line::Shadow => Ok(self.shadow),
            Line::Trial => self.trial.ok_or_else(|| {
                DocumentError::Failed(format!("collection {}.{} has no trial", of.module, of.name))
            }),
        }
    }

    /// The copies that are a line.
    pub(super) fn copies(&self) -> impl Iterator<Item = i64> {
        [Some(self.live), Some(self.shadow), self.trial]
            .into_iter()
            .flatten()
    }

    /// Gives the shadow a new copy, which is empty.
    pub(super) fn clear_shadow(&mut self, of: &Collection) {
        self.give_up(of, self.shadow);
        self.shadow = self.take_number();
    }

    /// Exchanges live line and shadow.
    pub(super) fn promote_shadow(&mut self) {
        std::mem::swap(&mut self.live, &mut self.shadow);
    }

    /// Gives the trial a new copy, which is empty.
    pub(super) fn begin_trial(&mut self, of: &Collection) {
        self.end_trial(of);
        self.trial = Some(self.take_number());
    }

    /// There is no trial after this.
    pub(super) fn end_trial(&mut self, of: &Collection) {
        if let Some(copy) = self.trial.take() {
            self.give_up(of, copy);
        }
    }

    fn take_number(&mut self) -> i64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn give_up(&mut self, of: &Collection, copy: i64) {
        self.old.push(Old {
            module: of.module.clone(),
            name: of.name.clone(),
            copy,
            since: i64::try_from(now_ms()).unwrap_or(i64::MAX),
        });
    }
}

/// A caller's mistake, but not one that its own caller could put right.
pub(super) fn not_prepared(of: &Collection) -> DocumentError {
    DocumentError::Failed(format!("collection {}.{} was not prepared", of.module, of.name))
}

fn name(of: &Collection) -> String {
    format!("{}.{}", of.module, of.name)
}

/// See [`super::super::Documents::checkpoints`].
pub(super) async fn checkpoints(
    db: &Connection,
    projection: &str,
    session: Option<&mut ClientSession>,
) -> Result<Vec<Checkpoint>, DocumentError> {
    let filter = doc! { "tenantId": db.tenant.as_str(), "_id": { "$in": [
        db.id(&checkpoint_key(projection, Line::Live)),
        db.id(&checkpoint_key(projection, Line::Shadow)),
        db.id(&checkpoint_key(projection, Line::Trial)),
    ] } };
    let mut found = Vec::new();
    let options = ::mongodb::options::FindOptions::default();
    find::each(&db.rows("checkpoints"), filter, options, session, |row| {
        found.push(checkpoint(projection, &row)?);
        Ok(find::Go::On)
    })
    .await?;
    found.sort_by_key(|checkpoint| line_number(checkpoint.line));
    Ok(found)
}

fn checkpoint(projection: &str, row: &Row) -> Result<Checkpoint, DocumentError> {
    let unreadable =
        |what: &str| DocumentError::Failed(format!("a checkpoint of {projection} has no {what}"));
    let number = |field: &str| row.get_i64(field).map_err(|_| unreadable(field));
    Ok(Checkpoint {
        projection: projection.to_owned(),
        line: match number("line")? {
            0 => Line::Live,
            1 => Line::Shadow,
            _ => Line::Trial,
        },
        version: u32::try_from(number("version")?).map_err(|_| unreadable("version"))?,
        position: u64::try_from(number("position")?).map_err(|_| unreadable("position"))?,
    })
}

/// Keeps how far a projection has come.
pub(super) async fn set_checkpoint(
    db: &Connection,
    at: &Checkpoint,
    session: &mut ClientSession,
) -> Result<(), DocumentError> {
    let key = checkpoint_key(&at.projection, at.line);
    let position = i64::try_from(at.position)
        .map_err(|_| DocumentError::Failed(format!("position {} is too large", at.position)))?;
    let row = doc! {
        "_id": db.id(&key), "tenantId": db.tenant.as_str(), "projection": &at.projection,
        "line": line_number(at.line), "version": i64::from(at.version), "position": position,
    };
    db.rows::<Row>("checkpoints")
        .replace_one(db.own(&key), row)
        .upsert(true)
        .session(session)
        .await?;
    Ok(())
}

/// Forgets how far a line has come.
pub(super) async fn forget_checkpoint(
    db: &Connection,
    projection: &str,
    line: Line,
    session: &mut ClientSession,
) -> Result<(), DocumentError> {
    db.rows::<Row>("checkpoints")
        .delete_one(db.own(&checkpoint_key(projection, line)))
        .session(session)
        .await?;
    Ok(())
}

fn checkpoint_key(projection: &str, line: Line) -> String {
    format!("{}/{projection}", line_number(line))
}

fn line_number(line: Line) -> i64 {
    match line {
        Line::Live => 0,
        Line::Shadow => 1,
        Line::Trial => 2,
    }
}
