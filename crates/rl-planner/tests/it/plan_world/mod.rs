//! A world to plan in: sites, guests as Proxmox keeps them, and what a store would know. Written from Proxmox's
//! semantics and not from the planner, so that the two can disagree.

pub(crate) mod generate;
pub(crate) mod interpret;
pub(crate) mod mischief;
pub(crate) mod show;
pub(crate) mod tape;

use std::collections::BTreeMap;

use rl_model::manifest::{Container, Manifest, Nic, NicAddress, Origins, Spread, Stack, Volume};
use rl_model::{
    Bridge, ConfigFields, ContainerConfig, ControllerId, DiskSize, Features, GuestKind, GuestStatus, Leases, Memory,
    Network, NodeName, Observed, ObservedGuest, ObservedNode, ObservedSite, ObservedStorage, PropertyString, Site,
    SiteLimits, SiteName, StackName, Stamp, TlsTrust, TokenSource, Vmid,
};

pub(crate) const IMAGE: &str = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";
pub(crate) const STACK: &str = "shop";

/// A guest as Proxmox keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RealGuest {
    pub(crate) kind: GuestKind,
    pub(crate) node: NodeName,
    pub(crate) running: bool,
    pub(crate) template: bool,
    /// Its configuration file, key by key.
    pub(crate) raw: BTreeMap<String, String>,
    pub(crate) pending: Vec<String>,
}

impl RealGuest {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.raw.get(key).map_or("", String::as_str)
    }

    pub(crate) fn stamp(&self) -> Option<Stamp> {
        Stamp::find(self.text("description"))
    }

    fn config(&self) -> ContainerConfig {
        let fields = ConfigFields::observed(&self.raw);
        let net0 = PropertyString::parse(self.text("net0"));
        ContainerConfig {
            digest: format!("{:x}", self.raw.len()),
            stamp: self.stamp(),
            hostname: self.text("hostname").parse().ok(),
            tags: rl_model::config::split_tags(self.text("tags")),
            lock: self.raw.get("lock").cloned(),
            net0_mac: net0.get("hwaddr").and_then(|mac| mac.parse().ok()),
            fields,
            pending: self.pending.clone(),
        }
    }

    fn row(&self, vmid: Vmid) -> ObservedGuest {
        let number = |key: &str, default: u64| self.raw.get(key).map_or(default, |text| text.parse().unwrap());
        ObservedGuest {
            vmid,
            kind: self.kind,
            node: self.node.clone(),
            name: self.text("hostname").to_owned(),
            status: if self.running { GuestStatus::Running } else { GuestStatus::Stopped },
            template: self.template,
            tags: rl_model::config::split_tags(self.text("tags")),
            lock: self.raw.get("lock").cloned(),
            pool: None,
            max_cores: u32::try_from(number("cores", 0)).unwrap(),
            max_memory_bytes: number("memory", 512) << 20,
            max_disk_bytes: 0,
            config: None,
            live: None,
        }
    }
}

/// The sites as they really are, and what a store knows of them.
#[derive(Debug, Clone)]
pub(crate) struct Reality {
    pub(crate) sites: BTreeMap<SiteName, BTreeMap<Vmid, RealGuest>>,
    pub(crate) nodes: BTreeMap<SiteName, BTreeMap<NodeName, ObservedNode>>,
    pub(crate) leases: Leases,
    pub(crate) disks: u32,
}

impl Reality {
    /// Empty sites with three nodes each.
    pub(crate) fn new(sites: &BTreeMap<SiteName, Site>) -> Self {
        let nodes = || (1..=3).map(|n| (format!("pve{n}").parse().unwrap(), node())).collect();
        Self {
            sites: sites.keys().map(|name| (name.clone(), BTreeMap::new())).collect(),
            nodes: sites.keys().map(|name| (name.clone(), nodes())).collect(),
            leases: Leases {
                controller: controller(),
                guests: BTreeMap::new(),
                sites: BTreeMap::new(),
                entropy: 7,
                secrets: rl_model::KnownSecrets::default(),
            },
            disks: 0,
        }
    }

    /// Looks without reading any configuration.
    pub(crate) fn catalogue(&self) -> Observed {
        let site = |(name, guests): (&SiteName, &BTreeMap<Vmid, RealGuest>)| {
            let seen = ObservedSite {
                seen_at_ms: 0,
                version: "9.1.6".to_owned(),
                quorate: true,
                nodes: self.nodes[name].clone(),
                guests: guests.iter().map(|(vmid, guest)| (*vmid, guest.row(*vmid))).collect(),
                unread: Vec::new(),
                firewall: Default::default(),
            };
            (name.clone(), seen)
        };
        Observed { sites: self.sites.iter().map(site).collect(), ..Observed::default() }
    }

    /// Looks at everything.
    pub(crate) fn observe(&self) -> Observed {
        let mut observed = self.catalogue();
        let wanted: Vec<(SiteName, Vmid)> =
            self.sites.iter().flat_map(|(site, guests)| guests.keys().map(|vmid| (site.clone(), *vmid))).collect();
        self.read(&mut observed, &wanted);
        observed
    }

    /// Reads configurations into what was observed, as an observer does.
    pub(crate) fn read(&self, observed: &mut Observed, wanted: &[(SiteName, Vmid)]) {
        for (site, vmid) in wanted {
            let real = &self.sites[site][vmid];
            if real.kind == GuestKind::Container {
                observed.sites.get_mut(site).unwrap().guests.get_mut(vmid).unwrap().config = Some(real.config());
            }
        }
    }

