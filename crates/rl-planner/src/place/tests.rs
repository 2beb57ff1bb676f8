//! A table of nodes: which one takes a guest, and what the others say.
#![allow(clippy::unwrap_used)]

use rl_model::{Bridge, ObservedGuest, SiteLimits, TlsTrust, TokenSource};

use super::*;

const IMAGE: &str = "local:vztmpl/debian.tar.zst";

fn site(nodes: &[&str]) -> Site {
    Site {
        name: "fra1".parse().unwrap(),
        datacenter: None,
        endpoints: Vec::new(),
        token: TokenSource::Env("TOKEN".to_owned()),
        tls: TlsTrust::System,
        vmids: "2000-2999".parse().unwrap(),
        networks: BTreeMap::new(),
        images: BTreeMap::new(),
        storage: None,
        storages: Vec::new(),
        nodes: nodes.iter().map(|node| node.parse().unwrap()).collect(),
        pool: None,
        limits: SiteLimits::default(),
        firewall: None,
        zones: BTreeMap::new(),
        providers: BTreeMap::new(),
    }
}

fn storage(content: &str, shared: bool, free_gib: u64) -> ObservedStorage {
    ObservedStorage {
        kind: "dir".to_owned(),
        content: vec![content.to_owned()],
        shared,
        available: true,
        total_bytes: 100 << 30,
        used_bytes: (100 - free_gib) << 30,
    }
}

/// A node with 8 GiB of memory, of which 11 GiB may be promised.
fn node() -> ObservedNode {
    ObservedNode {
        online: true,
        cores: 4,
        memory_bytes: 8 << 30,
        memory_used_bytes: 0,
        storages: BTreeMap::from([
            ("local".parse().unwrap(), storage("vztmpl", false, 50)),
            ("zfs".parse().unwrap(), storage("rootdir", false, 50)),
            ("ceph".parse().unwrap(), storage("rootdir", true, 50)),
        ]),
        bridges: Some([("vmbr0".parse().unwrap(), Bridge { vlan_aware: true, active: true })].into()),
        templates: Some(vec![IMAGE.parse().unwrap()]),
    }
}

fn seen(nodes: Vec<(&str, ObservedNode)>) -> ObservedSite {
    let nodes = nodes.into_iter().map(|(name, node)| (name.parse().unwrap(), node)).collect();
    ObservedSite { quorate: true, nodes, ..ObservedSite::default() }
}

struct Wish {
    entry: ContainerName,
    image: VolumeId,
    storage: StorageId,
    bridge: BridgeName,
    disk_gib: u64,
    memory_mib: u64,
    spread: Spread,
}

impl Wish {
    fn new() -> Self {
        Self {
            entry: "web".parse().unwrap(),
            image: IMAGE.parse().unwrap(),
            storage: "zfs".parse().unwrap(),
            bridge: "vmbr0".parse().unwrap(),
            disk_gib: 4,
            memory_mib: 512,
            spread: Spread::None,
        }
    }

    fn need(&self) -> Need<'_> {
        Need {
            entry: &self.entry,
            spread: self.spread,
            memory: Memory::from_mib(self.memory_mib),
            disks: BTreeMap::from([(&self.storage, self.disk_gib << 30)]),
            image: &self.image,
            bridges: BTreeSet::from([&self.bridge]),
        }
    }
}

/// Why a node refuses, in words.
fn refusal(change: impl FnOnce(&mut ObservedNode, &mut Wish, &mut Site)) -> String {
    let (mut node, mut wish, mut site) = (node(), Wish::new(), site(&[]));
    change(&mut node, &mut wish, &mut site);
    let seen = seen(vec![("pve1", node)]);
    let ledger = Ledger::new([(&site, &seen)].into_iter());
    match ledger.check(&site.name, &"pve1".parse().unwrap(), &wish.need()) {
        Ok(()) => "takes it".to_owned(),
        Err(refusal) => refusal.text,
    }
}

#[test]
fn a_table_of_refusals() {
    let zfs = || "zfs".parse::<StorageId>().unwrap();
    let local = || "local".parse::<StorageId>().unwrap();
    let table: Vec<(String, &str)> = vec![
        (refusal(|_, _, _| {}), "takes it"),
        (refusal(|node, _, _| node.online = false), "is offline"),
        (
            refusal(|_, _, site| site.nodes = vec!["pve2".parse().unwrap()]),
            "is not among the nodes that the site file allows",
        ),
        (refusal(|node, _, _| node.templates = None), "could not be asked for its templates"),
        (refusal(|node, _, _| node.templates = Some(Vec::new())), "has no template `local:vztmpl/debian.tar.zst`"),
        (refusal(|_, wish, _| wish.storage = "none".parse().unwrap()), "has no storage `none`"),
        (refusal(|_, wish, _| wish.storage = local()), "has storage `local`, which takes no containers (`rootdir`)"),
        (
            refusal(|node, _, _| node.storages.get_mut(&zfs()).unwrap().available = false),
            "cannot use storage `zfs` now",
        ),
        (
            refusal(|node, _, _| node.storages.get_mut(&zfs()).unwrap().total_bytes = 0),
            "does not tell the size of storage `zfs`",
        ),
        (refusal(|_, wish, _| wish.disk_gib = 51), "has 50.0 GiB left on storage `zfs`, 51.0 GiB are needed"),
        (refusal(|_, wish, _| wish.disk_gib = 50), "takes it"),
        (refusal(|_, wish, _| wish.bridge = "vmbr7".parse().unwrap()), "has no bridge `vmbr7`"),
        (refusal(|node, _, _| node.bridges = None), "could not be asked for its bridges"),
        (
            refusal(|node, _, _| node.bridges.iter_mut().flatten().for_each(|(_, bridge)| bridge.active = false)),
            "has bridge `vmbr0`, but it is down",
        ),
        (refusal(|node, _, _| node.memory_bytes = 0), "does not tell its memory"),
        (
            refusal(|_, wish, _| wish.memory_mib = 12 << 10),
            "has 10.9 GiB of memory left for guests, 12.0 GiB are needed",
        ),
        (refusal(|_, wish, _| wish.memory_mib = 10 << 10), "takes it"),
    ];
    for (got, wanted) in table {
        assert_eq!(got, wanted);
    }
}

