#![allow(clippy::unwrap_used)]

use rl_model::dns::{RecordSource, ResolvedRecord, ZoneRecords, owner_name};
use rl_model::{
    ActionId, AddressMode, ControllerId, KnownGuest, Leases, Note, Observed, Policy, ResolvedGuest, ResolvedNic,
    ResolvedStack, Stamp,
};

use super::*;

fn p<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn controller() -> ControllerId {
    p("0123456789abcdefghjk")
}

fn owner(stack: &str) -> Owner {
    Owner { controller: controller(), stack: p(stack) }
}

fn guest(number: u8) -> ResolvedGuest {
    let address = format!("10.20.0.{number}/24");
    let nic = ResolvedNic {
        slot: p("net0"),
        name: p("eth0"),
        network: p("dmz"),
        bridge: p("vmbr0"),
        vlan: None,
        mtu: None,
        rate_mbps: None,
        mac: p("52:54:00:00:00:01"),
        ipv4: AddressMode::Static { address: p(&address), gateway: None },
        ipv6: AddressMode::None,
        firewall: false,
    };
    let json = serde_json::json!({
        "id": format!("guest{number:03}0000000000zz").replace('u', "v"), "name": format!("web-{number}"), "container": "web",
        "site": "fra1", "node": "pve1", "node_pinned": false, "vmid": 2000 + u32::from(number),
        "hostname": format!("web-{number}"), "image": "local:vztmpl/debian.tar.zst", "storage": "local", "cores": 1,
        "memory": p::<rl_model::Memory>("512 MiB"), "swap": p::<rl_model::Memory>("0 MiB"),
        "disk": p::<rl_model::DiskSize>("4 GiB"), "volumes": [], "nics": [nic], "nameservers": [], "search_domain": null,
        "tags": [], "notes": "", "onboot": true, "startup": null, "unprivileged": true,
        "features": { "nesting": false, "keyctl": false, "fuse": false }, "protection": false, "running": true,
        "pool": null, "ssh_keys": [], "timezone": null, "after": []
    });
    serde_json::from_value(json).unwrap()
}

/// A world: guests that shall be, guests the store knows, what the zone holds.
struct World {
    wanted: Vec<u8>,
    known: Vec<u8>,
    records: ZoneRecords,
    total: usize,
    policy: Policy,
}

impl World {
    fn new(wanted: &[u8], known: &[u8]) -> Self {
        let (wanted, known) = (wanted.to_vec(), known.to_vec());
        Self { wanted, known, records: ZoneRecords::new(), total: 3, policy: Policy::default() }
    }

    /// The zone has this, held by that stack.
    fn has(mut self, name: &str, values: &[RecordValue], holder: Option<&str>) -> Self {
        let name: DnsName = p(name);
        let kind = values[0].kind();
        if let Some(holder) = holder {
            let beside = owner_name(&name, kind).unwrap();
            self.records.insert((beside, RecordType::Txt), RecordSet::new(300, [owner(holder).value()]));
        }
        self.records.insert((name, kind), RecordSet::new(300, values.to_vec()));
        self
    }

    /// Actions of the guests: those that are new come, those that are not wanted go.
    fn actions(&self) -> Vec<Action> {
        let mut all: Vec<u8> = self.wanted.iter().chain(&self.known).copied().collect();
        all.sort_unstable();
        all.dedup();
        let moves = all.into_iter().filter(|n| self.wanted.contains(n) != self.known.contains(n));
        let action = |(id, number): (usize, u8)| {
            let guest = guest(number);
            let stamp =
                Stamp { guest: guest.id.clone(), stack: p("shop"), name: guest.name.clone(), controller: controller() };
            let kind = match self.wanted.contains(&number) {
                true => ActionKind::Create { guest: Box::new(guest.clone()) },
                false => ActionKind::Remove { was_running: true, seen_net0: None, seen_hostname: None },
            };
            let id = ActionId(u32::try_from(id).unwrap());
            let (site, node, vmid) = (guest.site, guest.node, guest.vmid);
            Action { id, stamp, site, node, vmid, kind, reasons: Vec::new(), after: Vec::new() }
        };
        moves.enumerate().map(action).collect()
    }

