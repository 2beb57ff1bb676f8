//! A container's configuration as comparable fields: the same words for what shall be and for what is.
//!
//! Both sides are rendered into Proxmox's own notation and normalised (defaults filled in, keys sorted, spelling of
//! booleans and MACs unified), so that a difference is a difference in meaning and never one of order or default.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::net::string_serde;
use crate::{
    AddressMode, DiskSize, Features, MacAddr, MountSlot, NicSlot, ParseError, PropertyString, ResolvedGuest,
    ResolvedNic, ResolvedVolume, Stamp, StartupOrder, VolumeId,
};

/// One comparable field of a container's configuration; named as Proxmox names the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FieldKey {
    /// `hostname`
    Hostname,
    /// `cores`; `0` when unlimited.
    Cores,
    /// `memory` in MiB.
    Memory,
    /// `swap` in MiB.
    Swap,
    /// `rootfs`: storage and size.
    RootFs,
    /// `mpN`: storage, size, path and options.
    Mount(MountSlot),
    /// `netN`
    Nic(NicSlot),
    /// `nameserver`, space separated.
    Nameserver,
    /// `searchdomain`
    SearchDomain,
    /// `tags`, sorted, `;` separated.
    Tags,
    /// `description`
    Description,
    /// `onboot`
    OnBoot,
    /// `startup`
    Startup,
    /// `features`
    Features,
    /// `unprivileged`
    Unprivileged,
    /// `protection`
    Protection,
    /// `timezone`
    Timezone,
    /// `ostemplate`: the template it was made from. No configuration names it; it appears only among what forces a
    /// replacement.
    Image,
}

impl FieldKey {
    const PLAIN: [(Self, &'static str); 16] = [
        (Self::Hostname, "hostname"),
        (Self::Cores, "cores"),
        (Self::Memory, "memory"),
        (Self::Swap, "swap"),
        (Self::RootFs, "rootfs"),
        (Self::Nameserver, "nameserver"),
        (Self::SearchDomain, "searchdomain"),
        (Self::Tags, "tags"),
        (Self::Description, "description"),
        (Self::OnBoot, "onboot"),
        (Self::Startup, "startup"),
        (Self::Features, "features"),
        (Self::Unprivileged, "unprivileged"),
        (Self::Protection, "protection"),
        (Self::Timezone, "timezone"),
        (Self::Image, "ostemplate"),
    ];

    /// Whether a change reaches a running container only when it starts again. Proxmox applies the others at once
    /// (`PVE/LXC/Config.pm`, `vmconfig_hotplug_pending`).
    pub fn needs_restart(self) -> bool {
        matches!(self, Self::Nameserver | Self::SearchDomain | Self::Features | Self::Timezone)
    }

    /// Whether the field describes a disk, which grows by its own call and is never set by a configuration write.
    pub fn is_disk(self) -> bool {
        matches!(self, Self::RootFs | Self::Mount(_))
    }
}

impl fmt::Display for FieldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount(slot) => slot.fmt(f),
            Self::Nic(slot) => slot.fmt(f),
            plain => {
                let name = Self::PLAIN.iter().find(|(key, _)| key == plain).map_or("", |(_, name)| name);
                f.pad(name)
            }
        }
    }
}

impl FromStr for FieldKey {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some((key, _)) = Self::PLAIN.iter().find(|(_, name)| *name == text) {
            return Ok(*key);
        }
        if let Ok(slot) = text.parse::<NicSlot>() {
            return Ok(Self::Nic(slot));
        }
        text.parse::<MountSlot>()
            .map(Self::Mount)
            .map_err(|_| ParseError::new("configuration field", text, "RapidLaunch does not compare it"))
    }
}

string_serde!(FieldKey);

/// The comparable fields of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigFields(pub BTreeMap<FieldKey, String>);

impl ConfigFields {
    /// The value of a field, empty when it is not set.
    pub fn get(&self, key: FieldKey) -> &str {
        self.0.get(&key).map_or("", String::as_str)
    }

