//! One guest with everything, and every request the crate can build.

use rl_model::*;
use rl_pve::api::lxc::{self, CloneTo, ConfigPatch, ConfigView, Destroy, DiskKey, Migrate};
use rl_pve::api::storage::Content;
use rl_pve::api::tasks::{TaskQuery, TaskSource};
use rl_pve::api::{access, cluster, firewall, network, nodes, pools, qemu, storage, tasks, version};
use rl_pve::wire::RawConfig;
use rl_pve::{Method, Param, PveError, Request};
use serde::de::DeserializeOwned;

use crate::spy::{Read, read};

pub(crate) fn p<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

pub(crate) fn node() -> NodeName {
    p("pve1")
}

pub(crate) fn vmid() -> Vmid {
    p("2000")
}

pub(crate) fn upid() -> Upid {
    p("UPID:pve1:00000371:000331FD:6B0329D9:vzcreate:2000:deploy@pve!full:")
}

pub(crate) const DIGEST: &str = "c0f2bbbd4e3cf7e8dbcc08bc8a869b03f3e9fd79";

/// A guest that uses every field a manifest has.
pub(crate) fn full_guest() -> ResolvedGuest {
    let address = |address: &str, gateway: &str| AddressMode::Static { address: p(address), gateway: Some(p(gateway)) };
    ResolvedGuest {
        id: GuestId::from_bits(7),
        name: p("web-1"),
        container: p("web"),
        site: p("fra1"),
        node: node(),
        node_pinned: false,
        vmid: vmid(),
        hostname: p("web-1.example.org"),
        image: p("local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"),
        storage: p("local-zfs"),
        cores: 2,
        memory: Memory::from_mib(1024),
        swap: Memory::from_mib(0),
        disk: DiskSize::from_mib(8 * 1024 + 512),
        volumes: vec![ResolvedVolume {
            name: p("data"),
            slot: p("mp0"),
            storage: p("tank"),
            size: DiskSize::from_gib(20),
            path: p("/srv/data"),
            backup: true,
            read_only: true,
        }],
        nics: vec![
            ResolvedNic {
                slot: p("net0"),
                name: p("eth0"),
                network: p("dmz"),
                bridge: p("vmbr0"),
                vlan: Some(p("20")),
                mtu: Some(1400),
                rate_mbps: Some(50),
                mac: p("BC:24:11:00:00:41"),
                ipv4: address("10.20.0.50/24", "10.20.0.1"),
                ipv6: address("fd00:20::50/64", "fd00:20::1"),
                firewall: true,
            },
            ResolvedNic {
                slot: p("net1"),
                name: p("eth1"),
                network: p("lan"),
                bridge: p("vmbr1"),
                vlan: None,
                mtu: None,
                rate_mbps: None,
                mac: p("BC:24:11:00:00:42"),
                ipv4: AddressMode::Dhcp,
                ipv6: AddressMode::Auto,
                firewall: false,
            },
        ],
        nameservers: vec![p("10.20.0.2"), p("fd00:20::2")],
        search_domain: Some("example.org".into()),
        tags: vec![p("prod"), p("web")],
        notes: "front end".into(),
        onboot: true,
        startup: Some(StartupOrder { order: Some(2), up_delay_s: Some(5), down_delay_s: Some(10) }),
        unprivileged: true,
        features: Features { nesting: true, keyctl: true, fuse: true },
        protection: true,
        running: true,
        pool: Some(p("team/shop")),
        ssh_keys: vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKey a@b".into()],
        timezone: Some("Europe/Berlin".into()),
        secrets: Vec::new(),
        after: vec![],
        firewall: None,
    }
}

/// A guest with nothing that can be left out.
pub(crate) fn small_guest() -> ResolvedGuest {
    ResolvedGuest {
        volumes: vec![],
        nics: vec![],
        nameservers: vec![],
        search_domain: None,
        tags: vec![],
        notes: String::new(),
        onboot: false,
        startup: None,
        cores: 0,
        features: Features::default(),
        protection: false,
        pool: None,
        ssh_keys: vec![],
        timezone: None,
        secrets: Vec::new(),
        disk: DiskSize::from_gib(4),
        ..full_guest()
    }
}

