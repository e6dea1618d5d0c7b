//! Commands and events between a serde enum and the pair (name, JSON text) of the WIT.
//!
//! The variant's name is the wire name, and its fields are read from and written to the text directly: nothing is built
//! in between, since every decision passes here several times.

use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use serde::ser::{self, Impossible, SerializeMap, SerializeStruct, SerializeStructVariant, Serializer};
use serde_json::Error;

use crate::json::Writer;

/// The names an enum answers to, in the order of its declaration; empty for what is no enum.
pub(crate) fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // Always an error: the names are noted on the way to it.
    let _ = T::deserialize(NamesOf(&mut names));
    names
}

/// Reads the variant `name` from the text of its fields; `None` when there is no such variant. Unknown fields are passed
/// over unless the type forbids them.
pub(crate) fn decode<T: DeserializeOwned>(name: &str, data: &str) -> Result<Option<T>, Error> {
    if !names::<T>().contains(&name) {
        return Ok(None);
    }
    let data = if matches!(data, "" | "null") { "{}" } else { data };
    T::deserialize(Named { name, data }).map(Some)
}

/// The name of a variant and the text of its fields.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<(&'static str, String), Error> {
    let mut writer = Writer::new();
    let name = value.serialize(Variant(&mut writer))?;
    Ok((name, writer.into_string()?))
}

struct NamesOf<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for NamesOf<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not an enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = variants;
        Err(de::Error::custom("names only"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Named<'de> {
    name: &'de str,
    data: &'de str,
}

impl<'de> Deserializer<'de> for Named<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("commands and events are enums"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Named<'de> {
    type Error = Error;
    type Variant = Fields<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Fields<'de>), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Fields(self.data)))
    }
}

struct Fields<'de>(&'de str);

impl<'de> Fields<'de> {
    fn read<T>(
        self,
        how: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'de>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut from = serde_json::Deserializer::from_str(self.0);
        let value = how(&mut from)?;
        from.end()?;
        Ok(value)
    }
}

impl<'de> VariantAccess<'de> for Fields<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.read(|from| seed.deserialize(from))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.read(|from| from.deserialize_tuple(len, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read(|from| from.deserialize_struct("", fields, visitor))
    }
}

/// Gives the variant's name, and writes its fields to what it holds.
struct Variant<'a>(&'a mut Writer);

/// The fields of a struct variant on their way.
struct OpenVariant<S> {
    name: &'static str,
    fields: S,
}

impl<S: SerializeStruct<Ok = (), Error = Error>> SerializeStructVariant for OpenVariant<S> {
    type Ok = &'static str;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.fields.serialize_field(key, value)
    }

    fn end(self) -> Result<&'static str, Error> {
        self.fields.end()?;
        Ok(self.name)
    }
}

fn no_enum<T>() -> Result<T, Error> {
    Err(ser::Error::custom(
        "events are enums whose variants have named fields, one struct, or nothing",
    ))
}

/// Refuses every shape that is no event.
macro_rules! refuse {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<&'static str, Error> { no_enum() })*
    };
}

impl<'a> Serializer for Variant<'a> {
    type Ok = &'static str;
    type Error = Error;
    type SerializeSeq = Impossible<&'static str, Error>;
    type SerializeTuple = Impossible<&'static str, Error>;
    type SerializeTupleStruct = Impossible<&'static str, Error>;
    type SerializeTupleVariant = Impossible<&'static str, Error>;
    type SerializeMap = Impossible<&'static str, Error>;
    type SerializeStruct = Impossible<&'static str, Error>;
    type SerializeStructVariant = OpenVariant<<&'a mut Writer as Serializer>::SerializeStruct>;

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<&'static str, Error> {
        SerializeMap::end(self.0.serialize_map(Some(0))?)?;
        Ok(name)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<&'static str, Error> {
        value.serialize(self.0)?;
        Ok(name)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Ok(OpenVariant {
            name,
            fields: self.0.serialize_struct(name, len)?,
        })
    }

    refuse! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char, serialize_str: &str, serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn serialize_none(self) -> Result<&'static str, Error> {
        no_enum()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<&'static str, Error> {
        no_enum()
    }

    fn serialize_unit(self) -> Result<&'static str, Error> {
        no_enum()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<&'static str, Error> {
        no_enum()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        no_enum()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        no_enum()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        no_enum()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        no_enum()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        no_enum()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        no_enum()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Event {
        Opened {
            title: String,
        },
        #[serde(rename = "other.Moved")]
        Moved(Place),
        Closed,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Place {
        shelf: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Nothing {}

    #[test]
    fn names_are_those_of_serde() {
        assert_eq!(names::<Event>(), ["Opened", "other.Moved", "Closed"]);
        assert_eq!(names::<Nothing>(), [""; 0]);
        assert_eq!(names::<Place>(), [""; 0]);
    }

    #[track_caller]
    fn check(event: Event, name: &str, data: &str) {
        assert_eq!(
            encode(&event).unwrap(),
            (
                names::<Event>().iter().find(|n| **n == name).copied().unwrap(),
                data.to_owned()
            )
        );
        assert_eq!(decode(name, data).unwrap(), Some(event));
    }

    #[test]
    fn every_shape_goes_there_and_back() {
        check(
            Event::Opened {
                title: "a \"b\"".into(),
            },
            "Opened",
            r#"{"title":"a \"b\""}"#,
        );
        check(Event::Moved(Place { shelf: 3 }), "other.Moved", r#"{"shelf":3}"#);
        check(Event::Closed, "Closed", "{}");
    }

    #[test]
    fn unknown_names_and_fields_are_passed_over() {
        assert_eq!(decode::<Event>("Vanished", "{}").unwrap(), None);
        let newer = r#"{"title":"a","since":{"then":[1]}}"#;
        assert_eq!(
            decode("Opened", newer).unwrap(),
            Some(Event::Opened { title: "a".into() })
        );
    }

    #[test]
    fn an_absent_body_is_an_empty_one() {
        assert_eq!(decode("Closed", "").unwrap(), Some(Event::Closed));
        assert_eq!(decode("Closed", "null").unwrap(), Some(Event::Closed));
        assert!(decode::<Event>("Opened", "null").is_err());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert!(decode::<Event>("Opened", r#"{"title":1}"#).is_err());
        assert!(decode::<Event>("Opened", r#"{"title":"a"} x"#).is_err());
        assert!(encode(&Place { shelf: 1 }).is_err());
    }
}
