//! Artifacts in a collection of MongoDB, cut into chunks: for clusters without an S3.
//!
//! The document that says of how many chunks an artifact is comes after them, so one without it is not there.

use std::sync::Arc;

use millwork_registry::Error;
use millwork_registry::id::Digest;
use millwork_registry::store::Artifacts;
use mongodb::Collection;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, doc};
use serde::{Deserialize, Serialize};

use super::mongodb::MongoStore;
use crate::mongodb::{Failure, MongoDatabase};

/// Name of the collection.
const ARTIFACTS: &str = "registry.artifacts";
/// Largest chunk, in bytes: half of what a document may have.
const CHUNK_BYTES_MAX: usize = 8 << 20;

/// See the module.
#[derive(Debug)]
pub struct MongoArtifacts {
    store: Arc<MongoStore>,
}

/// How many chunks an artifact has; its id is the digest.
#[derive(Serialize, Deserialize)]
struct Head {
    chunks: u32,
}

/// A part of an artifact; its id is the digest and the number of the chunk.
#[derive(Serialize, Deserialize)]
struct Chunk {
    bytes: Binary,
}

impl MongoArtifacts {
    /// In the database that records are in.
    #[must_use]
    pub fn new(store: Arc<MongoStore>) -> Self {
        Self { store }
    }
}

impl Artifacts for MongoArtifacts {
    fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Error> {
        self.store.wait(|database| async move {
            let mut chunks = 0;
            for bytes in bytes.chunks(CHUNK_BYTES_MAX) {
                let chunk = Chunk {
                    bytes: Binary {
                        subtype: BinarySubtype::Generic,
                        bytes: bytes.to_vec(),
                    },
                };
                put(database, chunk_id(digest, chunks), chunk).await?;
                chunks += 1;
            }
            put(database, digest.hex().to_owned(), Head { chunks }).await
        })
    }

    fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        self.store.wait(|database| async move {
            let Some(Head { chunks }) = get(database, digest.hex().to_owned()).await? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            for at in 0..chunks {
                let Some(chunk) = get::<Chunk>(database, chunk_id(digest, at)).await? else {
                    return Ok(None);
                };
                bytes.extend_from_slice(&chunk.bytes.bytes);
            }
            Ok(Some(bytes))
        })
    }
}

async fn put<T>(database: &MongoDatabase, id: String, value: T) -> Result<(), Failure>
where
    T: Serialize + Send + Sync,
{
    let rows: Collection<T> = database.collection(ARTIFACTS).clone_with_type();
    let put = rows.replace_one(doc! { "_id": &id }, &value).upsert(true);
    match database.run(put).await {
        // Another host has put the same at the same moment.
        Err(failure) if failure.is_duplicate() => Ok(()),
        done => done.map(drop),
    }
}

async fn get<T>(database: &MongoDatabase, id: String) -> Result<Option<T>, Failure>
where
    T: for<'d> Deserialize<'d> + Send + Sync,
{
    let rows: Collection<T> = database.collection(ARTIFACTS).clone_with_type();
    database
        .run(async { rows.find_one(doc! { "_id": &id }).await })
        .await
}

fn chunk_id(digest: &Digest, at: u32) -> String {
    format!("{}/{at}", digest.hex())
}
