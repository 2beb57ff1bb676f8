//! Strangers, several nodes, privileges and many containers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pve_sim::{SeedAcl, SeedState, SeedToken, SeedUser, Sim, SimConfig};
use serde_json::{Value, json};

use crate::client::{Client, create_form};

async fn site(nodes: usize, time_scale: f64) -> Sim {
    Sim::start(SimConfig { time_scale, ..SimConfig::new(nodes) }).await.unwrap()
}

#[tokio::test]
async fn a_stranger_may_hold_a_number_and_change_a_guest() {
    let sim = site(2, 50.0).await;
    let mut client = Client::new(&sim, 0);
    let machine = json!({"vmid": 300, "node": "pve2", "type": "qemu", "config": {"name": "alien", "memory": "2048"}});
    assert_eq!(sim.control("POST", "/guests", machine).await.0, 200);
    let refused = client.send("POST", "/nodes/pve1/lxc", &create_form("300")).await;
    assert_eq!(refused.reason, "VM 300 already exists on node 'pve2'");
    assert_eq!(client.get("/nodes/pve2/qemu").await[0]["name"], "alien");

    assert_eq!(client.create("pve1", 301).await, "OK");
    assert_eq!(client.run("POST", "/nodes/pve1/lxc/301/status/start", &[]).await, "OK");
    let other = json!({"vmid": 301, "live_address": {"net0": "10.0.66.6/16"}, "config": {"tags": "theirs"}});
    sim.control("POST", "/guests", other).await;
    let nics = client.get("/nodes/pve1/lxc/301/interfaces").await;
    assert_eq!(nics[1]["inet"], "10.0.66.6/16");
    assert_eq!(client.get("/nodes/pve1/lxc/301/config").await["tags"], "theirs");
    sim.control("POST", "/guests", json!({"vmid": 301, "node": "pve2"})).await;
    let gone = client.send("GET", "/nodes/pve1/lxc/301/config", &[]).await;
    assert_eq!(gone.reason, "Configuration file 'nodes/pve1/lxc/301.conf' does not exist");
    assert_eq!(sim.control("DELETE", "/guests/301", Value::Null).await.0, 200);
    let (_, state) = sim.control("GET", "/state", Value::Null).await;
    assert_eq!(state["guests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["300"]);
    sim.shutdown().await;
}

#[tokio::test]
async fn containers_move_between_nodes_with_their_volumes() {
    let sim = site(3, 50.0).await;
    let mut client = Client::new(&sim, 2);
    assert_eq!(client.create("pve1", 100).await, "OK");
    assert_eq!(client.run("POST", "/nodes/pve1/lxc/100/migrate", &[("target", "pve2")]).await, "OK");
    assert_eq!(client.run("POST", "/nodes/pve2/lxc/100/status/start", &[]).await, "OK");
    let refused = client.send("POST", "/nodes/pve2/lxc/100/migrate", &[("target", "pve3")]).await;
    assert_eq!(refused.reason, "can't migrate running container without --online or --restart");
    let form = [("target", "pve3"), ("restart", "1")];
    assert_eq!(client.run("POST", "/nodes/pve2/lxc/100/migrate", &form).await, "OK");
    assert_eq!(client.get("/nodes/pve3/lxc/100/status/current").await["status"], "running");
    let volumes = client.get("/nodes/pve3/storage/local-zfs/content").await;
    assert_eq!(volumes[0]["volid"], "local-zfs:subvol-100-disk-0");
    assert_eq!(client.get("/nodes/pve1/storage/local-zfs/content").await, json!([]));
    assert_eq!(sim.ledger().by_vmid[&100]["migrate"], 2);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_separated_token_may_do_only_what_both_may() {
    let mut state = SeedState::default_cluster(1, "11111111-1111-4111-8111-111111111111");
    state.users.push(SeedUser { id: "op@pve".into(), password: None, comment: None, email: None });
    let secret = "22222222-2222-4222-8222-222222222222";
    state.tokens.push(SeedToken { id: "op@pve!t".into(), secret: secret.into(), privsep: true });
    let entry = |path: &str, user: Option<&str>, token: Option<&str>, role: &str| SeedAcl {
        path: path.into(),
        user: user.map(Into::into),
        token: token.map(Into::into),
        group: None,
        role: role.into(),
        propagate: true,
    };
    state.acl =
        vec![entry("/vms", Some("op@pve"), None, "PVEVMAdmin"), entry("/vms", None, Some("op@pve!t"), "PVEAuditor")];
    let config = SimConfig { seed_state: Some(state), time_scale: 50.0, ..SimConfig::new(1) };
    let sim = Sim::start(config).await.unwrap();
    Client::new(&sim, 0).create("pve1", 100).await;
    let mut client = Client::new(&sim, 0).with_token(&format!("op@pve!t={secret}"));
    assert_eq!(client.get("/nodes/pve1/lxc/100/config").await["hostname"], "CT100");
    let refused = client.send("POST", "/nodes/pve1/lxc/100/status/start", &[]).await;
    assert_eq!(refused.reason, "Permission check failed (/vms/100, VM.PowerMgmt)");
    assert_eq!(client.get("/access/permissions").await, json!({"/vms": {"VM.Audit": 1, "VM.GuestAgent.Audit": 1}}));
    sim.shutdown().await;
}

#[tokio::test]
async fn a_ticket_ends_after_two_hours_and_renews_itself() {
    let config = SimConfig { auth_delay: Duration::ZERO, ..SimConfig::new(1) };
    let sim = Sim::start(config).await.unwrap();
    let mut nobody = Client::new(&sim, 0).anonymous();
    let login = [("username", "root@pam"), ("password", "rapidlaunch")];
    let data = nobody.send("POST", "/access/ticket", &login).await.data();
    let (ticket, csrf) = (data["ticket"].as_str().unwrap(), data["CSRFPreventionToken"].as_str().unwrap());
    let mut client = Client::new(&sim, 0).with_ticket(ticket, csrf);
    client.send("POST", "/pools", &[("poolid", "lab")]).await.data();
    let forged =
        Client::new(&sim, 0).with_ticket(ticket, "6B03293D:bad").send("POST", "/pools", &[("poolid", "x")]).await;
    assert_eq!((forged.status, forged.reason.as_str()), (401, "Permission denied - invalid csrf token"));

    sim.control("POST", "/clock", json!({"advance": 7000})).await;
    let renewed = nobody.send("POST", "/access/ticket", &[("username", "root@pam"), ("password", ticket)]).await.data();
    sim.control("POST", "/clock", json!({"advance": 300})).await;
    let old = client.send("GET", "/pools", &[]).await;
    assert_eq!((old.status, old.reason.as_str()), (401, "Authentication failed!"));
    let (ticket, csrf) = (renewed["ticket"].as_str().unwrap(), renewed["CSRFPreventionToken"].as_str().unwrap());
    Client::new(&sim, 0).with_ticket(ticket, csrf).get("/pools").await;
    sim.shutdown().await;
}

#[tokio::test]
async fn few_workers_take_calls_one_after_another() {
    let config = SimConfig { worker_limit: 1, time_scale: 5.0, ..SimConfig::new(1) };
    let sim = Sim::start(config).await.unwrap();
    let mut client = Client::new(&sim, 0);
    client.create("pve1", 100).await;
    sim.control("POST", "/act", json!({"do": "hold-flock", "vmid": 100, "seconds": 0.5})).await;
    let mut waiting = Client::new(&sim, 0);
    let blocked = tokio::spawn(async move {
        waiting.send("PUT", "/nodes/pve1/lxc/100/config", &[("memory", "600")]).await.data();
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = Instant::now();
    // The list is made by the same daemon, whose one worker waits for the lock.
    client.get("/nodes/pve1/lxc").await;
    assert!(before.elapsed() > Duration::from_millis(200), "{:?}", before.elapsed());
    blocked.await.unwrap();
    sim.shutdown().await;
}

/// Many creates on many nodes end near the simulator's own limit, each done exactly once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_containers_are_no_bottleneck() {
    const NODES: usize = 10;
    const COUNT: usize = 400;
    let sim = site(NODES, 20.0).await;
    let before = Instant::now();
    let mut workers = Vec::new();
    for worker in 0..NODES * 4 {
        let node = worker % NODES;
        let mut client = Client::new(&sim, node);
        workers.push(tokio::spawn(async move {
            for n in (worker..COUNT).step_by(NODES * 4) {
                let done = client.create(&format!("pve{}", node + 1), 1000 + n as u32).await;
                assert_eq!(done, "OK");
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let (took, ideal) = (before.elapsed(), sim.ideal_creates(COUNT, false));
    let ledger = sim.ledger();
    let created: BTreeSet<u32> = ledger.effects.iter().map(|e| e.vmid).collect();
    assert_eq!((created.len(), ledger.effects.len()), (COUNT, COUNT));
    assert!(took < ideal.mul_f64(5.0), "{COUNT} creates took {took:?}, ideally {ideal:?}");
    let listed = Client::new(&sim, 3).get("/cluster/resources?type=vm").await;
    assert_eq!(listed.as_array().unwrap().len(), COUNT);
    sim.shutdown().await;
}

#[tokio::test]
async fn the_control_endpoint_answers_over_http_and_the_ready_line_names_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let sim = site(1, 50.0).await;
    let ready: Value = serde_json::from_str(&sim.ready_line()).unwrap();
    let address = ready["control"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /ledger HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["calls_total"], 0);
    assert_eq!(ready["fingerprint"].as_str().unwrap().len(), 95);
    assert!(ready["token"].as_str().unwrap().starts_with("root@pam!rapidlaunch="));
    sim.shutdown().await;
}

#[test]
fn a_state_with_an_unknown_key_is_refused_by_its_name() {
    for (state, key) in [
        (r#"{"nodes":["a"],"storage":[]}"#, "`storage`"),
        (r#"{"nodes":[{"name":"a","kores":4}]}"#, "`kores`"),
        (r#"{"nodes":["a"],"tokens":[{"id":"root@pam!x","secret":"s","privs":1}]}"#, "`privs`"),
    ] {
        let error = SeedState::from_json(state).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[tokio::test]
async fn an_idle_site_ends_by_itself() {
    let config = SimConfig { exit_after_idle: Some(Duration::from_millis(100)), ..SimConfig::new(1) };
    let sim = Sim::start(config).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), sim.wait()).await.unwrap();
}
