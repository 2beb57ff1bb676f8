//! Networks: addresses, MACs, bridges and the two names of a NIC.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::ParseError;
use crate::names::text_newtype;

/// Longest interface name Linux takes (IFNAMSIZ minus the final zero).
const IFNAME_LEN_MAX: usize = 15;
/// NICs a container may have: `net0` to `net31` (`pve-api`: `net[n]`).
const NIC_SLOTS: u8 = 32;

fn iface(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > IFNAME_LEN_MAX {
        return Err(format!("it must have 1 to {IFNAME_LEN_MAX} characters"));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
        Some(bad) => Err(format!("the character `{bad}` is not allowed, only letters, digits, `-`, `_` and `.`")),
        None => Ok(()),
    }
}

text_newtype!(
    /// Bridge on a node or VNet, as `bridge=` names it.
    BridgeName, "bridge name", |text| {
        iface(text)?;
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) { Ok(()) } else { Err("it must begin with a letter".into()) }
    }
);
text_newtype!(
    /// Interface name inside the guest (`name=eth0`). Not the slot: see [`NicSlot`].
    NicName, "NIC name", |text| {
        iface(text)?;
        if text == "lo" { Err("`lo` is the loopback interface".into()) } else { Ok(()) }
    }
);

/// Number of a NIC in Proxmox's configuration: `net0` is slot 0. Not the name inside the guest: see [`NicName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NicSlot(u8);

impl NicSlot {
    /// The slot with this number, below 32.
    pub fn new(number: u8) -> Result<Self, ParseError> {
        if number < NIC_SLOTS {
            return Ok(Self(number));
        }
        Err(ParseError::new("NIC slot", &number.to_string(), format!("a guest has slots net0 to net{}", NIC_SLOTS - 1)))
    }

    /// The number alone.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl FromStr for NicSlot {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("NIC slot", text, "it must be `net` and a number, as in `net0`");
        let digits = text.strip_prefix("net").ok_or_else(wrong)?;
        if digits.is_empty()
            || (digits.len() > 1 && digits.starts_with('0'))
            || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(wrong());
        }
        Self::new(digits.parse().map_err(|_| wrong())?)
    }
}

impl fmt::Display for NicSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net{}", self.0)
    }
}

/// VLAN tag, 1 to 4094 (IEEE 802.1Q).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct VlanId(u16);

impl TryFrom<u16> for VlanId {
    type Error = ParseError;
    fn try_from(number: u16) -> Result<Self, ParseError> {
        match number {
            1..=4094 => Ok(Self(number)),
            _ => Err(ParseError::new("VLAN", &number.to_string(), "it must lie between 1 and 4094")),
        }
    }
}

impl From<VlanId> for u16 {
    fn from(vlan: VlanId) -> u16 {
        vlan.0
    }
}

impl FromStr for VlanId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number: u16 =
            text.parse().map_err(|_| ParseError::new("VLAN", text, "it must be a number between 1 and 4094"))?;
        Self::try_from(number)
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Unicast MAC address; shown in upper case as Proxmox does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// Makes a locally administered unicast address from random bits handed in by the caller; the low 40 bits count.
    /// The first octet is 0x52 (`.x2` is locally administered by IEEE 802).
    pub fn from_bits(bits: u64) -> Self {
        let b = bits.to_be_bytes();
        Self([0x52, b[3], b[4], b[5], b[6], b[7]])
    }

    /// The six octets.
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for MacAddr {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |rule: &str| ParseError::new("MAC address", text, rule);
        let mut octets = [0u8; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(|| wrong("it must have six parts"))?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(wrong("each of the six parts must be two hexadecimal digits"));
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| wrong("it is not hexadecimal"))?;
        }
        if parts.next().is_some() {
            return Err(wrong("it must have six parts"));
        }
        if octets[0] & 1 == 1 {
            return Err(wrong("it is a multicast address, a NIC needs a unicast one"));
        }
        if octets == [0; 6] {
            return Err(wrong("all its parts are zero"));
        }
        Ok(Self(octets))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacAddr({self})")
    }
}

/// A network: address and prefix length with no host bits set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(IpNet);

impl Cidr {
    /// The network as a library type, for arithmetic.
    pub fn net(self) -> IpNet {
        self.0
    }

    /// Whether the address lies in this network.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether the address may be given to an interface: inside, and neither the network's own address nor broadcast.
    pub fn usable(self, address: IpAddr) -> bool {
        let point_to_point = self.0.prefix_len() + 1 >= self.0.max_prefix_len();
        let reserved = address == self.0.network() || (address.is_ipv4() && address == self.0.broadcast());
        self.contains(address) && (point_to_point || !reserved)
    }
}

/// A network of one address.
impl From<IpAddr> for Cidr {
    fn from(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }
}

impl FromStr for Cidr {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let net: IpNet = text
            .parse()
            .map_err(|_| ParseError::new("network", text, "write it as address/prefix, as in 10.20.0.0/24"))?;
        if net.trunc() != net {
            let rule = format!("it has host bits set, did you mean {}?", net.trunc());
            return Err(ParseError::new("network", text, rule));
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interface's address with the prefix length of its network, as in `10.20.0.50/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IfaceAddr(IpNet);

impl IfaceAddr {
    /// Joins an address and its network; the address must be usable in it.
    pub fn new(address: IpAddr, network: Cidr) -> Result<Self, ParseError> {
        if !network.usable(address) {
            return Err(ParseError::new(
                "interface address",
                &address.to_string(),
                format!("it cannot be used in {network}"),
            ));
        }
        IpNet::new(address, network.0.prefix_len())
            .map(Self)
            .map_err(|_| ParseError::new("interface address", &address.to_string(), "its prefix is too long"))
    }

    /// The address alone.
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// The network the address lies in.
    pub fn network(self) -> Cidr {
        Cidr(self.0.trunc())
    }
}

impl FromStr for IfaceAddr {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let net: IpNet = text.parse().map_err(|_| {
            ParseError::new("interface address", text, "write it as address/prefix, as in 10.20.0.50/24")
        })?;
        Ok(Self(net))
    }
}

impl fmt::Display for IfaceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Gives a `FromStr` + `Display` type the `String` conversions that serde needs.
macro_rules! string_serde {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = $crate::ParseError;
            fn try_from(text: String) -> Result<Self, $crate::ParseError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}
pub(crate) use string_serde;

string_serde!(NicSlot, MacAddr, Cidr, IfaceAddr);
