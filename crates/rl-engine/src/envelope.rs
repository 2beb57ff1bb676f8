//! The shape of every stored payload: kind, version, body.
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A stored payload. What a later release added beside these three fields is kept and written back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// What the body is, such as `create-container`.
    pub kind: String,
    /// Version of the body's shape, counted from 1.
    pub version: u32,
    /// The payload itself.
    pub body: Value,
    /// Fields this release does not know.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
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
        Self { kind: kind.into(), version, body, rest: serde_json::Map::new() }
    }

    /// Serialises `body` and wraps it. Fails when the type has no JSON form (a map with keys that are no strings).
    pub fn of<T: Serialize>(kind: impl Into<String>, version: u32, body: &T) -> Result<Self, EnvelopeError> {
        let kind = kind.into();
        match serde_json::to_value(body) {
            Ok(body) => Ok(Self::new(kind, version, body)),
            Err(source) => Err(EnvelopeError { kind, version, source }),
        }
    }

    /// Reads the body as `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        T::deserialize(&self.body).map_err(|source| EnvelopeError {
            kind: self.kind.clone(),
            version: self.version,
            source,
        })
    }
}
