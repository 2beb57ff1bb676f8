//! Guests of a stack, actions about them, and jobs made of those.

use std::collections::BTreeMap;

use rl_engine::{Ids, JobSpec};
use rl_model::*;

use crate::lab::{Lab, clock, p};

/// A container of the stack `shop`; its number makes VMID, MAC and address.
pub(crate) fn guest(number: u8, running: bool) -> ResolvedGuest {
    let vmid = 2000 + u32::from(number);
    let address =
        AddressMode::Static { address: p(&format!("10.20.0.{}/24", 50 + number)), gateway: Some(p("10.20.0.1")) };
    ResolvedGuest {
        id: GuestId::from_bits(1000 + u128::from(number)),
        name: p(&format!("web-{number}")),
        container: p("web"),
        site: p("fra1"),
        node: p("pve1"),
        node_pinned: false,
        vmid: Vmid::try_from(vmid).unwrap(),
        hostname: p(&format!("web-{number}")),
        image: p("local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz"),
        storage: p("local-zfs"),
        cores: 1,
        memory: Memory::from_mib(256),
        swap: Memory::from_mib(0),
        disk: DiskSize::from_gib(2),
        volumes: Vec::new(),
        nics: vec![ResolvedNic {
            slot: p("net0"),
            name: p("eth0"),
            network: p("dmz"),
            bridge: p("vmbr0"),
            vlan: None,
            mtu: None,
            rate_mbps: None,
            mac: p(&format!("BC:24:11:00:00:{number:02X}")),
            ipv4: address,
            ipv6: AddressMode::None,
            firewall: false,
        }],
        nameservers: vec![p("10.20.0.2")],
        search_domain: None,
        tags: vec![p("prod")],
        notes: "front end".to_owned(),
        onboot: true,
        startup: None,
        unprivileged: true,
        features: Features { nesting: true, keyctl: false, fuse: false },
        protection: false,
        running,
        pool: None,
        ssh_keys: Vec::new(),
        timezone: None,
        secrets: Vec::new(),
        after: Vec::new(),
        firewall: None,
    }
}

/// A data volume of so many gibibytes.
pub(crate) fn volume(name: &str, slot: &str, gib: u64) -> ResolvedVolume {
    ResolvedVolume {
        name: p(name),
        slot: p(slot),
        storage: p("local-zfs"),
        size: DiskSize::from_gib(gib),
        path: p(&format!("/srv/{name}")),
        backup: true,
        read_only: false,
    }
}

pub(crate) fn stamp(guest: &ResolvedGuest) -> Stamp {
    Stamp { guest: guest.id.clone(), stack: p("shop"), name: guest.name.clone(), controller: controller() }
}

pub(crate) fn controller() -> ControllerId {
    ControllerId::from_bits(9)
}

/// A stack of these guests, as applied.
pub(crate) fn stack(guests: &[ResolvedGuest]) -> ResolvedStack {
    let guests = guests.iter().map(|guest| (guest.name.clone(), guest.clone())).collect();
    ResolvedStack {
        name: p("shop"),
        controller: controller(),
        guests,
        sections: Vec::new(),
        firewall: BTreeMap::new(),
        records: Vec::new(),
    }
}

pub(crate) fn action(id: u32, guest: &ResolvedGuest, kind: ActionKind) -> Action {
    Action {
        id: ActionId(id),
        stamp: stamp(guest),
        site: guest.site.clone(),
        node: guest.node.clone(),
        vmid: guest.vmid,
        kind,
        reasons: Vec::new(),
        after: Vec::new(),
    }
}

pub(crate) fn create(guest: &ResolvedGuest) -> ActionKind {
    ActionKind::Create { guest: Box::new(guest.clone()) }
}

pub(crate) fn seen_net0(guest: &ResolvedGuest) -> Option<MacAddr> {
    guest.nics.first().map(|nic| nic.mac)
}

pub(crate) fn remove(guest: &ResolvedGuest) -> ActionKind {
    ActionKind::Remove {
        was_running: guest.running,
        seen_net0: seen_net0(guest),
        seen_hostname: Some(guest.hostname.clone()),
    }
}

/// The fields in which two forms of a guest differ.
pub(crate) fn changes(old: &ResolvedGuest, new: &ResolvedGuest) -> Vec<Change> {
    let (from, to) = (ConfigFields::desired(old, &stamp(old)), ConfigFields::desired(new, &stamp(new)));
    let differences = from.differences(&to);
    differences.into_iter().map(|(key, from, to)| Change { key, from: from.to_owned(), to: to.to_owned() }).collect()
}

pub(crate) fn update(old: &ResolvedGuest, new: &ResolvedGuest, power: Consequence) -> ActionKind {
    let move_to = (old.node != new.node).then(|| new.node.clone());
    let guest = Box::new(new.clone());
    ActionKind::Update { guest, changes: changes(old, new), move_to, power, seen_net0: seen_net0(old), firewall: None }
}

pub(crate) fn plan(actions: Vec<Action>) -> Plan {
    let resolved = stack(&actions.iter().filter_map(|action| action.kind.guest().cloned()).collect::<Vec<_>>());
    Plan {
        id: PlanId("test".to_owned()),
        stack: p("shop"),
        base_revision: 0,
        destroy: false,
        resolved,
        actions,
        parts: Vec::new(),
    }
}

/// Jobs of a plan with these actions.
pub(crate) fn jobs(lab: &Lab, actions: Vec<Action>) -> Vec<JobSpec> {
    let sites = BTreeMap::from([(lab.site.name.clone(), lab.site.clone())]);
    rl_ops::compile(&plan(actions), &sites, &Ids::from_seed(clock(), 3)).unwrap()
}

/// The one job of a plan with one action.
pub(crate) fn job(lab: &Lab, guest: &ResolvedGuest, kind: ActionKind) -> Vec<JobSpec> {
    jobs(lab, vec![action(0, guest, kind)])
}