pub(crate) fn stamp(guest: &ResolvedGuest) -> Stamp {
    Stamp {
        guest: guest.id.clone(),
        stack: p("shop"),
        name: guest.name.clone(),
        controller: ControllerId::from_bits(9),
    }
}

/// A patch that sets every key a change can set.
pub(crate) fn full_patch() -> ConfigPatch {
    let guest = full_guest();
    let wanted = ConfigFields::desired(&guest, &stamp(&guest));
    let change = |(key, to): (&FieldKey, &String)| Change { key: *key, from: String::new(), to: to.clone() };
    let changes: Vec<Change> = wanted.0.iter().map(change).collect();
    let mut patch = ConfigPatch::from_changes(&changes, &guest, &RawConfig::default());
    patch.digest = Some(DIGEST.into());
    patch.delete.extend(["net1".to_owned(), "searchdomain".to_owned()]);
    patch.set.remove("net1");
    patch.set.remove("searchdomain");
    patch.revert.insert("cores".to_owned());
    patch
}

type Decode = Box<dyn Fn(&[u8]) -> Result<(), PveError>>;
type Refuse = Box<dyn Fn(u16, &str, &[u8]) -> PveError>;

/// A request without its type, and what its answer's type reads.
pub(crate) struct Built {
    pub(crate) method: Method,
    pub(crate) template: &'static str,
    pub(crate) args: Vec<(&'static str, String)>,
    pub(crate) params: Vec<Param>,
    pub(crate) path: String,
    pub(crate) read: Vec<Read>,
    /// Reads the body of an answer.
    pub(crate) decode: Decode,
    /// Reads a refusal.
    pub(crate) refuse: Refuse,
}

impl Built {
    pub(crate) fn of<A: DeserializeOwned + 'static>(request: Request<A>) -> Self {
        built(request)
    }
}

fn built<A: DeserializeOwned + 'static>(request: Request<A>) -> Built {
    let refused = request.clone();
    let decoded = request.clone();
    Built {
        method: request.method(),
        template: request.template(),
        args: request.args().to_vec(),
        params: request.params().to_vec(),
        path: request.path(),
        read: read::<A>(),
        decode: Box::new(move |body| decoded.decode(body).map(drop)),
        refuse: Box::new(move |status, reason, body| refused.refused(status, reason, body)),
    }
}

fn containers() -> Vec<Built> {
    let (node, vmid) = (node(), vmid());
    let (full, small) = (full_guest(), small_guest());
    let clone = CloneTo {
        newid: p("2001"),
        hostname: Some(p("copy")),
        description: Some("a copy".into()),
        pool: Some(p("team")),
        full: true,
        storage: Some(p("tank")),
        target: Some(p("pve2")),
        snapshot: Some(p("before")),
    };
    let least = CloneTo {
        newid: p("2001"),
        hostname: None,
        description: None,
        pool: None,
        full: false,
        storage: None,
        target: None,
        snapshot: None,
    };
    let migrate = Migrate { target: p("pve2"), restart: true, timeout_s: Some(60), target_storage: Some(p("tank")) };
    vec![
        built(lxc::list(&node)),
        built(lxc::create(&node, &full, &stamp(&full), true)),
        built(lxc::create(&node, &small, &stamp(&small), false)),
        built(lxc::config(&node, vmid, ConfigView::Current)),
        built(lxc::config(&node, vmid, ConfigView::Merged)),
        built(lxc::pending(&node, vmid)),
        built(lxc::set_config(&node, vmid, &full_patch())),
        built(lxc::resize(&node, vmid, DiskKey::Root, DiskSize::from_gib(9), Some(DIGEST))),
        built(lxc::resize(&node, vmid, DiskKey::Mount(p("mp0")), DiskSize::from_mib(512), None)),
        built(lxc::clone(&node, vmid, &clone)),
        built(lxc::clone(&node, vmid, &least)),
        built(lxc::start(&node, vmid)),
        built(lxc::shutdown(&node, vmid, 60, true)),
        built(lxc::stop(&node, vmid)),
        built(lxc::reboot(&node, vmid, 60)),
        built(lxc::status(&node, vmid)),
        built(lxc::interfaces(&node, vmid)),
        built(lxc::destroy(&node, vmid, Destroy { purge: true, force: true, unreferenced_disks: true })),
        built(lxc::migrate(&node, vmid, &migrate)),
        built(lxc::make_template(&node, vmid)),
        built(lxc::move_volume(&node, vmid, DiskKey::Mount(p("mp0")), &p("tank"), true, Some(DIGEST))),
        built(lxc::list_snapshots(&node, vmid)),
        built(lxc::take_snapshot(&node, vmid, &p("before"), Some("before the upgrade"))),
        built(lxc::delete_snapshot(&node, vmid, &p("before"), true)),
        built(lxc::rollback_snapshot(&node, vmid, &p("before"), true)),
    ]
}

