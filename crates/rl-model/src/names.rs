//! Names and ids: one type per kind, one parser per type.
//!
//! Kinds do not convert into each other:
//!
//! ```compile_fail
//! let stack: rl_model::StackName = "shop".parse().unwrap();
//! let _: rl_model::SiteName = stack.into();
//! ```

use crate::ParseError;
use crate::property::is_tag_char;

/// Makes a text newtype whose only door is `FromStr` (also used by serde), with `Display` giving the text back.
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// What a person calls this kind of value.
            pub const WHAT: &'static str = $what;

            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ParseError;

            fn from_str(text: &str) -> Result<Self, $crate::ParseError> {
                let check: fn(&str) -> Result<(), String> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(rule) => Err($crate::ParseError::new($what, text, rule)),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::ParseError;
            fn try_from(text: String) -> Result<Self, $crate::ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0.to_string()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}
pub(crate) use text_newtype;

/// Longest DNS label (RFC 1035 section 2.3.4).
const LABEL_LEN_MAX: usize = 63;
/// Longest DNS name in text form (RFC 1035 section 2.3.4).
const FQDN_LEN_MAX: usize = 253;
/// Longest name of a container group: leaves room for `-` and an ordinal within one DNS label.
const CONTAINER_NAME_LEN_MAX: usize = 55;

/// Checks one DNS label by RFC 1123 section 2.1, lower case only where `lower` is set.
fn label(text: &str, lower: bool) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > LABEL_LEN_MAX {
        return Err(format!("it has {} characters, at most {LABEL_LEN_MAX} are allowed", text.len()));
    }
    if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '-')) {
        return Err(format!("the character `{bad}` is not allowed, only letters, digits and `-`"));
    }
    if lower && text.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("it must be lower case".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("it must not begin or end with `-`".into());
    }
    Ok(())
}

/// Checks a name that we give to things of our own: a lower-case DNS label that begins with a letter.
fn own_name(text: &str) -> Result<(), String> {
    label(text, true)?;
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("it must begin with a letter".into());
    }
    Ok(())
}

/// Checks dot-separated labels.
fn dotted(text: &str, lower: bool) -> Result<(), String> {
    if text.len() > FQDN_LEN_MAX {
        return Err(format!("it has {} characters, at most {FQDN_LEN_MAX} are allowed", text.len()));
    }
    text.split('.').try_for_each(|part| label(part, lower))
}

fn key_name(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > LABEL_LEN_MAX {
        return Err(format!("it must have 1 to {LABEL_LEN_MAX} characters"));
    }
    match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(*c))) {
        Some(bad) => Err(format!("the character `{bad}` is not allowed, only a-z, 0-9, `-`, `_` and `.`")),
        None if text.starts_with(|c: char| c.is_ascii_alphanumeric()) => Ok(()),
        None => Err("it must begin with a letter or a digit".into()),
    }
}

