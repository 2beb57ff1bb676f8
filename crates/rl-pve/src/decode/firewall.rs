//! Answers about the firewall. Nothing fails: what cannot be read is kept with the reason.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::firewall::{
    Alias, AliasName, AliasText, DatacenterOptions, EXCEPT, FirewallAction, FirewallNic, FirewallRule, GuestOptions,
    IpSet, NodeOptions, RULES_MAX, RuleText, SetEntry,
};
use rl_model::{GuestKind, IfaceAddr, MacAddr, NicSlot, PropertyString};

use crate::api::firewall::{AliasRow, DatacenterOptionsRow, EntryRow, GuestOptionsRow, NodeOptionsRow, RuleRow};
use crate::wire::{PveBool, PveText, RawConfig, Rows};

fn on(flag: Option<PveBool>, unset: bool) -> bool {
    flag.map_or(unset, |flag| flag.0)
}

fn policy(text: Option<String>) -> Option<FirewallAction> {
    text?.parse().ok()
}

/// Options of the datacenter.
pub fn datacenter_options(row: DatacenterOptionsRow) -> DatacenterOptions {
    DatacenterOptions {
        enable: row.enable.is_some_and(|number| number.0 != 0),
        policy_in: policy(row.policy_in),
        policy_out: policy(row.policy_out),
        ebtables: row.ebtables.map(|on| on.0),
        log_ratelimit: row.log_ratelimit.map(|text| text.0),
    }
}

/// Options of a node.
pub fn node_options(row: &NodeOptionsRow) -> NodeOptions {
    let unset = NodeOptions::default();
    NodeOptions {
        enable: on(row.enable, unset.enable),
        nftables: on(row.nftables, unset.nftables),
        nosmurfs: on(row.nosmurfs, unset.nosmurfs),
        tcpflags: on(row.tcpflags, unset.tcpflags),
        allow_invalid: on(row.nf_conntrack_allow_invalid, unset.allow_invalid),
    }
}

/// Options of a guest.
pub fn guest_options(row: GuestOptionsRow) -> GuestOptions {
    let unset = GuestOptions::default();
    GuestOptions {
        enable: on(row.enable, unset.enable),
        dhcp: on(row.dhcp, unset.dhcp),
        ndp: on(row.ndp, unset.ndp),
        radv: on(row.radv, unset.radv),
        macfilter: on(row.macfilter, unset.macfilter),
        ipfilter: on(row.ipfilter, unset.ipfilter),
        policy_in: policy(row.policy_in),
        policy_out: policy(row.policy_out),
        log_level_in: row.log_level_in,
        log_level_out: row.log_level_out,
    }
}

/// Rules in the order of their positions.
pub fn rules(rows: Rows<RuleRow>) -> Vec<FirewallRule> {
    let mut rules: Vec<FirewallRule> =
        rows.into_iter().take(RULES_MAX).map(|row| FirewallRule::read(&text(row))).collect();
    rules.sort_by_key(|rule| rule.position);
    rules
}

/// Rules as texts in the order of their positions, and the digest of the list; an empty list has none.
pub fn rule_texts(rows: Rows<RuleRow>) -> (Vec<RuleText>, Option<String>) {
    let digest = rows.0.first().and_then(|row| row.digest.clone());
    let mut rules: Vec<RuleText> = rows.into_iter().take(RULES_MAX).map(text).collect();
    rules.sort_by_key(|rule| rule.pos);
    (rules, digest)
}

fn text(row: RuleRow) -> RuleText {
    let plain = |text: Option<PveText>| text.map(|text| text.0);
    RuleText {
        pos: u32::try_from(row.pos.0).unwrap_or(u32::MAX),
        kind: row.kind,
        action: row.action,
        enable: row.enable.is_some_and(|number| number.0 != 0),
        macro_name: plain(row.macro_name),
        iface: plain(row.iface),
        source: plain(row.source),
        dest: plain(row.dest),
        proto: plain(row.proto),
        sport: plain(row.sport),
        dport: plain(row.dport),
        icmp_type: plain(row.icmp_type),
        log: plain(row.log),
        comment: plain(row.comment),
        errors: row.errors.into_iter().map(|(field, message)| (field, message.0)).collect(),
    }
}

/// The entries of an IP set.
pub fn ip_set(rows: Rows<EntryRow>) -> IpSet {
    let entry = |row: EntryRow| SetEntry::read(&row.cidr, on(row.nomatch, false), !row.errors.is_empty());
    IpSet { entries: rows.into_iter().take(RULES_MAX).map(entry).collect() }
}

/// Aliases, by name in lower case. One whose name or network cannot be read is left out: a rule that uses it is then told
/// as one whose alias is not there.
pub fn aliases(rows: Rows<AliasRow>) -> BTreeMap<AliasName, Alias> {
    let one = |row: AliasRow| {
        let name: AliasName = row.name.parse().ok()?;
        Some((name.key(), row.cidr.parse().ok()?))
    };
    rows.into_iter().take(RULES_MAX).filter_map(one).collect()
}

/// Aliases with their comments, by name in lower case, and the digest of them all.
pub fn alias_texts(rows: Rows<AliasRow>) -> (BTreeMap<AliasName, AliasText>, Option<String>) {
    let digest = rows.0.first().and_then(|row| row.digest.clone());
    let one = |row: AliasRow| {
        let name: AliasName = row.name.parse().ok()?;
        let comment = row.comment.map(|text| text.0).unwrap_or_default();
        Some((name.key(), AliasText { cidr: row.cidr, comment }))
    };
    (rows.into_iter().take(RULES_MAX).filter_map(one).collect(), digest)
}

/// The members of an IP set as texts, those taken out of it with [`EXCEPT`] in front, and the digest of them all.
pub fn member_texts(rows: Rows<EntryRow>) -> (BTreeSet<String>, Option<String>) {
    let digest = rows.0.first().and_then(|row| row.digest.clone());
    let one = |row: EntryRow| if on(row.nomatch, false) { format!("{EXCEPT}{}", row.cidr) } else { row.cidr };
    (rows.into_iter().map(one).collect(), digest)
}

/// The NICs of a guest's configuration, as the firewall sees them.
pub fn nics(kind: GuestKind, config: &RawConfig) -> BTreeMap<NicSlot, FirewallNic> {
    let one = |(key, value): (&String, &String)| Some((key.parse().ok()?, nic(kind, &PropertyString::parse(value))));
    config.values.iter().filter_map(one).collect()
}

/// Models of a virtual machine's NIC, under which its MAC stands (`pve-api`: `net[n]` of `qemu`, `model`).
const VM_MODELS: [&str; 7] = ["virtio", "e1000", "e1000e", "rtl8139", "vmxnet3", "ne2k_pci", "pcnet"];

fn nic(kind: GuestKind, text: &PropertyString) -> FirewallNic {
    let mac: Option<&str> = match kind {
        GuestKind::Container => text.get("hwaddr"),
        GuestKind::Vm => VM_MODELS.iter().find_map(|model| text.get(model)).or_else(|| text.get("macaddr")),
    };
    let address = |key: &str| text.get(key)?.parse::<IfaceAddr>().ok().map(IfaceAddr::address);
    FirewallNic {
        firewall: text.get("firewall") == Some("1"),
        mac: mac.and_then(|mac| mac.parse::<MacAddr>().ok()),
        bridge: text.get("bridge").and_then(|bridge| bridge.parse().ok()),
        addresses: ["ip", "ip6"].into_iter().filter_map(address).collect(),
    }
}
