//! Answers turned into what plans compare.

#![allow(clippy::unwrap_used)]

use rl_model::{ControllerId, GuestId, GuestKind, GuestStatus, Stamp};
use serde_json::{Value, from_value, json};

use super::*;
use crate::api::lxc::ConfigView;
use crate::wire::RawConfig;

fn stamp() -> Stamp {
    Stamp {
        guest: GuestId::from_bits(1),
        stack: "shop".parse().unwrap(),
        name: "web".parse().unwrap(),
        controller: ControllerId::from_bits(2),
    }
}

fn pending_rows() -> Value {
    json!([
        {"key": "digest", "value": "abc"},
        {"key": "hostname", "value": "web.example.org"},
        {"key": "description", "value": stamp().description("notes")},
        {"key": "tags", "value": "B;a"},
        {"key": "cores", "value": 2, "pending": 4},
        {"key": "memory", "value": 512, "pending": 512},
        {"key": "nameserver", "value": "10.0.0.1", "delete": 1},
        {"key": "timezone", "pending": "host"},
        {"key": "net0", "value": "name=eth0,bridge=vmbr0,hwaddr=bc:24:11:00:00:41,ip=dhcp"},
        {"key": "lock", "value": "backup"}
    ])
}

#[test]
fn one_answer_gives_both_views_and_what_waits() {
    let rows: Rows<crate::api::lxc::PendingRow> = from_value(pending_rows()).unwrap();
    let now = effective(&rows, ConfigView::Current);
    let then = effective(&rows, ConfigView::Merged);
    assert_eq!((now.get("cores"), then.get("cores")), (Some("2"), Some("4")));
    assert_eq!((now.get("nameserver"), then.get("nameserver")), (Some("10.0.0.1"), None));
    assert_eq!((now.get("timezone"), then.get("timezone")), (None, Some("host")));
    assert_eq!(pending_keys(&rows), ["cores", "nameserver", "timezone"]);
}

#[test]
fn a_configuration_shows_identity_lock_and_fields() {
    let rows: Rows<crate::api::lxc::PendingRow> = from_value(pending_rows()).unwrap();
    let config = pending_config(&rows);
    assert_eq!(config.stamp, Some(stamp()));
    assert_eq!(config.digest, "abc");
    assert_eq!(config.tags, ["a", "b"]);
    assert_eq!(config.lock.as_deref(), Some("backup"));
    assert_eq!(config.net0_mac.unwrap().to_string(), "BC:24:11:00:00:41");
    assert_eq!(config.hostname.unwrap().as_str(), "web.example.org");
    assert_eq!(config.fields.get("cores".parse().unwrap()), "4");
}

#[test]
fn a_container_that_is_being_created_has_a_lock_and_no_stamp() {
    let raw: RawConfig = from_value(json!({"digest": "abc", "lock": "create"})).unwrap();
    let config = container_config(&raw, vec![]);
    assert_eq!((config.stamp, config.lock.as_deref()), (None, Some("create")));
}

#[test]
fn live_addresses_leave_out_loopback_and_link_local() {
    let rows = from_value(json!([
        {"name": "lo", "hwaddr": "00:00:00:00:00:00", "ip-addresses": [{"ip-address": "127.0.0.1", "prefix": "8"}]},
        {"name": "eth0", "hwaddr": "bc:24:11:00:00:53", "inet": "10.99.0.54/24", "ip-addresses": [
            {"ip-address": "10.99.0.54", "prefix": "24", "ip-address-type": "inet"},
            {"ip-address": "10.99.0.55", "prefix": 24},
            {"ip-address": "fe80::1", "prefix": "64"}, {"ip-address": "169.254.1.1", "prefix": 16},
            {"ip-address": "nonsense", "prefix": 24}, {}]},
        {"name": "eth1", "inet6": "fd00::5/64"},
        {"name": "a name with spaces"}
    ]))
    .unwrap();
    let live = live_interfaces(rows);
    assert_eq!(live.len(), 2);
    let addresses: Vec<String> = live[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.99.0.54/24", "10.99.0.55/24"]);
    assert!(live[1].has("fd00::5".parse().unwrap()));
    assert_eq!(live[1].mac, None);
}

#[test]
fn resources_are_sorted_and_broken_rows_are_told() {
    let rows = from_value(json!([
        {"type": "storage", "id": "storage/pve1/local", "node": "pve1", "storage": "local", "plugintype": "dir",
         "content": "vztmpl,iso", "status": "available", "shared": 0, "maxdisk": 100, "disk": 40},
        {"type": "node", "id": "node/pve1", "node": "pve1", "status": "online", "maxcpu": 8, "maxmem": 64, "mem": 10},
        {"type": "lxc", "id": "lxc/100", "node": "pve1", "vmid": "100", "status": "running", "name": 5, "tags": "B;a",
         "template": 0, "lock": "backup", "maxcpu": 2, "maxmem": 5, "maxdisk": 6, "pool": "team"},
        {"type": "qemu", "id": "qemu/101", "node": "pve1", "vmid": 101, "status": "paused", "template": 1},
        {"type": "lxc", "id": "lxc/7", "node": "pve1", "vmid": 7},
        {"type": "lxc", "id": "lxc/102", "vmid": 102},
        {"type": "storage", "id": "storage/pve1/x", "node": "pve1", "storage": "!"},
        {"type": "pool", "id": "/pool/team"}, {"type": "something new", "id": "x"}
    ]))
    .unwrap();
    let site = site_rows(rows);
    let node = &site.nodes[&"pve1".parse().unwrap()];
    assert!(node.online && node.cores == 8 && node.memory_used_bytes == 10);
    assert_eq!(node.storages[&"local".parse().unwrap()].content, ["iso", "vztmpl"]);
    let guest = &site.guests[&"100".parse().unwrap()];
    assert_eq!((guest.kind, guest.status, guest.name.as_str()), (GuestKind::Container, GuestStatus::Running, "5"));
    assert_eq!((guest.lock.as_deref(), guest.tags.join(",").as_str()), (Some("backup"), "a,b"));
    let vm = &site.guests[&"101".parse().unwrap()];
    assert!(vm.template && vm.kind == GuestKind::Vm && vm.status == GuestStatus::Unknown);
    let unread: Vec<&str> = site.unread.iter().map(|unread| unread.what.as_str()).collect();
    assert_eq!(unread, ["resource lxc/7", "resource lxc/102", "resource storage/pve1/x"]);
}

#[test]
fn bridges_and_quorum() {
    let rows = from_value(json!([
        {"iface": "vmbr0", "type": "bridge", "active": 1, "bridge_vlan_aware": 1},
        {"iface": "vmbr1", "type": "bridge"},
        {"iface": "vmbr2", "type": "OVSBridge", "active": 1},
        {"iface": "vnet1", "type": "vnet"}
    ]))
    .unwrap();
    let bridges = bridges(rows);
    let flags = |name: &str| bridges.get(&name.parse().unwrap()).map(|b| (b.vlan_aware, b.active));
    assert_eq!(flags("vmbr0"), Some((true, true)));
    assert_eq!(flags("vmbr1"), Some((false, false)));
    assert_eq!(flags("vmbr2"), Some((true, true)));
    assert_eq!(flags("vnet1"), Some((true, true)));
    let standalone = from_value(json!([{"type": "node", "name": "pve1", "online": 1}])).unwrap();
    assert!(quorate(&standalone));
    let split = from_value(json!([{"type": "cluster", "name": "c", "quorate": 0}])).unwrap();
    assert!(!quorate(&split));
}
