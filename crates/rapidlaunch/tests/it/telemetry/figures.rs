//! Figures of a running server, the dashboard and the alerts made of them, and a real Prometheus that reads them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{finish, until_done, waiting};
use crate::harness::{Served, World, free_address};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn contrib(name: &str) -> String {
    std::fs::read_to_string(root().join("contrib").join(name)).unwrap()
}

/// Every name of ours in a text, without what Prometheus adds to those of histograms.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let ours = words.filter(|word| {
        (word.starts_with("rapidlaunch_") || word.starts_with("process_")) && word.matches('_').count() > 1
            || *word == "rapidlaunch_jobs"
            || *word == "rapidlaunch_operations"
            || *word == "rapidlaunch_agents"
            || *word == "rapidlaunch_ready"
    });
    let bare = |word: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
    };
    ours.map(bare).collect()
}

/// The names that have a series.
fn rendered(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.flat_map(|line| named(line.split(['{', ' ']).next().unwrap())).collect()
}

/// What is only there once a stack was looked at, or an agent was.
const LATER: [&str; 5] = [
    "rapidlaunch_drift_items",
    "rapidlaunch_drift_checked_timestamp_seconds",
    "rapidlaunch_proof_ok",
    "rapidlaunch_proof_timestamp_seconds",
    "rapidlaunch_agent_last_seen_timestamp_seconds",
];

#[test]
fn what_dashboard_alerts_and_pages_name_is_there() {
    let world = waiting();
    let served = world.api_server(&["--dns", &free_address().to_string()]);
    until_done(&world, &served);
    world.until("all that happened was counted", || {
        served.text(&world, "/metrics").contains("rapidlaunch_operations_ended_total{kind=\"apply\",state=\"done\"} 1")
    });
    let text = served.text(&world, "/metrics");
    let mut there = rendered(&text);
    there.extend(LATER.map(str::to_owned));
    let page = std::fs::read_to_string(root().join("docs/observability.md")).unwrap();
    assert!(there.len() > 30, "{there:?}");
    for (what, text) in [
        ("the dashboard", contrib("grafana-dashboard.json")),
        ("the alerts", contrib("prometheus-rules.yml")),
        ("docs/observability.md", page.clone()),
    ] {
        let missing: Vec<_> = named(&text).into_iter().filter(|name| !there.contains(name)).collect();
        assert!(missing.is_empty(), "{what} names what is not there: {missing:?}");
    }
    let untold: Vec<_> = there.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(untold.is_empty(), "docs/observability.md does not tell of {untold:?}");
    for part in [
        "rapidlaunch_steps_total{kind=\"guest-action\"",
        "rapidlaunch_proxmox_calls_total{site=\"lab\",node=\"pve1\",kind=",
        "rapidlaunch_leases_free{site=\"lab\",kind=\"vmid\"}",
        "rapidlaunch_build_info{version=",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    world.end(served).expect(0);
    finish(world);
}

/// A program of Debian's package `prometheus`.
fn program(name: &str) -> Command {
    let path = Path::new("/usr/bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: `scripts/setup test` installs the Debian package prometheus",
        path.display()
    );
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

#[test]
fn alerts_are_accepted_by_promtool_and_do_what_their_tests_say() {
    for words in [["check", "rules", "prometheus-rules.yml"], ["test", "rules", "prometheus-rules.test.yml"]] {
        let run = program("promtool").args(words).current_dir(root().join("contrib")).output().unwrap();
        assert!(
            run.status.success(),
            "{}{}",
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        );
    }
    let dashboard: Value = serde_json::from_str(&contrib("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 20 && panels.iter().all(|panel| panel["title"].is_string()));
}

/// A Prometheus that runs; ended with the value.
struct Prometheus {
    child: std::process::Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Reads the figures of a server every second, with the alerts of the project.
    fn start(world: &World, served: &Served) -> Self {
        world.write("authority.pem", &served.authority);
        world.write("rules.yml", &contrib("prometheus-rules.yml"));
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [rules.yml]\nscrape_configs:\n  \
             - job_name: rapidlaunch\n    scheme: https\n    tls_config: {{ ca_file: authority.pem }}\n    \
             static_configs: [{{ targets: ['{}'] }}]\n",
            served.address()
        );
        let config = world.write("prometheus.yml", &config);
        let address = free_address();
        let log = std::fs::File::create(world.path("prometheus.log")).unwrap();
        let child = program("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", world.path("tsdb").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, url: format!("http://{address}") }
    }

    /// The answer to a query; null as long as there is none.
    fn ask(&self, world: &World, path: &str) -> Value {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        world.runtime.block_on(async {
            match client.get(format!("{}{path}", self.url)).send().await {
                Ok(response) => response.json().await.unwrap_or(Value::Null),
                Err(_) => Value::Null,
            }
        })
    }
}

#[test]
fn a_real_prometheus_reads_the_figures_and_loads_the_alerts() {
    let world = World::new();
    let served = world.api_server(&[]);
    let prometheus = Prometheus::start(&world, &served);
    let value = |query: &str| {
        let answer = prometheus.ask(&world, &format!("/api/v1/query?query={query}"));
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    world.until("Prometheus has read it", || value("up") == Some("1".to_owned()));
    world.until("it is ready", || value("rapidlaunch_ready") == Some("1".to_owned()));
    let groups = prometheus.ask(&world, "/api/v1/rules");
    let rules = groups["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 15, "{groups}");
    assert!(rules.iter().all(|rule| rule["lastError"].is_null()), "{groups}");
    drop(prometheus);
    world.end(served).expect(0);
    finish(world);
}
