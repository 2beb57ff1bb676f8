//! A firewall file, read: options, aliases, IP sets, rules and security groups, with the names and kinds of the options.

use std::collections::BTreeMap;

use super::rule::Rule;
use super::{Env, rule};

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conf {
    /// False when there is no file; a few calls of PVE stumble over that.
    pub(crate) present: bool,
    pub(crate) options: BTreeMap<String, String>,
    /// By lower-case name.
    pub(crate) aliases: BTreeMap<String, Alias>,
    pub(crate) sets: BTreeMap<String, IpSet>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) groups: BTreeMap<String, Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) cidr: String,
    pub(crate) ipversion: u8,
    pub(crate) comment: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IpSet {
    pub(crate) comment: Option<String>,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// A network, an address or the name of an alias.
    pub(crate) cidr: String,
    /// The entry is taken out of the set instead of put into it.
    pub(crate) nomatch: bool,
    pub(crate) comment: Option<String>,
    pub(crate) errors: BTreeMap<String, String>,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) comment: Option<String>,
    pub(crate) rules: Vec<Rule>,
}

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Switch,
    Number,
    Level,
    Policy,
    Text,
}

impl Kind {
    /// Whether a file's value is one; what is none is skipped, as PVE does.
    pub(crate) fn accepts(self, value: &str) -> bool {
        match self {
            Self::Switch => matches!(value, "0" | "1"),
            Self::Number => !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()),
            Self::Level => rule::LEVELS.contains(&value),
            Self::Policy => matches!(value, "ACCEPT" | "REJECT" | "DROP"),
            Self::Text => !value.is_empty() && !value.contains(char::is_whitespace),
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Switch | Self::Number)
    }
}

const CLUSTER: &[(&str, Kind)] = &[
    ("ebtables", Kind::Switch),
    ("enable", Kind::Number),
    ("log_ratelimit", Kind::Text),
    ("policy_forward", Kind::Policy),
    ("policy_in", Kind::Policy),
    ("policy_out", Kind::Policy),
];
const NODE: &[(&str, Kind)] = &[
    ("enable", Kind::Switch),
    ("log_level_forward", Kind::Level),
    ("log_level_in", Kind::Level),
    ("log_level_out", Kind::Level),
    ("log_nf_conntrack", Kind::Switch),
    ("ndp", Kind::Switch),
    ("nf_conntrack_allow_invalid", Kind::Switch),
    ("nf_conntrack_helpers", Kind::Text),
    ("nf_conntrack_max", Kind::Number),
    ("nf_conntrack_tcp_timeout_established", Kind::Number),
    ("nf_conntrack_tcp_timeout_syn_recv", Kind::Number),
    ("nftables", Kind::Switch),
    ("nosmurfs", Kind::Switch),
    ("protection_synflood", Kind::Switch),
    ("protection_synflood_burst", Kind::Number),
    ("protection_synflood_rate", Kind::Number),
    ("smurf_log_level", Kind::Level),
    ("tcp_flags_log_level", Kind::Level),
    ("tcpflags", Kind::Switch),
];
const GUEST: &[(&str, Kind)] = &[
    ("dhcp", Kind::Switch),
    ("enable", Kind::Switch),
    ("ipfilter", Kind::Switch),
    ("log_level_in", Kind::Level),
    ("log_level_out", Kind::Level),
    ("macfilter", Kind::Switch),
    ("ndp", Kind::Switch),
    ("policy_in", Kind::Policy),
    ("policy_out", Kind::Policy),
    ("radv", Kind::Switch),
];

/// The options a file of this kind may have.
pub(crate) fn options(env: Env) -> &'static [(&'static str, Kind)] {
    match env {
        Env::Cluster | Env::Group => CLUSTER,
        Env::Node => NODE,
        Env::Ct | Env::Vm => GUEST,
    }
}

/// The kind of an option, when there is such an option.
pub(crate) fn option_kind(env: Env, name: &str) -> Option<Kind> {
    options(env).iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}
