//! Generated stacks and strangers.

use std::collections::BTreeSet;

use rl_model::manifest::{Container, Manifest, NicAddress, Spread};
use rl_model::{DiskSize, GuestKind, Memory, Policy, StartupOrder, Vmid};

use super::tape::Tape;
use super::{RealGuest, Reality, container, manifest, nic, volume};

const NAMES: [&str; 5] = ["cache", "db", "mail", "web", "worker"];

/// A stack with some of five entries.
pub(crate) fn stack(tape: &mut Tape<'_>) -> Manifest {
    let mut containers: Vec<Container> = Vec::new();
    let mut pins = Pins::default();
    for name in NAMES {
        if !tape.rarely(3) {
            let earlier: Vec<String> = containers.iter().map(|container| container.name.to_string()).collect();
            containers.push(entry(name, &earlier, &mut pins, tape));
        }
    }
    manifest(containers)
}

/// What pins have taken so far, so that a stack never contradicts itself: that is what parsing refuses.
#[derive(Default)]
struct Pins(BTreeSet<(String, u32)>);

impl Pins {
    fn next(&mut self, site: &str, from: u32, tape: &mut Tape<'_>) -> u32 {
        let first = from + u32::try_from(tape.below(8)).unwrap();
        let free = (first..).find(|number| self.0.insert((site.to_owned(), *number)));
        free.unwrap()
    }
}

fn entry(name: &str, earlier: &[String], pins: &mut Pins, tape: &mut Tape<'_>) -> Container {
    let mut out = container(name);
    if tape.rarely(4) {
        out.site = "ams1".parse().unwrap();
    }
    out.count = tape.of(&[None, None, Some(1), Some(2), Some(3)]);
    let guests = out.count.unwrap_or(1) as usize;
    out.cores = 1 + tape.below(4) as u32;
    out.memory = Memory::from_mib(tape.of(&[512, 1024, 300]));
    out.swap = Memory::from_mib(tape.of(&[512, 0]));
    out.disk = tape.of(&[DiskSize::from_gib(4), DiskSize::from_gib(8), DiskSize::from_mib(5000)]);
    out.storage = tape.of(&["local-zfs", "local-zfs", "ceph"]).parse().unwrap();
    if tape.rarely(6) {
        out.image = "local:vztmpl/alpine-3.20.tar.xz".parse().unwrap();
    }
    for volume_name in ["data", "logs", "spool"] {
        if tape.rarely(4) {
            let mut volume = volume(volume_name, 1 + tape.below(3) as u64);
            volume.backup = !tape.rarely(2);
            volume.read_only = tape.rarely(3);
            volume.storage = tape.of(&["local-zfs", "ceph"]).parse().unwrap();
            out.volumes.push(volume);
        }
    }
    out.node = tape.rarely(4).then(|| tape.of(&["pve1", "pve2", "pve3"]).parse().unwrap());
    out.spread = tape.of(&[Spread::None, Spread::Node]);
    let site = out.site.to_string();
    if tape.rarely(5) {
        let vmids = (0..guests).map(|_| pins.next(&site, 2050, tape));
        out.vmids = vmids.map(|number| Vmid::try_from(number).unwrap()).collect();
    }
    nics(&mut out, guests, pins, tape);
    words(&mut out, tape);
    if !earlier.is_empty() && tape.rarely(3) {
        out.after.push(tape.of(earlier).parse().unwrap());
    }
    out
}

