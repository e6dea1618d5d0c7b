//! What the stores on MongoDB share: how a database is reached, how long it may take to answer, and what its errors mean.
//!
//! Everything is read from the primary and is what a majority has; everything is written to the journals of a majority,
//! so that no failover takes back what was acknowledged. Nothing here knows a collection.

use std::future::IntoFuture;
use std::time::Duration;

use mongodb::bson::Document;
use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, WriteConcern};
use mongodb::{Client, Collection, Database};

use crate::config::file::ConfigError;
use crate::config::profile;

/// Another transaction has changed what this one wanted to change.
const WRITE_CONFLICT: i32 = 112;
/// A unique index has the key already.
const DUPLICATE_KEY: i32 = 11_000;
/// Somebody else has made the collection.
const NAMESPACE_EXISTS: i32 = 48;
/// Codes of a server that is starting, stopping, stepping down or not the primary, or that an operation timed out in.
const PASSING: [i32; 15] = [
    6, 7, 50, 64, 89, 91, 189, 262, 9_001, 10_058, 10_107, 11_600, 11_602, 13_435, 13_436,
];

/// How a database is reached.
#[derive(Debug, Clone)]
pub struct MongoSettings {
    /// Connection string, `mongodb://` or `mongodb+srv://`; what it says of concerns and timeouts gives way to what is
    /// needed here.
    pub url: String,
    /// The database.
    pub database: String,
    /// Connections to one server at most; further operations wait for one.
    pub connections_max: u32,
    /// How long one operation may take, reaching a server included. In milliseconds.
    pub operation_ms: u64,
}

impl MongoSettings {
    /// What a profile says.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] when the connection string cannot be read.
    pub fn of(profile: &str, mongodb: &profile::Mongodb) -> Result<Self, ConfigError> {
        let operation_ms = u64::try_from(mongodb.timeout.as_millis());
        Ok(Self {
            url: mongodb.url.read(&format!("profiles.{profile}.mongodb.url"))?,
            database: mongodb.database.clone(),
            connections_max: mongodb.connections_max,
            operation_ms: operation_ms.unwrap_or(u64::MAX),
        })
    }
}

/// Why an operation was not done, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No answer in time; what was asked may happen yet.
    #[error("MongoDB has not answered within {0:?}")]
    Slow(Duration),
    /// The driver's or the server's.
    #[error("MongoDB: {}", .0.kind)]
    Mongo(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Mongo(error)
    }
}

impl Failure {
    /// Whether the same may go well a little later: nobody is reached, or nobody is the primary now.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Slow(_) => true,
            Self::Mongo(error) => {
                let unreached = matches!(
                    *error.kind,
                    ErrorKind::Io(_)
                        | ErrorKind::ServerSelection { .. }
                        | ErrorKind::ConnectionPoolCleared { .. }
                );
                unreached || codes(error).iter().any(|code| PASSING.contains(code))
            }
        }
    }

    /// Whether a transaction is to be tried again from its start, because another one was faster.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Slow(_) => false,
            Self::Mongo(error) => {
                error.contains_label(TRANSIENT_TRANSACTION_ERROR)
                    || codes(error)
                        .iter()
                        .any(|code| [WRITE_CONFLICT, DUPLICATE_KEY].contains(code))
            }
        }
    }

    /// Whether a unique index has the key already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.has_code(DUPLICATE_KEY)
    }

    /// Whether the error has this label of the driver's.
    #[must_use]
    pub fn has_label(&self, label: &str) -> bool {
        matches!(self, Self::Mongo(error) if error.contains_label(label))
    }

    fn has_code(&self, code: i32) -> bool {
        matches!(self, Self::Mongo(error) if codes(error).contains(&code))
    }
}

/// The server's codes in an error; a bulk of writes has one for each that failed.
fn codes(error: &Error) -> Vec<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => vec![command.code],
        ErrorKind::Write(WriteFailure::WriteError(write)) => vec![write.code],
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => vec![concern.code],
        ErrorKind::InsertMany(many) => {
            let writes = many.write_errors.iter().flatten().map(|write| write.code);
            let concern = many.write_concern_error.iter().map(|concern| concern.code);
            writes.chain(concern).collect()
        }
        _ => Vec::new(),
    }
}

/// A database, asked with patience.
#[derive(Debug, Clone)]
pub struct MongoDatabase {
    database: Database,
    patience: Duration,
}

impl MongoDatabase {
    /// Reads the connection string; servers are reached when something is asked.
    ///
    /// # Errors
    /// [`Failure`] when the string is not understood, or its host's records are not found.
    pub async fn open(settings: &MongoSettings) -> Result<Self, Failure> {
        let patience = Duration::from_millis(settings.operation_ms.max(1));
        let parsed = tokio::time::timeout(patience, ClientOptions::parse(&settings.url).into_future());
        let mut options = parsed.await.map_err(|_| Failure::Slow(patience))??;
        options.app_name.get_or_insert_with(|| "millwork".to_owned());
        options.max_pool_size = Some(settings.connections_max.max(1));
        options.connect_timeout = Some(patience);
        options.server_selection_timeout = Some(patience);
        options.selection_criteria = None;
        options.read_concern = Some(ReadConcern::majority());
        options.write_concern = Some(durable(patience));
        let database = Client::with_options(options)?.database(&settings.database);
        Ok(Self { database, patience })
    }

    /// The client, for sessions.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.database.client()
    }

    /// The database itself.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// A collection.
    #[must_use]
    pub fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// How long one operation may take.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Makes a collection that may be there already.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn create(&self, name: &str) -> Result<(), Failure> {
        match self.run(self.database.create_collection(name)).await {
            Err(failure) if failure.has_code(NAMESPACE_EXISTS) => Ok(()),
            done => done,
        }
    }

    /// Waits for an operation, but not for ever: the driver itself waits without end for a server that is silent.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn run<T>(&self, work: impl IntoFuture<Output = Result<T, Error>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.patience, work.into_future()).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(Failure::Slow(self.patience)),
        }
    }
}

/// In the journals of a majority.
#[must_use]
pub fn durable(patience: Duration) -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(patience)
        .build()
}
