//! What a rule says, field by field, and whether it speaks of everything another one speaks of.

use crate::firewall::{AddressRange, AddressSpec, PortItem, PortSpec, RuleText};

/// Fields of a rule that a write sets or deletes (`pve-api`: `PUT …/firewall/rules/{pos}`).
pub const RULE_KEYS: [&str; 9] = ["macro", "iface", "source", "dest", "proto", "sport", "dport", "icmp-type", "log"];

/// The values of [`RULE_KEYS`]; an empty text counts as not set.
pub fn fields_of(rule: &RuleText) -> [Option<&str>; 9] {
    let all = [
        &rule.macro_name,
        &rule.iface,
        &rule.source,
        &rule.dest,
        &rule.proto,
        &rule.sport,
        &rule.dport,
        &rule.icmp_type,
        &rule.log,
    ];
    all.map(|value| value.as_deref().filter(|text| !text.is_empty()))
}

/// Whether two rules are the same in everything but their place. A log level that is not set is `nolog`.
pub fn same_rule(a: &RuleText, b: &RuleText) -> bool {
    same_sense(a, b) && log(a) == log(b) && text(&a.comment) == text(&b.comment)
}

/// Whether two rules do the same with the same packets.
pub(super) fn same_sense(a: &RuleText, b: &RuleText) -> bool {
    a.kind == b.kind && a.action == b.action && a.enable == b.enable && covers(a, b) && covers(b, a)
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

fn log(rule: &RuleText) -> &str {
    rule.log.as_deref().filter(|level| !level.is_empty()).unwrap_or(crate::firewall::LOG_OFF)
}

/// Whether every packet that the second rule speaks of is one the first speaks of. Says no where it cannot tell.
pub(super) fn covers(wide: &RuleText, narrow: &RuleText) -> bool {
    if !narrow.enable {
        return true;
    }
    let one_group = wide.kind == "group" && wide.action != narrow.action;
    if !wide.enable || wide.kind != narrow.kind || one_group {
        return false;
    }
    // Macro, protocol and ICMP type are compared as they are written: what they stand for is not looked up.
    let alike = |a: &Option<String>, b: &Option<String>| text(a) == text(b);
    alike(&wide.macro_name, &narrow.macro_name)
        && alike(&wide.proto, &narrow.proto)
        && alike(&wide.icmp_type, &narrow.icmp_type)
        && (text(&wide.iface).is_empty() || alike(&wide.iface, &narrow.iface))
        && within(&narrow.source, &wide.source, addresses_within)
        && within(&narrow.dest, &wide.dest, addresses_within)
        && within(&narrow.sport, &wide.sport, ports_within)
        && within(&narrow.dport, &wide.dport, ports_within)
}

fn within(narrow: &Option<String>, wide: &Option<String>, compare: fn(&str, &str) -> bool) -> bool {
    match (text(narrow), text(wide)) {
        (_, "") => true,
        ("", _) => false,
        (a, b) => a == b || compare(a, b),
    }
}

fn addresses_within(narrow: &str, wide: &str) -> bool {
    let ranges = |text: &str| match text.parse() {
        Ok(AddressSpec::Ranges(ranges)) => Some(ranges),
        _ => None,
    };
    let (Some(narrow), Some(wide)) = (ranges(narrow), ranges(wide)) else { return false };
    let inside = |a: &AddressRange, b: &AddressRange| b.contains(a.first()) && b.contains(a.last());
    narrow.iter().all(|a| wide.iter().any(|b| inside(a, b)))
}

fn ports_within(narrow: &str, wide: &str) -> bool {
    let (Ok(narrow), Ok(wide)) = (narrow.parse::<PortSpec>(), wide.parse::<PortSpec>()) else { return false };
    let inside = |a: &PortItem, b: &PortItem| match (a, b) {
        (PortItem::Range(first, last), PortItem::Range(from, to)) => from <= first && last <= to,
        (a, b) => a == b,
    };
    narrow.items().iter().all(|a| wide.items().iter().any(|b| inside(a, b)))
}
