//! Reads the NICs of a container.

use std::net::IpAddr;

use rl_model::{MacAddr, NetworkName, NicName};

use super::fields::{Fields, Shape};
use super::network::address;
use super::report::{Report, Sp, nearest};
use super::tree::{Kind, Node, shown};
use super::values::{Limits, one_or_list, parsed, text};
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const NIC: Shape =
    Shape { name: "Nic", what: "a NIC", keys: &["network", "ipv4", "ipv6", "mac", "rate", "firewall"] };

/// NICs a container may have: `net0` to `net31` (`pve-api`: `net[n]`).
pub(crate) const NICS_MAX: usize = 32;
/// Largest rate limit in MB/s: 100 Gbit/s.
const RATE_MAX: u32 = 12_500;

/// How a NIC gets an address, as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mode {
    Lease,
    Dhcp,
    None,
    Auto,
    Pinned(Vec<Sp<IpAddr>>),
}

/// A NIC as written.
pub(crate) struct NicDraft {
    pub(crate) name: Sp<NicName>,
    pub(crate) network: Option<Sp<NetworkName>>,
    pub(crate) ipv4: Option<Sp<Mode>>,
    pub(crate) ipv6: Option<Sp<Mode>>,
    pub(crate) mac: Option<Sp<MacAddr>>,
    pub(crate) rate_mbps: Option<u32>,
    pub(crate) firewall: Option<Sp<bool>>,
}

/// Reads `nics:`.
pub(crate) fn nics(report: &mut Report<'_>, container: &Fields<'_>) -> Vec<NicDraft> {
    let mut out = Vec::new();
    for entry in container.named::<NicName>(report, "nics", "`nics`") {
        if let Some(fields) = Fields::open(report, entry.value, entry.key_place, &entry.path, &NIC) {
            out.push(nic(report, &fields, entry.name));
        }
    }
    if out.len() > NICS_MAX {
        let extra = out[NICS_MAX].name.at.clone();
        let message = format!("the container has {} NICs", out.len());
        report.findings.push(
            Diagnostic::error(codes::TOO_MANY, Some(&extra), message)
                .label(format!("a container has at most {NICS_MAX}"))
                .help("remove some, or spread the service over several containers"),
        );
    }
    out
}

fn nic(report: &mut Report<'_>, fields: &Fields<'_>, name: Sp<NicName>) -> NicDraft {
    let network = fields.require(report, "network", "network: dmz").and_then(|node| parsed(report, node));
    let rate = Limits { what: "a rate in MB/s", min: 1, max: RATE_MAX };
    NicDraft {
        name,
        network,
        ipv4: fields.get(report, "ipv4").and_then(|node| mode(report, node, false)),
        ipv6: fields.get(report, "ipv6").and_then(|node| mode(report, node, true)),
        mac: fields.parsed(report, "mac"),
        rate_mbps: fields.integer(report, "rate", rate).map(|sp| sp.value),
        firewall: fields.get(report, "firewall").and_then(|node| {
            let at = report.at(node.place);
            super::values::boolean(report, node).map(|value| Sp { value, at })
        }),
    }
}

/// Reads `lease`, `dhcp`, `none`, for IPv6 also `auto`, an address, or a list of them.
fn mode(report: &mut Report<'_>, node: &Node, v6: bool) -> Option<Sp<Mode>> {
    let at = report.at(node.place);
    if let Kind::Scalar(_) = &node.kind {
        let words: &[(&str, Mode)] =
            &[("lease", Mode::Lease), ("dhcp", Mode::Dhcp), ("none", Mode::None), ("auto", Mode::Auto)];
        let words = if v6 { words } else { &words[..3] };
        let written = text(report, node, "an address or one word")?;
        if let Some((_, mode)) = words.iter().find(|(word, _)| *word == written) {
            return Some(Sp { value: mode.clone(), at });
        }
        if written.starts_with(|c: char| c.is_ascii_alphabetic()) && !written.contains(':') {
            let names = words.iter().map(|(word, _)| *word);
            let help = match nearest(written, names) {
                Some(word) => format!("did you mean `{word}`?"),
                None => "write `lease`, `dhcp`, `none`, or an address".to_owned(),
            };
            let message = format!("`{}` is no way to get an address", shown(written));
            report.error(codes::INVALID_VALUE, node.place, &message, "", &help);
            return None;
        }
    }
    let given = if let Kind::List(items) = &node.kind { items.len() } else { 1 };
    let pinned = one_or_list(report, node, |report, item| family(report, item, v6));
    (pinned.len() == given).then_some(Sp { value: Mode::Pinned(pinned), at })
}

fn family(report: &mut Report<'_>, node: &Node, v6: bool) -> Option<Sp<IpAddr>> {
    let found = address(report, node)?;
    if found.value.is_ipv6() != v6 {
        let (is, key) = if v6 { ("IPv4", "ipv4") } else { ("IPv6", "ipv6") };
        let message = format!("{} is an {is} address", found.value);
        report.error(codes::INVALID_VALUE, node.place, &message, "", &format!("put it under the key `{key}`"));
        return None;
    }
    Some(found)
}
