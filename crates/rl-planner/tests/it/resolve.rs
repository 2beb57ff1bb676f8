//! Resolving: what is kept, what is pinned, what is given from what is free, and what stands in the way.

use insta::assert_snapshot;
use rl_model::manifest::{Container, Manifest, NicAddress, Spread};
use rl_model::{
    Features, HeldLease, KnownGuest, LeaseState, Memory, Observed, Policy, ResolvedGuest, ResolvedStack, Vmid,
};
use rl_planner::{plan, resolve};

use crate::plan_world::{Reality, container, manifest, nic, stack_name, volume};

fn empty() -> Reality {
    Reality::new(&manifest(Vec::new()).sites)
}

fn resolved(reality: &Reality, containers: Vec<Container>) -> ResolvedStack {
    let answer = resolve(&manifest(containers), &stack_name(), &reality.observe(), &reality.leases);
    answer.unwrap_or_else(|errors| panic!("{}", errors.render(&[], false))).0
}

fn errors(reality: &Reality, containers: Vec<Container>) -> String {
    errors_of(&manifest(containers), &reality.observe(), reality)
}

fn errors_of(manifest: &Manifest, observed: &Observed, reality: &Reality) -> String {
    resolve(manifest, &stack_name(), observed, &reality.leases).unwrap_err().render(&[], false)
}

fn guest<'a>(stack: &'a ResolvedStack, name: &str) -> &'a ResolvedGuest {
    &stack.guests[&name.parse().unwrap()]
}

fn apply(reality: &mut Reality, containers: Vec<Container>) {
    let stack = resolved(reality, containers);
    let (plan, _) = plan(&stack, &reality.observe(), &reality.leases, &Policy::default(), 0);
    reality.apply(&plan);
}

fn hold(reality: &mut Reality, guest: &rl_model::GuestId, state: LeaseState, vmid: u32, address: &str) {
    let lease = HeldLease { guest: guest.clone(), state };
    let site = reality.leases.sites.entry("fra1".parse().unwrap()).or_default();
    site.vmids.insert(vmid.try_into().unwrap(), lease.clone());
    site.addresses.insert(address.parse().unwrap(), lease);
}

fn address(guest: &ResolvedGuest) -> String {
    guest.nics[0].ipv4.leased().unwrap().to_string()
}