fn nics(out: &mut Container, guests: usize, pins: &mut Pins, tape: &mut Tape<'_>) {
    let octet = if out.site.as_str() == "fra1" { 20 } else { 30 };
    out.nics.clear();
    for name in ["eth0", "eth1", "net9"].into_iter().take(tape.of(&[1, 2, 3, 0])) {
        let mut nic = nic(name, tape.of(&["dmz", "lan"]));
        let subnet = if nic.network.as_str() == "dmz" { octet } else { octet + 1 };
        let pinned = |pins: &mut Pins, tape: &mut Tape<'_>| {
            let one = |host: u32| format!("10.{subnet}.0.{host}").parse().unwrap();
            NicAddress::Pinned((0..guests).map(|_| one(pins.next(&format!("{subnet}"), 60, tape))).collect())
        };
        nic.ipv4 = match tape.below(5) {
            0..3 => NicAddress::Lease,
            3 => pinned(pins, tape),
            _ => tape.of(&[NicAddress::Dhcp, NicAddress::None]),
        };
        nic.ipv6 = tape.of(&[NicAddress::None, NicAddress::Auto, NicAddress::Dhcp]);
        nic.firewall = tape.rarely(2);
        nic.rate_mbps = tape.rarely(3).then_some(100);
        if guests == 1 && tape.rarely(4) {
            let last = pins.next("mac", 1, tape);
            nic.mac = Some(format!("BC:24:11:00:00:{last:02X}").parse().unwrap());
        }
        out.nics.push(nic);
    }
}

fn words(out: &mut Container, tape: &mut Tape<'_>) {
    out.tags = tape.of(&[vec![], vec!["prod"], vec!["web", "prod"]]).iter().map(|tag| tag.parse().unwrap()).collect();
    out.notes = tape.of(&["", "Line one\nline two", "  trimmed?  ", "# heading"]).to_owned();
    out.onboot = tape.rarely(2);
    out.startup = tape.rarely(3).then_some(StartupOrder { order: Some(1), up_delay_s: Some(30), down_delay_s: None });
    out.features.nesting = !tape.rarely(3);
    out.protection = tape.rarely(6);
    out.running = !tape.rarely(4);
    out.unprivileged = !tape.rarely(8);
    if !out.unprivileged {
        out.features.nesting = false;
    }
    out.timezone = tape.rarely(3).then(|| "host".to_owned());
    if tape.rarely(3) {
        out.nameservers = vec!["9.9.9.9".parse().unwrap(), "1.1.1.1".parse().unwrap()];
        out.search_domain = Some("example.org".parse().unwrap());
    }
}

/// Guests that are not ours, in and around our range.
pub(crate) fn strangers(reality: &mut Reality, tape: &mut Tape<'_>) {
    let sites: Vec<_> = reality.sites.keys().cloned().collect();
    for _ in 0..tape.below(5) {
        let site = tape.of(&sites);
        let vmid = Vmid::try_from(1998 + tape.below(10) as u32).unwrap();
        let stamp = rl_model::Stamp {
            guest: rl_model::GuestId::from_bits(tape.below(3) as u128),
            stack: "other".parse().unwrap(),
            name: "web".parse().unwrap(),
            controller: rl_model::ControllerId::from_bits(tape.of(&[9, 42])),
        };
        let mut raw = std::collections::BTreeMap::from([("hostname".to_owned(), "stranger".to_owned())]);
        if tape.rarely(2) {
            raw.insert("tags".to_owned(), format!("theirs;{}", stamp.tag()));
            raw.insert("description".to_owned(), stamp.description(""));
        }
        raw.insert("net0".to_owned(), "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:99:00:01,ip=10.20.0.50/24".to_owned());
        let kind = tape.of(&[GuestKind::Container, GuestKind::Vm]);
        let node = tape.of(&["pve1", "pve2"]).parse().unwrap();
        let stranger = RealGuest { kind, node, running: true, template: false, raw, pending: Vec::new() };
        reality.sites.get_mut(&site).unwrap().entry(vmid).or_insert(stranger);
    }
}

/// What a person might allow.
pub(crate) fn policy(manifest: &Manifest, tape: &mut Tape<'_>) -> Policy {
    let names: Vec<_> = manifest
        .stacks
        .values()
        .flat_map(|stack| stack.containers.values().flat_map(|entry| stack.guest_names(entry)))
        .collect();
    let mut policy = Policy { no_restart: tape.rarely(3), ..Policy::default() };
    for name in names {
        if tape.rarely(3) {
            policy.allow_replace.insert(name.clone());
        }
        if tape.rarely(3) {
            policy.allow_data_loss.insert(name);
        }
    }
    policy
}
