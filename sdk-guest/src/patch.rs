//! A field of a partial change: left alone, cleared, or set.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An optional field in a partial change, as in JSON Merge Patch (RFC 7396): absent keeps it, `null` clears it.
///
/// Fields of this type carry `#[serde(default, skip_serializing_if = "Patch::is_keep")]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The field is not mentioned.
    #[default]
    Keep,
    /// The field loses its value.
    Clear,
    /// The field gets this value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the field is not mentioned.
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// Makes the change.
    pub fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *to = None,
            Self::Set(value) => *to = Some(value),
        }
    }
}

impl<T: PartialEq> Patch<T> {
    /// The same change, or none where it would leave `now` as it is.
    #[must_use]
    pub fn against(self, now: Option<&T>) -> Self {
        let same = match &self {
            Self::Keep => true,
            Self::Clear => now.is_none(),
            Self::Set(value) => now == Some(value),
        };
        if same { Self::Keep } else { self }
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => to.serialize_none(),
            Self::Set(value) => value.serialize(to),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Change {
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        phone: Patch<String>,
    }

    #[track_caller]
    fn check(json: &str, phone: Patch<String>, after: Option<&str>) {
        let change: Change = serde_json::from_str(json).unwrap();
        assert_eq!(change, Change { phone });
        assert_eq!(serde_json::to_string(&change).unwrap(), json);
        let mut field = Some("1".to_owned());
        change.phone.apply(&mut field);
        assert_eq!(field.as_deref(), after);
    }

    #[test]
    fn absent_keeps_null_clears_a_value_sets() {
        check("{}", Patch::Keep, Some("1"));
        check(r#"{"phone":null}"#, Patch::Clear, None);
        check(r#"{"phone":"2"}"#, Patch::Set("2".into()), Some("2"));
    }

    #[test]
    fn a_change_to_what_is_already_so_is_none() {
        assert_eq!(Patch::Set(1).against(Some(&1)), Patch::Keep);
        assert_eq!(Patch::<i32>::Clear.against(None), Patch::Keep);
        assert_eq!(Patch::Set(2).against(Some(&1)), Patch::Set(2));
        assert_eq!(Patch::Clear.against(Some(&1)), Patch::Clear);
    }
}
