//! Looking at a site and proving a stack: what is compared, what is told when it cannot be read, and how few requests it takes.

use std::collections::{BTreeMap, BTreeSet};

use pve_sim::Action as Fault;
use rl_model::{FieldKey, GuestKind, Observed, Proof, ResolvedGuest, StartupOrder};
use rl_ops::{ObserveError, Scope, observe, prove, prove_gone};
use serde_json::{Value, json};

use crate::lab::{Lab, guest, p, stack, stamp, volume};

/// A guest with a value in every field.
fn full(running: bool) -> ResolvedGuest {
    let mut guest = guest(1, running);
    guest.volumes = vec![volume("data", "mp0", 1)];
    guest.timezone = Some("Europe/Berlin".to_owned());
    guest.search_domain = Some("example.org".to_owned());
    guest.startup = Some(StartupOrder { order: Some(2), up_delay_s: None, down_delay_s: None });
    guest.node_pinned = true;
    guest
}

async fn proof_of(lab: &Lab, guest: &ResolvedGuest) -> Proof {
    prove(&lab.sites(), &stack(std::slice::from_ref(guest)), 7).await
}

fn failed(proof: &Proof) -> Vec<String> {
    let checks = proof.items.iter().flat_map(|item| &item.checks);
    checks.filter(|check| !check.ok).map(|check| check.name.clone()).collect()
}

