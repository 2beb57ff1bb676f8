//! Clients that others wrote work against the simulator.

use std::path::{Path, PathBuf};

use pve_sim::{SeedState, Sim, SimConfig};
use tempfile::TempDir;
use tokio::process::Command;

/// Fast, but slow enough that a client sees tasks run.
const TIME_SCALE: f64 = 20.0;
const SECRET: &str = "9d2b7c1e-4a55-4f0b-8a57-0f8f7c3c6a11";
const PASSWORD: &str = "rapidlaunch";

/// The environment with the clients; made when it is missing.
async fn venv() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/test-venv");
    let output = Command::new(script).output().await.unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/test-venv failed; it needs python3 with venv and PyPI:\n{why}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

async fn site() -> (Sim, TempDir, PathBuf) {
    let config = SimConfig {
        seed_state: Some(SeedState::default_cluster(2, SECRET)),
        time_scale: TIME_SCALE,
        ..SimConfig::new(2)
    };
    let sim = Sim::start(config).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, sim.ca_pem()).unwrap();
    (sim, dir, ca)
}

fn port(sim: &Sim) -> String {
    sim.url().rsplit(':').next().unwrap().to_owned()
}

fn strangers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/strangers")
}

/// proxmoxer lists, creates, starts, changes, snapshots, waits and deletes, with a token and with a ticket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxmoxer_leads_a_container_through_its_life() {
    let venv = venv().await;
    let (sim, _dir, ca) = site().await;
    let output = Command::new(venv.join("bin/python"))
        .arg("-B")
        .arg(strangers().join("proxmoxer_client.py"))
        .args([&port(&sim), ca.to_str().unwrap(), sim.token(), PASSWORD])
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let ledger = sim.ledger();
    assert_eq!((ledger.by_kind["create"], ledger.by_kind["destroy"]), (2, 2), "{:?}", ledger.by_kind);
    sim.shutdown().await;
}

/// The container modules of Ansible's community.proxmox do the same from a playbook.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ansible_leads_a_container_through_its_life() {
    let venv = venv().await;
    let (sim, dir, ca) = site().await;
    let token_id = sim.token().split(['!', '=']).nth(1).unwrap().to_owned();
    let output = Command::new(venv.join("bin/ansible-playbook"))
        .args(["-i", "localhost,"])
        .arg("-e")
        .arg(format!("sim_port={} token_id={token_id} token_secret={SECRET}", port(&sim)))
        .arg("-e")
        .arg(format!("ansible_python_interpreter={}", venv.join("bin/python").display()))
        .arg(strangers().join("play.yml"))
        .env("ANSIBLE_COLLECTIONS_PATH", venv.join("collections"))
        .env("ANSIBLE_HOME", dir.path())
        .env("ANSIBLE_LOCALHOST_WARNING", "false")
        .env("REQUESTS_CA_BUNDLE", &ca)
        .env("LC_ALL", "C.UTF-8")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let ledger = sim.ledger();
    let kinds = ["create", "snapshot", "destroy"].map(|kind| ledger.by_vmid[&900][kind]);
    assert_eq!(kinds, [1, 1, 1], "{:?}", ledger.by_vmid);
    sim.shutdown().await;
}
