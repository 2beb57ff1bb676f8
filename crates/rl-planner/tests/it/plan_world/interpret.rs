//! What carrying out a plan does to reality, written from Proxmox's semantics. Panics where Proxmox would refuse or where
//! a guest that is not ours would be touched: then the plan was wrong.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rl_model::config::{desired_nic, features_text, mount_create_text};
use rl_model::{
    Action, ActionKind, Change, Consequence, DiskSize, FieldKey, GuestKind, HeldLease, KnownGuest, LeaseState, Plan,
    PropertyString, ResolvedGuest, SiteName, Stamp, Vmid,
};

use super::{RealGuest, Reality};

impl Reality {
    /// Carries out every action in its order and books what a store would book.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        let mut done = std::collections::BTreeSet::new();
        for action in &plan.actions {
            assert!(
                action.after.iter().all(|before| done.contains(before)),
                "{action:?} comes before what it waits for"
            );
            done.insert(action.id);
            self.act(action);
        }
    }

    fn act(&mut self, action: &Action) {
        match &action.kind {
            ActionKind::Create { guest } => {
                assert_eq!((&action.site, &action.node, action.vmid), (&guest.site, &guest.node, guest.vmid));
                self.create(&action.stamp, guest);
            }
            ActionKind::Update { guest, changes, move_to, power, seen_net0, firewall: _ } => {
                self.check(action, *seen_net0);
                let real = self.sites.get_mut(&action.site).unwrap().get_mut(&action.vmid).unwrap();
                if let Some(target) = move_to {
                    assert!(!real.running || *power == Consequence::Restart || *power == Consequence::Stop);
                    real.node = target.clone();
                }
                let unprotects = |change: &&Change| change.key == FieldKey::Protection && change.to != "1";
                if let Some(first) = changes.iter().find(unprotects) {
                    write(real, first, action.vmid, &mut self.disks);
                }
                changes.iter().for_each(|change| write(real, change, action.vmid, &mut self.disks));
                match power {
                    Consequence::Start => real.running = true,
                    Consequence::Stop => real.running = false,
                    Consequence::Restart => assert!(real.running, "only what runs can restart"),
                    Consequence::Keep | Consequence::NextStart => {}
                }
                self.book(guest);
            }
            ActionKind::Replace { guest, changes, seen_net0, .. } => {
                self.check(action, *seen_net0);
                if changes.iter().any(|change| change.key == FieldKey::Protection) {
                    self.sites.get_mut(&action.site).unwrap().get_mut(&action.vmid).unwrap().raw.remove("protection");
                }
                self.destroy(&action.site, action.vmid);
                self.create(&action.stamp, guest);
            }
            ActionKind::Remove { seen_net0, seen_hostname, .. } => {
                self.check(action, *seen_net0);
                let hostname = self.sites[&action.site][&action.vmid].text("hostname");
                assert_eq!(seen_hostname.as_ref().map(ToString::to_string).as_deref(), Some(hostname));
                self.destroy(&action.site, action.vmid);
                self.release(&action.stamp);
            }
            ActionKind::Forget => self.release(&action.stamp),
        }
    }

    /// The check every step makes before it touches a guest.
    fn check(&self, action: &Action, seen_net0: Option<rl_model::MacAddr>) {
        let real = &self.sites[&action.site][&action.vmid];
        let stamp = real.stamp().expect("a touched guest bears a stamp");
        assert_eq!((&stamp.guest, &stamp.controller), (&action.stamp.guest, &action.stamp.controller));
        assert_eq!(real.kind, GuestKind::Container);
        assert_eq!(real.node, action.node);
        let net0 = PropertyString::parse(real.text("net0"));
        assert_eq!(net0.get("hwaddr").map(|mac| mac.parse().unwrap()), seen_net0);
    }

    fn destroy(&mut self, site: &SiteName, vmid: Vmid) {
        let real = self.sites.get_mut(site).unwrap().remove(&vmid).unwrap();
        assert_ne!(real.text("protection"), "1", "can't remove CT - protection mode enabled");
    }

    fn create(&mut self, stamp: &Stamp, guest: &ResolvedGuest) {
        self.make(stamp, guest);
        self.book(guest);
    }

    fn make(&mut self, stamp: &Stamp, guest: &ResolvedGuest) {
        assert!(self.nodes[&guest.site][&guest.node].online, "the node is there");
        assert!(guest.features == rl_model::Features { nesting: guest.features.nesting, ..Default::default() });
        assert!(guest.unprivileged || !guest.features.nesting, "only root@pam sets features of privileged guests");
        let mut raw = BTreeMap::from([
            ("hostname".to_owned(), guest.hostname.to_string()),
            ("cores".to_owned(), guest.cores.to_string()),
            ("memory".to_owned(), guest.memory.mib().to_string()),
            ("swap".to_owned(), guest.swap.mib().to_string()),
            ("ostype".to_owned(), "debian".to_owned()),
            ("arch".to_owned(), "amd64".to_owned()),
        ]);
        let mut text = |key: &str, value: String| {
            if !value.is_empty() {
                raw.insert(key.to_owned(), value);
            }
        };
        let flag = |on: bool| if on { "1".to_owned() } else { String::new() };
        text("rootfs", allocated(&format!("{}:{}", guest.storage, guest.disk.pve_gib()), guest.vmid, &mut self.disks));
        for volume in &guest.volumes {
            let made = allocated(&mount_create_text(volume), guest.vmid, &mut self.disks);
            text(&volume.slot.to_string(), made);
        }
        for nic in &guest.nics {
            text(&nic.slot.to_string(), desired_nic(nic));
        }
        let servers: Vec<String> = guest.nameservers.iter().map(ToString::to_string).collect();
        text("nameserver", servers.join(" "));
        text("searchdomain", guest.search_domain.clone().unwrap_or_default());
        let tags: Vec<String> = guest.tags.iter().chain([&stamp.tag()]).map(ToString::to_string).collect();
        text("tags", tags.join(";"));
        text("description", format!("{}\n", stamp.description(&guest.notes).trim_end()));
        text("onboot", flag(guest.onboot));
        text("startup", guest.startup.map_or_else(String::new, |_| "order=1,up=30".to_owned()));
        text("features", features_text(guest.features));
        text("unprivileged", flag(guest.unprivileged));
        text("protection", flag(guest.protection));
        text("timezone", guest.timezone.clone().unwrap_or_default());
        let (kind, node, running) = (GuestKind::Container, guest.node.clone(), guest.running);
        let real = RealGuest { kind, node, running, template: false, raw, pending: Vec::new() };
        let before = self.sites.get_mut(&guest.site).unwrap().insert(guest.vmid, real);
        assert!(before.is_none(), "CT {} already exists", guest.vmid);
    }

    /// Carries out a plan that only creates, without looking for leases to release first.
    pub(crate) fn apply_quickly(&mut self, plan: &Plan) {
        for action in &plan.actions {
            let ActionKind::Create { guest } = &action.kind else { panic!("{action:?} is no creation") };
            self.make(&action.stamp, guest);
            self.lease(guest);
        }
    }

    /// Books a guest's leases and the form it was applied in.
    fn book(&mut self, guest: &ResolvedGuest) {
        self.settle(&guest.id, None);
        self.lease(guest);
    }

    fn lease(&mut self, guest: &ResolvedGuest) {
        let leased = |nic: &rl_model::ResolvedNic| -> Vec<IpAddr> {
            [nic.ipv4.leased(), nic.ipv6.leased()].into_iter().flatten().collect()
        };
        let known = KnownGuest {
            id: guest.id.clone(),
            stack: super::stack_name(),
            name: guest.name.clone(),
            site: guest.site.clone(),
            node: guest.node.clone(),
            vmid: guest.vmid,
            macs: guest.nics.iter().map(|nic| (nic.name.clone(), nic.mac)).collect(),
            addresses: guest.nics.iter().map(|nic| (nic.name.clone(), leased(nic))).collect(),
            last: Some(guest.clone()),
        };
        let held = || HeldLease { guest: guest.id.clone(), state: LeaseState::Held };
        let site = self.leases.sites.entry(guest.site.clone()).or_default();
        site.vmids.insert(guest.vmid, held());
        site.macs.extend(guest.nics.iter().map(|nic| (nic.mac, held())));
        site.addresses.extend(guest.nics.iter().flat_map(leased).map(|address| (address, held())));
        self.leases.guests.insert(guest.name.clone(), known);
    }

    fn release(&mut self, stamp: &Stamp) {
        self.settle(&stamp.guest, Some(LeaseState::Quarantined));
        self.leases.guests.retain(|_, known| known.id != stamp.guest);
    }

    /// Takes away everything a guest holds, or sets its state.
    fn settle(&mut self, id: &rl_model::GuestId, state: Option<LeaseState>) {
        let keep = |lease: &mut HeldLease| {
            let ours = lease.guest == *id;
            if let (true, Some(state)) = (ours, state) {
                lease.state = state;
            }
            !ours || state.is_some()
        };
        for site in self.leases.sites.values_mut() {
            site.vmids.retain(|_, lease| keep(lease));
            site.macs.retain(|_, lease| keep(lease));
            site.addresses.retain(|_, lease| keep(lease));
        }
    }
}

