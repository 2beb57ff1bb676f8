//! A site's firewall as Proxmox publishes it: options, rules, groups, IP sets, aliases and the switches of NICs.
//!
//! Everything here comes from a site and is not trusted: each name and each address has one parser, each list a limit.
//! A rule or an entry that cannot be read is kept with the reason, never dropped: a reader must know that it is there.

mod address;
pub mod edit;
mod names;
mod options;
mod ports;
mod rule;
mod view;
mod wanted;

pub use address::{AddressRange, AddressSpec, ScopedName, SetEntry, SetMember};
pub use names::{AliasName, GroupName, IpSetName, MacroName, RuleIface, Scope};
pub use options::{DatacenterOptions, FirewallAction, GuestOptions, NodeOptions};
pub use ports::{PortItem, PortSpec, ServiceName};
pub use rule::{Fault, FirewallRule, ProtocolName, RuleKind, RuleText};
pub use view::{
    Alias, DatacenterFirewall, FirewallNic, FirewallView, Group, GuestFirewall, IpSet, NodeFirewall, RULES_MAX,
};
pub use wanted::{
    FirewallChange, LOG_OFF, ObservedFirewall, ObservedSet, ObservedSiteFirewall, ResolvedFirewall, RuleId,
    WantedSiteFirewall, set_owner,
};

#[cfg(test)]
mod tests;
