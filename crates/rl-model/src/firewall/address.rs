//! Addresses of rules and members of IP sets (`pve-api`: format `pve-fw-addr-spec`).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::ParseError;

use super::{AliasName, IpSetName, Scope};

/// Longest address of a rule (`pve-api`: `source`, `maxLength`).
const SPEC_LEN_MAX: usize = 512;

/// Addresses of one family, from first to last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// The addresses of a network, host bits ignored.
    pub fn of_net(net: IpNet) -> Self {
        Self { first: net.network(), last: net.broadcast() }
    }

    /// The range from `first` to `last`.
    ///
    /// # Errors
    /// [`ParseError`] when they are of two families or in the wrong order.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, ParseError> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(ParseError::new(
                "address range",
                &format!("{first}-{last}"),
                "both ends must be of one family",
            ));
        }
        if first > last {
            return Err(ParseError::new("address range", &format!("{first}-{last}"), "it runs backwards"));
        }
        Ok(Self { first, last })
    }

    /// The lowest address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// The highest address.
    pub fn last(self) -> IpAddr {
        self.last
    }

    /// Whether the addresses are IPv4.
    pub fn is_ipv4(self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether the address lies in the range.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && self.first <= address && address <= self.last
    }
}

impl FromStr for AddressRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("address", text, "write an address, address/prefix or first-last");
        if let Some((first, last)) = text.split_once('-') {
            return Self::new(first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { first: address, last: address });
        }
        text.parse().map(Self::of_net).map_err(|_| wrong())
    }
}

impl AddressRange {
    /// The network that has just these addresses, where there is one.
    pub fn as_net(self) -> Option<IpNet> {
        let longest = if self.is_ipv4() { 32 } else { 128 };
        let net = |prefix| IpNet::new(self.first, prefix).ok();
        (0..=longest).filter_map(net).find(|net| net.network() == self.first && net.broadcast() == self.last)
    }
}

/// A single address, a network, or first and last.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_net() {
            _ if self.first == self.last => write!(f, "{}", self.first),
            Some(net) => write!(f, "{net}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// A name with the place it is looked up in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopedName<N> {
    /// Where.
    pub scope: Scope,
    /// The name without its prefix.
    pub name: N,
}

impl<N: FromStr<Err = ParseError>> FromStr for ScopedName<N> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (scope, name) = Scope::split(text);
        Ok(Self { scope, name: name.parse()? })
    }
}

impl<N: fmt::Display> fmt::Display for ScopedName<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scope, self.name)
    }
}

/// What a rule says of a source or a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressSpec {
    /// `+name`: the addresses of an IP set.
    Set(ScopedName<IpSetName>),
    /// The network of an alias.
    Alias(ScopedName<AliasName>),
    /// Addresses, networks and ranges, parted by commas, all of one family.
    Ranges(Vec<AddressRange>),
}

impl FromStr for AddressSpec {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > SPEC_LEN_MAX {
            return Err(ParseError::new("rule address", text, format!("it is longer than {SPEC_LEN_MAX} characters")));
        }
        if let Some(name) = text.strip_prefix('+') {
            return name.parse().map(Self::Set);
        }
        // An IPv6 address may begin with letters; a name has neither `:` nor `.`.
        let (_, bare) = Scope::split(text);
        if bare.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains([':', '.', ',']) {
            return text.parse().map(Self::Alias);
        }
        let ranges: Vec<AddressRange> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if ranges.iter().any(|range| range.is_ipv4() != ranges[0].is_ipv4()) {
            return Err(ParseError::new("rule address", text, "IPv4 and IPv6 addresses are mixed"));
        }
        Ok(Self::Ranges(ranges))
    }
}

impl fmt::Display for AddressSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(name) => write!(f, "+{name}"),
            Self::Alias(name) => name.fmt(f),
            Self::Ranges(ranges) => {
                let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

/// Member of an IP set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetMember {
    /// A network or a single address; host bits do not count.
    Net(IpNet),
    /// The network of an alias.
    Alias(ScopedName<AliasName>),
}

/// Entry of an IP set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetEntry {
    /// What it stands for; an error says why the entry cannot be read.
    pub member: Result<SetMember, ParseError>,
    /// Whether the addresses are taken out of the set.
    pub nomatch: bool,
    /// Whether Proxmox itself leaves the entry out because it found a fault in it.
    pub faulty: bool,
}

impl SetEntry {
    /// Reads an entry; nothing is refused, a text without sense is kept as such.
    pub fn read(cidr: &str, nomatch: bool, faulty: bool) -> Self {
        Self { member: member(cidr), nomatch, faulty }
    }
}

fn member(text: &str) -> Result<SetMember, ParseError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SetMember::Net(IpNet::from(address)));
    }
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(SetMember::Net(net.trunc()));
    }
    text.parse().map(SetMember::Alias)
}
