//! Writing JSON, as serde_json does to the byte, but quicker in a component.
//!
//! States and events are written in every decision, and most of what they consist of are short texts: names of fields,
//! amounts, ids. serde_json looks at their bytes one by one and copies them with an instruction that leaves the sandbox;
//! here eight bytes at a time are looked at and copied. Whatever is rare is left to serde_json.

use serde::Serialize;
use serde::ser::{self, Serializer};
use serde_json::Error;

/// The name by which a [`serde_json::value::RawValue`] makes itself known: its one field is JSON text.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

/// Bytes that a text starts with: most fit, and the arena lets the last allocation grow where it is.
const TEXT_BYTES: usize = 512;

/// A value's JSON text.
pub(crate) fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let mut writer = Writer::new();
    value.serialize(&mut writer)?;
    writer.into_string()
}

/// JSON text as it grows.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(TEXT_BYTES))
    }

    pub(crate) fn into_string(self) -> Result<String, Error> {
        String::from_utf8(self.0).map_err(ser::Error::custom)
    }

    fn text(&mut self, text: &str) -> Result<(), Error> {
        let start = self.0.len();
        self.0.reserve(text.len() + 2);
        self.0.push(b'"');
        if !self.plain(text.as_bytes()) {
            self.0.truncate(start);
            return serde_json::to_writer(&mut self.0, text);
        }
        self.0.push(b'"');
        Ok(())
    }

    /// Writes a text as it is as long as nothing in it must be escaped; whether that was all of it. What is no multiple
    /// of a word ends with a word that repeats some of the bytes before.
    fn plain(&mut self, text: &[u8]) -> bool {
        let start = self.0.len();
        let (words, rest) = text.as_chunks();
        for word in words {
            if !is_plain(*word) {
                return false;
            }
            self.0.extend_from_slice(word);
        }
        if rest.is_empty() {
            return true;
        }
        if let Some(last) = text.last_chunk() {
            self.0.truncate(start + text.len() - last.len());
            self.0.extend_from_slice(last);
            return is_plain(*last);
        }
        if let (Some([a, b, c, d]), Some(last @ [e, f, g, h])) = (text.first_chunk(), text.last_chunk()) {
            self.0.extend_from_slice(&[*a, *b, *c, *d]);
            self.0.truncate(start + text.len() - last.len());
            self.0.extend_from_slice(last);
            return is_plain([*a, *b, *c, *d, *e, *f, *g, *h]);
        }
        for byte in text {
            self.0.push(*byte);
        }
        text.iter().all(|byte| is_plain([*byte; 8]))
    }

    fn open(&mut self, open: &str, close: &'static str) -> Open<'_> {
        self.0.extend_from_slice(open.as_bytes());
        Open {
            writer: self,
            is_empty: true,
            is_raw: false,
            close,
        }
    }

    /// Opens an object whose one field is a variant's name, and in it `open`.
    fn open_variant(&mut self, name: &str, open: &str, close: &'static str) -> Result<Open<'_>, Error> {
        self.0.push(b'{');
        self.text(name)?;
        self.0.push(b':');
        Ok(self.open(open, close))
    }
}

/// Whether none of eight bytes of a text needs to be escaped: control characters, quotes and backslashes do (RFC 8259,
/// section 7).
fn is_plain(bytes: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(bytes);
    // Each sets the high bit of some byte if and only if there is a byte less than `bound`, or one equal to `byte`.
    let less = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let equal = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    (less(word, b' ') | equal(b'"') | equal(b'\\')) & HIGH == 0
}

/// An array or object on its way.
pub(crate) struct Open<'a> {
    writer: &'a mut Writer,
    is_empty: bool,
    /// Whether it is none, but the text of a [`serde_json::value::RawValue`].
    is_raw: bool,
    close: &'static str,
}

impl Open<'_> {
    fn comma(&mut self) {
        if !self.is_empty {
            self.writer.0.push(b',');
        }
        self.is_empty = false;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.comma();
        value.serialize(&mut *self.writer)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        if self.is_raw {
            return self.raw(value);
        }
        self.comma();
        self.writer.text(name)?;
        self.writer.0.push(b':');
        value.serialize(&mut *self.writer)
    }

    /// Writes text that is JSON already.
    #[cold]
    fn raw<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let serde_json::Value::String(text) = serde_json::to_value(value)? else {
            return Err(ser::Error::custom("a raw value is text"));
        };
        self.writer.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn close(self) -> Result<(), Error> {
        self.writer.0.extend_from_slice(self.close.as_bytes());
        Ok(())
    }
}

