//! Query strings: decoded strictly, each parameter taken by name, and what nobody takes is refused by name.

use crate::error::Error;

/// Most parameters of one request.
const PARAMS_MAX: usize = 64;

/// The parameters of a query string that nobody has taken yet, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Decodes `application/x-www-form-urlencoded` (WHATWG URL, section 5.1), but refuses what is no UTF-8.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Error> {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        let params: Vec<_> = pairs.take(PARAMS_MAX + 1).map(pair).collect::<Result<_, _>>()?;
        if params.len() > PARAMS_MAX {
            return Err(Error::Malformed(format!(
                "a query string has at most {PARAMS_MAX} parameters"
            )));
        }
        Ok(Self(params))
    }

    /// The value of a parameter that may stand there once.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Error> {
        let Some(index) = self.0.iter().position(|(known, _)| known == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.remove(index);
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(Error::Malformed(format!(
                "parameter {name:?} stands there more than once"
            )));
        }
        Ok(Some(value))
    }

    /// A parameter that means true when it stands there alone.
    pub(super) fn take_flag(&mut self, name: &str) -> Result<bool, Error> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("" | "true") => Ok(true),
            Some(_) => Err(Error::Malformed(format!("parameter {name:?} is true or false"))),
        }
    }

    /// All that is left.
    pub(super) fn take_rest(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.0.first().map_or(Ok(()), |(name, _)| Err(unknown(name)))
    }
}

/// The refusal of a parameter that means nothing here.
pub(super) fn unknown(name: &str) -> Error {
    Error::Malformed(format!("parameter {name:?} is not known here"))
}

fn pair(text: &str) -> Result<(String, String), Error> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((decode(name.replace('+', " "))?, decode(value.replace('+', " "))?))
}

/// Percent-decodes (RFC 3986, section 2.1) to UTF-8.
pub(super) fn decode(text: String) -> Result<String, Error> {
    if !text.contains('%') {
        return Ok(text);
    }
    let malformed = || Error::Malformed(format!("{text:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2).ok_or_else(malformed)?;
        let mut byte = [0];
        hex::decode_to_slice(digits, &mut byte).map_err(|_| malformed())?;
        bytes.extend(byte);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Vec<(String, String)> {
        Params::parse(Some(query)).unwrap().take_rest()
    }

    #[test]
    fn names_and_values_are_decoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            parse("a=1&b=x+y%2Bz&c"),
            [pair("a", "1"), pair("b", "x y+z"), pair("c", "")]
        );
        assert_eq!(
            parse("due%5Bgte%5D=2026&n=%C3%A4"),
            [pair("due[gte]", "2026"), pair("n", "ä")]
        );
        assert_eq!(parse(""), []);
    }

    #[test]
    fn broken_encodings_are_refused() {
        for query in ["a=%", "a=%4", "a=%zz", "%ff=1", "a=%C3"] {
            assert!(Params::parse(Some(query)).is_err(), "{query}");
        }
        assert!(Params::parse(Some(&"a=1&".repeat(PARAMS_MAX + 1))).is_err());
        assert!(Params::parse(Some(&"a=1&".repeat(PARAMS_MAX))).is_ok());
    }

    #[test]
    fn what_nobody_takes_is_refused_by_name() {
        let mut params = Params::parse(Some("dry-run&limit=5")).unwrap();
        assert!(params.take_flag("dry-run").unwrap());
        assert!(params.finish().unwrap_err().to_string().contains("limit"));
        assert!(Params::parse(Some("a=1&a=2")).unwrap().take("a").is_err());
        assert!(
            Params::parse(Some("dry-run=perhaps"))
                .unwrap()
                .take_flag("dry-run")
                .is_err()
        );
    }
}