/// What Proxmox writes for `storage:GiB,options`: a volume with a name of its own and its size.
fn allocated(text: &str, vmid: Vmid, disks: &mut u32) -> String {
    let mut parsed = PropertyString::parse(text);
    let (storage, gib) = parsed.lead().unwrap().split_once(':').unwrap();
    let mib = gib.parse::<f64>().unwrap() * 1024.0;
    let name = format!("{storage}:subvol-{vmid}-disk-{disks}");
    *disks += 1;
    parsed.set("size", DiskSize::from_mib(mib.round() as u64).pve());
    let options: Vec<String> = parsed.pairs().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{name},{}", options.join(","))
}

/// One field of a configuration write or a resize.
fn write(real: &mut RealGuest, change: &Change, vmid: Vmid, disks: &mut u32) {
    let key = change.key.to_string();
    assert_ne!(change.key, FieldKey::Image);
    assert_ne!(change.key, FieldKey::Unprivileged, "unprivileged cannot be changed");
    let mount_changes = matches!(change.key, FieldKey::Mount(_)) && sizeless(&change.from) != sizeless(&change.to);
    assert!(!mount_changes || real.text("protection") != "1", "can't update CT drive - protection mode enabled");
    if change.to.is_empty() {
        real.raw.remove(&key);
        return;
    }
    if !change.key.is_disk() {
        real.raw.insert(key, change.to.clone());
        return;
    }
    let wanted = PropertyString::parse(&change.to);
    let (storage, size) = (wanted.get("storage").unwrap(), wanted.get("size").unwrap());
    let options = |parsed: &PropertyString| -> String {
        let pairs = parsed.pairs().filter(|(key, _)| !["storage", "size"].contains(key));
        pairs.map(|(key, value)| format!(",{key}={value}")).collect()
    };
    let Some(old) = real.raw.get(&key).cloned() else {
        let gib = DiskSize::from_pve(size).unwrap().pve_gib();
        real.raw.insert(key, allocated(&format!("{storage}:{gib}{}", options(&wanted)), vmid, disks));
        return;
    };
    let parsed = PropertyString::parse(&old);
    let lies_on = rl_model::config::volume_of(&old).unwrap();
    assert_eq!(lies_on.storage().as_str(), storage, "a volume stays on its storage");
    let had = DiskSize::from_pve(parsed.get("size").unwrap()).unwrap();
    assert!(DiskSize::from_pve(size).unwrap() >= had, "unable to shrink disk size");
    real.raw.insert(key, format!("{lies_on}{},size={size}", options(&wanted)));
}

fn sizeless(text: &str) -> PropertyString {
    let mut parsed = PropertyString::parse(text);
    parsed.remove("size");
    parsed
}
