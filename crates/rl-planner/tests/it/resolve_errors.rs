//! What stands in the way of resolving, told all at once and with what to do.

use insta::assert_snapshot;
use rl_model::manifest::{Container, NicAddress};
use rl_model::{LeaseState, Memory};
use rl_planner::resolve;

use crate::plan_world::{container, manifest, stack_name};
use crate::resolve::{address, apply, empty, errors, errors_of, guest, hold, resolved};

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