    fn plan(&self) -> (Vec<rl_model::PartAction>, Vec<Action>, Vec<Note>) {
        let record = ResolvedRecord {
            zone: p("example.org"),
            name: p("www.example.org"),
            kind: RecordType::A,
            ttl_s: 300,
            source: RecordSource::Nic { guests: self.wanted.iter().map(|n| guest(*n).name).collect(), nic: p("eth0") },
            reverse: vec![p("10.in-addr.arpa"), p("0.20.10.in-addr.arpa"), p("168.192.in-addr.arpa")],
        };
        let records = if self.wanted.is_empty() { Vec::new() } else { vec![record] };
        let guests = self.wanted.iter().map(|n| (guest(*n).name, guest(*n))).collect();
        let resolved = ResolvedStack {
            name: p("shop"),
            controller: controller(),
            guests,
            sections: Vec::new(),
            firewall: BTreeMap::new(),
            records,
        };
        let zone = |records: &ZoneRecords| ObservedZone { total: self.total, records: records.clone(), unread: None };
        let reverse = p::<Fqdn>("0.20.10.in-addr.arpa");
        let (back, forth): (ZoneRecords, ZoneRecords) =
            self.records.clone().into_iter().partition(|((name, _), _)| name.is_in(&reverse));
        let zones = BTreeMap::from([(p("example.org"), zone(&forth)), (reverse, zone(&back))]);
        let observed = Observed { zones, ..Observed::default() };
        let known = |n: &u8| {
            let guest = guest(*n);
            let addresses = BTreeMap::from([(p("eth0"), vec![IpAddr::from([10, 20, 0, *n])])]);
            let (id, name, site, node, vmid) = (guest.id, guest.name, guest.site, guest.node, guest.vmid);
            let known = KnownGuest {
                id,
                stack: p("shop"),
                name: name.clone(),
                site,
                node,
                vmid,
                macs: BTreeMap::new(),
                addresses,
                last: None,
            };
            (name, known)
        };
        let guests = self.known.iter().map(known).collect();
        let leases = Leases {
            controller: controller(),
            guests,
            sites: BTreeMap::new(),
            entropy: 0,
            secrets: rl_model::KnownSecrets::default(),
        };
        let scene = PartScene { resolved: &resolved, observed: &observed, leases: &leases, policy: &self.policy };
        let mut actions = self.actions();
        let mut report = Reporter::default();
        let mut parts = Parts::new(&mut actions);
        plan(&scene, &mut parts, &mut report);
        let parts = parts.parts;
        (parts, actions, report.finish().notes)
    }

    /// The plan in lines: each part with what it waits for, and what guests wait for.
    fn shown(&self) -> String {
        let (parts, actions, notes) = self.plan();
        let mut out = Vec::new();
        let ids = |ids: &[ActionId]| ids.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(" ");
        for action in &actions {
            out.push(format!(
                "{} {} {} after [{}]",
                action.id.0,
                action.kind.verb(),
                action.stamp.name,
                ids(&action.after)
            ));
        }
        for part in &parts {
            out.push(format!("{} {} after [{}]", part.id.0, part.kind.part().subject(), ids(&part.after)));
            out.extend(part.kind.part().lines().iter().map(|line| format!("  {:?} {}", line.sign, line.text)));
        }
        out.extend(
            notes
                .iter()
                .map(|note| format!("{:?}: {} | {}", note.level, note.message, note.hint.as_deref().unwrap_or(""))),
        );
        out.join("\n")
    }
}

fn a(number: u8) -> RecordValue {
    RecordValue::of_address([10, 20, 0, number].into())
}

fn ptr() -> RecordValue {
    RecordValue::Ptr(p("www.example.org"))
}