/// Writers of elements and of fields, which differ in nothing but the names that serde gives them.
macro_rules! compound {
    ($($kind:ident: $method:ident($($name:ident)?)),* $(,)?) => {
        $(impl ser::$kind for Open<'_> {
            type Ok = ();
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: &'static str,)?
                value: &T,
            ) -> Result<(), Error> {
                compound!(@ self, value $(, $name)?)
            }

            fn end(self) -> Result<(), Error> {
                self.close()
            }
        })*
    };
    (@ $self:ident, $value:ident) => { $self.element($value) };
    (@ $self:ident, $value:ident, $name:ident) => { $self.field($name, $value) };
}

compound! {
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(name),
    SerializeStructVariant: serialize_field(name),
}

impl ser::SerializeMap for Open<'_> {
    type Ok = ();
    type Error = Error;

    /// Keys are texts; numbers and truth values become some.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.comma();
        let start = self.writer.0.len();
        key.serialize(&mut *self.writer)?;
        match self.writer.0.get(start) {
            Some(b'"') => {}
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.writer.0.insert(start, b'"');
                self.writer.0.push(b'"');
            }
            _ => return Err(ser::Error::custom("key must be a string")),
        }
        self.writer.0.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

/// Leaves to serde_json what is rare.
macro_rules! leave {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<(), Error> {
            serde_json::to_writer(&mut self.0, &value)
        })*
    };
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = Open<'a>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = Open<'a>;

    leave! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_f32: f32, serialize_f64: f64, serialize_char: char, serialize_bytes: &[u8],
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.text(text)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut object = self.open("{", "}");
        object.field(variant, value)?;
        object.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a>, Error> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Error> {
        Ok(self.open("[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Error> {
        self.open_variant(variant, "[", "]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, Error> {
        Ok(self.open("{", "}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Open<'a>, Error> {
        if name == RAW_VALUE {
            return Ok(Open {
                is_raw: true,
                ..self.open("", "")
            });
        }
        Ok(self.open("{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'a>, Error> {
        self.open_variant(variant, "{", "}}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check<T: Serialize>(value: T) {
        let expected = serde_json::to_string(&value).map_err(|error| error.to_string());
        assert_eq!(to_string(&value).map_err(|error| error.to_string()), expected);
    }

    #[derive(Serialize)]
    enum Shape {
        Unit,
        Newtype(u8),
        Tuple(u8, Option<bool>),
        Struct { a: char, b: () },
    }

    #[derive(Serialize)]
    struct Unit;

    #[derive(Serialize)]
    struct Newtype(f64);

    #[derive(Serialize)]
    struct Tuple(i128, u64);

    #[derive(Serialize)]
    struct All {
        shapes: Vec<Shape>,
        unit: Unit,
        newtype: Newtype,
        tuple: Tuple,
        #[serde(rename = "quoted \"name\" of a field")]
        none: Option<String>,
        empty: [u8; 0],
        raw: Box<serde_json::value::RawValue>,
        nothing: BTreeMap<String, u8>,
    }

    #[test]
    fn every_shape_is_written_as_serde_json_writes_it() {
        check(All {
            shapes: vec![
                Shape::Unit,
                Shape::Newtype(1),
                Shape::Tuple(2, Some(true)),
                Shape::Struct { a: '"', b: () },
            ],
            unit: Unit,
            newtype: Newtype(1.5),
            tuple: Tuple(i128::MIN, u64::MAX),
            none: None,
            empty: [],
            raw: serde_json::from_str(r#" {"b" : [1, "\n"]} "#).unwrap(),
            nothing: BTreeMap::new(),
        });
        check(serde_json::json!({ "a": [{}, [], null, -1, 2.5e300, "text"], "b\n": { "c": false } }));
        check(f64::NAN);
    }

    #[test]
    fn keys_become_texts() {
        check(BTreeMap::from([(1, 'a'), (-1, 'b')]));
        check(BTreeMap::from([(true, 'a'), (false, 'b')]));
        check(BTreeMap::from([('\n', ())]));
        check(BTreeMap::from([("a", 1), ("b", 2)]));
        check(BTreeMap::from([(vec![1], 2)]));
        check(BTreeMap::from([((), 2)]));
    }

    #[test]
    fn each_byte_is_escaped_wherever_it_stands() {
        for byte in 0..=0x7f_u8 {
            for length in 1..=17 {
                for place in 0..length {
                    let mut text = vec![b'~'; length];
                    text[place] = byte;
                    check(String::from_utf8(text).unwrap());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn texts_are_written_as_serde_json_writes_them(text in ".*") {
            prop_assert_eq!(to_string(&text).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
