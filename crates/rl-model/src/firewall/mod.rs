//! A site's firewall as Proxmox publishes it: options, rules, groups, IP sets, aliases and the switches of NICs.
//!
//! Everything here comes from a site and is not trusted: each name and each address has one parser, each list a limit.
//! A rule or an entry that cannot be read is kept with the reason, never dropped: a reader must know that it is there.

mod address;
pub mod edit;
mod named;
mod names;
mod objects;
mod options;
mod ports;
mod rule;
mod view;
mod wanted;

pub use address::{AddressRange, AddressSpec, ScopedName, SetEntry, SetMember};
pub use named::{NamedObject, named_objects};
pub use names::{AliasName, GroupName, IpSetName, MacroName, RuleIface, Scope};
pub use objects::{
    AliasText, DatacenterChoice, EXCEPT, GroupText, ObservedGroup, SetText, WantedObjects, is_owned_by, listed,
    member_prefix, owned_comment, site_owner,
};
pub use options::{DatacenterOptions, FirewallAction, GuestOptions, NodeOptions};
pub use ports::{PortItem, PortSpec, ServiceName};
pub use rule::{Fault, FirewallRule, ProtocolName, RuleKind, RuleText};
pub use view::{
    Alias, DatacenterFirewall, FirewallNic, FirewallView, Group, GuestFirewall, IpSet, NodeFirewall, RULES_MAX,
};
pub use wanted::{
    Entrance, FirewallChange, LOG_OFF, ObservedFirewall, ObservedSet, ObservedSiteFirewall, ResolvedFirewall, RuleId,
    WantedSiteFirewall, set_owner,
};

#[cfg(test)]
mod tests;