#[test]
fn records_appear_after_their_guests() {
    insta::assert_snapshot!(World::new(&[1, 2], &[]).shown(), @r#"
        0 create web-1 after []
        1 create web-2 after []
        2 zone 0.20.10.in-addr.arpa after [0 1]
          Add 1 PTR www.example.org.
          Add 2 PTR www.example.org.
        3 zone example.org after [0 1]
          Add www A 10.20.0.1, 10.20.0.2
    "#);
}

#[test]
fn records_disappear_before_their_guests() {
    let world = World::new(&[1], &[1, 2])
        .has("www.example.org", &[a(1), a(2)], Some("shop"))
        .has("1.0.20.10.in-addr.arpa", &[ptr()], Some("shop"))
        .has("2.0.20.10.in-addr.arpa", &[ptr()], Some("shop"));
    insta::assert_snapshot!(world.shown(), @r#"
        0 remove web-2 after [1 2]
        1 zone 0.20.10.in-addr.arpa after []
          Remove 2 PTR www.example.org.
        2 zone example.org after []
          Change www A 10.20.0.1, 10.20.0.2 -> 10.20.0.1
    "#);
}

#[test]
fn a_guest_takes_the_place_of_another() {
    let world = World::new(&[2], &[1]).has("www.example.org", &[a(1)], Some("shop")).has(
        "1.0.20.10.in-addr.arpa",
        &[ptr()],
        Some("shop"),
    );
    insta::assert_snapshot!(world.shown(), @r#"
        0 remove web-1 after [2 4]
        1 create web-2 after []
        2 zone 0.20.10.in-addr.arpa after []
          Remove 1 PTR www.example.org.
        3 zone 0.20.10.in-addr.arpa after [1 2]
          Add 2 PTR www.example.org.
        4 zone example.org after []
          Remove www A 10.20.0.1
        5 zone example.org after [1 4]
          Add www A 10.20.0.2
    "#);
}

#[test]
fn a_stack_that_goes_takes_its_records_along() {
    let world = World::new(&[], &[1])
        .has("www.example.org", &[a(1)], Some("shop"))
        .has("text.example.org", &[RecordValue::Txt("hello".into())], Some("shop"))
        .has("other.example.org", &[a(9)], Some("blog"))
        .has("mail.example.org", &[a(8)], None);
    insta::assert_snapshot!(world.shown(), @r#"
        0 remove web-1 after [1]
        1 zone example.org after []
          Remove text TXT "hello"
          Remove www A 10.20.0.1
    "#);
}

#[test]
fn what_others_hold_blocks_the_plan() {
    insta::assert_snapshot!(World::new(&[1], &[1]).has("www.example.org", &[a(7)], None).shown(), @r#"
        0 zone 0.20.10.in-addr.arpa after []
          Add 1 PTR www.example.org.
        Blocked: the record www.example.org A is there already and not made by RapidLaunch | choose another name, or remove www.example.org A by hand; a record without the TXT record _rl-a.www.example.org is never changed
    "#);
    insta::assert_snapshot!(World::new(&[1], &[1]).has("www.example.org", &[a(1)], Some("blog")).shown(), @r#"
        0 zone 0.20.10.in-addr.arpa after []
          Add 1 PTR www.example.org.
        Blocked: the record www.example.org A is of the stack blog of installation 0123456789abcdefghjk | choose another name, or take the record out of the stack blog of installation 0123456789abcdefghjk first
    "#);
}

#[test]
fn nothing_changes_twice() {
    let world = World::new(&[1], &[1]).has("www.example.org", &[a(1)], Some("shop")).has(
        "1.0.20.10.in-addr.arpa",
        &[ptr()],
        Some("shop"),
    );
    assert_eq!(world.shown(), "");
}

#[test]
fn much_of_a_zone_at_once_needs_a_word() {
    let mut world = World::new(&[1], &[1]);
    for n in 10..14 {
        world = world.has(&format!("old-{n}.example.org"), &[a(n)], Some("shop"));
    }
    world.total = 13;
    insta::assert_snapshot!(world.shown(), @r#"
        0 zone 0.20.10.in-addr.arpa after []
          Add 1 PTR www.example.org.
        Blocked: 4 of the 13 records of the zone example.org would change or go, more than 30 % | look at the plan of each zone; if it is meant: `--allow-dns-mass-change`
    "#);
    world.policy.allow_dns_mass_change = true;
    assert_eq!(world.plan().0.len(), 2);
    world.policy.allow_dns_mass_change = false;
    world.total = 14;
    assert_eq!(world.plan().0.len(), 2, "4 of 14 are less than 30 %");
}
