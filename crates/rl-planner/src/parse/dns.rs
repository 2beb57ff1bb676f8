//! Reads the DNS records of a stack.

use rl_model::manifest::{DnsRecord, DnsTarget, DnsType};
use rl_model::{ContainerName, Fqdn, Hostname, NicName};

use super::fields::{Fields, Shape};
use super::report::{Report, Sp};
use super::tree::{Node, shown};
use super::values::{Limits, choice, list, parsed, text};
use crate::diagnostic::codes;

pub(crate) const RECORD: Shape =
    Shape { name: "DnsRecord", what: "a DNS record", keys: &["zone", "name", "type", "to", "ttl"] };

/// Time to live where none is given, in seconds.
const TTL_DEFAULT: u32 = 300;
/// Longest time to live in seconds (RFC 2181 section 8).
const TTL_MAX: u32 = i32::MAX as u32;

/// Reads `dns:`.
pub(crate) fn records(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Vec<Sp<DnsRecord>>> {
    let mut index = 0;
    list(report, node, |report, item| {
        let path = format!("{path}.{index}");
        index += 1;
        record(report, item, &path)
    })
}

fn record(report: &mut Report<'_>, node: &Node, path: &str) -> Option<Sp<DnsRecord>> {
    let fields = Fields::open(report, node, node.place, path, &RECORD)?;
    let zone = fields.require(report, "zone", "zone: example.org").and_then(|n| parsed::<Fqdn>(report, n));
    let name = fields.require(report, "name", "name: www").and_then(|n| name(report, n));
    let kind = fields
        .require(report, "type", "type: A")
        .and_then(|n| choice(report, n, "record type", &[("A", DnsType::A), ("AAAA", DnsType::Aaaa)]));
    let to = fields.require(report, "to", "to: web.eth0").and_then(|n| target(report, n));
    let ttl = fields.integer(report, "ttl", Limits { what: "a time to live in seconds", min: 1, max: TTL_MAX });
    let to = to?;
    let value = DnsRecord {
        zone: zone?.value,
        name: name?,
        kind: kind?.value,
        to: to.value,
        ttl_s: ttl.map_or(TTL_DEFAULT, |sp| sp.value),
    };
    Some(Sp { value, at: to.at })
}

/// Reads a name within the zone: `@`, or labels, the first of which may be `*`.
fn name(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let written = text(report, node, "a name as text")?;
    let labels = written.strip_prefix("*.").unwrap_or(written);
    if ["@", "*"].contains(&written) || labels.parse::<Hostname>().is_ok() {
        return Some(written.to_owned());
    }
    let message = format!("`{}` is no valid name in a zone", shown(written));
    let help = "write it without the zone, as in `www` or `www.shop`; `@` is the zone itself";
    report.error(codes::INVALID_VALUE, node.place, &message, "", help);
    None
}

/// Reads `container.nic`.
fn target(report: &mut Report<'_>, node: &Node) -> Option<Sp<DnsTarget>> {
    let written = text(report, node, "a NIC as text")?;
    let found = written.split_once('.').and_then(|(container, nic)| {
        Some(DnsTarget { container: container.parse::<ContainerName>().ok()?, nic: nic.parse::<NicName>().ok()? })
    });
    let Some(value) = found else {
        let message = format!("`{}` names no NIC", shown(written));
        let help =
            "write container and NIC, as in `web.eth0`; addresses are not typed here, so that they cannot go stale";
        report.error(codes::INVALID_VALUE, node.place, &message, "", help);
        return None;
    };
    Some(Sp { value, at: report.at(node.place) })
}
