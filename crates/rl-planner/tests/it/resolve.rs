//! Resolving: what is kept, what is pinned, and what is given from what is free.

use insta::assert_snapshot;
use rl_model::manifest::{Container, Manifest, NicAddress, Spread};
use rl_model::{
    Features, HeldLease, KnownGuest, LeaseState, Memory, Observed, Policy, ResolvedGuest, ResolvedStack, Vmid,
};
use rl_planner::{plan, resolve};

use crate::plan_world::{Reality, container, manifest, nic, stack_name, volume};

pub(crate) fn empty() -> Reality {
    Reality::new(&manifest(Vec::new()).sites)
}

pub(crate) fn resolved(reality: &Reality, containers: Vec<Container>) -> ResolvedStack {
    let answer = resolve(&manifest(containers), &stack_name(), &reality.observe(), &reality.leases);
    answer.unwrap_or_else(|errors| panic!("{}", errors.render(&[], false))).0
}

pub(crate) fn errors(reality: &Reality, containers: Vec<Container>) -> String {
    errors_of(&manifest(containers), &reality.observe(), reality)
}

pub(crate) fn errors_of(manifest: &Manifest, observed: &Observed, reality: &Reality) -> String {
    resolve(manifest, &stack_name(), observed, &reality.leases).unwrap_err().render(&[], false)
}

pub(crate) fn guest<'a>(stack: &'a ResolvedStack, name: &str) -> &'a ResolvedGuest {
    &stack.guests[&name.parse().unwrap()]
}

pub(crate) fn apply(reality: &mut Reality, containers: Vec<Container>) {
    let stack = resolved(reality, containers);
    let (plan, _) = plan(&stack, &reality.observe(), &reality.leases, &Policy::default(), 0);
    reality.apply(&plan);
}

pub(crate) fn hold(reality: &mut Reality, guest: &rl_model::GuestId, state: LeaseState, vmid: u32, address: &str) {
    let lease = HeldLease { guest: guest.clone(), state };
    let site = reality.leases.sites.entry("fra1".parse().unwrap()).or_default();
    site.vmids.insert(vmid.try_into().unwrap(), lease.clone());
    site.addresses.insert(address.parse().unwrap(), lease);
}

pub(crate) fn address(guest: &ResolvedGuest) -> String {
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
