//! The canonical form of parameters and its encoding into bytes.
//!
//! A [`Value`] is what a parameter struct *means*: fields by name, `None` left out, `-0.0` folded
//! into `0.0`, NaN refused, unit variants as their name. [`Value::encode`] is injective: a type tag,
//! a length, the body; maps sorted by key. Keys of the cache and recipes are digests of this encoding,
//! so changing it changes every key: the golden key file of the store holds it still.

use std::{collections::BTreeMap, fmt::Display};

use serde::{Deserialize, Serialize, ser};

use crate::Digest;

/// A canonical value. Its JSON form is the pre-image kept in traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "serde_json::Value")]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// Any integer of up to 64 bits.
    Int(i128),
    /// A finite or infinite number that was a float in its struct; never NaN, never `-0.0`.
    Float(f64),
    /// Text, or the name of a unit variant.
    Text(String),
    /// A sequence, in order.
    List(Vec<Self>),
    /// A struct or map, by field name.
    Map(BTreeMap<String, Self>),
}

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CanonError(String);

impl ser::Error for CanonError {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Canonical<T = Option<Value>> = Result<T, CanonError>;

impl TryFrom<serde_json::Value> for Value {
    type Error = CanonError;

    fn try_from(json: serde_json::Value) -> Result<Self, CanonError> {
        use serde_json::Value as Json;
        Ok(match json {
            Json::Null => return Err(CanonError("a null has no canonical form".into())),
            Json::Bool(b) => Self::Bool(b),
            Json::Number(n) => match n.as_i128() {
                Some(i) => Self::Int(i),
                None => Self::Float(n.as_f64().unwrap_or_default()),
            },
            Json::String(s) => Self::Text(s),
            Json::Array(items) => {
                Self::List(items.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
            }
            Json::Object(map) => {
                let entry = |(key, value)| Ok((key, Self::try_from(value)?));
                Self::Map(map.into_iter().map(entry).collect::<Result<_, CanonError>>()?)
            }
        })
    }
}

impl Value {
    /// The canonical form of `value`; a top-level `None` is an empty map.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Canonical<Self> {
        Ok(value
            .serialize(ToValue)?
            .unwrap_or_else(|| Self::Map(BTreeMap::new())))
    }

    /// A map from pairs, for keys built by hand.
    pub fn map<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// Text, for keys built by hand.
    pub fn text(text: impl Display) -> Self {
        Self::Text(text.to_string())
    }

    /// Takes out the field at a dotted `path`, if it is there.
    pub fn remove(&mut self, path: &str) -> Option<Self> {
        let Self::Map(map) = self else { return None };
        match path.split_once('.') {
            None => map.remove(path),
            Some((head, rest)) => map.get_mut(head)?.remove(rest),
        }
    }

    /// The injective byte encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// The digest of the encoding in the domain `context`.
    pub fn digest(&self, context: &str) -> Digest {
        Digest::derive(context, &self.encode())
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(b) => framed(out, b'b', |o| o.push(u8::from(*b))),
            Self::Int(i) => framed(out, b'i', |o| o.extend(i.to_le_bytes())),
            Self::Float(x) => framed(out, b'f', |o| o.extend((x + 0.0).to_bits().to_le_bytes())),
            Self::Text(s) => framed(out, b's', |o| o.extend(s.as_bytes())),
            Self::List(items) => framed(out, b'l', |o| items.iter().for_each(|v| v.encode_into(o))),
            Self::Map(map) => framed(out, b'm', |o| {
                for (key, value) in map {
                    framed(o, b'k', |o| o.extend(key.as_bytes()));
                    value.encode_into(o);
                }
            }),
        }
    }
}

/// Writes tag, body length (u64, little endian) and body.
fn framed(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend([0; 8]);
    body(out);
    let length = (out.len() - at - 8) as u64;
    out[at..at + 8].copy_from_slice(&length.to_le_bytes());
}

struct ToValue;