    /// The fields a guest shall have.
    pub fn desired(guest: &ResolvedGuest, stamp: &Stamp) -> Self {
        let mut out = BTreeMap::new();
        out.insert(FieldKey::Hostname, guest.hostname.to_string());
        out.insert(FieldKey::Cores, guest.cores.to_string());
        out.insert(FieldKey::Memory, guest.memory.mib().to_string());
        out.insert(FieldKey::Swap, guest.swap.mib().to_string());
        out.insert(FieldKey::RootFs, format!("size={},storage={}", guest.disk.pve(), guest.storage));
        for volume in &guest.volumes {
            out.insert(FieldKey::Mount(volume.slot), desired_mount(volume));
        }
        for nic in &guest.nics {
            out.insert(FieldKey::Nic(nic.slot), desired_nic(nic));
        }
        let nameservers: Vec<String> = guest.nameservers.iter().map(ToString::to_string).collect();
        out.insert(FieldKey::Nameserver, nameservers.join(" "));
        out.insert(FieldKey::SearchDomain, guest.search_domain.clone().unwrap_or_default());
        let tags = guest.tags.iter().map(ToString::to_string).chain([stamp.tag().to_string()]);
        out.insert(FieldKey::Tags, join_tags(tags));
        out.insert(FieldKey::Description, stamp.description(&guest.notes).trim().to_owned());
        out.insert(FieldKey::OnBoot, flag(guest.onboot));
        out.insert(FieldKey::Startup, guest.startup.map(startup_text).unwrap_or_default());
        out.insert(FieldKey::Features, features_text(guest.features));
        out.insert(FieldKey::Unprivileged, flag(guest.unprivileged));
        out.insert(FieldKey::Protection, flag(guest.protection));
        out.insert(FieldKey::Timezone, guest.timezone.clone().unwrap_or_default());
        Self(out)
    }

    /// The fields of a configuration as Proxmox answered it, key by key as text.
    pub fn observed(raw: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| raw.get(key).map_or("", String::as_str).trim();
        let or = |key: &str, default: &str| match text(key) {
            "" => default.to_owned(),
            value => value.to_owned(),
        };
        let mut out = BTreeMap::new();
        out.insert(FieldKey::Hostname, or("hostname", ""));
        out.insert(FieldKey::Cores, or("cores", "0"));
        out.insert(FieldKey::Memory, or("memory", "512"));
        out.insert(FieldKey::Swap, or("swap", "512"));
        out.insert(
            FieldKey::Nameserver,
            text("nameserver").split([' ', ',']).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" "),
        );
        out.insert(FieldKey::SearchDomain, or("searchdomain", ""));
        out.insert(FieldKey::Tags, join_tags(split_tags(text("tags")).into_iter()));
        out.insert(FieldKey::Description, text("description").to_owned());
        out.insert(FieldKey::OnBoot, flag(truthy(text("onboot"))));
        out.insert(FieldKey::Startup, observed_startup(text("startup")));
        out.insert(FieldKey::Features, observed_features(text("features")));
        out.insert(FieldKey::Unprivileged, flag(truthy(text("unprivileged"))));
        out.insert(FieldKey::Protection, flag(truthy(text("protection"))));
        out.insert(FieldKey::Timezone, or("timezone", ""));
        for (key, value) in raw {
            match key.parse() {
                Ok(FieldKey::RootFs) => drop(out.insert(FieldKey::RootFs, observed_rootfs(value))),
                Ok(FieldKey::Mount(slot)) => drop(out.insert(FieldKey::Mount(slot), observed_mount(value))),
                Ok(FieldKey::Nic(slot)) => drop(out.insert(FieldKey::Nic(slot), observed_nic(value))),
                _ => {}
            }
        }
        Self(out)
    }

    /// Keys in which the two differ, with this side's value first.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<(FieldKey, &'a str, &'a str)> {
        let keys: std::collections::BTreeSet<FieldKey> = self.0.keys().chain(other.0.keys()).copied().collect();
        keys.into_iter().map(|key| (key, self.get(key), other.get(key))).filter(|(_, a, b)| a != b).collect()
    }

    /// The size named in a disk field.
    pub fn disk_size(&self, key: FieldKey) -> Option<DiskSize> {
        PropertyString::parse(self.get(key)).get("size").and_then(|size| DiskSize::from_pve(size).ok())
    }
}

/// Parts a tag list (`;`, `,` or space separated), sorted and without repetition.
pub fn split_tags(text: &str) -> Vec<String> {
    let mut tags: Vec<String> =
        text.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).map(str::to_ascii_lowercase).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn join_tags(tags: impl Iterator<Item = String>) -> String {
    let mut tags: Vec<String> = tags.collect();
    tags.sort_unstable();
    tags.dedup();
    tags.join(";")
}

fn flag(on: bool) -> String {
    if on { "1" } else { "0" }.to_owned()
}

fn truthy(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true")
}

fn startup_text(startup: StartupOrder) -> String {
    let mut out = PropertyString::default();
    for (key, value) in [("order", startup.order), ("up", startup.up_delay_s), ("down", startup.down_delay_s)] {
        if let Some(value) = value {
            out.set(key, value);
        }
    }
    out.to_string()
}

/// `startup` may give its order without the key (format `pve-startup-order`: `[order=]N`).
fn observed_startup(text: &str) -> String {
    let parsed = PropertyString::parse(text);
    let mut out = PropertyString::default();
    for (key, value) in parsed.pairs() {
        out.set(key, value);
    }
    if let Some(order) = parsed.lead() {
        out.set("order", order);
    }
    out.to_string()
}

