//! Secrets: a reference that may be shown, and a value that may not.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::names::text_newtype;
use crate::{GuestId, GuestPath, ParseError};

/// First line of a value encrypted by age, in its text form (C2SP age, "armor").
const ARMOR_FIRST: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
/// Longest place within a provider: a path of Vault or of a file.
const PLACE_LEN_MAX: usize = 1024;

text_newtype!(
    /// Name of a secret: lower-case parts joined by `/`, as in `shop/db-password`.
    SecretRef, "secret name", |text| {
        if text.is_empty() || text.len() > 200 {
            return Err("it must have 1 to 200 characters".into());
        }
        let good = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c))
        };
        if text.split('/').all(good) { Ok(()) } else {
            Err("write lower-case parts joined by `/`, as in shop/db-password".into())
        }
    }
);

text_newtype!(
    /// Name of a declared secret provider.
    ProviderName, "provider name", |text| {
        let good = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if good { Ok(()) } else {
            Err("write 1 to 32 lower-case letters, digits and `-`, beginning with a letter".into())
        }
    }
);

/// A value encrypted by age, in its text form: what a store keeps of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedValue(String);

impl SealedValue {
    /// The text as it was parsed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is not what it should be. Nothing of it is shown: it may be a value in clear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no value encrypted by age: its first line is not `{ARMOR_FIRST}`")]
pub struct NotSealed;

impl FromStr for SealedValue {
    type Err = NotSealed;

    fn from_str(text: &str) -> Result<Self, NotSealed> {
        if text.starts_with(ARMOR_FIRST) { Ok(Self(text.to_owned())) } else { Err(NotSealed) }
    }
}

impl fmt::Debug for SealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedValue({} bytes)", self.0.len())
    }
}

/// Where a value comes from: `shop/db-password` is the installation's own store, `corp:shop/db#password` the entry `password` at
/// `shop/db` of the declared provider `corp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretSource {
    /// The installation's own store.
    Store(SecretRef),
    /// A provider declared in a site file.
    Provider {
        /// Its name.
        provider: ProviderName,
        /// Where in it: a path of Vault, or a file.
        place: String,
        /// Which entry there, where a place has several.
        key: Option<String>,
    },
}

impl SecretSource {
    /// What a person calls this kind of value.
    pub const WHAT: &'static str = "source of a secret";

    /// The provider it names; `None` for the installation's own store.
    pub fn provider(&self) -> Option<&ProviderName> {
        match self {
            Self::Store(_) => None,
            Self::Provider { provider, .. } => Some(provider),
        }
    }
}

impl FromStr for SecretSource {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let Some((provider, rest)) = text.split_once(':') else { return Ok(Self::Store(text.parse()?)) };
        let provider = provider.parse()?;
        let (place, key) = match rest.split_once('#') {
            Some((place, key)) => (place, Some(key.to_owned())),
            None => (rest, None),
        };
        let wrong = |rule: &str| ParseError::new(Self::WHAT, text, rule.to_owned());
        if place.is_empty() || key.as_deref() == Some("") {
            return Err(wrong("write `provider:path#key`, as in corp:shop/db#password"));
        }
        if rest.len() > PLACE_LEN_MAX || rest.chars().any(char::is_control) {
            return Err(wrong("it has at most 1024 characters and no control characters"));
        }
        Ok(Self::Provider { provider, place: place.to_owned(), key })
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(name) => name.fmt(f),
            Self::Provider { provider, place, key: None } => write!(f, "{provider}:{place}"),
            Self::Provider { provider, place, key: Some(key) } => write!(f, "{provider}:{place}#{key}"),
        }
    }
}

impl TryFrom<String> for SecretSource {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<SecretSource> for String {
    fn from(source: SecretSource) -> String {
        source.to_string()
    }
}

impl From<SecretRef> for SecretSource {
    fn from(name: SecretRef) -> Self {
        Self::Store(name)
    }
}

/// The value of a secret. It cannot be printed, compared by accident or serialised; memory is wiped on drop.
#[derive(Clone)]
pub struct SecretValue(SecretString);

impl SecretValue {
    /// Takes a value in.
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// Hands the value out, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(hidden)")
    }
}

/// What is known of secrets when a plan is made: names and versions, never anything of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSecrets {
    /// The newest version of each source that the stack names, or why it cannot be told.
    #[serde(default, with = "pairs")]
    pub newest: BTreeMap<SecretSource, NewestVersion>,
    /// What was delivered into the stack's guests.
    #[serde(default)]
    pub delivered: BTreeMap<GuestId, Vec<DeliveredFile>>,
}

/// The newest version of a secret, or why it cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewestVersion {
    /// This one.
    Version(u64),
    /// It has none, or its provider did not say.
    Unknown {
        /// Why.
        why: String,
        /// What to do about it.
        hint: String,
    },
}

/// A file that was delivered into a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredFile {
    /// The file.
    pub path: GuestPath,
    /// Where its value comes from.
    pub from: SecretSource,
    /// Which version of it.
    pub version: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside the guest.
    pub owner: String,
    /// Whether the guest was started since: what lay in memory is gone.
    #[serde(default)]
    pub lost: bool,
}

/// A map as a list of pairs: keys of JSON are texts alone.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{NewestVersion, SecretSource};

    type Map = BTreeMap<SecretSource, NewestVersion>;

    pub(super) fn serialize<S: Serializer>(map: &Map, to: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Map, D::Error> {
        Vec::<(SecretSource, NewestVersion)>::deserialize(from).map(|pairs| pairs.into_iter().collect())
    }
}
