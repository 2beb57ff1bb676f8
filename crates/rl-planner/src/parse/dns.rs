//! Reads the DNS records of a stack.

use rl_model::dns::DnsName;
use rl_model::manifest::{DnsContent, DnsRecord, DnsTarget};
use rl_model::{ContainerName, Fqdn, NicName, RecordType};

use super::fields::{Fields, Shape};
use super::report::{Report, Sp};
use super::tree::{Node, shown};
use super::values::{Limits, choice, list, one_or_list, parsed, text};
use crate::diagnostic::codes;

pub(crate) const RECORD: Shape = Shape {
    name: "DnsRecord",
    what: "a DNS record",
    keys: &["zone", "name", "type", "to", "target", "text", "port", "priority", "weight", "ttl"],
};

/// Time to live where none is given, in seconds.
const TTL_DEFAULT: u32 = 300;
/// Longest time to live in seconds (RFC 2181 section 8).
const TTL_MAX: u32 = i32::MAX as u32;
/// Longest text of a TXT record: it is written as one string (RFC 1035 section 3.3).
const TEXT_LEN_MAX: usize = 255;
/// What names that tell owners begin with.
const OWNER_PREFIX: &str = "_rl-";
/// Types by name. PTR records come by themselves.
const TYPES: [(&str, RecordType); 5] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::Aaaa),
    ("CNAME", RecordType::Cname),
    ("SRV", RecordType::Srv),
    ("TXT", RecordType::Txt),
];
/// Which keys go with which type.
const KEYS: [(&str, &[RecordType]); 6] = [
    ("to", &[RecordType::A, RecordType::Aaaa]),
    ("target", &[RecordType::Cname, RecordType::Srv]),
    ("text", &[RecordType::Txt]),
    ("port", &[RecordType::Srv]),
    ("priority", &[RecordType::Srv]),
    ("weight", &[RecordType::Srv]),
];

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
    let kind = fields.require(report, "type", "type: A").and_then(|n| {
        if matches!(text(report, n, "record type"), Some("PTR")) {
            let help = "declare the reverse zone under `dns:` of the site; each address then gets its PTR record";
            report.error(codes::INVALID_VALUE, n.place, "PTR records come by themselves", "", help);
            return None;
        }
        choice(report, n, "record type", &TYPES)
    });
    let ttl = fields.integer(report, "ttl", Limits { what: "a time to live in seconds", min: 1, max: TTL_MAX });
    let kind = kind?.value;
    let content = content(report, &fields, kind);
    let (zone, name) = (zone?.value, name?);
    if DnsName::below(&zone, &name).is_none() {
        let message = format!("the name `{name}` and the zone `{zone}` are too long together");
        report.error(codes::INVALID_VALUE, node.place, &message, "", "a whole name has at most 253 characters");
        return None;
    }
    let (content, at) = content?;
    let at = at.unwrap_or_else(|| report.at(node.place));
    Some(Sp { value: DnsRecord { zone, name, content, ttl_s: ttl.map_or(TTL_DEFAULT, |sp| sp.value) }, at })
}

type Content = (DnsContent, Option<rl_model::manifest::Location>);

/// Reads what the record says; keys of other types are reported.
fn content(report: &mut Report<'_>, fields: &Fields<'_>, kind: RecordType) -> Option<Content> {
    for (key, kinds) in KEYS {
        if let Some(entry) = fields.entry(key).filter(|_| !kinds.contains(&kind)) {
            let names = kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            let message = format!("a record of type {kind} has no key `{key}`");
            let help = match (key, kind) {
                ("to", _) => "write `target:` with a whole name, as in `target: www.example.org`".to_owned(),
                _ => format!("`{key}` is a key of records of type {names}"),
            };
            report.error(codes::UNKNOWN_KEY, entry.key_place, &message, "", &help);
            if key == "to" {
                // The key that is missing is told already.
                return None;
            }
        }
    }
    match kind {
        RecordType::A | RecordType::Aaaa => {
            let to = fields.require(report, "to", "to: web.eth0").and_then(|n| target(report, n))?;
            let at = Some(to.at);
            let to = to.value;
            Some((if kind == RecordType::A { DnsContent::A { to } } else { DnsContent::Aaaa { to } }, at))
        }
        RecordType::Cname => Some((DnsContent::Cname { target: whole_name(report, fields)? }, None)),
        RecordType::Srv => {
            let target = whole_name(report, fields);
            let mut number = |key: &str, what, min| {
                let found = fields.integer(report, key, Limits { what, min, max: u32::from(u16::MAX) });
                found.and_then(|sp| u16::try_from(sp.value).ok())
            };
            let (priority, weight) = (number("priority", "a priority", 0), number("weight", "a weight", 0));
            let port = number("port", "a port", 1);
            if fields.entry("port").is_none() {
                fields.require(report, "port", "port: 443");
            }
            let (priority, weight) = (priority.unwrap_or(0), weight.unwrap_or(0));
            Some((DnsContent::Srv { priority, weight, port: port?, target: target? }, None))
        }
        RecordType::Txt => {
            let node = fields.require(report, "text", "text: \"v=spf1 -all\"")?;
            let texts = one_or_list(report, node, one_text);
            (!texts.is_empty()).then_some((DnsContent::Txt { texts }, None))
        }
        RecordType::Ptr => None,
    }
}

fn whole_name(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<DnsName> {
    let node = fields.require(report, "target", "target: www.example.org")?;
    parsed::<DnsName>(report, node).map(|sp| sp.value)
}

fn one_text(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let written = text(report, node, "a text")?;
    if written.len() > TEXT_LEN_MAX {
        let message = format!("the text has {} bytes", written.len());
        report.error(codes::OUT_OF_LIMITS, node.place, &message, "allowed: 1 to 255", "split it into several records");
        return None;
    }
    Some(written.to_owned())
}

/// Reads a name within the zone: `@`, or labels, the first of which may be `*`.
fn name(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let written = text(report, node, "a name as text")?;
    let lower = written.to_ascii_lowercase();
    if ["@", "*"].contains(&written) || (lower.parse::<DnsName>().is_ok() && !lower.starts_with(OWNER_PREFIX)) {
        return Some(lower);
    }
    let message = format!("`{}` is no valid name in a zone", shown(written));
    let help = match lower.starts_with(OWNER_PREFIX) {
        true => "names that begin with `_rl-` tell whose a record is",
        false => "write it without the zone, as in `www` or `www.shop`; `@` is the zone itself",
    };
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
