//! What we say a plan needs, against what the simulator demands: with exactly that all calls work, with less one does
//! not, and the comparison names what lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pve_sim::{SeedState, Sim, SimConfig};
use rl_model::*;
use rl_pve::api::access;
use rl_pve::api::lxc::{self, ConfigPatch, Destroy, DiskKey};
use rl_pve::privileges::{self, Context, Needs};
use rl_pve::wire::RawConfig;
use rl_pve::{ApiToken, CallLimits, Credentials, ErrorKind, NameResolver, Pace, Pve, PveError, SiteConnection};
use serde_json::json;

use crate::samples::{full_guest, p, stamp};
use crate::simulated::guest;

const SECRET: &str = "44444444-4444-4444-8444-444444444444";
/// How many times quicker than a real node the simulated one works.
const SCALE: f64 = 100.0;

fn action(id: u32, guest: &ResolvedGuest, kind: ActionKind) -> Action {
    Action {
        id: ActionId(id),
        stamp: stamp(guest),
        site: p("fra1"),
        node: guest.node.clone(),
        vmid: guest.vmid,
        kind,
        reasons: vec![],
        after: vec![],
    }
}

fn change(key: &str, from: &str, to: &str) -> Change {
    Change { key: p(key), from: from.into(), to: to.into() }
}

/// The guest of the plan: no pool, one NIC with a VLAN, a data volume.
fn subject() -> ResolvedGuest {
    let mut guest = guest(2000, "pve1");
    guest.storage = p("local-zfs");
    guest.tags = vec![p("web")];
    guest.nics[0].vlan = Some(p("20"));
    guest
}

fn changes() -> [Change; 3] {
    [
        change("memory", "1024", "2048"),
        change("cores", "0", "2"),
        change("rootfs", "size=4G,storage=local-zfs", "size=5G,storage=local-zfs"),
    ]
}

fn plan(guest: &ResolvedGuest) -> Plan {
    let boxed = || Box::new(guest.clone());
    let update = ActionKind::Update {
        guest: boxed(),
        changes: changes().to_vec(),
        move_to: None,
        power: Consequence::Restart,
        seen_net0: None,

        firewall: None,
    };
    let remove = ActionKind::Remove { was_running: true, seen_net0: None, seen_hostname: None };
    let elsewhere =
        Action { site: p("nyc1"), ..action(9, guest, ActionKind::Create { guest: Box::new(full_guest()) }) };
    Plan {
        id: PlanId("test".into()),
        stack: p("shop"),
        base_revision: 0,
        destroy: false,
        resolved: serde_json::from_value(json!({"name": "shop", "controller": "0".repeat(20), "guests": {}})).unwrap(),
        actions: vec![
            action(0, guest, ActionKind::Create { guest: boxed() }),
            action(1, guest, update),
            action(2, guest, remove),
            elsewhere,
        ],
        parts: Vec::new(),
    }
}

/// A site where the token has these privileges and no others.
async fn site(grants: &BTreeSet<(String, &'static str)>) -> (Sim, Pve) {
    let mut by_path: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, privilege) in grants {
        by_path.entry(path).or_default().push(privilege);
    }
    let roles: Vec<_> =
        by_path.values().enumerate().map(|(n, privs)| json!({"id": format!("R{n}"), "privs": privs})).collect();
    let acl: Vec<_> = by_path
        .keys()
        .enumerate()
        .map(|(n, path)| json!({"path": path, "user": "deploy@pve", "role": format!("R{n}"), "propagate": false}))
        .collect();
    let default = serde_json::to_value(SeedState::default_cluster(1, SECRET)).unwrap();
    let mut state = default.as_object().unwrap().clone();
    state.insert("roles".into(), roles.into());
    state.insert("acl".into(), acl.into());
    state.insert("users".into(), json!([{"id": "deploy@pve"}]));
    state.insert("tokens".into(), json!([{"id": "deploy@pve!t", "secret": SECRET, "privsep": false}]));
    let seed = SeedState::from_json(&serde_json::Value::Object(state).to_string()).unwrap();
    let config = SimConfig {
        seed_state: Some(seed),
        time_scale: SCALE,
        auth_delay: Duration::from_millis(20),
        ..SimConfig::new(1)
    };
    let sim = Sim::start(config).await.unwrap();
    let token = ApiToken::parse(&SecretValue::new(format!("deploy@pve!t={SECRET}"))).unwrap();
    let connection = SiteConnection {
        endpoints: vec![p(&sim.url())],
        credentials: Credentials::Token(token),
        trust: TlsTrust::Fingerprints(vec![sim.fingerprint().to_owned()]),
        requests_per_node: 3,
        pace: Pace::times(SCALE),
        limits: CallLimits::default(),
        resolver: Arc::new(NameResolver::system()),
    };
    let pve = Pve::connect(connection).unwrap();
    (sim, pve)
}

