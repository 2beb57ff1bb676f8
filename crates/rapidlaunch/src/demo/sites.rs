//! The simulated sites of the demo: started, or found again after the demo was killed.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use pve_sim::SeedState;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Teller;
use super::folder::Folder;
use crate::error::CommandError;

/// A site that nobody asks for so long ends by itself: long enough to start a killed demo again.
const IDLE_S: u64 = 180;
/// How long a site may take to start.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a site may take to answer on its control endpoint.
const CONTROL_LIMIT: Duration = Duration::from_secs(5);
/// The sites and the seeds they start from.
pub(super) const SITES: [(&str, u64); 2] = [("fra1", 1), ("ams1", 2)];

/// The datacenter's firewall of each site: off, with the networks of administrators and of this machine, which plays RapidLaunch's part.
const FIREWALL: &str = "[OPTIONS]\n\nenable: 0\n\n[IPSET management]\n\n10.10.0.0/24\n10.60.0.0/24\n127.0.0.0/8\n";
/// Nodes of each site, `pve1` and so on.
pub(super) const NODES_PER_SITE: usize = 3;

/// What a site prints when it is ready.
#[derive(Debug, Clone, Deserialize)]
struct Ready {
    urls: Vec<String>,
    fingerprint: String,
    token: String,
    control: String,
}

/// One running simulated site.
pub(super) struct SimulatedSite {
    name: String,
    pid: u32,
    ready: Ready,
    child: Option<Child>,
}

impl SimulatedSite {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// API addresses of its nodes.
    pub(super) fn urls(&self) -> &[String] {
        &self.ready.urls
    }

    /// Fingerprint of its certificate.
    pub(super) fn fingerprint(&self) -> &str {
        &self.ready.fingerprint
    }

    /// Where the simulator itself listens.
    pub(super) fn control(&self) -> Option<SocketAddr> {
        self.ready.control.trim_start_matches("http://").trim_end_matches('/').parse().ok()
    }

    /// Its API token.
    pub(super) fn token(&self) -> &str {
        &self.ready.token
    }

    /// What is needed to find it again.
    pub(super) fn json(&self) -> Value {
        let Ready { urls, fingerprint, token, control } = &self.ready;
        json!({ "name": self.name, "pid": self.pid, "urls": urls, "fingerprint": fingerprint, "token": token, "control": control })
    }

    /// Ends it: by its handle, or by its number where an earlier demo started it and it has just answered.
    pub(super) fn end(&mut self) {
        match &mut self.child {
            Some(child) => drop(child.start_kill()),
            None => {
                let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
                if let Some(pid) = pid {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    }

    async fn ledger(&self) -> Result<Value, CommandError> {
        let url = format!("{}/ledger", self.ready.control);
        let failed = |error: reqwest::Error| {
            CommandError::failed(format!("the simulated site {} does not answer", self.name)).because(error)
        };
        client()?.get(url).send().await.map_err(failed)?.json().await.map_err(failed)
    }
}

fn client() -> Result<reqwest::Client, CommandError> {
    let made = reqwest::Client::builder().timeout(CONTROL_LIMIT).no_proxy().tls_certs_only([]).build();
    made.map_err(|error| CommandError::failed("no HTTP client can be made").because(error))
}

/// Finds the sites of a demo that was cut off, or starts new ones. Without its sites, what the demo stored is worthless and is taken away.
pub(super) async fn start(
    folder: &Folder,
    speed: f64,
    teller: &Teller<'_>,
) -> Result<Vec<SimulatedSite>, CommandError> {
    if let Some(sites) = found_again(folder).await {
        return Ok(sites);
    }
    folder.wipe();
    teller.step("starting two simulated Proxmox sites with three nodes each: fra1 and ams1");
    let mut sites = Vec::new();
    for (name, seed) in SITES {
        sites.push(start_one(folder, name, seed, speed).await?);
    }
    folder.write_sites(&sites, speed)?;
    Ok(sites)
}

async fn found_again(folder: &Folder) -> Option<Vec<SimulatedSite>> {
    let written = folder.read_sites()?;
    let mut sites = Vec::new();
    for row in written["sites"].as_array()? {
        let ready = Ready::deserialize(row).ok()?;
        let site = SimulatedSite {
            name: row["name"].as_str()?.to_owned(),
            pid: u32::try_from(row["pid"].as_u64()?).ok()?,
            ready,
            child: None,
        };
        site.ledger().await.ok()?;
        sites.push(site);
    }
    folder.set_speed(written["speed"].as_f64()?);
    (sites.len() == SITES.len()).then_some(sites)
}

/// What a site is like before anybody comes: its nodes, images and storages, and the IP set that keeps the nodes within reach when the
/// datacenter's firewall is switched on.
fn state(seed: u64) -> SeedState {
    let mut state = SeedState::default_cluster(NODES_PER_SITE, &pve_sim::token_secret(seed));
    state.firewall.cluster = Some(FIREWALL.to_owned());
    state
}

async fn start_one(folder: &Folder, name: &str, seed: u64, speed: f64) -> Result<SimulatedSite, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::failed(format!("the simulated site {name} cannot be started")).because(error)
    };
    let program = std::env::current_exe().map_err(failed)?;
    let file = format!("{name}.state.json");
    folder.write(&file, &json!(state(seed)).to_string())?;
    let mut child = Command::new(program)
        .args(["sim", "--listen", "127.0.0.1:0"])
        .arg("--state")
        .arg(folder.path(&file))
        .args(["--seed", &seed.to_string(), "--speed", &speed.to_string(), "--exit-after-idle", &IDLE_S.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A Ctrl-C at the terminal is for the demo, which then ends the sites.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let pid = child.id().unwrap_or_default();
    let stdout = child.stdout.take().ok_or_else(|| CommandError::failed("the simulated site has no output"))?;
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    let read = tokio::time::timeout(START_LIMIT, reader.read_line(&mut line)).await;
    let ready = match read {
        Ok(Ok(_)) => serde_json::from_str(&line).ok(),
        _ => None,
    };
    let ready =
        ready.ok_or_else(|| CommandError::failed(format!("the simulated site {name} did not say that it is ready")))?;
    Ok(SimulatedSite { name: name.to_owned(), pid, ready, child: Some(child) })
}

/// Containers made so far on all sites.
pub(super) async fn creates(sites: &[SimulatedSite]) -> Result<u64, CommandError> {
    let mut total = 0;
    for site in sites {
        total += site.ledger().await?["by_kind"]["create"].as_u64().unwrap_or(0);
    }
    Ok(total)
}

/// What the sites counted.
pub(super) struct Figures {
    /// API calls.
    pub(super) calls: u64,
    /// Containers made.
    pub(super) creates: u64,
    /// Stamps under which more than one container was made.
    pub(super) made_twice: u64,
}

/// Reads what the sites counted.
pub(super) async fn figures(sites: &[SimulatedSite]) -> Result<Figures, CommandError> {
    let mut figures = Figures { calls: 0, creates: 0, made_twice: 0 };
    for site in sites {
        let ledger = site.ledger().await?;
        figures.calls += ledger["calls_total"].as_u64().unwrap_or(0);
        figures.creates += ledger["by_kind"]["create"].as_u64().unwrap_or(0);
        let lines = ledger["by_description_line"].as_object();
        let creates = lines.into_iter().flat_map(|lines| lines.values()).filter_map(|counts| counts["create"].as_u64());
        figures.made_twice += creates.filter(|count| *count > 1).count() as u64;
    }
    Ok(figures)
}