/// Changes of the world past the API, and what the proof finds wrong then.
fn differences(guest: &ResolvedGuest) -> Vec<(Value, Vec<&'static str>)> {
    let config = |key: &str, value: &str| json!({ "vmid": 2001, "config": { key: value } });
    let delete = |key: &str| json!({ "vmid": 2001, "delete": [key] });
    let stamp = stamp(guest);
    let net = |mac: &str, name: &str, bridge: &str| {
        format!("name={name},bridge={bridge},hwaddr={mac},type=veth,ip=10.20.0.51/24,gw=10.20.0.1")
    };
    let mac = "BC:24:11:00:00:01";
    vec![
        (config("hostname", "other"), vec!["hostname"]),
        (config("cores", "3"), vec!["cores"]),
        (config("memory", "300"), vec!["memory"]),
        (config("swap", "1"), vec!["swap"]),
        (config("nameserver", "10.20.0.9"), vec!["nameserver"]),
        (config("searchdomain", "example.net"), vec!["searchdomain"]),
        (config("onboot", "0"), vec!["onboot"]),
        (config("startup", "order=3"), vec!["startup"]),
        (delete("features"), vec!["features"]),
        (config("features", "nesting=1,keyctl=1"), vec!["features"]),
        (delete("unprivileged"), vec!["unprivileged"]),
        (config("protection", "1"), vec!["protection"]),
        (config("timezone", "UTC"), vec!["timezone"]),
        (config("tags", stamp.tag().as_str()), vec!["tags"]),
        (config("tags", "prod"), vec!["exists once", "tags"]),
        (config("description", "front end\n"), vec!["stamp", "description"]),
        (config("description", &stamp.description("other words")), vec!["description"]),
        (config("rootfs", "local-zfs:subvol-2001-disk-0,size=1G"), vec!["rootfs"]),
        (config("rootfs", "shared:2001/vm-2001-disk-0.raw,size=2G"), vec!["rootfs"]),
        (delete("mp0"), vec!["mp0"]),
        (config("mp0", "local-zfs:subvol-2001-disk-1,mp=/elsewhere,backup=1,size=1G"), vec!["mp0"]),
        (config("net0", &net(mac, "eth0", "vmbr9")), vec!["net0"]),
        (config("net0", &net("BC:24:11:AB:CD:EF", "eth0", "vmbr0")), vec!["net0", "live MAC of eth0"]),
        (config("net0", &net(mac, "eth9", "vmbr0")), vec!["net0", "live MAC of eth0", "live address of eth0"]),
        (config("net1", &net("BC:24:11:AB:CD:EF", "eth1", "vmbr0")), vec!["net1"]),
        (json!({ "vmid": 2001, "live_address": { "net0": "10.20.0.77/24" } }), vec!["live address of eth0"]),
        (json!({ "vmid": 2001, "running": false }), vec!["state"]),
        (json!({ "vmid": 2001, "node": "pve2" }), vec!["node"]),
        (json!({ "vmid": 2050, "node": "pve2", "config": { "tags": stamp.tag() } }), vec!["exists once"]),
        (json!({ "vmid": 2001, "type": "qemu", "replace": true, "node": "pve1" }), vec!["exists once", "type"]),
        // What others may add is no difference.
        (config("tags", &format!("mine;prod;{}", stamp.tag())), vec![]),
        (config("features", "nesting=1,mount=nfs"), vec![]),
        (config("mp5", "/mnt/of/the/node,mp=/mnt"), vec![]),
        (config("rootfs", "local-zfs:subvol-2001-disk-0,size=3G"), vec![]),
        (config("cpuunits", "50"), vec![]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_comparison_fails_when_the_world_differs_and_only_then() {
    let guest = full(true);
    for (change, wrong) in differences(&guest) {
        let lab = Lab::of(2).await;
        lab.make(&guest).await;
        let before = proof_of(&lab, &guest).await;
        assert!(before.ok, "{before:#?}");
        lab.control("POST", "/guests", change.clone()).await;
        let after = proof_of(&lab, &guest).await;
        assert_eq!(failed(&after), wrong, "after {change}: {after:#?}");
        assert_eq!(after.ok, wrong.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proof_compares_every_field() {
    let (lab, guest) = (Lab::of(1).await, full(true));
    lab.make(&guest).await;
    let proof = proof_of(&lab, &guest).await;
    let names: Vec<&str> = proof.items[0].checks.iter().map(|check| check.name.as_str()).collect();
    insta::assert_snapshot!(names.join(", "), @"exists once, type, node, stamp, hostname, cores, memory, swap, rootfs, mp0, net0, nameserver, searchdomain, tags, description, onboot, startup, features, unprivileged, protection, timezone, state, live MAC of eth0, live address of eth0");
    assert_eq!((proof.at_ms, proof.items[0].node.clone()), (7, Some(p("pve1"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_of_a_stopped_guest_is_live() {
    let (lab, guest) = (Lab::of(1).await, full(false));
    lab.make(&guest).await;
    assert!(proof_of(&lab, &guest).await.ok);
    lab.control("POST", "/guests", json!({ "vmid": 2001, "running": true })).await;
    assert_eq!(failed(&proof_of(&lab, &guest).await), ["state"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn change_that_waits_for_a_start_is_told() {
    let (lab, guest) = (Lab::of(1).await, full(true));
    lab.make(&guest).await;
    let mut patch = rl_pve::api::lxc::ConfigPatch::default();
    patch.set.insert("timezone".to_owned(), "UTC".to_owned());
    lab.api.pve().send(rl_pve::api::lxc::set_config(&guest.node, guest.vmid, &patch)).await.unwrap();
    assert_eq!(failed(&proof_of(&lab, &guest).await), ["timezone", "pending changes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn guest_that_is_gone_fails_the_proof() {
    let (lab, guest) = (Lab::of(1).await, full(true));
    let proof = proof_of(&lab, &guest).await;
    assert_eq!(failed(&proof), ["exists once"]);
    assert_eq!(proof.items[0].checks[0].found, "nothing");
}

/// What could not be read is no proof, and no reason to call anything wrong but that.
#[tokio::test(flavor = "multi_thread")]
async fn unread_parts_fail_the_proof_as_such() {
    for path in ["/cluster/resources", "/nodes/*/lxc/*/pending", "/nodes/*/lxc/*/interfaces"] {
        let (lab, guest) = (Lab::of(1).await, full(true));
        lab.make(&guest).await;
        lab.fault("GET", path, 0, Fault::Refuse { status: 500, message: "out of order".to_owned() });
        let proof = proof_of(&lab, &guest).await;
        assert_eq!(failed(&proof), ["read back"], "{path}");
        let check = proof.items[0].checks.iter().find(|check| !check.ok).unwrap();
        assert!(check.found.contains("out of order"), "{path}: {}", check.found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn site_that_is_not_connected_fails_the_proof() {
    let guest = full(true);
    let proof = prove(&BTreeMap::new(), &stack(&[guest]), 0).await;
    assert_eq!(failed(&proof), ["site"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn destroyed_stack_is_proven_gone() {
    let (lab, guest) = (Lab::of(1).await, full(true));
    let gone = [(guest.site.clone(), stamp(&guest))];
    let proof = prove_gone(&lab.sites(), &p("shop"), &gone, 0).await;
    assert!(proof.ok && proof.items.len() == 1, "{proof:#?}");
    lab.make(&guest).await;
    let proof = prove_gone(&lab.sites(), &p("shop"), &gone, 0).await;
    assert_eq!(
        (failed(&proof), proof.items[0].checks[0].found.as_str()),
        (vec!["gone".to_owned()], "VMID 2001 on pve1")
    );
    lab.fault("GET", "/cluster/resources", 0, Fault::Refuse { status: 500, message: "out of order".to_owned() });
    assert_eq!(failed(&prove_gone(&lab.sites(), &p("shop"), &gone, 0).await), ["read back"]);
}

/// Everything a plan for new and old guests needs.
fn scope() -> Scope {
    Scope {
        catalog: BTreeMap::from([(p("fra1"), BTreeSet::from([p("local")]))]),
        configs: BTreeMap::from([(p("fra1"), BTreeSet::from([p("2001"), p("2002"), p("2099")]))]),
        firewalls: BTreeMap::new(),
    }
}

async fn seen(lab: &Lab, scope: &Scope) -> Observed {
    observe(&lab.sites(), scope, 5).await.unwrap()
}

fn unread(observed: &Observed) -> Vec<String> {
    observed.sites[&p("fra1")].unread.iter().map(|unread| unread.what.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_takes_few_requests() {
    let lab = Lab::new().await;
    lab.make(&guest(1, true)).await;
    lab.make(&guest(2, false)).await;
    let calls = async |scope: &Scope| {
        let before = lab.ledger().calls_total;
        let observed = seen(&lab, scope).await;
        (lab.ledger().calls_total - before, observed)
    };
    let (count, observed) = calls(&Scope::default()).await;
    assert_eq!(count, 3, "version, status and the resource list");
    let site = &observed.sites[&p("fra1")];
    assert_eq!((site.seen_at_ms, site.quorate, site.nodes.len(), site.guests.len()), (5, true, 3, 2));
    assert!(!site.version.is_empty() && site.unread.is_empty(), "{:?}", site.unread);
    // Bridges and templates of three nodes, and the two configurations that are there.
    let (count, observed) = calls(&scope()).await;
    assert_eq!(count, 3 + 2 * 3 + 2);
    let site = &observed.sites[&p("fra1")];
    assert!(
        site.nodes
            .values()
            .all(|node| node.bridges.is_some() && node.templates.as_ref().is_some_and(|all| !all.is_empty()))
    );
    let config = site.guests[&p("2001")].config.as_ref().unwrap();
    assert_eq!((config.stamp.clone(), config.fields.get(FieldKey::Memory)), (Some(stamp(&guest(1, true))), "256"));
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_reads_are_marked() {
    for (path, what, calls) in [
        ("/version", "version", Scope::default()),
        ("/cluster/status", "cluster status", Scope::default()),
        ("/nodes/pve2/network", "bridges of node pve2", scope()),
        ("/nodes/pve2/storage/local/content", "templates of node pve2", scope()),
        ("/nodes/*/lxc/2001/pending", "configuration of 2001", scope()),
    ] {
        let lab = Lab::new().await;
        lab.make(&guest(1, false)).await;
        lab.fault("GET", path, 0, Fault::Refuse { status: 500, message: "out of order".to_owned() });
        let observed = seen(&lab, &calls).await;
        assert_eq!(unread(&observed), [what], "{path}");
        let site = &observed.sites[&p("fra1")];
        assert!(site.unread[0].why.contains("out of order"));
        assert!(site.guests.contains_key(&p("2001")), "what was read is there");
        assert_eq!(site.nodes[&p("pve1")].bridges.is_some(), !calls.catalog.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn site_without_its_list_is_an_error() {
    let lab = Lab::of(1).await;
    lab.fault("GET", "/cluster/resources", 0, Fault::Refuse { status: 500, message: "out of order".to_owned() });
    let error = observe(&lab.sites(), &Scope::default(), 0).await.unwrap_err();
    assert!(matches!(&error, ObserveError::Unreadable { .. }), "{error}");
    assert_eq!(error.to_string(), "site fra1 cannot be read");
}

/// A virtual machine under a VMID of ours is seen as one: it does not vanish because it has no container configuration.
#[tokio::test(flavor = "multi_thread")]
async fn virtual_machine_on_our_vmid_is_seen() {
    let lab = Lab::new().await;
    lab.control(
        "POST",
        "/guests",
        json!({ "vmid": 2001, "node": "pve2", "type": "qemu", "config": { "name": "theirs" } }),
    )
    .await;
    let observed = seen(&lab, &scope()).await;
    let seen = &observed.sites[&p("fra1")].guests[&p("2001")];
    assert_eq!((seen.kind, seen.config.is_none()), (GuestKind::Vm, true));
    assert!(unread(&observed).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_quorum_and_a_node_that_is_down_are_seen() {
    let lab = Lab::new().await;
    lab.control("POST", "/quorum/lost", Value::Null).await;
    assert!(!seen(&lab, &Scope::default()).await.sites[&p("fra1")].quorate);
    lab.control("POST", "/quorum/ok", Value::Null).await;
    lab.control("POST", "/nodes/pve3/down", Value::Null).await;
    let observed = seen(&lab, &scope()).await;
    let site = &observed.sites[&p("fra1")];
    assert!(!site.nodes[&p("pve3")].online && site.nodes[&p("pve3")].bridges.is_none());
    assert!(site.nodes[&p("pve1")].online && site.nodes[&p("pve1")].bridges.is_some());
}