/// Carries the plan out as far as the token may.
async fn carry_out(pve: &Pve, guest: &ResolvedGuest) -> Result<(), PveError> {
    let (node, vmid) = (&guest.node, guest.vmid);
    let follow = |upid: Upid| async move {
        let end = pve.watch(&upid).await?;
        assert!(end.is_success(), "{upid}: {end:?}");
        Ok::<(), PveError>(())
    };
    follow(pve.send(lxc::create(node, guest, &stamp(guest), false)).await?).await?;
    follow(pve.send(lxc::start(node, vmid)).await?).await?;
    pve.send(lxc::pending(node, vmid)).await?;
    pve.send(lxc::interfaces(node, vmid)).await?;
    let patch = ConfigPatch::from_changes(&changes(), guest, &RawConfig::default());
    pve.send(lxc::set_config(node, vmid, &patch)).await?;
    follow(pve.send(lxc::resize(node, vmid, DiskKey::Root, DiskSize::from_gib(5), None)).await?).await?;
    follow(pve.send(lxc::shutdown(node, vmid, 30, true)).await?).await?;
    follow(pve.send(lxc::destroy(node, vmid, Destroy::default())).await?).await
}

fn grants(needs: &Needs) -> BTreeSet<(String, &'static str)> {
    needs.privileges.iter().map(|need| (need.paths[0].clone(), need.any_of[0])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_privileges_named_are_needed() {
    let guest = subject();
    let needs = privileges::of_plan(&plan(&guest), &p("fra1"), &Context::default());
    assert!(needs.root_only.is_empty());
    let all = grants(&needs);
    let (sim, pve) = site(&all).await;
    // Asked for beforehand: removing a guest removes the entries for its path too.
    let have = pve.send(access::permissions()).await.unwrap();
    assert_eq!(privileges::missing(&needs, &have), []);
    carry_out(&pve, &guest).await.unwrap();
    drop(sim);
    for lacking in &all {
        let mut fewer = all.clone();
        fewer.remove(lacking);
        let (_sim, pve) = site(&fewer).await;
        let have = pve.send(access::permissions()).await.unwrap();
        let told = privileges::missing(&needs, &have);
        assert!(!told.is_empty() && told.iter().all(|need| need.paths[0] == lacking.0), "{lacking:?}: {told:?}");
        let error = carry_out(&pve, &guest).await.expect_err(&format!("without {lacking:?} it must fail"));
        assert!(matches!(error.kind(), ErrorKind::Forbidden { .. }), "{lacking:?}: {error}");
    }
}

#[test]
fn a_plan_with_everything_says_what_only_root_may_do() {
    let guest = ResolvedGuest { unprivileged: false, ..full_guest() };
    let create = action(0, &guest, ActionKind::Create { guest: Box::new(guest.clone()) });
    let moved = ActionKind::Update {
        guest: Box::new(guest.clone()),
        changes: vec![],
        move_to: Some(p("pve2")),
        power: Consequence::Keep,
        seen_net0: None,

        firewall: None,
    };
    let plan = Plan { actions: vec![create, action(1, &guest, moved)], ..plan(&guest) };
    let needs = privileges::of_plan(&plan, &p("fra1"), &Context::default());
    let lines: Vec<String> = needs.privileges.iter().map(ToString::to_string).chain(needs.root_only).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    Sys.Modify on / (create privileged containers)
    SDN.Use on /sdn/zones/localnetwork/vmbr0/20 (use the bridge)
    SDN.Use on /sdn/zones/localnetwork/vmbr1 (use the bridge)
    Datastore.Audit or Datastore.AllocateSpace on /storage/local (read templates)
    Datastore.AllocateSpace on /storage/local-zfs (make disks)
    Datastore.AllocateSpace on /storage/tank (make disks)
    VM.Allocate on /vms/2000 or /pool/team/shop (create guests)
    VM.Audit on /vms/2000 or /pool/team/shop (read configurations)
    VM.Audit on /vms/2000 or /pool/team/shop (read live addresses)
    VM.Config.CPU on /vms/2000 or /pool/team/shop (set CPU limits)
    VM.Config.Disk on /vms/2000 or /pool/team/shop (set disks and mount points)
    VM.Config.Memory on /vms/2000 or /pool/team/shop (set memory limits)
    VM.Config.Network on /vms/2000 or /pool/team/shop (set NICs)
    VM.Config.Network on /vms/2000 or /pool/team/shop (set names and name servers)
    VM.Config.Options on /vms/2000 or /pool/team/shop (set options such as tags and description)
    VM.Migrate on /vms/2000 or /pool/team/shop (move guests to another node)
    VM.PowerMgmt on /vms/2000 or /pool/team/shop (start guests)
    features of privileged containers
    features other than nesting (fuse, keyctl)
    ");
}