text_newtype!(
    /// Name of a site: one Proxmox cluster or standalone node.
    SiteName, "site name", own_name
);
text_newtype!(
    /// Name of a stack: what the user declares together.
    StackName, "stack name", own_name
);
text_newtype!(
    /// Key of an entry under `containers:`; with `count` it stands for several guests.
    ContainerName, "container name", |text| {
        own_name(text)?;
        if text.len() > CONTAINER_NAME_LEN_MAX {
            return Err(format!("it has {} characters, at most {CONTAINER_NAME_LEN_MAX} are allowed", text.len()));
        }
        Ok(())
    }
);
text_newtype!(
    /// Name of one guest inside its stack: the container name, with `-N` where `count` is given.
    GuestName, "guest name", own_name
);
text_newtype!(
    /// Host name of a guest (RFC 1123; Proxmox format `dns-name`).
    Hostname, "host name", |text| dotted(text, true)
);
text_newtype!(
    /// Fully qualified domain name without the final dot: at least two labels.
    Fqdn, "domain name", |text| {
        dotted(text, true)?;
        if text.contains('.') { Ok(()) } else { Err("it has no dot".into()) }
    }
);
text_newtype!(
    /// Name of a network of a site, as the site file calls it.
    NetworkName, "network name", key_name
);
text_newtype!(
    /// Name of an image of a site, as the site file calls it.
    ImageName, "image name", key_name
);
text_newtype!(
    /// Name of a data volume of a container, as the stack file calls it.
    VolumeName, "volume name", own_name
);
text_newtype!(
    /// Where a site stands, free text for people.
    DatacenterName, "data centre name", |text| {
        if text.trim().is_empty() || text.chars().count() > LABEL_LEN_MAX || text.chars().any(char::is_control) {
            return Err(format!("it must have 1 to {LABEL_LEN_MAX} printable characters"));
        }
        Ok(())
    }
);
text_newtype!(
    /// Proxmox resource pool (format `pve-poolid`: up to three levels parted by `/`).
    PoolId, "pool name", |text| {
        let parts: Vec<&str> = text.split('/').collect();
        let good = |part: &&str| !part.is_empty()
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if parts.len() > 3 || !parts.iter().all(good) {
            return Err("it must be one to three parts of letters, digits, `-`, `_` or `.`, parted by `/`".into());
        }
        Ok(())
    }
);
text_newtype!(
    /// One tag of a guest (Proxmox format `pve-tag`), lower case as Proxmox stores it.
    Tag, "tag", |text| {
        let mut chars = text.chars();
        let first = chars.next().ok_or("it is empty")?;
        if !(first.is_ascii_lowercase() || first.is_ascii_digit() || first == '_') {
            return Err("it must begin with a lower-case letter, a digit or `_`".into());
        }
        match text.chars().find(|c| !is_tag_char(*c) || c.is_ascii_uppercase()) {
            Some(bad) => Err(format!("the character `{bad}` is not allowed, only a-z, 0-9, `_`, `-`, `+` and `.`")),
            None => Ok(()),
        }
    }
);
text_newtype!(
    /// Absolute path inside a guest, without `..`, empty parts, control characters or commas.
    GuestPath, "path in the guest", |text| {
        if !text.starts_with('/') || text == "/" {
            return Err("it must be absolute and not `/` itself".into());
        }
        if text.len() > 4096 {
            return Err("it is longer than 4096 bytes".into());
        }
        if text.chars().any(|c| c.is_control() || c == ',' || c == '=') {
            return Err("control characters, `,` and `=` are not allowed".into());
        }
        if text[1..].split('/').any(|part| part.is_empty() || part == "." || part == "..") {
            return Err("empty parts, `.` and `..` are not allowed".into());
        }
        Ok(())
    }
);

/// Crockford's base 32 alphabet in lower case: no i, l, o, u.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Characters of a [`GuestId`] and a [`ControllerId`]: 100 bits, five a character.
const ID_CHARS: usize = 20;
/// Characters of the short form used in tags: 60 bits.
const SHORT_CHARS: usize = 12;

fn base32_id(text: &str) -> Result<(), String> {
    if text.len() != ID_CHARS || !text.bytes().all(|b| BASE32.contains(&b)) {
        return Err(format!("it must have {ID_CHARS} characters of 0-9 and a-z without i, l, o, u"));
    }
    Ok(())
}

fn encode_bits(bits: u128) -> String {
    (0..ID_CHARS).map(|i| BASE32[(bits >> (5 * i)) as usize & 31] as char).collect()
}

text_newtype!(
    /// Identity of a guest for its whole life, whatever its VMID, node or name: 100 random bits.
    GuestId, "guest id", base32_id
);
text_newtype!(
    /// Identity of one RapidLaunch installation, written into every stamp.
    ControllerId, "controller id", base32_id
);

impl GuestId {
    /// Makes an id from random bits handed in by the caller; the low 100 bits count.
    pub fn from_bits(bits: u128) -> Self {
        Self(encode_bits(bits).into())
    }

    /// The first 60 bits, used in the guest's tag.
    pub fn short(&self) -> &str {
        &self.0[..SHORT_CHARS]
    }
}

impl ControllerId {
    /// The part of the id that is short enough for comments.
    pub fn short(&self) -> &str {
        &self.0[..SHORT_CHARS]
    }

    /// Makes an id from random bits handed in by the caller; the low 100 bits count.
    pub fn from_bits(bits: u128) -> Self {
        Self(encode_bits(bits).into())
    }
}

impl GuestName {
    /// The name of the `ordinal`-th guest (from 1) of a container entry; a single guest bears the entry's own name.
    pub fn of(container: &ContainerName, ordinal: Option<u32>) -> Result<Self, ParseError> {
        match ordinal {
            None => container.as_str().parse(),
            Some(n) => format!("{container}-{n}").parse(),
        }
    }
}
