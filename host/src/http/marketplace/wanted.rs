//! What somebody looks for in the marketplace.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::item::Item;
use crate::config::HttpLimits;
use crate::error::Error;
use crate::http::filter;
use crate::http::params::Params;

/// Longest text that is searched for, and longest name of a category or publisher, in bytes.
const TEXT_BYTES_MAX: usize = 200;

/// What somebody looks for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Each of these words stands in name, title or description; in lowercase.
    words: Vec<String>,
    category: Option<String>,
    publisher: Option<String>,
    installed: Option<bool>,
    /// Items of the page.
    pub(super) limit: usize,
    /// Name of the last item of the page before.
    pub(super) after: Option<String>,
}

impl Wanted {
    /// Takes what makes a page out of a request's parameters.
    pub(super) fn take(params: &mut Params, limits: &HttpLimits) -> Result<Self, Error> {
        let search = text(params, "search")?.unwrap_or_default().to_lowercase();
        let limit = filter::limit(params.take("limit")?.as_deref(), limits)?;
        Ok(Self {
            words: search.split_whitespace().map(str::to_owned).collect(),
            category: text(params, "category")?,
            publisher: text(params, "publisher")?,
            installed: flag(params, "installed")?,
            // A page holds at most a few thousand items.
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            after: params.take("cursor")?.as_deref().map(name_of).transpose()?,
        })
    }

    /// Whether an item is what is looked for.
    pub(super) fn fits(&self, item: &Item) -> bool {
        let text = format!("{}\n{}\n{}", item.name, item.title, item.description).to_lowercase();
        let is =
            |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let category = |wanted: &String| item.categories.contains(wanted);
        self.words.iter().all(|word| text.contains(word))
            && self.category.as_ref().is_none_or(category)
            && is(&self.publisher, &item.publisher)
            && self
                .installed
                .is_none_or(|wanted| wanted == item.installed.is_some())
    }
}

fn text(params: &mut Params, name: &str) -> Result<Option<String>, Error> {
    let given = params.take(name)?;
    if given.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
        let told = format!("parameter {name:?} has at most {TEXT_BYTES_MAX} bytes");
        return Err(Error::Malformed(told));
    }
    Ok(given)
}

/// Absent, true or false: all three mean something.
fn flag(params: &mut Params, name: &str) -> Result<Option<bool>, Error> {
    match params.take(name)?.as_deref() {
        None => Ok(None),
        Some("" | "true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Error::Malformed(format!("parameter {name:?} is true or false"))),
    }
}

/// The name within a cursor; cursors are opaque to clients, so that another order can come to stand in them.
fn name_of(cursor: &str) -> Result<String, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    name.ok_or_else(|| Error::Malformed(format!("{cursor:?} is no cursor")))
}

/// The cursor of the page after the one that ends with this name.
pub(super) fn cursor_after(name: &str) -> String {
    URL_SAFE_NO_PAD.encode(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(query: &str) -> Result<Wanted, Error> {
        let mut params = Params::parse(Some(query)).unwrap();
        let wanted = Wanted::take(&mut params, &HttpLimits::default())?;
        params.finish().map(|()| wanted)
    }

    fn item() -> Item {
        Item {
            name: "client".to_owned(),
            title: "Clients".to_owned(),
            description: "Billing parties with their addresses.".to_owned(),
            publisher: "millwork".to_owned(),
            trusted: true,
            categories: vec!["sales".to_owned()],
            licence: "MIT".to_owned(),
            version: semver::Version::new(1, 0, 0),
            size_bytes: 1,
            published_at: 0,
            permissions: Vec::new(),
            installed: None,
            swap: None,
        }
    }

    #[test]
    fn all_that_is_asked_for_must_fit() {
        let check =
            |query: &str, fits: bool| assert_eq!(wanted(query).unwrap().fits(&item()), fits, "{query}");
        check("", true);
        check("search=PARTIES+client", true);
        check("search=parties+invoice", false);
        check("category=sales&publisher=millwork", true);
        check("category=sale", false);
        check("publisher=acme", false);
        check("installed=false", true);
        check("installed", false);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for query in [
            "installed=perhaps",
            "limit=0",
            "limit=x",
            "colour=red",
            "cursor=%21",
            "cursor=_w",
        ] {
            assert!(matches!(wanted(query), Err(Error::Malformed(_))), "{query}");
        }
        let long = format!("search={}", "x".repeat(TEXT_BYTES_MAX + 1));
        assert!(wanted(&long).is_err() && wanted(&long[..long.len() - 1]).is_ok());
    }

    #[test]
    fn a_cursor_leads_to_what_follows() {
        let wanted = wanted(&format!("cursor={}", cursor_after("client"))).unwrap();
        assert_eq!(wanted.after.as_deref(), Some("client"));
    }
}
