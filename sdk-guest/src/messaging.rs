//! Words to others: events of one's own, commands to modules, questions. Each as the manifest's permissions allow.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::lifecycle::millwork::messaging::commands::Outgoing;
use crate::bindings::lifecycle::millwork::messaging::types as wit;
use crate::host;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Manifest or tenant do not allow it.
    #[error("denied: {0}")]
    Denied(String),
    /// A name, a key or the JSON is not understood, or does not fit.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Over a bound.
    #[error("too large: {0}")]
    TooLarge(String),
    /// Try again later.
    #[error("messages cannot be sent now")]
    Unavailable,
    /// Nobody answered in time; with the same key it is done once.
    #[error("nobody answered in time")]
    Timeout,
    /// The other side said no.
    #[error("rejected: {0}")]
    Rejected(String),
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Denied(m) => Self::Denied(m),
            wit::Error::Malformed(m) => Self::Malformed(m),
            wit::Error::TooLarge(m) => Self::TooLarge(m),
            wit::Error::Unavailable => Self::Unavailable,
            wit::Error::Timeout => Self::Timeout,
            wit::Error::Rejected(m) => Self::Rejected(m),
        }
    }
}

/// A command for a module of the same tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// Makes a repetition harmless.
    pub key: &'a str,
    /// The module.
    pub module: &'a str,
    /// As in its manifest.
    pub name: &'a str,
    /// The aggregate's id; a command that creates may leave it to the host.
    pub target: Option<&'a str>,
}

impl Command<'_> {
    /// Has it accepted for execution: durable, and once in effect.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn send(&self, data: &impl Serialize) -> Result<(), Error> {
        Ok(host::commands::send(&self.outgoing(data)?)?)
    }

    /// Executes it now, and gives the new version of its target.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn execute(&self, data: &impl Serialize) -> Result<u64, Error> {
        Ok(host::commands::execute(&self.outgoing(data)?)?)
    }

    fn outgoing(&self, data: &impl Serialize) -> Result<Outgoing, Error> {
        Ok(Outgoing {
            key: self.key.to_owned(),
            module: self.module.to_owned(),
            name: self.name.to_owned(),
            target: self.target.map(str::to_owned),
            data: json(data)?,
        })
    }
}

/// Publishes an event that the manifest names under `publishes`. The same `key` is published once.
///
/// # Errors
/// See [`enum@Error`].
pub fn publish(event: &str, key: &str, data: &impl Serialize) -> Result<(), Error> {
    Ok(host::events::publish(event, key, &json(data)?)?)
}

/// The answer of a query, or a page of a view, of another module.
///
/// # Errors
/// See [`enum@Error`]; [`Error::Malformed`] too when the answer does not fit the type.
pub fn ask<T: DeserializeOwned>(module: &str, query: &str, params: &impl Serialize) -> Result<T, Error> {
    let answer = host::requests::ask(module, query, &json(params)?)?;
    serde_json::from_str(&answer).map_err(|error| Error::Malformed(format!("the answer: {error}")))
}

fn json(data: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(data).map_err(|error| Error::Malformed(error.to_string()))
}
