//! What goes wrong goes wrong as told, and the ledger says what was done all the same.

use std::time::Duration;

use pve_sim::{Sim, SimConfig};
use serde_json::{Value, json};

use crate::client::{Client, create_form};

async fn site() -> Sim {
    Sim::start(SimConfig { time_scale: 50.0, ..SimConfig::new(3) }).await.unwrap()
}

async fn fault(sim: &Sim, fault: Value) {
    let (status, answer) = sim.control("POST", "/faults", fault).await;
    assert_eq!(status, 200, "{answer}");
}

/// A fault for the first create call.
async fn on_create(sim: &Sim, action: Value) {
    let when = json!({"method": "POST", "path": "/nodes/*/lxc", "times": 1});
    fault(sim, json!({"when": when, "action": action})).await;
}

async fn settle(sim: &Sim, kind: &str) {
    for _ in 0..200 {
        if sim.ledger().by_kind.contains_key(kind) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no {kind} in the ledger");
}

#[tokio::test]
async fn a_lost_answer_does_not_undo_the_work() {
    let sim = site().await;
    on_create(&sim, json!({"do": "lose-answer"})).await;
    let mut client = Client::new(&sim, 0);
    assert!(client.try_send("POST", "/nodes/pve1/lxc", &create_form("200")).await.is_none());
    settle(&sim, "create").await;
    assert_eq!(sim.ledger().by_description_line["stamp one"]["create"], 1);
    let again = client.send("POST", "/nodes/pve1/lxc", &create_form("200")).await;
    assert_eq!((again.status, again.reason.as_str()), (500, "CT 200 already exists on node 'pve1'"));
    sim.shutdown().await;
}

#[tokio::test]
async fn a_lost_request_does_nothing() {
    let sim = site().await;
    on_create(&sim, json!({"do": "lose-request", "how": "timeout"})).await;
    let mut client = Client::new(&sim, 0);
    let answer = client.send("POST", "/nodes/pve1/lxc", &create_form("200")).await;
    assert_eq!((answer.status, answer.reason.as_str()), (596, "Connection timed out"));
    assert_eq!(client.get("/nodes/pve1/lxc").await, json!([]));
    assert_eq!(client.create("pve1", 200).await, "OK");
    sim.shutdown().await;
}

#[tokio::test]
async fn a_late_failure_cleans_up_or_not_as_told() {
    let sim = site().await;
    on_create(&sim, json!({"do": "fail-task", "text": "disk quota exceeded"})).await;
    let mut client = Client::new(&sim, 0);
    assert_eq!(client.create("pve1", 200).await, "unable to create CT 200 - disk quota exceeded");
    assert_eq!(client.get("/nodes/pve1/lxc").await, json!([]));
    on_create(&sim, json!({"do": "fail-task", "text": "broken pipe", "done": true})).await;
    assert_eq!(client.create("pve1", 200).await, "broken pipe");
    assert_eq!(client.get("/nodes/pve1/lxc/200/config").await["hostname"], "CT200");
    assert_eq!(sim.ledger().by_kind["create"], 1);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_killed_task_leaves_its_lock_behind() {
    let sim = site().await;
    on_create(&sim, json!({"do": "kill-task"})).await;
    let mut client = Client::new(&sim, 0);
    assert_eq!(client.create("pve1", 200).await, "unexpected status");
    assert_eq!(client.get("/nodes/pve1/lxc/200/config").await["lock"], "create");
    let refused = client.send("DELETE", "/nodes/pve1/lxc/200", &[]).await;
    assert_eq!((refused.status, refused.reason.as_str()), (500, "CT is locked (create)"));
    sim.shutdown().await;
}

#[tokio::test]
async fn a_hung_task_ends_when_it_is_stopped() {
    let sim = site().await;
    on_create(&sim, json!({"do": "hang-task"})).await;
    let mut client = Client::new(&sim, 0);
    let upid = client.send("POST", "/nodes/pve1/lxc", &create_form("200")).await.upid();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let status = client.get(&format!("/nodes/pve1/tasks/{upid}/status")).await;
    assert_eq!(status["status"], "running");
    client.send("DELETE", &format!("/nodes/pve1/tasks/{upid}"), &[]).await.data();
    let end = client.exit_of(&upid).await;
    assert!(end.starts_with("unable to create CT 200") && end.ends_with("received interrupt"), "{end}");
    assert_eq!(client.get("/nodes/pve1/lxc").await, json!([]));
    sim.shutdown().await;
}

#[tokio::test]
async fn locks_are_held_and_let_go() {
    let sim = site().await;
    let mut client = Client::new(&sim, 0);
    client.create("pve1", 200).await;
    // The wait for the file lock is 10 s, made short by the time scale.
    let held = sim.control("POST", "/act", json!({"do": "hold-flock", "vmid": 200, "seconds": 0.6})).await;
    assert_eq!(held.0, 200, "{}", held.1);
    let refused = client.send("PUT", "/nodes/pve1/lxc/200/config", &[("memory", "600")]).await;
    assert_eq!(refused.reason, "can't lock file '/run/lock/lxc/pve-config-200.lock' - got timeout");
    tokio::time::sleep(Duration::from_millis(500)).await;
    client.send("PUT", "/nodes/pve1/lxc/200/config", &[("memory", "600")]).await.data();
    sim.control("POST", "/act", json!({"do": "hold-lock", "vmid": 200, "lock": "backup", "seconds": 0.3})).await;
    assert_eq!(client.run("POST", "/nodes/pve1/lxc/200/status/start", &[]).await, "CT is locked (backup)");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(client.run("POST", "/nodes/pve1/lxc/200/status/start", &[]).await, "OK");
    sim.shutdown().await;
}

#[tokio::test]
async fn a_node_that_is_down_does_not_answer_and_others_say_so() {
    let sim = site().await;
    let mut first = Client::new(&sim, 0);
    first.create("pve2", 200).await;
    first.run("POST", "/nodes/pve2/lxc/200/status/start", &[]).await;
    assert_eq!(sim.control("POST", "/nodes/pve2/down", Value::Null).await.0, 200);
    assert!(Client::new(&sim, 1).try_send("GET", "/version", &[]).await.is_none());
    // The restart of the proxies dropped this connection too.
    let mut first = Client::new(&sim, 0);
    let answer = first.send("GET", "/nodes/pve2/lxc", &[]).await;
    assert_eq!((answer.status, answer.reason.as_str()), (595, "No route to host"));
    let resources = first.get("/cluster/resources").await;
    let find = |id: &str| resources.as_array().unwrap().iter().find(|r| r["id"] == id).unwrap().clone();
    assert_eq!((&find("node/pve2")["status"], &find("lxc/200")["status"]), (&json!("offline"), &json!("unknown")));
    sim.control("POST", "/nodes/pve2/up", Value::Null).await;
    assert_eq!(first.get("/nodes/pve2/lxc/200/status/current").await["status"], "stopped");
    sim.shutdown().await;
}

#[tokio::test]
async fn without_quorum_nothing_is_written() {
    let sim = site().await;
    let mut client = Client::new(&sim, 0);
    sim.control("POST", "/quorum/lost", Value::Null).await;
    let refused = client.send("POST", "/nodes/pve1/lxc", &create_form("200")).await;
    assert_eq!((refused.status, refused.reason.as_str()), (500, "cluster not ready - no quorum?"));
    client.get("/cluster/resources").await;
    sim.control("POST", "/quorum/ok", Value::Null).await;
    assert_eq!(client.create("pve1", 200).await, "OK");
    sim.shutdown().await;
}

#[tokio::test]
async fn calls_are_refused_by_count_and_the_proxy_restarts() {
    let sim = site().await;
    let mut client = Client::new(&sim, 0);
    fault(
        &sim,
        json!({"when": {"path": "/version", "nth": 2}, "action": {"do": "refuse", "status": 503, "message": "busy"}}),
    )
    .await;
    client.get("/version").await;
    let refused = client.send("GET", "/version", &[]).await;
    assert_eq!((refused.status, refused.reason.as_str()), (503, "busy"));
    client.get("/version").await;
    sim.control("DELETE", "/faults", Value::Null).await;
    fault(&sim, json!({"when": {"path": "/version", "times": 1}, "action": {"do": "restart-proxy"}})).await;
    assert!(client.try_send("GET", "/version", &[]).await.is_none());
    client.get("/version").await;
    let (status, answer) = sim.control("POST", "/faults", json!({"action": {"do": "explode"}})).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("explode"), "{answer}");
    sim.shutdown().await;
}
