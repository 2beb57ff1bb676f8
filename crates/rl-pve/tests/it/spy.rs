//! Finds out which fields a type reads, by letting it read from something that says yes to everything.

use std::cell::RefCell;
use std::rc::Rc;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor};

/// One place of an answer that is read: where (`[]` for a list's entries), and what is expected there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) path: Vec<String>,
    pub(crate) expected: String,
}

/// Everything a type reads.
pub(crate) fn read<T: DeserializeOwned>() -> Vec<Read> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    T::deserialize(Spy { path: Vec::new(), seen: seen.clone() }).map(drop).unwrap();
    seen.take()
}

struct Spy {
    path: Vec<String>,
    seen: Rc<RefCell<Vec<Read>>>,
}

type Error = de::value::Error;

impl Spy {
    fn note(&self, expected: impl Into<String>) {
        self.seen.borrow_mut().push(Read { path: self.path.clone(), expected: expected.into() });
    }

    fn below(&self, name: &str) -> Self {
        let path = self.path.iter().cloned().chain([name.to_owned()]).collect();
        Self { path, seen: self.seen.clone() }
    }
}

impl<'de> Deserializer<'de> for Spy {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note((&visitor as &dyn Expected).to_string());
        visitor.visit_i64(1)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note("a text");
        visitor.visit_str("UPID:pve1:00000001:00000001:00000001:x:1:root@pam:")
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note("a list");
        visitor.visit_seq(One(Some(self.below("[]"))))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note("a map");
        visitor.visit_map(Nobody)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note("a map");
        visitor.visit_map(Fields { spy: self, fields, next: 0 })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.note("nothing");
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_ignored_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit_struct tuple tuple_struct
        enum identifier
    }
}

struct One(Option<Spy>);

impl<'de> SeqAccess<'de> for One {
    type Error = Error;
    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|spy| seed.deserialize(spy)).transpose()
    }
}

struct Nobody;

impl<'de> MapAccess<'de> for Nobody {
    type Error = Error;
    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, Error> {
        Ok(None)
    }
    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("there is no key"))
    }
}

struct Fields {
    spy: Spy,
    fields: &'static [&'static str],
    next: usize,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Error;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.fields.get(self.next) else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = field.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let field = self.fields[self.next];
        self.next += 1;
        seed.deserialize(self.spy.below(field))
    }
}
