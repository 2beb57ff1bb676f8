//! The whole life of a container on the simulator, and what following many of them costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pve_sim::{Action, Fault, Loss, Sim, SimConfig, When};
use rl_model::*;
use rl_pve::api::lxc::{self, ConfigPatch, ConfigView, Destroy, DiskKey};
use rl_pve::api::storage::Content;
use rl_pve::api::{access, cluster, network, nodes, pools, storage, tasks, version};
use rl_pve::{
    ApiToken, CallLimits, Credentials, ErrorKind, NameResolver, Pace, Pve, Request, SiteConnection, TaskEnd, decode,
    privileges,
};

use crate::samples::{full_guest, p, small_guest, stamp};

/// How many times quicker than a real node the simulated ones work.
const SCALE: f64 = 40.0;

async fn site(nodes: usize) -> (Sim, Pve) {
    let config = SimConfig { time_scale: SCALE, auth_delay: Duration::from_millis(50), ..SimConfig::new(nodes) };
    let sim = Sim::start(config).await.unwrap();
    let token = ApiToken::parse(&SecretValue::new(sim.token())).unwrap();
    let pve = Pve::connect(reach(&sim, Credentials::Token(token))).unwrap();
    (sim, pve)
}

fn reach(sim: &Sim, credentials: Credentials) -> SiteConnection {
    SiteConnection {
        endpoints: sim.urls().iter().map(|url| p(url)).collect(),
        credentials,
        trust: TlsTrust::Fingerprints(vec![sim.fingerprint().to_owned()]),
        requests_per_node: 3,
        pace: Pace::times(SCALE),
        limits: CallLimits::default(),
        resolver: Arc::new(NameResolver::system()),
    }
}

/// A guest the simulated sites can carry.
pub(crate) fn guest(number: u32, node: &str) -> ResolvedGuest {
    let mut guest = small_guest();
    guest.id = GuestId::from_bits(u128::from(number));
    guest.name = p(&format!("web-{number}"));
    guest.hostname = p(&format!("web-{number}"));
    guest.vmid = number.try_into().unwrap();
    guest.node = p(node);
    guest.features = Features { nesting: true, ..Features::default() };
    guest.nics = vec![ResolvedNic {
        bridge: p("vmbr0"),
        mac: MacAddr::from_bits(u64::from(number)),
        ipv4: AddressMode::Static {
            address: p(&format!("10.0.{}.{}/16", number / 250 % 250, number % 250 + 2)),
            gateway: Some(p("10.0.0.1")),
        },
        ipv6: AddressMode::None,
        firewall: false,
        rate_mbps: None,
        mtu: None,
        ..full_guest().nics[0].clone()
    }];
    guest
}