#[test]
fn a_new_guest_has_every_default_filled_in() {
    let stack = resolved(&empty(), vec![container("web")]);
    assert_snapshot!(serde_json::to_string_pretty(guest(&stack, "web")).unwrap(), @r#"
    {
      "id": "0rz4w2rv1505snajcnek",
      "name": "web",
      "container": "web",
      "site": "fra1",
      "node": "pve1",
      "node_pinned": false,
      "vmid": 2000,
      "hostname": "web",
      "image": "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
      "storage": "local-zfs",
      "cores": 1,
      "memory": "512 MiB",
      "swap": "512 MiB",
      "disk": "4 GiB",
      "volumes": [],
      "nics": [
        {
          "slot": "net0",
          "name": "eth0",
          "network": "dmz",
          "bridge": "vmbr0",
          "vlan": 20,
          "mtu": null,
          "rate_mbps": null,
          "mac": "52:A4:38:D5:66:1A",
          "ipv4": {
            "static": {
              "address": "10.20.0.50/24",
              "gateway": "10.20.0.1"
            }
          },
          "ipv6": "none",
          "firewall": false
        }
      ],
      "nameservers": [
        "10.20.0.2"
      ],
      "search_domain": null,
      "tags": [],
      "notes": "",
      "onboot": false,
      "startup": null,
      "unprivileged": true,
      "features": {
        "nesting": true,
        "keyctl": false,
        "fuse": false
      },
      "protection": false,
      "running": true,
      "pool": null,
      "ssh_keys": [],
      "timezone": null,
      "after": []
    }
    "#);
}

#[test]
fn the_same_arguments_give_the_same_stack_and_other_entropy_other_ids() {
    let (reality, mut other) = (empty(), empty());
    let wanted = || vec![Container { count: Some(3), ..container("web") }];
    assert_eq!(resolved(&reality, wanted()), resolved(&reality, wanted()));
    other.leases.entropy += 1;
    let (here, there) = (resolved(&reality, wanted()), resolved(&other, wanted()));
    assert_ne!(guest(&here, "web-1").id, guest(&there, "web-1").id);
    assert_ne!(guest(&here, "web-1").nics[0].mac, guest(&there, "web-1").nics[0].mac);
    assert_ne!(guest(&here, "web-1").id, guest(&here, "web-2").id);
}

#[test]
fn the_lowest_free_vmid_and_address_are_given() {
    let mut reality = empty();
    let strangers = rl_model::GuestId::from_bits(1);
    hold(&mut reality, &strangers, LeaseState::Held, 2000, "10.20.0.50");
    hold(&mut reality, &strangers, LeaseState::Quarantined, 2001, "10.20.0.51");
    let pinned = Container { vmids: vec![2003.try_into().unwrap()], ..container("pinned") };
    let stack = resolved(&reality, vec![Container { count: Some(2), ..container("web") }, pinned]);
    assert_eq!(
        (guest(&stack, "web-1").vmid, guest(&stack, "web-2").vmid),
        (2002.try_into().unwrap(), 2004.try_into().unwrap())
    );
    assert_eq!(address(guest(&stack, "pinned")), "10.20.0.52");
    assert_eq!(address(guest(&stack, "web-1")), "10.20.0.53");
}

#[test]
fn what_a_guest_has_it_keeps() {
    let mut reality = empty();
    apply(&mut reality, vec![container("a"), container("b"), container("c")]);
    let before = resolved(&reality, vec![container("a"), container("b"), container("c")]);
    reality.leases.entropy += 1;
    let mut more = container("c");
    more.nics = vec![nic("first", "lan"), nic("eth0", "dmz")];
    let after = resolved(&reality, vec![container("b"), more]);
    assert_eq!(guest(&before, "b"), guest(&after, "b"));
    let (was, is) = (guest(&before, "c"), guest(&after, "c"));
    assert_eq!((was.vmid, &was.id, &was.nics[0]), (is.vmid, &is.id, &is.nics[0]));
    assert_eq!(is.nics[1].name.as_str(), "first", "a new NIC takes the lowest free slot, it moves no other");
}

#[test]
fn an_address_that_no_longer_fits_its_network_is_given_anew() {
    let mut reality = empty();
    apply(&mut reality, vec![container("a")]);
    let mut narrowed = manifest(vec![container("a")]);
    let site = narrowed.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    let dmz = site.networks.get_mut(&"dmz".parse().unwrap()).unwrap();
    dmz.addresses = vec!["10.20.0.1-10.20.0.3".parse().unwrap()];
    let (stack, _) = resolve(&narrowed, &stack_name(), &reality.observe(), &reality.leases).unwrap();
    assert_eq!(address(guest(&stack, "a")), "10.20.0.3", "neither the gateway .1 nor the name server .2");
}

#[test]
fn a_reserved_guest_that_was_never_made_gives_way_to_a_stranger() {
    let mut reality = empty();
    let wanted = || vec![container("a")];
    let reserved = guest(&resolved(&reality, wanted()), "a").clone();
    let known = KnownGuest {
        id: reserved.id.clone(),
        stack: stack_name(),
        name: reserved.name.clone(),
        site: reserved.site.clone(),
        node: reserved.node.clone(),
        vmid: reserved.vmid,
        macs: [(reserved.nics[0].name.clone(), reserved.nics[0].mac)].into(),
        addresses: [(reserved.nics[0].name.clone(), vec![reserved.nics[0].ipv4.leased().unwrap()])].into(),
        last: None,
    };
    reality.leases.guests.insert(reserved.name.clone(), known);
    assert_eq!(guest(&resolved(&reality, wanted()), "a"), &reserved);
    let mut other = empty();
    apply(&mut other, vec![container("theirs")]);
    let mut stranger = other.at("fra1", 2000).clone();
    stranger.raw.remove("tags");
    stranger.raw.remove("description");
    reality.sites.get_mut(&reserved.site).unwrap().insert(reserved.vmid, stranger.clone());
    let (seen, leases) = (reality.catalogue(), &reality.leases);
    let (stack, _) = resolve(&manifest(wanted()), &stack_name(), &seen, leases).unwrap();
    assert_eq!(guest(&stack, "a").vmid, Vmid::try_from(2001).unwrap());
    assert_eq!((&guest(&stack, "a").id, guest(&stack, "a").nics[0].mac), (&reserved.id, reserved.nics[0].mac));
    stranger.raw.insert("lock".to_owned(), "create".to_owned());
    reality.sites.get_mut(&reserved.site).unwrap().insert(reserved.vmid, stranger);
    let (stack, _) = resolve(&manifest(wanted()), &stack_name(), &reality.catalogue(), &reality.leases).unwrap();
    assert_eq!(guest(&stack, "a").vmid, reserved.vmid, "a guest that is being created may be ours");
}

#[test]
fn pins_that_others_hold_are_refused() {
    let mut reality = empty();
    let other = rl_model::GuestId::from_bits(1);
    hold(&mut reality, &other, LeaseState::Held, 2010, "10.20.0.60");
    hold(&mut reality, &other, LeaseState::Quarantined, 2011, "10.20.0.61");
    apply(&mut reality, vec![container("b")]);
    let pinned = |name: &str, vmid: u32, address: &str| {
        let mut out = Container { vmids: vec![vmid.try_into().unwrap()], ..container(name) };
        out.nics[0].ipv4 = NicAddress::Pinned(vec![address.parse().unwrap()]);
        out
    };
    assert_snapshot!(errors(&reality, vec![container("b"), pinned("c", 2010, "10.20.0.60")]), @"
    error[RL0304]: VMID 2010, which `c` is pinned to, is held by another guest of RapidLaunch
     |
     = help: pin another VMID, or leave `vmid` out to have a free one chosen; if it is held by a guest that this stack releases, apply that first

    error[RL0307]: address 10.20.0.60, which `c` is pinned to, is held by another guest of RapidLaunch
     |
     = help: pin another address, or leave it out to have a free one chosen; if it is held by a guest that this stack releases, apply that first

    the stack cannot be resolved: 2 errors; nothing was changed
    ");
    let stack = resolved(&reality, vec![container("b"), pinned("c", 2011, "10.20.0.61")]);
    assert_eq!(address(guest(&stack, "c")), "10.20.0.61", "what is named may be taken out of quarantine");
    assert_snapshot!(errors(&reality, vec![pinned("b", 2020, "10.20.0.70"), pinned("d", 2000, "10.20.0.50")]), @"
    error[RL0305]: `b` has VMID 2000, which cannot change while the guest exists
     |
     = help: write `vmid: 2000` or leave it out; to have another VMID, take the guest out of the stack, apply, and put it back

    error[RL0304]: VMID 2000, which `d` is pinned to, is held by `b` on pve1
     |
     = help: pin another VMID, or leave `vmid` out to have a free one chosen; if it is held by a guest that this stack releases, apply that first

    error[RL0307]: address 10.20.0.50, which `d` is pinned to, is held by another guest of RapidLaunch
     |
     = help: pin another address, or leave it out to have a free one chosen; if it is held by a guest that this stack releases, apply that first

    the stack cannot be resolved: 3 errors; nothing was changed
    ");
}

#[test]
fn a_pin_that_goes_to_another_nic_of_the_guest_is_not_kept_by_the_first() {
    let mut reality = empty();
    let pinned = |on: usize| {
        let mut out = Container { nics: vec![nic("eth0", "dmz"), nic("eth1", "dmz")], ..container("a") };
        out.nics[on].mac = Some("BC:24:11:00:00:01".parse().unwrap());
        out.nics[on].ipv4 = NicAddress::Pinned(vec!["10.20.0.60".parse().unwrap()]);
        out
    };
    apply(&mut reality, vec![pinned(0)]);
    let stack = resolved(&reality, vec![pinned(1)]);
    let [first, second] = &guest(&stack, "a").nics[..] else { panic!("two NICs") };
    assert_eq!((second.mac.to_string(), second.ipv4.leased()), ("BC:24:11:00:00:01".into(), "10.20.0.60".parse().ok()));
    assert!(first.mac != second.mac && first.ipv4 != second.ipv4);
}

#[test]
fn a_site_without_room_for_vmids_or_addresses_says_so() {
    let mut narrow = manifest(vec![Container { count: Some(4), ..container("web") }]);
    let site = narrow.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    site.vmids = "2000-2001".parse().unwrap();
    site.networks.get_mut(&"dmz".parse().unwrap()).unwrap().addresses = vec!["10.20.0.50-10.20.0.52".parse().unwrap()];
    let reality = empty();
    assert_snapshot!(errors_of(&narrow, &reality.observe(), &reality), @"
    error[RL0303]: site `fra1` has no VMID left for `web-3`: all of 2000-2001 are taken
     |
     = help: widen `vmids` of the site, remove guests, or wait until released VMIDs may be given out again

    error[RL0306]: network `dmz` has no free IPv4 address left for `web-4`
     |
     = help: widen `addresses` of network `dmz` on site `fra1`, remove guests, or wait until released addresses may be given out again

    the stack cannot be resolved: 2 errors; nothing was changed
    ");
}

#[test]
fn what_no_node_has_is_told_for_each_entry_once() {
    let reality = empty();
    let image = Container { count: Some(6), image: "local:vztmpl/none.tar.gz".parse().unwrap(), ..container("image") };
    let storage = Container { storage: "local".parse().unwrap(), ..container("storage") };
    let room = Container { memory: Memory::from_mib(1 << 20), ..container("room") };
    let node = Container { node: Some("pve9".parse().unwrap()), ..container("node") };
    assert_snapshot!(errors(&reality, vec![image, storage, room, node]), @"
    error[RL0312]: no node can take `image-1`, `image-2`, `image-3`, `image-4`, 2 more of `image`: each of pve1, pve2, pve3 has no template `local:vztmpl/none.tar.gz`
     |
     = help: download the template to the nodes (`pveam download`), or name one that is there

    error[RL0310]: no node can take `node`: pve9 is not on the site
     |
     = help: name a node of the site, or leave `node` out to have one chosen

    error[RL0315]: no node can take `room`: each of pve1, pve2, pve3 has 382.9 GiB of memory left for guests, 1024.0 GiB are needed
     |
     = help: ask for less memory or disk, or free or add room

    error[RL0313]: no node can take `storage`: each of pve1, pve2, pve3 has storage `local`, which takes no containers (`rootdir`)
     |
     = help: name a storage that allows containers, or allow them on it (content `rootdir`)

    the stack cannot be resolved: 4 errors; nothing was changed
    ");
}

#[test]
fn what_was_not_read_is_told_and_not_guessed() {
    let reality = empty();
    let mut seen = reality.observe();
    let nodes = &mut seen.sites.get_mut(&"fra1".parse().unwrap()).unwrap().nodes;
    nodes.get_mut(&"pve1".parse().unwrap()).unwrap().bridges = None;
    nodes.get_mut(&"pve2".parse().unwrap()).unwrap().online = false;
    nodes.get_mut(&"pve3".parse().unwrap()).unwrap().templates = None;
    seen.sites.remove(&"ams1".parse().unwrap());
    let ams = Container { site: "ams1".parse().unwrap(), ..container("far") };
    assert_snapshot!(errors_of(&manifest(vec![container("web"), ams]), &seen, &reality), @"
    error[RL0302]: site `ams1` could not be read, so `far` cannot be placed: it was not observed
     |
     = help: look at it with `rapidlaunch site check ams1`

    error[RL0316]: no node can take `web`: pve1 could not be asked for its bridges; pve3 could not be asked for its templates; pve2 is offline
     |
     = help: see whether the token may read nodes, storages and networks: `rapidlaunch site check`

    the stack cannot be resolved: 2 errors; nothing was changed
    ");
}

#[test]
fn a_guest_cannot_change_its_site() {
    let mut reality = empty();
    apply(&mut reality, vec![container("a")]);
    assert_snapshot!(errors(&reality, vec![Container { site: "ams1".parse().unwrap(), ..container("a") }]), @"
    error[RL0318]: `a` lies on site `fra1` and cannot go to `ams1`
     |
     = help: give the entry on the new site another name, apply, bring its data over, then take the old entry out

    the stack cannot be resolved: 1 error; nothing was changed
    ");
}

#[test]
fn an_unknown_stack_is_told() {
    let reality = empty();
    let mut none = manifest(Vec::new());
    none.stacks.clear();
    assert_snapshot!(errors_of(&none, &reality.observe(), &reality), @"
    error[RL0301]: no stack `shop` is declared
     |
     = help: give the file that declares it with `-f`

    the stack cannot be resolved: 1 error; nothing was changed
    ");
}

#[test]
fn guests_are_spread_and_room_is_shared() {
    let spread = Container { count: Some(5), spread: Spread::Node, ..container("web") };
    let heavy = Container { memory: Memory::from_mib(200 << 10), ..container("heavy") };
    let stack = resolved(&empty(), vec![heavy, spread]);
    let mut on: Vec<&str> = stack
        .guests
        .values()
        .filter(|guest| guest.container.as_str() == "web")
        .map(|guest| guest.node.as_str())
        .collect();
    on.sort_unstable();
    assert_eq!(on, ["pve1", "pve2", "pve2", "pve3", "pve3"], "pve1 has the heavy one and gets no second");
}

#[test]
fn volumes_keep_their_mount_points() {
    let mut reality = empty();
    let with =
        |names: &[&str]| Container { volumes: names.iter().map(|name| volume(name, 1)).collect(), ..container("db") };
    apply(&mut reality, vec![with(&["a", "b"])]);
    let stack = resolved(&reality, vec![with(&["c", "b"])]);
    let slots: Vec<String> =
        guest(&stack, "db").volumes.iter().map(|volume| format!("{} {}", volume.name, volume.slot)).collect();
    assert_eq!(slots, ["c mp2", "b mp1"], "a new volume does not take the mount point of one that left");
}

#[test]
fn privileged_and_root_only_wishes_resolve_as_they_are() {
    let mut wish = container("a");
    wish.features = Features { nesting: true, keyctl: true, fuse: true };
    assert!(guest(&resolved(&empty(), vec![wish]), "a").features.needs_root());
}

#[test]
fn findings_point_into_the_file() {
    let text = r#"kind: site
name: fra1
proxmox:
  endpoints: ["https://pve1.example:8006"]
  token: { env: TOKEN }
vmids: 2000-2099
networks:
  dmz: { bridge: vmbr9, subnet: 10.20.0.0/24, gateway: 10.20.0.1, addresses: 10.20.0.50-10.20.0.250 }
images: { debian: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" }
storage: local-zfs
---
kind: stack
name: shop
site: fra1
containers:
  web:
    count: 2
    image: debian
    nics: { eth0: { network: dmz } }
  db:
    image: debian
    node: pve7
"#;
    let parsed = rl_planner::parse(text, "shop.yaml").unwrap_or_else(|errors| panic!("{errors}"));
    let reality = empty();
    let errors = resolve(&parsed, &stack_name(), &reality.observe(), &reality.leases).unwrap_err();
    let source = rl_planner::diagnostic::Source { name: "shop.yaml", text };
    assert_snapshot!(errors.render(&[source], false), @"
    error[RL0310]: no node can take `db`: pve7 is not on the site
      --> shop.yaml:22:11
       |
    21 |     image: debian
    22 |     node: pve7
       |           ^^^^
       |
       = help: name a node of the site, or leave `node` out to have one chosen

    error[RL0314]: no node can take `web-1`, `web-2`: each of pve1, pve2, pve3 has no bridge `vmbr9`
      --> shop.yaml:19:5
       |
    18 |     image: debian
    19 |     nics: { eth0: { network: dmz } }
       |     ^^^^
    20 |   db:
       |
       = help: make the bridge on the nodes, or let the network name one that is there

    the stack cannot be resolved: 2 errors; nothing was changed
    ");
}

#[test]
fn every_code_has_a_page() {
    for (code, title) in rl_planner::resolve::codes::ALL {
        let path = format!("{}/../../docs/errors/{code}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(page.starts_with(&format!("# {code}: {title}\n")), "{code} is titled `{title}`");
    }
}
