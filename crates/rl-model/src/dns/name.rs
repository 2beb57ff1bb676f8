//! A name in the tree of names.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::Fqdn;
use crate::names::text_newtype;

/// Longest label (RFC 1035 section 2.3.4).
const LABEL_LEN_MAX: usize = 63;
/// Longest name as text (RFC 1035 section 2.3.4).
const NAME_LEN_MAX: usize = 253;

text_newtype!(
    /// A whole name, lower case and without a final dot: letters, digits, `-` and `_` (which service names have, RFC 2782); its
    /// first label may be `*` (RFC 4592).
    DnsName, "DNS name", |text| {
        if text.is_empty() || text.len() > NAME_LEN_MAX {
            return Err(format!("it must have 1 to {NAME_LEN_MAX} characters"));
        }
        let labels = text.strip_prefix("*.").unwrap_or(text);
        labels.split('.').try_for_each(|label| {
            if label.is_empty() || label.len() > LABEL_LEN_MAX {
                return Err(format!("each part between dots must have 1 to {LABEL_LEN_MAX} characters"));
            }
            match label.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || *c == '_')) {
                Some(bad) => Err(format!("the character `{bad}` is not allowed, only a-z, 0-9, `-` and `_`")),
                None => Ok(()),
            }
        })
    }
);

/// So that maps by name are searched with a part of a text.
impl std::borrow::Borrow<str> for DnsName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl DnsName {
    /// The zone's own name.
    pub fn of_zone(zone: &Fqdn) -> Self {
        Self::known(&zone.as_str().to_ascii_lowercase())
    }

    /// A name as a stack writes it, below its zone; `@` is the zone itself. `None` when the two together are too long.
    pub fn below(zone: &Fqdn, name: &str) -> Option<Self> {
        let zone = zone.as_str().to_ascii_lowercase();
        if name == "@" { zone.parse().ok() } else { format!("{}.{zone}", name.to_ascii_lowercase()).parse().ok() }
    }

    /// The name under which an address is looked up (RFC 1035 section 3.5, RFC 3596 section 2.5).
    pub fn reverse(address: IpAddr) -> Self {
        let mut text = String::new();
        match address {
            IpAddr::V4(address) => {
                address.octets().iter().rev().for_each(|octet| _ = write!(text, "{octet}."));
                text.push_str("in-addr.arpa");
            }
            IpAddr::V6(address) => {
                address.octets().iter().rev().for_each(|octet| _ = write!(text, "{:x}.{:x}.", octet & 15, octet >> 4));
                text.push_str("ip6.arpa");
            }
        }
        Self::known(&text)
    }

    fn known(text: &str) -> Self {
        text.parse().expect("zones and reverse names have only characters that names may have")
    }

    /// Whether it is the zone's own name or one below it.
    pub fn is_in(&self, zone: &Fqdn) -> bool {
        let (name, zone) = (self.as_str(), zone.as_str());
        let Some(cut) = name.len().checked_sub(zone.len()) else { return false };
        name.is_char_boundary(cut)
            && name[cut..].eq_ignore_ascii_case(zone)
            && (cut == 0 || name.as_bytes()[cut - 1] == b'.')
    }

    /// The name without its zone, `@` for the zone itself.
    pub fn within(&self, zone: &Fqdn) -> &str {
        match self.as_str().len().checked_sub(zone.as_str().len() + 1) {
            Some(cut) if self.is_in(zone) => &self.as_str()[..cut],
            _ if self.is_in(zone) => "@",
            _ => self.as_str(),
        }
    }

    /// The name one label shorter.
    pub fn parent(&self) -> Option<Self> {
        self.as_str().split_once('.').map(|(_, rest)| Self::known(rest))
    }
}