#[test]
fn a_template_on_a_shared_storage_is_everywhere() {
    let mut with = node();
    with.storages.insert("nfs".parse().unwrap(), storage("vztmpl", true, 50));
    let mut without = with.clone();
    with.templates = Some(vec!["nfs:vztmpl/debian.tar.zst".parse().unwrap()]);
    without.templates = Some(Vec::new());
    let mut cut_off = without.clone();
    cut_off.storages.get_mut(&"nfs".parse::<StorageId>().unwrap()).unwrap().available = false;
    let (site, seen) = (site(&[]), seen(vec![("pve1", with), ("pve2", without), ("pve3", cut_off)]));
    let wish = Wish { image: "nfs:vztmpl/debian.tar.zst".parse().unwrap(), ..Wish::new() };
    let ledger = Ledger::new([(&site, &seen)].into_iter());
    let takes = |node: &str| ledger.check(&site.name, &node.parse().unwrap(), &wish.need()).is_ok();
    assert_eq!([takes("pve1"), takes("pve2"), takes("pve3")], [true, true, false]);
}

#[test]
fn running_guests_hold_memory_and_what_was_placed_is_gone() {
    let (site, mut seen) = (site(&[]), seen(vec![("pve1", node()), ("pve2", node())]));
    let guest = |vmid: u32, node: &str, status| ObservedGuest {
        vmid: vmid.try_into().unwrap(),
        kind: rl_model::GuestKind::Vm,
        node: node.parse().unwrap(),
        name: String::new(),
        status,
        template: false,
        tags: Vec::new(),
        lock: None,
        pool: None,
        max_cores: 1,
        max_memory_bytes: 4 << 30,
        max_disk_bytes: 0,
        config: None,
        live: None,
    };
    let (running, stopped) = (rl_model::GuestStatus::Running, rl_model::GuestStatus::Stopped);
    for guest in [guest(100, "pve1", running), guest(101, "pve2", stopped)] {
        seen.guests.insert(guest.vmid, guest);
    }
    let mut ledger = Ledger::new([(&site, &seen)].into_iter());
    let wish = Wish { memory_mib: 2 << 10, ..Wish::new() };
    let mut chosen = Vec::new();
    while let Ok(choice) = ledger.choose(&site.name, &wish.need()) {
        ledger.take(&site.name, &choice.node, &wish.need());
        chosen.push(choice.node.to_string());
    }
    assert_eq!(chosen, ["pve2", "pve2", "pve1", "pve2", "pve1", "pve2", "pve1", "pve2"]);
}

#[test]
fn a_shared_storage_is_counted_once_for_all_nodes() {
    let (site, seen) = (site(&[]), seen(vec![("pve1", node()), ("pve2", node())]));
    let mut ledger = Ledger::new([(&site, &seen)].into_iter());
    let mut count = |storage: &str| {
        let wish = Wish { storage: storage.parse().unwrap(), disk_gib: 20, memory_mib: 16, ..Wish::new() };
        let mut placed = 0;
        while let Ok(choice) = ledger.choose(&site.name, &wish.need()) {
            ledger.take(&site.name, &choice.node, &wish.need());
            placed += 1;
        }
        placed
    };
    assert_eq!((count("ceph"), count("zfs")), (2, 4));
}

#[test]
fn spreading_counts_guests_first_and_says_so() {
    let mut big = node();
    big.memory_bytes = 64 << 30;
    let (site, seen) = (site(&[]), seen(vec![("pve1", node()), ("pve2", big), ("pve3", node())]));
    let mut ledger = Ledger::new([(&site, &seen)].into_iter());
    let wish = Wish { spread: Spread::Node, ..Wish::new() };
    ledger.present(&site.name, &wish.entry, &"pve2".parse().unwrap());
    let mut whys = Vec::new();
    for _ in 0..3 {
        let choice = ledger.choose(&site.name, &wish.need()).unwrap();
        ledger.take(&site.name, &choice.node, &wish.need());
        whys.push(choice.why);
    }
    insta::assert_snapshot!(whys.join("\n"), @"
    pve1 has the fewest guests of `web` (0) among 3 nodes that can take it, and of these the most memory left (10.9 GiB)
    pve3 has the fewest guests of `web` (0) among 3 nodes that can take it, and of these the most memory left (10.9 GiB)
    pve2 has the fewest guests of `web` (1) among 3 nodes that can take it, and of these the most memory left (94.9 GiB)
    ");
    let packed = Wish::new();
    assert_eq!(ledger.choose(&site.name, &packed.need()).unwrap().node.as_str(), "pve2", "where there is most room");
}
