//! Values of records.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::DnsName;
use crate::{ParseError, RecordType};

/// Longest text of one TXT record: it is written as one string (RFC 1035 section 3.3).
const TEXT_LEN_MAX: usize = 255;

/// The value of one record; `Display` writes it as zone files do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordValue {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name this name stands for.
    Cname(DnsName),
    /// Where a service is (RFC 2782).
    Srv {
        /// Lower is asked first.
        priority: u16,
        /// Share among those of one priority.
        weight: u16,
        /// Port.
        port: u16,
        /// Name of the node.
        target: DnsName,
    },
    /// Text, at most 255 bytes.
    Txt(String),
    /// The name of an address.
    Ptr(DnsName),
}

impl RecordValue {
    /// Its type.
    pub fn kind(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Cname(_) => RecordType::Cname,
            Self::Srv { .. } => RecordType::Srv,
            Self::Txt(_) => RecordType::Txt,
            Self::Ptr(_) => RecordType::Ptr,
        }
    }

    /// The record of an address.
    pub fn of_address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }

    /// A text, refused when it is too long for one string.
    pub fn text(text: &str) -> Result<Self, ParseError> {
        if text.len() > TEXT_LEN_MAX {
            return Err(ParseError::new("TXT record", text, format!("it must have at most {TEXT_LEN_MAX} bytes")));
        }
        Ok(Self::Txt(text.to_owned()))
    }

    /// Reads what `Display` and zone files write; names with or without their final dot.
    pub fn parse(kind: RecordType, text: &str) -> Result<Self, ParseError> {
        let wrong = |rule: &str| ParseError::new("record", text, rule);
        let name = |text: &str| text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase().parse::<DnsName>();
        match kind {
            RecordType::A => text.parse().map(Self::A).map_err(|_| wrong("it is no IPv4 address")),
            RecordType::Aaaa => text.parse().map(Self::Aaaa).map_err(|_| wrong("it is no IPv6 address")),
            RecordType::Cname => name(text).map(Self::Cname),
            RecordType::Ptr => name(text).map(Self::Ptr),
            RecordType::Txt => Ok(Self::Txt(unquoted(text).ok_or_else(|| wrong("its quotes do not match"))?)),
            RecordType::Srv => {
                let parts: Vec<&str> = text.split_ascii_whitespace().collect();
                let [priority, weight, port, target] = parts[..] else {
                    return Err(wrong("write priority, weight, port and name"));
                };
                let number = |text: &str| text.parse::<u16>().map_err(|_| wrong("its numbers go from 0 to 65535"));
                let (priority, weight, port) = (number(priority)?, number(weight)?, number(port)?);
                Ok(Self::Srv { priority, weight, port, target: name(target)? })
            }
        }
    }
}

impl fmt::Display for RecordValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "{address}"),
            Self::Aaaa(address) => write!(f, "{address}"),
            Self::Cname(name) | Self::Ptr(name) => write!(f, "{name}."),
            Self::Srv { priority, weight, port, target } => write!(f, "{priority} {weight} {port} {target}."),
            Self::Txt(text) => {
                f.write_str("\"")?;
                for byte in text.bytes() {
                    match byte {
                        b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                        0x20..=0x7e => write!(f, "{}", char::from(byte))?,
                        _ => write!(f, "\\{byte:03}")?,
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

/// The strings of a TXT record in zone file notation, joined (RFC 1035 section 5.1).
fn unquoted(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let mut quoted = false;
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => match rest.next()? {
                digit if digit.is_ascii_digit() => {
                    let digits = [digit, rest.next()?, rest.next()?];
                    bytes.push(std::str::from_utf8(&digits).ok()?.parse().ok()?);
                }
                other => bytes.push(other),
            },
            b' ' | b'\t' if !quoted => {}
            other => bytes.push(other),
        }
    }
    (!quoted).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// All records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// Time to live in seconds.
    pub ttl_s: u32,
    /// Values, at least one, all of the same type.
    pub values: BTreeSet<RecordValue>,
}

impl RecordSet {
    /// Joins values.
    pub fn new(ttl_s: u32, values: impl IntoIterator<Item = RecordValue>) -> Self {
        Self { ttl_s, values: values.into_iter().collect() }
    }
}

/// Record sets by name and type.
pub type Records = BTreeMap<(DnsName, RecordType), RecordSet>;
