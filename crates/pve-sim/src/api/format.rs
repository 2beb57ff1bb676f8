//! Named formats of parameters, each with the message PVE gives when a value does not fit.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::api::propstr;
use crate::world::firewall;

const CONTENT_TYPES: &[&str] = &["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"];

/// Areas of the time zone database; zones are checked by area and shape, not against the whole list.
const ZONE_AREAS: &[&str] =
    &["Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"];

/// Checks a value against a named format. The message ends in a newline, as PVE's do.
pub(crate) fn check(format: &str, value: &str, path: &str) -> Result<(), String> {
    if let Some(name) = format.strip_prefix('$') {
        return propstr::parse(name, value, path).map(drop).map_err(|e| e.text());
    }
    if let Some(base) = format.strip_suffix("-list").filter(|_| format != "pve-storage-portal-dns-list") {
        return split_list(value).try_for_each(|item| check(base, item, path));
    }
    if let Some(base) = format.strip_suffix("-opt") {
        return if value.is_empty() { Ok(()) } else { check(base, value, path) };
    }
    check_id(format, value)
        .or_else(|| check_network(format, value))
        .or_else(|| check_other(format, value))
        .or_else(|| firewall::check_format(format, value))
        .unwrap_or(Ok(()))
}

/// Splits as PVE does: at commas and semicolons when there are any, else at white space.
pub(crate) fn split_list(text: &str) -> impl Iterator<Item = &str> {
    let separators: &[char] =
        if text.contains([',', ';', '\0']) { &[',', ';', '\0'] } else { &[' ', '\t', '\n', '\r'] };
    text.split(separators).map(str::trim).filter(|item| !item.is_empty())
}

fn verdict(ok: bool, message: impl Into<String>) -> Result<(), String> {
    if ok { Ok(()) } else { Err(format!("{}\n", message.into())) }
}

fn check_id(format: &str, value: &str) -> Option<Result<(), String>> {
    Some(match format {
        "pve-node" => verdict(is_label(value), "value does not look like a valid node name"),
        "pve-vmid" => verdict(is_vmid(value), "value does not look like a valid VM ID"),
        "pve-storage-id" => check_storage_id(value),
        "pve-configid" => verdict(is_config_id(value), format!("invalid configuration ID '{value}'")),
        "pve-userid" => check_user_id(value),
        "pve-tokenid" => verdict(is_token_id(value), format!("value '{value}' does not look like a valid token ID")),
        "pve-realm" => verdict(is_realm(value), format!("value '{value}' does not look like a valid realm")),
        "pve-poolid" => verdict(is_pool_id(value), format!("pool name '{value}' contains invalid characters")),
        "pve-groupid" => verdict(is_name(value), format!("group name '{value}' contains invalid characters")),
        "pve-roleid" => verdict(is_name(value), format!("role name '{value}' contains invalid characters")),
        "pve-priv" => {
            let ok = crate::world::privileges::is_known(value);
            verdict(ok, format!("invalid privilege '{value}'"))
        }
        "pve-volume-id" => verdict(is_volume_id(value), format!("unable to parse volume ID '{value}'")),
        "pve-tag" => verdict(is_tag(value), "invalid characters in tag"),
        "pve-iface" => verdict(is_iface(value), format!("invalid network interface name '{value}'")),
        _ => return None,
    })
}

fn check_network(format: &str, value: &str) -> Option<Result<(), String>> {
    Some(match format {
        "dns-name" => verdict(is_dns_name(value), "value does not look like a valid DNS name"),
        "ipv4" => verdict(value.parse::<Ipv4Addr>().is_ok(), "value does not look like a valid IPv4 address"),
        "ipv6" => verdict(value.parse::<Ipv6Addr>().is_ok(), "value does not look like a valid IPv6 address"),
        "ip" => verdict(is_ip(value), "value does not look like a valid IP address"),
        "lxc-ip-with-ll-iface" => verdict(is_ip_with_iface(value), "value does not look like a valid IP address"),
        "CIDR" => verdict(is_cidr4(value) || is_cidr6(value), "value does not look like a valid CIDR network"),
        "CIDRv4" => verdict(is_cidr4(value), "value does not look like a valid IPv4 network"),
        "CIDRv6" => verdict(is_cidr6(value), "value does not look like a valid IPv6 network"),
        "pve-ipv4-config" => {
            let ok = matches!(value, "dhcp" | "manual") || is_cidr4(value);
            verdict(ok, "value does not look like a valid ipv4 network configuration")
        }
        "pve-ipv6-config" => {
            let ok = matches!(value, "dhcp" | "manual" | "auto") || is_cidr6(value);
            verdict(ok, "value does not look like a valid ipv6 network configuration")
        }
        "mac-addr" => verdict(is_unicast_mac(value), "value does not look like a valid unicast MAC address"),
        "mac-prefix" => verdict(is_mac_prefix(value), "value is not a valid unicast MAC address prefix"),
        _ => return None,
    })
}

