//! Routes: one line of text each.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::Error;

/// One line: `POST /invoices/{id}/finalize: command FinalizeInvoice`.
///
/// In a command's path `{id}` is the target; other parameters are added to the body under their names. A view with
/// `{id}` gives one document, one without gives pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RouteText", into = "RouteText")]
pub struct Route {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Below `/api/v1`, segments in lowercase, parameters in braces.
    pub path: String,
    /// What answers.
    pub action: Action,
}

impl Route {
    /// Names of the path's parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(parameter)
    }

    /// The path with every parameter as `{}`: two routes of one method collide when their shapes are the same.
    #[must_use]
    pub fn shape(&self) -> String {
        let segments = self.path.split('/').map(|segment| {
            if parameter(segment).is_some() {
                "{}"
            } else {
                segment
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// The name of a segment that is a parameter.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.method, self.path, self.action)
    }
}

/// HTTP methods that routes may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Views and queries only.
    Get,
    /// Commands.
    Post,
    /// Commands.
    Put,
    /// Commands.
    Patch,
    /// Commands.
    Delete,
}

impl Method {
    /// As HTTP writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or_else(|| Error::Form {
                what: "method",
                text: text.to_owned(),
                expected: "GET, POST, PUT, PATCH or DELETE",
            })
    }
}

/// What a route leads to, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command of one of the aggregates.
    Command(String),
    /// A view.
    View(String),
    /// A query.
    Query(String),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(name) => write!(f, "command {name}"),
            Self::View(name) => write!(f, "view {name}"),
            Self::Query(name) => write!(f, "query {name}"),
        }
    }
}

impl FromStr for Action {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(' ') {
            Some(("command", name)) => Ok(Self::Command(name.trim().to_owned())),
            Some(("view", name)) => Ok(Self::View(name.trim().to_owned())),
            Some(("query", name)) => Ok(Self::Query(name.trim().to_owned())),
            _ => Err(Error::Form {
                what: "route's action",
                text: text.to_owned(),
                expected: "command, view or query and a name",
            }),
        }
    }
}

/// A route as YAML has it: a mapping of one key, `POST /invoices`, to `command CreateInvoice`.
pub(crate) type RouteText = IndexMap<String, String>;

impl TryFrom<RouteText> for Route {
    type Error = Error;

    fn try_from(text: RouteText) -> Result<Self, Error> {
        let mut entries = text.iter();
        let (Some((place, action)), None) = (entries.next(), entries.next()) else {
            return Err(Error::Form {
                what: "route",
                text: text.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
                expected: "one line, such as POST /invoices: command CreateInvoice",
            });
        };
        let Some((method, path)) = place.split_once(' ') else {
            return Err(Error::Form {
                what: "route",
                text: place.clone(),
                expected: "a method and a path, such as POST /invoices",
            });
        };
        Ok(Self {
            method: method.parse()?,
            path: path.trim().to_owned(),
            action: action.parse()?,
        })
    }
}

impl From<Route> for RouteText {
    fn from(route: Route) -> Self {
        IndexMap::from([(
            format!("{} {}", route.method, route.path),
            route.action.to_string(),
        )])
    }
}
