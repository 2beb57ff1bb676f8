//! The shape of every stored payload: kind, version, body.
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// A stored payload. What a later release added beside these three fields is kept and written back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Envelope {
    /// What the body is, such as `create-container`.
    pub kind: String,
    /// Version of the body's shape, counted from 1.
    pub version: u32,
    /// The payload itself.
    pub body: Body,
    /// Fields this release does not know.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
}

/// The body of a payload: JSON, kept as the text it is stored as. Copies share it, and it takes a fraction of the memory of a tree.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Body(Arc<RawValue>);

impl Body {
    /// The body as a tree.
    pub fn value(&self) -> Value {
        // The text was read as JSON when it became a body.
        serde_json::from_str(self.text()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        self.0.get()
    }
}

impl From<Box<RawValue>> for Body {
    fn from(text: Box<RawValue>) -> Self {
        Self(text.into())
    }
}

impl From<&Value> for Body {
    fn from(value: &Value) -> Self {
        // A tree always has a text.
        to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()).into()
    }
}

/// Bodies are equal when they say the same, however it is written.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text() || self.value() == other.value()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A body that does not have the shape its kind and version promise.
#[derive(Debug, thiserror::Error)]
#[error("a `{kind}` payload of version {version} cannot be read")]
pub struct EnvelopeError {
    kind: String,
    version: u32,
    #[source]
    source: serde_json::Error,
}

impl Envelope {
    /// Wraps a body.
    pub fn new(kind: impl Into<String>, version: u32, body: Value) -> Self {
        Self { kind: kind.into(), version, body: Body::from(&body), rest: serde_json::Map::new() }
    }

    /// Serialises `body` and wraps it. Fails when the type has no JSON form (a map with keys that are no strings).
    pub fn of<T: Serialize>(kind: impl Into<String>, version: u32, body: &T) -> Result<Self, EnvelopeError> {
        let kind = kind.into();
        match to_raw_value(body) {
            Ok(body) => Ok(Self { kind, version, body: body.into(), rest: serde_json::Map::new() }),
            Err(source) => Err(EnvelopeError { kind, version, source }),
        }
    }

    /// Reads the body as `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        serde_json::from_str(self.body.text()).map_err(|source| EnvelopeError {
            kind: self.kind.clone(),
            version: self.version,
            source,
        })
    }
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

/// Reads the fields of an envelope. The derived form would read the body as a tree first, because of the fields that are not known.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Envelope;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload with `kind`, `version` and `body`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
        use serde::de::Error;
        let missing = A::Error::missing_field;
        let (mut kind, mut version, mut body) = (None, None, None::<Box<RawValue>>);
        let mut rest = serde_json::Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "kind" if kind.is_none() => kind = Some(map.next_value()?),
                "version" if version.is_none() => version = Some(map.next_value()?),
                "body" if body.is_none() => body = Some(map.next_value()?),
                "kind" | "version" | "body" => return Err(A::Error::custom(format!("duplicate field `{name}`"))),
                _ => {
                    rest.insert(name, map.next_value()?);
                }
            }
        }
        let body = body.ok_or_else(|| missing("body"))?;
        // A raw value is only passed over: half a surrogate, a number beyond all bounds or a nesting without end show here.
        serde_json::from_str::<Value>(body.get()).map_err(A::Error::custom)?;
        Ok(Envelope {
            kind: kind.ok_or_else(|| missing("kind"))?,
            version: version.ok_or_else(|| missing("version"))?,
            body: body.into(),
            rest,
        })
    }
}
