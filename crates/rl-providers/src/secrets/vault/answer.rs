//! Answers of Vault's API. Values are wiped when they are dropped.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// What every answer about an engine is in.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) data: T,
}

/// `MOUNT/metadata/PATH`.
#[derive(Deserialize)]
pub(super) struct Metadata {
    current_version: u64,
    #[serde(default)]
    versions: BTreeMap<String, VersionState>,
}

#[derive(Deserialize)]
struct VersionState {
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    destroyed: bool,
}

impl Metadata {
    /// The newest version; `None` when its value is gone.
    pub(super) fn newest(&self) -> Option<u64> {
        let state = self.versions.get(&self.current_version.to_string());
        let gone = state.is_some_and(|state| state.destroyed || !state.deletion_time.is_empty());
        (self.current_version > 0 && !gone).then_some(self.current_version)
    }
}

/// `MOUNT/data/PATH`.
#[derive(Deserialize)]
pub(super) struct Data {
    pub(super) data: Option<BTreeMap<String, Entry>>,
}

/// `auth/approle/login` and `auth/token/renew-self`.
#[derive(Deserialize)]
pub(super) struct Login {
    pub(super) auth: Auth,
}

#[derive(Deserialize)]
pub(super) struct Auth {
    pub(super) client_token: Hidden,
    /// Seconds.
    #[serde(default)]
    pub(super) lease_duration: u64,
}

/// What a refusal says.
#[derive(Deserialize)]
pub(super) struct Errors {
    #[serde(default)]
    pub(super) errors: Vec<String>,
}

/// A text that is wiped when it is dropped.
pub(super) struct Hidden(Zeroizing<String>);

impl Hidden {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// An entry of a secret: a single value, or something else.
pub(super) struct Entry(Option<Zeroizing<String>>);

impl Entry {
    pub(super) fn text(&self) -> Option<&str> {
        self.0.as_ref().map(|text| text.as_str())
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

fn entry(text: String) -> Entry {
    Entry(Some(Zeroizing::new(text)))
}

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry of a secret")
    }

    fn visit_str<E>(self, text: &str) -> Result<Entry, E> {
        Ok(entry(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Entry, E> {
        Ok(entry(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Entry, E> {
        Ok(entry(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Entry, E> {
        Ok(entry(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Entry, E> {
        Ok(entry(number.to_string()))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Entry, E> {
        Ok(entry(flag.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Entry, E> {
        Ok(Entry(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Entry(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entry, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry(None))
    }
}
