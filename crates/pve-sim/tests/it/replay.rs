//! Replays recorded exchanges of a genuine PVE against the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pve_sim::{RecordedAnswer, SeedState, Sim, SimConfig};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::{returns, shared};

/// The families whose answers must match.
const FAMILIES: &[&str] = &[
    "version",
    "access",
    "permissions",
    "cluster",
    "nodes",
    "pools",
    "storage",
    "tasks",
    "http",
    "lxc-create",
    "lxc-config",
    "lxc-status",
    "lxc-clone",
    "lxc-snapshot",
    "lxc-destroy",
    "lxc-lock",
    "lxc-move",
    "firewall",
];
/// Scenarios that run at once; most of their time is waiting.
const AT_ONCE: usize = 12;
/// Operations take a second or less, and still long enough to be seen running.
const TIME_SCALE: f64 = 5.0;

struct Outcome {
    name: String,
    matched: u64,
    total: u64,
    text: String,
    broken: Vec<String>,
}

/// At least 97 of 100 exchanges match in each family, and every answer has the shape that is published for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_exchanges_are_answered_alike() {
    let Some(dir) = shared::dir() else { return };
    let index: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("pve-recordings/index.json")).unwrap()).unwrap();
    let promised: Arc<BTreeMap<String, Value>> = Arc::new(
        shared::api(&dir)
            .into_iter()
            .map(|e| {
                (format!("{} {}", e["method"].as_str().unwrap(), e["path"].as_str().unwrap()), e["returns"].clone())
            })
            .collect(),
    );
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = Vec::new();
    for scenario in index["scenarios"].as_array().unwrap() {
        let family = scenario["family"].as_str().unwrap().to_owned();
        if FAMILIES.contains(&family.as_str()) {
            let (dir, promised, places) = (dir.clone(), promised.clone(), places.clone());
            let file = scenario["file"].as_str().unwrap().to_owned();
            runs.push(tokio::spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                (family, play(&dir, &file, &promised).await)
            }));
        }
    }
    let mut families: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut report = String::new();
    let mut broken = Vec::new();
    for run in runs {
        let (family, outcome) = run.await.unwrap();
        let sums = families.entry(family).or_default();
        sums.0 += outcome.matched;
        sums.1 += outcome.total;
        if outcome.matched < outcome.total {
            report.push_str(&format!("{}\n{}\n", outcome.name, outcome.text));
        }
        broken.extend(outcome.broken);
    }
    broken.sort();
    broken.dedup();
    println(&report);
    assert!(broken.is_empty(), "answers that break their published shape or lack a digest:\n{}", broken.join("\n"));
    for (family, (matched, total)) in &families {
        assert!(matched * 100 >= total * 97, "{family}: {matched} of {total} exchanges match; differences:\n{report}");
    }
    let (matched, total) = families.values().fold((0, 0), |sum, f| (sum.0 + f.0, sum.1 + f.1));
    println(&format!("{families:?}\n{matched} of {total} exchanges match"));
    assert!(total > 1600, "only {total} exchanges were played");
}

#[expect(clippy::print_stdout, reason = "the differences are the point of this test's output")]
fn println(text: &str) {
    println!("{text}");
}

async fn play(dir: &Path, file: &str, promised: &BTreeMap<String, Value>) -> Outcome {
    let recordings = dir.join("pve-recordings");
    let state = std::fs::read_to_string(recordings.join("state.json")).unwrap();
    let sim = Sim::start(SimConfig {
        seed_state: Some(SeedState::from_json(&state).unwrap()),
        time_scale: TIME_SCALE,
        stats_cycle: Some(Duration::from_secs(10)),
        record_answers: true,
        ..SimConfig::new(1)
    })
    .await
    .unwrap();
    let work = tempfile::tempdir().unwrap();
    let ca = work.path().join("ca.pem");
    std::fs::write(&ca, sim.ca_pem()).unwrap();
    let secrets: Value = serde_json::from_str(&state).unwrap();
    let output = Command::new("python3")
        .arg("-B")
        .arg(recordings.join("replay/replay.py"))
        .args([recordings.join(file), PathBuf::from("--quiet"), PathBuf::from("--check-timing")])
        .env("PVE_URL", sim.url())
        .env("PVE_CA", &ca)
        .env("PVE_TOKEN_ROOT", token(&secrets, "root@pam!lab"))
        .env("PVE_TOKEN_DEPLOY", token(&secrets, "deploy@pve!full"))
        .env("PVE_TOKEN_AUDITONLY", token(&secrets, "deploy@pve!sep"))
        .env("PVE_ROOT_PASSWORD", password(&secrets, "root@pam"))
        .env("PVE_DEPLOY_PASSWORD", password(&secrets, "deploy@pve"))
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let (matched, total) = last_counts(&text);
    let mut broken = Vec::new();
    let answers = sim.take_answers();
    broken.extend(missing_digests(&recordings.join(file), &answers));
    for answer in answers {
        let endpoint = format!("{} {}", answer.method, answer.path);
        if let Some(schema) = promised.get(&endpoint) {
            broken.extend(returns::check(&endpoint, schema, &answer.data));
        }
    }
    sim.shutdown().await;
    Outcome { name: file.to_owned(), matched, total, text, broken }
}

/// Digests of firewall lists are taken over their contents alone, so each recorded one must have been answered.
fn missing_digests(file: &Path, answers: &[RecordedAnswer]) -> Vec<String> {
    let answered: BTreeSet<String> = answers.iter().flat_map(|a| digests(&a.data)).collect();
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let firewall = lines.filter(|l| l["path"].as_str().is_some_and(|p| p.contains("/firewall")));
    let recorded: BTreeSet<String> = firewall.flat_map(|l| digests(&l["response"]["data"])).collect();
    recorded.difference(&answered).map(|d| format!("{}: no answer had the digest {d}", file.display())).collect()
}

fn digests(data: &Value) -> Vec<String> {
    let items = data.as_array().map_or(std::slice::from_ref(data), Vec::as_slice);
    items.iter().filter_map(|item| item["digest"].as_str()).map(str::to_owned).collect()
}

fn token(state: &Value, id: &str) -> String {
    let found = state["tokens"].as_array().unwrap().iter().find(|t| t["id"] == id).unwrap();
    format!("{id}={}", found["secret"].as_str().unwrap())
}

fn password(state: &Value, id: &str) -> String {
    let found = state["users"].as_array().unwrap().iter().find(|u| u["id"] == id).unwrap();
    found["password"].as_str().unwrap().to_owned()
}

/// `N matched, M mismatched of T` in the last line.
fn last_counts(text: &str) -> (u64, u64) {
    let line = text.lines().rev().find(|l| l.contains(" matched, ")).unwrap_or("0 matched, 0 mismatched of 0");
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|w| w.parse().ok()).collect();
    (numbers.first().copied().unwrap_or(0), numbers.last().copied().unwrap_or(0))
}