fn check_other(format: &str, value: &str) -> Option<Result<(), String>> {
    Some(match format {
        "email" => verdict(is_email(value), "value does not look like a valid email address"),
        "pve-storage-path" => {
            let ok = value.starts_with('/') && value.len() > 1;
            verdict(ok, "value does not look like a valid absolute path")
        }
        "pve-storage-content" => verdict(CONTENT_TYPES.contains(&value), format!("invalid content type '{value}'")),
        "pve-startup-order" => verdict(is_startup(value), "unable to parse startup options"),
        "pve-ct-timezone" => verdict(is_time_zone(value), format!("invalid time zone '{value}'")),
        "pve-lxc-mp-string" => {
            let walks = value.split('/').any(|part| part == "." || part == "..") && value.contains('/');
            verdict(!walks, format!("{value} contains illegal character sequences"))
        }
        "pve-lxc-dev-string" => verdict(value.starts_with("/dev/"), format!("{value} is not a valid device path")),
        "disk-size" => {
            verdict(parse_size(value).is_some(), format!("value does not look like a valid disk size: {value}"))
        }
        "pve-task-status-type" => {
            let ok = matches!(value, "ok" | "error" | "warning" | "unknown");
            verdict(ok, format!("invalid status '{value}'"))
        }
        _ => return None,
    })
}

fn check_storage_id(id: &str) -> Result<(), String> {
    if id.chars().count() < 2 {
        return Err(format!("storage ID '{id}' cannot be shorter than 2 characters\n"));
    }
    verdict(is_storage_id(id), format!("storage ID '{id}' contains illegal characters"))
}

/// A letter, then letters, digits and `-_.`, ending in a letter or digit.
pub(crate) fn is_storage_id(id: &str) -> bool {
    let letter_first = id.starts_with(|c: char| c.is_ascii_alphabetic());
    let word_last = id.ends_with(|c: char| c.is_ascii_alphanumeric());
    id.len() > 1 && letter_first && word_last && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn check_user_id(id: &str) -> Result<(), String> {
    if id.chars().count() < 3 {
        return Err(format!("user name '{id}' is too short\n"));
    }
    if id.chars().count() > 64 {
        return Err(format!("user name '{id}' is too long ({} > 64)\n", id.chars().count()));
    }
    verdict(is_user_id(id), format!("value '{id}' does not look like a valid user name"))
}

/// `name@realm`; the name has no colon, slash or space.
pub(crate) fn is_user_id(id: &str) -> bool {
    id.rsplit_once('@').is_some_and(|(name, realm)| {
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == ':' || c == '/') && is_realm(realm)
    })
}

fn is_realm(realm: &str) -> bool {
    realm.len() > 1 && realm.starts_with(|c: char| c.is_ascii_alphabetic()) && is_name(realm)
}

fn is_token_id(id: &str) -> bool {
    id.rsplit_once('!').is_some_and(|(user, token)| is_user_id(user) && is_realm(token))
}

/// Letters, digits and `.-_`.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
}

fn is_pool_id(id: &str) -> bool {
    id.split('/').count() <= 3 && id.split('/').all(is_name)
}

/// Three to nine digits, the first not 0.
pub(crate) fn is_vmid(value: &str) -> bool {
    (3..=9).contains(&value.len()) && !value.starts_with('0') && value.bytes().all(|b| b.is_ascii_digit())
}

fn is_config_id(value: &str) -> bool {
    value.len() > 1
        && value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

fn is_volume_id(value: &str) -> bool {
    value.split_once(':').is_some_and(|(storage, name)| is_storage_id(storage) && !name.is_empty())
}

fn is_tag(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "_-+.".contains(c))
}