/// Features in Proxmox's notation; those that are off are left out.
pub fn features_text(features: Features) -> String {
    let mut out = PropertyString::default();
    for (key, on) in [("nesting", features.nesting), ("keyctl", features.keyctl), ("fuse", features.fuse)] {
        if on {
            out.set(key, 1);
        }
    }
    out.to_string()
}

fn observed_features(text: &str) -> String {
    let parsed = PropertyString::parse(text);
    let mut out = PropertyString::default();
    for (key, value) in parsed.pairs().filter(|(_, value)| *value != "0") {
        out.set(key, value);
    }
    out.to_string()
}

fn desired_mount(volume: &ResolvedVolume) -> String {
    let mut out = PropertyString::default();
    out.set("storage", &volume.storage);
    out.set("size", volume.size.pve());
    out.set("mp", &volume.path);
    out.set("backup", u8::from(volume.backup));
    out.set("ro", u8::from(volume.read_only));
    out.to_string()
}

/// The value of `mpN` in the call that makes the volume: `storage:GiB,mp=…`.
pub fn mount_create_text(volume: &ResolvedVolume) -> String {
    let mut out = PropertyString::with_lead(format!("{}:{}", volume.storage, volume.size.pve_gib()));
    out.set("mp", &volume.path);
    out.set("backup", u8::from(volume.backup));
    if volume.read_only {
        out.set("ro", 1);
    }
    out.to_string()
}

/// The volume named in a raw `rootfs` or `mpN` value.
pub fn volume_of(raw: &str) -> Option<VolumeId> {
    let parsed = PropertyString::parse(raw);
    parsed.lead().or_else(|| parsed.get("volume")).and_then(|volume| volume.parse().ok())
}

fn size_text(parsed: &PropertyString) -> String {
    parsed
        .get("size")
        .map_or_else(String::new, |size| DiskSize::from_pve(size).map_or_else(|_| size.to_owned(), DiskSize::pve))
}

fn observed_rootfs(raw: &str) -> String {
    let parsed = PropertyString::parse(raw);
    let storage = volume_of(raw).map(|volume| volume.storage().to_string()).unwrap_or_default();
    format!("size={},storage={storage}", size_text(&parsed))
}

fn observed_mount(raw: &str) -> String {
    let parsed = PropertyString::parse(raw);
    let mut out = PropertyString::default();
    match volume_of(raw) {
        Some(volume) => out.set("storage", volume.storage()),
        None => out.set("volume", parsed.lead().unwrap_or_default()),
    }
    out.set("size", size_text(&parsed));
    out.set("mp", parsed.get("mp").unwrap_or_default());
    out.set("backup", u8::from(parsed.get("backup").is_some_and(truthy)));
    out.set("ro", u8::from(parsed.get("ro").is_some_and(truthy)));
    for (key, value) in parsed.pairs().filter(|(key, _)| !["size", "mp", "backup", "ro", "volume"].contains(key)) {
        out.set(key, value);
    }
    out.to_string()
}

/// A NIC in Proxmox's notation, as the configuration calls take it.
pub fn desired_nic(nic: &ResolvedNic) -> String {
    let mut out = PropertyString::default();
    out.set("name", &nic.name);
    out.set("bridge", &nic.bridge);
    out.set("hwaddr", nic.mac);
    out.set("type", "veth");
    set_address(&mut out, "ip", "gw", &nic.ipv4);
    set_address(&mut out, "ip6", "gw6", &nic.ipv6);
    if let Some(vlan) = nic.vlan {
        out.set("tag", vlan);
    }
    if let Some(mtu) = nic.mtu {
        out.set("mtu", mtu);
    }
    if let Some(rate) = nic.rate_mbps {
        out.set("rate", rate);
    }
    if nic.firewall {
        out.set("firewall", 1);
    }
    out.to_string()
}

fn set_address(out: &mut PropertyString, ip: &str, gw: &str, mode: &AddressMode) {
    match mode {
        AddressMode::None => {}
        AddressMode::Dhcp => out.set(ip, "dhcp"),
        AddressMode::Auto => out.set(ip, "auto"),
        AddressMode::Static { address, gateway } => {
            out.set(ip, address);
            if let Some(gateway) = gateway {
                out.set(gw, gateway);
            }
        }
    }
}

fn observed_nic(raw: &str) -> String {
    let mut out = PropertyString::parse(raw);
    if let Some(mac) = out.get("hwaddr").and_then(|mac| mac.parse::<MacAddr>().ok()) {
        out.set("hwaddr", mac);
    }
    if out.get("type").is_none() {
        out.set("type", "veth");
    }
    for key in ["firewall", "link_down"] {
        match out.get(key).map(truthy) {
            Some(true) => out.set(key, 1),
            Some(false) => drop(out.remove(key)),
            None => {}
        }
    }
    for key in ["ip", "ip6"] {
        if out.get(key) == Some("manual") {
            out.remove(key);
        }
    }
    out.to_string()
}