fn site() -> Vec<Built> {
    let node = node();
    let query = TaskQuery { source: TaskSource::All, since: Some(1_795_372_914), limit: 50, about: Some(vmid()) };
    vec![
        built(version::get()),
        built(cluster::resources(None)),
        built(cluster::resources(Some(cluster::ResourceKind::Guests))),
        built(cluster::resources(Some(cluster::ResourceKind::Nodes))),
        built(cluster::resources(Some(cluster::ResourceKind::Storages))),
        built(cluster::status()),
        built(cluster::next_id()),
        built(cluster::assert_free(vmid())),
        built(cluster::tasks()),
        built(nodes::list()),
        built(nodes::status(&node)),
        built(nodes::version(&node)),
        built(storage::list(&node)),
        built(storage::content(&node, &p("local"), Content::Templates, None)),
        built(storage::content(&node, &p("local"), Content::ContainerDisks, Some(vmid()))),
        built(storage::content(&node, &p("local"), Content::Backups, None)),
        built(network::bridges(&node)),
        built(pools::list()),
        built(pools::get(&p("team/shop"))),
        built(pools::add_guests(&p("team/shop"), &[vmid(), p("2001")])),
        built(pools::remove_guests(&p("team"), &[vmid()])),
        built(qemu::list(&node)),
        built(qemu::config(&node, vmid())),
        built(tasks::list(&node, &query)),
        built(tasks::list(&node, &TaskQuery { source: TaskSource::Active, since: None, limit: 1, about: None })),
        built(tasks::list(&node, &TaskQuery { source: TaskSource::Archive, since: None, limit: 1, about: None })),
        built(tasks::status(&upid())),
        built(tasks::log(&upid(), 5, 20)),
        built(tasks::stop(&upid())),
        built(access::permissions()),
        built(access::permissions_on("/vms/2000")),
        built(access::token_info("deploy@pve", "full")),
        built(access::user_info("deploy@pve")),
        built(access::login("deploy@pve", SecretValue::new("not a real one"))),
    ]
}

fn firewalls() -> Vec<Built> {
    let (node, vmid, set) = (node(), vmid(), p("trusted"));
    let mut all = vec![
        built(firewall::datacenter_options()),
        built(firewall::groups()),
        built(firewall::group(&p("web"))),
        built(firewall::ip_sets()),
        built(firewall::ip_set(&set)),
        built(firewall::aliases()),
        built(firewall::macros()),
        built(firewall::node_options(&node)),
        built(firewall::datacenter_rules()),
        built(firewall::node_rules(&node)),
    ];
    for kind in [GuestKind::Container, GuestKind::Vm] {
        all.extend([
            built(firewall::guest_options(kind, &node, vmid)),
            built(firewall::guest_rules(kind, &node, vmid)),
            built(firewall::guest_ip_sets(kind, &node, vmid)),
            built(firewall::guest_ip_set(kind, &node, vmid, &set)),
            built(firewall::guest_aliases(kind, &node, vmid)),
        ]);
    }
    all
}

/// Every request the crate can build, with every parameter it can have.
pub(crate) fn every_request() -> Vec<Built> {
    containers().into_iter().chain(site()).chain(firewalls()).collect()
}