/// Letters, digits and `_.:-`, a letter first.
pub(crate) fn is_iface(value: &str) -> bool {
    value.len() > 1
        && value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c))
}

/// Letters, digits and inner dashes, as a host name's part.
pub(crate) fn is_label(label: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    label.starts_with(edge) && label.ends_with(edge) && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_dns_name(value: &str) -> bool {
    !value.is_empty() && value.split('.').all(is_label)
}

fn is_ip(value: &str) -> bool {
    value.parse::<Ipv4Addr>().is_ok() || value.parse::<Ipv6Addr>().is_ok()
}

fn is_ip_with_iface(value: &str) -> bool {
    match value.split_once('%') {
        Some((address, iface)) => {
            address.to_ascii_lowercase().starts_with("fe80:") && is_ip(address) && !iface.is_empty()
        }
        None => is_ip(value),
    }
}

pub(crate) fn is_cidr4(value: &str) -> bool {
    split_cidr(value).is_some_and(|(address, length)| address.parse::<Ipv4Addr>().is_ok() && (8..=32).contains(&length))
}

pub(crate) fn is_cidr6(value: &str) -> bool {
    split_cidr(value)
        .is_some_and(|(address, length)| address.parse::<Ipv6Addr>().is_ok() && (8..=128).contains(&length))
}

fn split_cidr(value: &str) -> Option<(&str, u32)> {
    let (address, length) = value.split_once('/')?;
    Some((address, length.parse().ok()?))
}

fn is_unicast_mac(value: &str) -> bool {
    value.split(':').count() == 6 && value.split(':').all(is_hex_pair) && even_second_digit(value)
}

fn is_mac_prefix(value: &str) -> bool {
    let value = value.strip_suffix(':').unwrap_or(value);
    let pairs = value.split(':').count();
    pairs <= 3 && value.split(':').all(is_hex_pair) && even_second_digit(value)
}

fn is_hex_pair(pair: &str) -> bool {
    pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The lowest bit of the first byte marks a group address.
fn even_second_digit(value: &str) -> bool {
    value.chars().nth(1).and_then(|c| c.to_digit(16)).is_some_and(|d| d % 2 == 0)
}

fn is_email(value: &str) -> bool {
    value.split_once('@').is_some_and(|(name, domain)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
        !name.is_empty() && name.chars().all(plain) && is_dns_name(domain)
    })
}

/// `order=N,up=N,down=N`, or a bare number for the order.
fn is_startup(value: &str) -> bool {
    let number = |v: &str| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit());
    value.split(',').all(|part| match part.split_once('=') {
        Some((key, v)) => matches!(key, "order" | "up" | "down") && number(v),
        None => number(part),
    })
}

fn is_time_zone(value: &str) -> bool {
    match value.split_once('/') {
        Some((area, city)) => {
            ZONE_AREAS.contains(&area)
                && !city.is_empty()
                && city.chars().all(|c| c.is_ascii_alphanumeric() || "_/-+".contains(c))
        }
        None => matches!(value, "host" | "UTC"),
    }
}

/// Bytes of a size such as `8G`, `512M` or `1.5T`; a bare number is bytes.
pub(crate) fn parse_size(value: &str) -> Option<u64> {
    let (digits, unit) = match value.chars().last()? {
        c if c.is_ascii_digit() => (value, 1),
        'K' => (&value[..value.len() - 1], 1 << 10),
        'M' => (&value[..value.len() - 1], 1 << 20),
        'G' => (&value[..value.len() - 1], 1 << 30),
        'T' => (&value[..value.len() - 1], 1u64 << 40),
        _ => return None,
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.contains(['e', 'E']) {
        return None;
    }
    let number: f64 = digits.parse().ok()?;
    Some((number * unit as f64) as u64)
}

/// Writes a size in the largest unit that keeps it whole, as PVE does.
pub(crate) fn print_size(bytes: u64) -> String {
    const UNITS: &[(u64, &str)] = &[(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match UNITS.iter().find(|(unit, _)| bytes.is_multiple_of(*unit)) {
        Some((unit, letter)) => format!("{}{letter}", bytes / unit),
        None => bytes.to_string(),
    }
}