/// A sequence under way; the name wraps a tuple variant.
struct Seq(Vec<Value>, Option<&'static str>);

/// A map under way; the key waits for its value, the name wraps a struct variant.
struct Fields(BTreeMap<String, Value>, Option<String>, Option<&'static str>);

fn variant(name: &'static str, value: Value) -> Value {
    Value::map([(name, value)])
}

macro_rules! integers {
    ($($method:ident $type:ty),*) => {
        $(fn $method(self, v: $type) -> Canonical { Ok(Some(Value::Int(i128::from(v)))) })*
    };
}

impl ser::Serializer for ToValue {
    type Ok = Option<Value>;
    type Error = CanonError;
    type SerializeSeq = Seq;
    type SerializeTuple = Seq;
    type SerializeTupleStruct = Seq;
    type SerializeTupleVariant = Seq;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    integers!(serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64);
    integers!(serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);

    fn serialize_bool(self, v: bool) -> Canonical {
        Ok(Some(Value::Bool(v)))
    }
    fn serialize_f32(self, v: f32) -> Canonical {
        // Through the shortest decimal, so that 0.1f32 and 0.1f64 mean the same.
        self.serialize_f64(v.to_string().parse().unwrap_or_else(|_| f64::from(v)))
    }
    fn serialize_f64(self, v: f64) -> Canonical {
        if v.is_nan() {
            return Err(ser::Error::custom("NaN has no canonical form"));
        }
        Ok(Some(Value::Float(v + 0.0)))
    }
    fn serialize_char(self, v: char) -> Canonical {
        Ok(Some(Value::Text(v.to_string())))
    }
    fn serialize_str(self, v: &str) -> Canonical {
        Ok(Some(Value::Text(v.to_owned())))
    }
    fn serialize_bytes(self, v: &[u8]) -> Canonical {
        Ok(Some(Value::List(
            v.iter().map(|b| Value::Int(i128::from(*b))).collect(),
        )))
    }
    fn serialize_none(self) -> Canonical {
        Ok(None)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Canonical {
        v.serialize(self)
    }
    fn serialize_unit(self) -> Canonical {
        Ok(None)
    }
    fn serialize_unit_struct(self, name: &'static str) -> Canonical {
        self.serialize_str(name)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Canonical {
        self.serialize_str(name)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, v: &T) -> Canonical {
        v.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        v: &T,
    ) -> Canonical {
        Ok(Some(variant(name, Value::of(v)?)))
    }
    fn serialize_seq(self, _: Option<usize>) -> Canonical<Seq> {
        Ok(Seq(Vec::new(), None))
    }
    fn serialize_tuple(self, _: usize) -> Canonical<Seq> {
        Ok(Seq(Vec::new(), None))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Canonical<Seq> {
        Ok(Seq(Vec::new(), None))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Canonical<Seq> {
        Ok(Seq(Vec::new(), Some(name)))
    }
    fn serialize_map(self, _: Option<usize>) -> Canonical<Fields> {
        Ok(Fields(BTreeMap::new(), None, None))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Canonical<Fields> {
        self.serialize_map(None)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Canonical<Fields> {
        Ok(Fields(BTreeMap::new(), None, Some(name)))
    }
}

impl Seq {
    fn push<T: Serialize + ?Sized>(&mut self, v: &T) -> Canonical<()> {
        // A `None` inside a list keeps its place: as an empty map, which no parameter type produces otherwise.
        self.0.push(
            v.serialize(ToValue)?
                .unwrap_or_else(|| Value::Map(BTreeMap::new())),
        );
        Ok(())
    }
    fn finish(self) -> Canonical {
        let list = Value::List(self.0);
        Ok(Some(self.1.map_or_else(
            || list.clone(),
            |name| variant(name, list.clone()),
        )))
    }
}

macro_rules! sequences {
    ($($trait:ident $method:ident),*) => {
        $(impl ser::$trait for Seq {
            type Ok = Option<Value>;
            type Error = CanonError;
            fn $method<T: Serialize + ?Sized>(&mut self, v: &T) -> Canonical<()> { self.push(v) }
            fn end(self) -> Canonical { self.finish() }
        })*
    };
}
sequences!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

impl Fields {
    fn put<T: Serialize + ?Sized>(&mut self, key: String, v: &T) -> Canonical<()> {
        let Some(value) = v.serialize(ToValue)? else {
            return Ok(());
        };
        match self.0.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(ser::Error::custom("a key stands twice")),
        }
    }
    fn finish(self) -> Canonical {
        let map = Value::Map(self.0);
        Ok(Some(
            self.2
                .map_or_else(|| map.clone(), |name| variant(name, map.clone())),
        ))
    }
}

impl ser::SerializeMap for Fields {
    type Ok = Option<Value>;
    type Error = CanonError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Canonical<()> {
        self.1 = match key.serialize(ToValue)? {
            Some(Value::Text(s)) => Some(s),
            Some(Value::Int(i)) => Some(i.to_string()),
            _ => return Err(ser::Error::custom("the key of a map must be text or an integer")),
        };
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Canonical<()> {
        let key = self
            .1
            .take()
            .ok_or_else(|| CanonError("a value came before its key".into()))?;
        self.put(key, v)
    }
    fn end(self) -> Canonical {
        self.finish()
    }
}

macro_rules! structs {
    ($($trait:ident),*) => {
        $(impl ser::$trait for Fields {
            type Ok = Option<Value>;
            type Error = CanonError;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, v: &T) -> Canonical<()> {
                self.put(key.to_owned(), v)
            }
            fn end(self) -> Canonical { self.finish() }
        })*
    };
}
structs!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