    pub(crate) fn at(&mut self, site: &str, vmid: u32) -> &mut RealGuest {
        self.sites.get_mut(&site.parse().unwrap()).unwrap().get_mut(&Vmid::try_from(vmid).unwrap()).unwrap()
    }
}

pub(crate) fn controller() -> ControllerId {
    ControllerId::from_bits(42)
}

pub(crate) fn stack_name() -> StackName {
    STACK.parse().unwrap()
}

fn node() -> ObservedNode {
    let storage = |shared: bool, content: &str| ObservedStorage {
        kind: "dir".to_owned(),
        content: content.split(',').map(str::to_owned).collect(),
        shared,
        available: true,
        total_bytes: 4 << 40,
        used_bytes: 0,
    };
    let bridge = Bridge { vlan_aware: true, active: true };
    ObservedNode {
        online: true,
        cores: 16,
        memory_bytes: 256 << 30,
        memory_used_bytes: 0,
        storages: BTreeMap::from([
            ("local".parse().unwrap(), storage(false, "vztmpl,iso")),
            ("local-zfs".parse().unwrap(), storage(false, "rootdir,images")),
            ("ceph".parse().unwrap(), storage(true, "rootdir,images")),
        ]),
        bridges: Some(["vmbr0", "vmbr1"].into_iter().map(|name| (name.parse().unwrap(), bridge.clone())).collect()),
        templates: Some(vec![IMAGE.parse().unwrap(), "local:vztmpl/alpine-3.20.tar.xz".parse().unwrap()]),
    }
}

pub(crate) fn site(name: &str, octet: u8) -> Site {
    Site {
        name: name.parse().unwrap(),
        datacenter: None,
        endpoints: vec!["https://pve1.example:8006".parse().unwrap()],
        token: TokenSource::Env("TOKEN".to_owned()),
        tls: TlsTrust::System,
        vmids: "2000-2099".parse().unwrap(),
        networks: [network("dmz", "vmbr0", octet), network("lan", "vmbr1", octet + 1)]
            .map(|network| (network.name.clone(), network))
            .into(),
        images: BTreeMap::new(),
        storage: None,
        storages: Vec::new(),
        nodes: Vec::new(),
        pool: None,
        limits: SiteLimits::default(),
        firewall: None,
        zones: BTreeMap::new(),
        providers: BTreeMap::new(),
    }
}

fn network(name: &str, bridge: &str, octet: u8) -> Network {
    Network {
        name: name.parse().unwrap(),
        bridge: bridge.parse().unwrap(),
        vlan: Some(u16::from(octet).try_into().unwrap()),
        mtu: None,
        subnet: Some(format!("10.{octet}.0.0/24").parse().unwrap()),
        gateway: Some(format!("10.{octet}.0.1").parse().unwrap()),
        addresses: vec![format!("10.{octet}.0.50-10.{octet}.0.250").parse().unwrap()],
        nameservers: vec![format!("10.{octet}.0.2").parse().unwrap()],
        search_domain: None,
    }
}

pub(crate) fn container(name: &str) -> Container {
    Container {
        name: name.parse().unwrap(),
        count: None,
        site: "fra1".parse().unwrap(),
        image: IMAGE.parse().unwrap(),
        storage: "local-zfs".parse().unwrap(),
        cores: 1,
        memory: Memory::from_mib(512),
        swap: Memory::from_mib(512),
        disk: DiskSize::from_gib(4),
        volumes: Vec::new(),
        nics: vec![nic("eth0", "dmz")],
        node: None,
        vmids: Vec::new(),
        spread: Spread::None,
        hostname: None,
        nameservers: Vec::new(),
        search_domain: None,
        tags: Vec::new(),
        notes: String::new(),
        onboot: false,
        startup: None,
        unprivileged: true,
        features: Features { nesting: true, ..Features::default() },
        protection: false,
        running: true,
        pool: None,
        ssh_keys: Vec::new(),
        timezone: None,
        after: Vec::new(),
        firewall: None,
        secrets: Vec::new(),
    }
}

pub(crate) fn nic(name: &str, network: &str) -> Nic {
    Nic {
        name: name.parse().unwrap(),
        network: network.parse().unwrap(),
        ipv4: NicAddress::Lease,
        ipv6: NicAddress::None,
        mac: None,
        rate_mbps: None,
        firewall: false,
    }
}

pub(crate) fn volume(name: &str, gib: u64) -> Volume {
    Volume {
        name: name.parse().unwrap(),
        path: format!("/srv/{name}").parse().unwrap(),
        size: DiskSize::from_gib(gib),
        storage: "local-zfs".parse().unwrap(),
        backup: true,
        read_only: false,
    }
}

pub(crate) fn manifest(containers: Vec<Container>) -> Manifest {
    let sites = [site("fra1", 20), site("ams1", 30)].map(|site| (site.name.clone(), site));
    let containers = containers.into_iter().map(|container| (container.name.clone(), container)).collect();
    let stack = Stack { name: stack_name(), containers, dns: Vec::new(), sections: Vec::new() };
    Manifest { sites: sites.into(), stacks: [(stack_name(), stack)].into(), origins: Origins::default() }
}
