//! The nouns of RapidLaunch: ids, manifest, resolved stack, observed world, plan and proof.
//!
//! Pure data. Every id and quantity that crosses a function is a newtype with one door: its parser. Kinds of id do
//! not convert into each other. Nothing here reads a clock, a file or a socket.

mod access;
pub mod config;
pub mod dns;
mod error;
pub mod firewall;
pub mod manifest;
mod names;
mod net;
mod observed;
mod part;
mod plan;
mod proof;
mod property;
mod provider;
mod pve;
mod quantity;
mod resolved;
mod secret;
mod site;
mod stamp;

pub use access::{Access, AccessPath, Grant, GrantId, Grantee, GroupName, Right, Role, TokenId, UserName, WebhookId};
pub use config::{ConfigFields, FieldKey};
pub use error::ParseError;
pub use names::{
    ContainerName, ControllerId, DatacenterName, Fqdn, GuestId, GuestName, GuestPath, Hostname, ImageName, NetworkName,
    PoolId, SiteName, StackName, Tag, VolumeName,
};
pub use net::{BridgeName, Cidr, IfaceAddr, MacAddr, NicName, NicSlot, VlanId};
pub use observed::{
    Bridge, ContainerConfig, GuestKind, GuestStatus, LiveInterface, Observed, ObservedGuest, ObservedNode,
    ObservedSite, ObservedStorage, Unread,
};
pub use part::{
    AliasChange, GrantChange, GroupChange, GuestSecrets, Part, PartAction, PartKind, PartLine, PartSign, RecordChange,
    RecordType, Records, SetChange, SiteFirewall,
};
pub use plan::{
    Action, ActionId, ActionKind, Change, Consequence, Note, NoteLevel, Placement, Plan, PlanId, PlanReport, Policy,
};
pub use proof::{Drift, DriftKind, Proof, ProofCheck, ProofItem};
pub use property::PropertyString;
pub use provider::{Provider, ProviderFiles, ProviderKind, ProviderLogin};
pub use pve::{MountSlot, NodeName, StorageId, Upid, Vmid, VmidRange, VolumeId};
pub use quantity::{DiskSize, Memory};
pub use resolved::{
    AddressMode, Features, HeldLease, KnownGuest, LeaseState, Leases, ResolvedGuest, ResolvedNic, ResolvedStack,
    ResolvedVolume, SiteLeases, StartupOrder,
};
pub use secret::{
    DeliveredFile, KnownSecrets, NewestVersion, NotSealed, ProviderName, SealedValue, SecretRef, SecretSource,
    SecretValue,
};
pub use site::{
    AddressRange, AliasSpec, Endpoint, GroupSpec, Network, SetSpec, Site, SiteFirewallSpec, SiteLimits, TlsTrust,
    TokenSource,
};
pub use stamp::Stamp;

#[cfg(test)]
mod tests;
