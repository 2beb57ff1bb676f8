//! The firewall of a site as it is written.
#![expect(dead_code, reason = "only the schemas of these types are used")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::site::OneOrMore;
use super::stack::{LogLevel, Verdict};
use super::words;

/// The firewall of a whole site.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteFirewall {
    /// Whether the datacenter's firewall is on, without which no rule of any guest is in force; left as it is when not given.
    enable: Option<bool>,
    /// Networks from which nodes are looked after, as names of networks of the site or as ranges: no plan may cut them off.
    management: Option<OneOrMore<String>>,
    /// What happens to packets to nodes that no rule names; left as it is when not given.
    policy_in: Option<Verdict>,
    /// What happens to packets from nodes that no rule names; left as it is when not given.
    policy_out: Option<Verdict>,
    /// Whether frames of bridges are filtered too; left as it is when not given.
    ebtables: Option<bool>,
    /// How much is logged, as `enable=1,rate=1/second,burst=5`; left as it is when not given.
    log_ratelimit: Option<String>,
    /// Names for addresses and networks. Those of ours that are not named here go; all are left alone without this key.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::FIREWALL_NAME })))]
    aliases: Option<BTreeMap<String, FirewallAlias>>,
    /// Sets of addresses and networks. Those of ours that are not named here go; all are left alone without this key.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::FIREWALL_NAME })))]
    ipsets: Option<BTreeMap<String, FirewallSet>>,
    /// Lists of rules that containers call. Those of ours that are not named here go; all are left alone without this key.
    #[schemars(extend("propertyNames" = json!({ "pattern": words::GROUP_NAME })))]
    groups: Option<BTreeMap<String, FirewallGroup>>,
}

/// A name for an address or a network.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct FirewallAlias {
    /// The address or network.
    address: String,
    /// What it is for.
    #[schemars(length(max = 120))]
    comment: Option<String>,
}

/// A set of addresses and networks.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct FirewallSet {
    /// Addresses, ranges and networks of the site.
    entries: Option<OneOrMore<String>>,
    /// Addresses, ranges and networks that are taken out of them.
    except: Option<OneOrMore<String>>,
    /// What it is for.
    #[schemars(length(max = 120))]
    comment: Option<String>,
}

/// A list of rules that containers call.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct FirewallGroup {
    /// The rules, the first that fits decides.
    #[schemars(length(max = 500))]
    rules: Option<Vec<GroupRule>>,
    /// What it is for.
    #[schemars(length(max = 120))]
    comment: Option<String>,
}

/// A rule of a security group: exactly one of `allow`, `reject` and `drop`, and at most one of `from` and `to`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = json!([{ "required": ["allow"] }, { "required": ["reject"] }, { "required": ["drop"] }]),
    "not" = json!({ "required": ["from", "to"] })
))]
struct GroupRule {
    /// Traffic that passes: a service such as `https`, a macro of Proxmox such as `Ceph`, or `tcp/5432`, `icmp`, `any`.
    allow: Option<OneOrMore<String>>,
    /// Traffic that is refused with an answer.
    reject: Option<OneOrMore<String>>,
    /// Traffic that is dropped.
    drop: Option<OneOrMore<String>>,
    /// Where traffic towards the guest comes from: `anywhere`, addresses, networks, aliases, IP sets.
    from: Option<OneOrMore<String>>,
    /// Where traffic from the guest goes to.
    to: Option<OneOrMore<String>>,
    /// Log level of what fits.
    log: Option<LogLevel>,
    /// What it is for; it stands beside the rule in Proxmox.
    #[schemars(length(max = 120))]
    comment: Option<String>,
}
