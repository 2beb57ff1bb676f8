//! Addresses, networks, ranges and lists of them, with the messages of the Perl library that PVE reads them with (Net::IP).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::is_name;

/// Longest name of an IP set or an alias.
const LONGEST_NAME: usize = 64;
const NO_ADDRESS: &str = "value does not look like a valid IP address or CIDR network";

/// Checks `pve-fw-addr-spec`: an IP set, an alias, or a list of addresses of one family. `None` for names.
pub(crate) fn parse_list(text: &str) -> Result<Option<u8>, String> {
    if let Some(name) = text.strip_prefix('+').filter(|n| !n.is_empty() && !n.contains(char::is_whitespace)) {
        return if split_scope(name).1.len() > LONGEST_NAME { Err("ipset name too long".to_owned()) } else { Ok(None) };
    }
    let (_, alias) = split_scope(text);
    if is_name(alias) {
        return if alias.len() > LONGEST_NAME { Err("alias name too long".to_owned()) } else { Ok(None) };
    }
    if text.ends_with(',') {
        return Err("extraneous commas in list".to_owned());
    }
    let mut version = None;
    let (mut count, mut range) = (0, false);
    for item in text.split(',') {
        count += 1;
        let found = version_of(item).map_err(|why| format!("invalid IP address: {why}"))?;
        range |= item.contains('-');
        if version.is_some_and(|v| v != found) {
            return Err(format!("detected mixed ipv4/ipv6 addresses in address list '{text}'"));
        }
        version = Some(found);
    }
    if range && count > 1 {
        return Err("you can't use a range in a list".to_owned());
    }
    Ok(version)
}

/// `guest/name`, `dc/name` or a bare name, taken apart.
pub(crate) fn split_scope(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((scope @ ("guest" | "dc"), name)) => (scope, name),
        _ => ("", text),
    }
}

/// The family of an address, a network or a range.
fn version_of(item: &str) -> Result<u8, String> {
    if let Some((address, length)) = item.split_once('/').filter(|(a, l)| !a.is_empty() && !l.is_empty()) {
        let address = read(address)?;
        if let Ok(length) = length.parse::<u32>() {
            check_prefix(address, length)?;
        }
        return Ok(family(address));
    }
    if let Some((first, last)) = item.split_once('-') {
        let (first, last) = (read(first.trim())?, read(last.trim())?);
        return match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) if a > b => Err(backwards(first, last)),
            (IpAddr::V6(a), IpAddr::V6(b)) if a > b => Err(backwards(first, last)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Err("IP addresses of different length".to_owned())
            }
            _ => Ok(family(first)),
        };
    }
    read(item).map(family)
}

fn backwards(first: IpAddr, last: IpAddr) -> String {
    format!("Begin address is greater than End address {} - {}", expand(first), expand(last))
}

/// An IPv6 address with all its digits.
fn expand(address: IpAddr) -> String {
    match address {
        IpAddr::V4(a) => a.to_string(),
        IpAddr::V6(a) => a.segments().map(|s| format!("{s:04x}")).join(":"),
    }
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 4 } else { 6 }
}

/// Bits after the prefix must be 0.
fn check_prefix(address: IpAddr, length: u32) -> Result<(), String> {
    let (bits, all) = match address {
        IpAddr::V4(a) => (u128::from(u32::from(a)), 32),
        IpAddr::V6(a) => (u128::from(a), 128),
    };
    if length > all {
        return Err(format!("Prefix length {length} is longer than IP address ({all})"));
    }
    let rest = all - length;
    let below = if rest == 128 { u128::MAX } else { (1 << rest) - 1 };
    if bits & below != 0 {
        return Err(format!("Invalid prefix {bits:0width$b}/{length}", width = all as usize));
    }
    Ok(())
}

fn read(text: &str) -> Result<IpAddr, String> {
    if text.contains(':') { read6(text) } else { read4(text) }
}

/// One to four numbers; missing ones are 0.
fn read4(text: &str) -> Result<IpAddr, String> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(format!("Invalid chars in IP {text}"));
    }
    if text.starts_with('.') {
        return Err(format!("Invalid IP {text} - starts with a dot"));
    }
    if text.ends_with('.') {
        return Err(format!("Invalid IP {text} - ends with a dot"));
    }
    let quads: Vec<&str> = text.split('.').collect();
    if quads.len() > 4 {
        return Err(format!("Invalid IP address {text}"));
    }
    if quads.contains(&"") {
        return Err(format!("Empty quad in IP address {text}"));
    }
    let mut bytes = [0; 4];
    for (byte, quad) in bytes.iter_mut().zip(quads) {
        *byte = quad.parse().map_err(|_| format!("Invalid quad in IP address {text} - {quad}"))?;
    }
    Ok(IpAddr::V4(Ipv4Addr::from(bytes)))
}

fn read6(text: &str) -> Result<IpAddr, String> {
    let double = text.contains("::");
    if text.starts_with(':') && !text.starts_with("::") {
        return Err(format!("Invalid address {text} (starts with :)"));
    }
    if text.ends_with(':') && !text.ends_with("::") {
        return Err(format!("Invalid address {text} (ends with :)"));
    }
    if double && text.matches("::").count() > 1 {
        return Err(format!("Invalid address {text} (More than one :: pattern)"));
    }
    text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| format!("Invalid IP address {text}"))
}

/// Checks the format `IPorCIDR`. Bits after the prefix may be set.
pub(crate) fn check_cidr(text: &str) -> Result<(), String> {
    let (address, length) = split(text).ok_or(NO_ADDRESS)?;
    match length {
        Some(length) => check_prefix(mask(address, length), length),
        None => Ok(()),
    }
}

/// Checks the format `IPorCIDRorAlias`.
pub(crate) fn check_cidr_or_alias(text: &str) -> Result<(), String> {
    if is_name(split_scope(text).1) { Ok(()) } else { check_cidr(text) }
}

fn split(text: &str) -> Option<(IpAddr, Option<u32>)> {
    match text.split_once('/') {
        Some((address, length)) if length.bytes().all(|b| b.is_ascii_digit()) => {
            Some((address.parse().ok()?, Some(length.parse().ok()?)))
        }
        Some(_) => None,
        None => Some((text.parse().ok()?, None)),
    }
}

fn mask(address: IpAddr, length: u32) -> IpAddr {
    match address {
        IpAddr::V4(a) if length <= 32 => {
            let keep = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(a) & keep))
        }
        IpAddr::V6(a) if length <= 128 => {
            let keep = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(a) & keep))
        }
        other => other,
    }
}

/// A network without the bits after its prefix, as entries of IP sets are written.
pub(crate) fn clean(text: &str) -> String {
    match split(text) {
        Some((address, Some(length))) if length > 0 => format!("{}/{length}", mask(address, length)),
        _ => text.to_owned(),
    }
}

/// What a file's line means: the address without a prefix that covers it whole, and its family.
pub(crate) fn parse_cidr(text: &str) -> Result<(String, u8), String> {
    let (address, length) = split(text).ok_or(NO_ADDRESS)?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let kept = if length == Some(whole) { text.split('/').next().unwrap_or(text) } else { text };
    Ok((kept.to_owned(), family(address)))
}
