//! Who grants are given to, and the names of users, groups and tokens.
use std::fmt;
use std::str::FromStr;

use crate::ParseError;
use crate::names::text_newtype;

/// Longest name of a user: room for an address of mail, and for a line of a table.
const USER_LEN_MAX: usize = 64;
/// Longest name of a group, as a provider of identities calls it.
const GROUP_CHARS_MAX: usize = 128;
/// Crockford's base 32 alphabet in lower case: no i, l, o, u.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of the id of a token or a grant: 60 bits, five a character.
const SHORT_ID_CHARS: usize = 12;

text_newtype!(
    /// Name of a user: what a person signs in with, and what the audit calls them.
    UserName, "user name", |text| {
        if text.is_empty() || text.len() > USER_LEN_MAX {
            return Err(format!("it must have 1 to {USER_LEN_MAX} characters"));
        }
        match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.@+".contains(*c))) {
            Some(bad) => Err(format!("the character `{bad}` is not allowed, only a-z, 0-9, `-`, `_`, `.`, `@` and `+`")),
            None if text.starts_with(|c: char| c.is_ascii_alphanumeric()) => Ok(()),
            None => Err("it must begin with a letter or a digit".into()),
        }
    }
);
text_newtype!(
    /// Name of a group, as a provider of identities sends it.
    GroupName, "group name", |text| {
        let fits = !text.is_empty() && text.chars().count() <= GROUP_CHARS_MAX;
        if fits && text.trim() == text && !text.chars().any(char::is_control) {
            return Ok(());
        }
        Err(format!("it must have 1 to {GROUP_CHARS_MAX} printable characters, without spaces around them"))
    }
);
text_newtype!(
    /// The part of an API token that may be shown.
    TokenId, "token id", short_id
);
text_newtype!(
    /// What a grant is called where it is taken back.
    GrantId, "grant id", short_id
);
text_newtype!(
    /// What a webhook is called.
    WebhookId, "webhook id", short_id
);

fn short_id(text: &str) -> Result<(), String> {
    if text.len() == SHORT_ID_CHARS && text.bytes().all(|b| BASE32.contains(&b)) {
        return Ok(());
    }
    Err(format!("it must have {SHORT_ID_CHARS} characters of 0-9 and a-z without i, l, o, u"))
}

fn short_of(bits: u64) -> String {
    (0..SHORT_ID_CHARS).map(|i| BASE32[(bits >> (5 * i)) as usize & 31] as char).collect()
}

impl TokenId {
    /// Makes an id from random bits handed in by the caller; the low 60 bits count.
    pub fn from_bits(bits: u64) -> Self {
        Self(short_of(bits).into())
    }
}

impl GrantId {
    /// Makes an id from random bits handed in by the caller; the low 60 bits count.
    pub fn from_bits(bits: u64) -> Self {
        Self(short_of(bits).into())
    }
}

impl WebhookId {
    /// Makes an id from random bits handed in by the caller; the low 60 bits count.
    pub fn from_bits(bits: u64) -> Self {
        Self(short_of(bits).into())
    }
}

/// Whom a grant is given to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Grantee {
    /// One user.
    User(UserName),
    /// Whoever is in a group.
    Group(GroupName),
}

impl Grantee {
    /// What a person calls this kind of value.
    pub const WHAT: &'static str = "user or group";
}

impl FromStr for Grantee {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.split_once(':') {
            Some(("user", name)) => Ok(Grantee::User(name.parse()?)),
            Some(("group", name)) => Ok(Grantee::Group(name.parse()?)),
            _ => Err(ParseError::new(Self::WHAT, text, "write user:NAME or group:NAME")),
        }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grantee::User(name) => f.pad(&format!("user:{name}")),
            Grantee::Group(name) => f.pad(&format!("group:{name}")),
        }
    }
}

impl TryFrom<String> for Grantee {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Grantee> for String {
    fn from(grantee: Grantee) -> String {
        grantee.to_string()
    }
}
