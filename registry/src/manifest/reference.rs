//! Where the host finds an id before a command is decided.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// Where an id is taken from: `/data/<pointer>` in the command's body or `/state/<pointer>` in the target's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Reference {
    /// JSON Pointer (RFC 6901) into the body, with its leading slash.
    Data(String),
    /// JSON Pointer (RFC 6901) into the state, with its leading slash.
    State(String),
}

impl Reference {
    /// The text that stands there; `None` when there is nothing or something else than a text.
    #[must_use]
    pub fn resolve<'a>(&self, data: &'a Value, state: &'a Value) -> Option<&'a str> {
        match self {
            Self::Data(pointer) => data.pointer(pointer),
            Self::State(pointer) => state.pointer(pointer),
        }
        .and_then(Value::as_str)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(pointer) => write!(f, "/data{pointer}"),
            Self::State(pointer) => write!(f, "/state{pointer}"),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let data = text.strip_prefix("/data").filter(|rest| is_pointer(rest));
        let state = text.strip_prefix("/state").filter(|rest| is_pointer(rest));
        match (data, state) {
            (Some(pointer), _) => Ok(Self::Data(pointer.to_owned())),
            (_, Some(pointer)) => Ok(Self::State(pointer.to_owned())),
            _ => Err(Error::Form {
                what: "reference",
                text,
                expected: "/data/ or /state/ and a JSON Pointer, such as /data/clientId",
            }),
        }
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

/// At least one token, and `~` only as `~0` or `~1`.
fn is_pointer(text: &str) -> bool {
    let escaped_well = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    text.len() > 1 && text.starts_with('/') && escaped_well
}
