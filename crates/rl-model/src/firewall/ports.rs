//! Ports of a rule (`pve-api`: formats `pve-fw-sport-spec` and `pve-fw-dport-spec`).

use std::fmt;
use std::str::FromStr;

use crate::ParseError;
use crate::names::text_newtype;

/// Most entries of a list, a range counting two: the limit of the kernel's multiport match, which Proxmox checks too.
const NUMBERS_MAX: usize = 15;
/// Longest service or ICMP type name: `/etc/services` has none longer than 20.
const SERVICE_LEN_MAX: usize = 40;

text_newtype!(
    /// Name of a service in `/etc/services`, or of an ICMP type where a rule for ICMP has it as its port.
    ServiceName, "service name", |text| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.+*/".contains(c);
        if text.is_empty() || text.len() > SERVICE_LEN_MAX || !text.chars().all(good) {
            return Err(format!("it must have 1 to {SERVICE_LEN_MAX} letters, digits or `-_.+*/`"));
        }
        Ok(())
    }
);

/// One entry of a list of ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortItem {
    /// From first to last, both included.
    Range(u16, u16),
    /// A service by its name.
    Name(ServiceName),
}

/// Ports, ranges and services, parted by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSpec(Vec<PortItem>);

impl PortSpec {
    /// The entries, at least one.
    pub fn items(&self) -> &[PortItem] {
        &self.0
    }
}

impl FromStr for PortSpec {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut items = Vec::new();
        let mut numbers = 0;
        for part in text.split(',') {
            let item = item(part).map_err(|rule| ParseError::new("port list", text, rule))?;
            numbers += match item {
                PortItem::Range(first, last) if first == last => 1,
                PortItem::Range(..) => 2,
                PortItem::Name(_) => 0,
            };
            items.push(item);
            // Names count for nothing in Proxmox's own limit; the length of the text bounds them here.
            if numbers > NUMBERS_MAX || items.len() > SERVICE_LEN_MAX {
                return Err(ParseError::new("port list", text, format!("more than {NUMBERS_MAX} numbers")));
            }
        }
        Ok(Self(items))
    }
}

fn item(part: &str) -> Result<PortItem, String> {
    let number = |digits: &str| {
        digits.parse::<u16>().map_err(|_| format!("`{}` is no port", digits.chars().take(10).collect::<String>()))
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some((first, last)) = part.split_once(':')
        && all_digits(first)
        && all_digits(last)
    {
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(format!("the range {first}:{last} runs backwards"));
        }
        return Ok(PortItem::Range(first, last));
    }
    if all_digits(part) {
        let port = number(part)?;
        return Ok(PortItem::Range(port, port));
    }
    part.parse().map(PortItem::Name).map_err(|error: ParseError| error.rule)
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, item) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match item {
                PortItem::Range(first, last) if first == last => write!(f, "{comma}{first}")?,
                PortItem::Range(first, last) => write!(f, "{comma}{first}:{last}")?,
                PortItem::Name(name) => write!(f, "{comma}{name}")?,
            }
        }
        Ok(())
    }
}