async fn done(pve: &Pve, request: Request<Upid>) -> TaskEnd {
    let upid = pve.send(request).await.unwrap();
    pve.watch(&upid).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_lives_and_dies() {
    let (_sim, pve) = site(2).await;
    let guest = guest(2000, "pve2");
    let (node, vmid) = (guest.node.clone(), guest.vmid);
    let stamp = stamp(&guest);
    assert_eq!(done(&pve, lxc::create(&node, &guest, &stamp, false)).await, TaskEnd::Ok);

    let config = decode::pending_config(&pve.send(lxc::pending(&node, vmid)).await.unwrap());
    assert_eq!(config.stamp.as_ref(), Some(&stamp));
    assert_eq!(config.fields.differences(&ConfigFields::desired(&guest, &stamp)), []);
    assert_eq!(config.net0_mac, Some(guest.nics[0].mac));

    assert_eq!(done(&pve, lxc::start(&node, vmid)).await, TaskEnd::Ok);
    assert_eq!(pve.send(lxc::status(&node, vmid)).await.unwrap().status, "running");
    has_address(&pve, &guest).await;
    assert_eq!(*pve.send(lxc::start(&node, vmid)).await.unwrap_err().kind(), ErrorKind::AlreadyRunning);

    change(&pve, &guest, &config).await;
    assert_eq!(done(&pve, lxc::shutdown(&node, vmid, 30, true)).await, TaskEnd::Ok);
    assert_eq!(*pve.send(lxc::stop(&node, vmid)).await.unwrap_err().kind(), ErrorKind::NotRunning);
    assert_eq!(done(&pve, lxc::destroy(&node, vmid, Destroy::default())).await, TaskEnd::Ok);
    let gone = pve.send(lxc::config(&node, vmid, ConfigView::Current)).await.unwrap_err();
    assert_eq!(*gone.kind(), ErrorKind::DoesNotExist);
}

/// Waits until the container has its address, which it gets a moment after it was started.
async fn has_address(pve: &Pve, guest: &ResolvedGuest) {
    let wanted = guest.nics[0].ipv4.leased().unwrap();
    let began = Instant::now();
    loop {
        let rows = pve.send(lxc::interfaces(&guest.node, guest.vmid)).await.unwrap();
        let live = decode::live_interfaces(rows);
        if live.iter().any(|interface| interface.name.as_str() == "eth0" && interface.has(wanted)) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{live:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Changes a running container, twice with one digest; then its disk.
async fn change(pve: &Pve, guest: &ResolvedGuest, seen: &ContainerConfig) {
    let (node, vmid) = (&guest.node, guest.vmid);
    let raw = pve.send(lxc::config(node, vmid, ConfigView::Merged)).await.unwrap();
    let changes = [
        Change { key: p("memory"), from: "1024".into(), to: "2048".into() },
        Change { key: p("cores"), from: "0".into(), to: "2".into() },
    ];
    let patch = ConfigPatch::from_changes(&changes, guest, &raw);
    assert_eq!(patch.digest.as_deref(), Some(seen.digest.as_str()));
    pve.send(lxc::set_config(node, vmid, &patch)).await.unwrap();
    let stale = pve.send(lxc::set_config(node, vmid, &patch)).await.unwrap_err();
    assert_eq!(*stale.kind(), ErrorKind::DigestMismatch);
    let after = decode::pending_config(&pve.send(lxc::pending(node, vmid)).await.unwrap());
    assert_eq!((after.fields.get(p("memory")), after.fields.get(p("cores"))), ("2048", "2"));
    let grow = |gib| lxc::resize(node, vmid, DiskKey::Root, DiskSize::from_gib(gib), None);
    assert_eq!(done(pve, grow(6)).await, TaskEnd::Ok);
    assert_eq!(*pve.send(grow(6)).await.unwrap_err().kind(), ErrorKind::SameSize);
    let after = decode::pending_config(&pve.send(lxc::pending(node, vmid)).await.unwrap());
    assert_eq!(after.fields.disk_size(FieldKey::RootFs), Some(DiskSize::from_gib(6)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_vmid_is_told_and_a_failing_task_says_why() {
    let (_sim, pve) = site(1).await;
    let guest = guest(2000, "pve1");
    assert!(done(&pve, lxc::create(&guest.node, &guest, &stamp(&guest), false)).await.is_success());
    let again = pve.send(lxc::create(&guest.node, &guest, &stamp(&guest), false)).await.unwrap_err();
    assert_eq!(*again.kind(), ErrorKind::AlreadyExists);
    assert_eq!(*pve.send(cluster::assert_free(guest.vmid)).await.unwrap_err().kind(), ErrorKind::AlreadyExists);

    let mut broken = self::guest(2001, "pve1");
    broken.image = p("local:vztmpl/nosuch.tar.zst");
    let upid = pve.send(lxc::create(&broken.node, &broken, &stamp(&broken), false)).await.unwrap();
    let TaskEnd::Failed(why) = pve.watch(&upid).await.unwrap() else { panic!("it cannot work") };
    assert!(why.contains("nosuch"), "{why}");
    let log = pve.task_log_tail(&upid, 5).await.unwrap();
    assert!(log.last().unwrap().starts_with("TASK ERROR"), "{log:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_of_the_site_is_understood() {
    let (sim, pve) = site(3).await;
    let node: NodeName = p("pve1");
    assert_eq!(pve.send(version::get()).await.unwrap().semver().unwrap().major, 9);
    let seen = decode::site_rows(pve.send(cluster::resources(None)).await.unwrap());
    assert_eq!(seen.nodes.len(), 3);
    assert!(seen.unread.is_empty() && seen.nodes.values().all(|node| node.online && !node.storages.is_empty()));
    assert!(decode::quorate(&pve.send(cluster::status()).await.unwrap()));
    assert_eq!(pve.send(cluster::next_id()).await.unwrap().0, 100);
    assert_eq!(pve.send(nodes::list()).await.unwrap().0.len(), 3);
    assert!(pve.send(nodes::status(&node)).await.unwrap().memory.total.0 > 0);
    let bridges = decode::bridges(pve.send(network::bridges(&node)).await.unwrap());
    assert!(bridges[&p("vmbr0")].vlan_aware);
    let storages = decode::storages(pve.send(storage::list(&node)).await.unwrap());
    assert!(storages[&p("local")].available);
    let templates = pve.send(storage::content(&node, &p("local"), Content::Templates, None)).await.unwrap();
    assert_eq!(decode::volumes(templates).len(), 2);
    assert!(pve.send(pools::list()).await.unwrap().0.is_empty());
    let permissions = pve.send(access::permissions()).await.unwrap();
    let guest = guest(2000, "pve1");
    let needs = privileges::of(&lxc::create(&node, &guest, &stamp(&guest), true), &privileges::Context::default());
    assert!(privileges::missing(&needs, &permissions).is_empty());
    drop(sim);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_works_as_a_token_does() {
    let (sim, _) = site(1).await;
    let credentials = Credentials::Password { user: "root@pam".into(), password: SecretValue::new("rapidlaunch") };
    let pve = Pve::connect(reach(&sim, credentials)).unwrap();
    let guest = guest(2000, "pve1");
    assert!(done(&pve, lxc::create(&guest.node, &guest, &stamp(&guest), false)).await.is_success());
    let wrong = Credentials::Password { user: "root@pam".into(), password: SecretValue::new("wrong") };
    let error = Pve::connect(reach(&sim, wrong)).unwrap().send(version::get()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unauthorized);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_whose_answer_is_lost_is_found_in_the_task_list() {
    let (sim, pve) = site(1).await;
    sim.add_faults(vec![Fault {
        name: None,
        when: When {
            method: Some("POST".into()),
            path: Some("/nodes/*/lxc".into()),
            times: Some(1),
            ..When::default()
        },
        action: Action::LoseAnswer { how: Loss::Close },
    }]);
    let guest = guest(2000, "pve1");
    let error = pve.send(lxc::create(&guest.node, &guest, &stamp(&guest), false)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::MayHaveHappened);
    let query = tasks::TaskQuery { source: tasks::TaskSource::All, since: None, limit: 10, about: Some(guest.vmid) };
    let rows = pve.send(tasks::list(&guest.node, &query)).await.unwrap();
    let upid: Upid = rows.0.iter().find(|row| row.kind == "vzcreate").unwrap().upid.parse().unwrap();
    assert_eq!(pve.watch_earlier(&upid).await.unwrap(), TaskEnd::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_creates_is_cheap_and_ends_are_noticed_soon() {
    let (_sim, pve) = site(4).await;
    let (width, each) = (4, 12);
    let lane = |node: u32, lane: u32| {
        let pve = pve.clone();
        async move {
            for n in 0..each {
                let guest = guest(10_000 + node * 1_000 + lane * 100 + n, &format!("pve{node}"));
                assert!(done(&pve, lxc::create(&guest.node, &guest, &stamp(&guest), false)).await.is_success());
            }
        }
    };
    let began = Instant::now();
    futures::future::join_all(
        (1..=4).flat_map(|node| (0..width).map(move |l| (node, l))).map(|(node, l)| lane(node, l)),
    )
    .await;
    let took = began.elapsed();
    let creates = u64::from(4 * width * each);
    let polls = pve.calls_total() - creates;
    let share = polls as f64 / creates as f64;
    assert!(share < 1.5, "{polls} polls for {creates} creates in {took:?}");
}
