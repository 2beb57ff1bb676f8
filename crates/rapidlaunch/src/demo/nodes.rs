//! The agents of the demo's nodes: processes of their own, as on real nodes, beside containers made of busybox.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::process::Child;

use super::Teller;
use super::folder::Folder;
use super::sites::{NODES_PER_SITE, SimulatedSite};
use crate::error::CommandError;

/// Folder of all that lies on the nodes: their tools, their agents, the files of their containers.
pub(super) const NODES: &str = "nodes";
/// Written when the demo's secrets are set, with the addresses that commands listen on.
const PREPARED: &str = "prepared";
/// The example's secrets, and how many letters and digits each has.
const SECRETS: [(&str, &str); 2] = [("market/db", "32"), ("market/session", "48")];

/// Where the demo's commands listen: the same addresses for all of them, so that agents find whoever runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Addresses {
    /// For agents.
    pub(super) agents: SocketAddr,
    /// For DNS questions.
    pub(super) dns: SocketAddr,
}

/// Running agents, none where containers cannot be made of anything; they end with this.
pub(super) struct Nodes {
    /// Where commands listen.
    pub(super) addresses: Addresses,
    agents: Vec<Child>,
}

impl Nodes {
    /// How many agents there are.
    pub(super) fn agents(&self) -> usize {
        self.agents.len()
    }
}

/// Sets the secrets once, and starts an agent for each node.
pub(super) async fn start(
    folder: &Folder,
    sites: &[SimulatedSite],
    teller: &Teller<'_>,
) -> Result<Nodes, CommandError> {
    let addresses = prepare(folder, teller).await?;
    let mut agents = Vec::new();
    if !pve_sim::pct::has_files_for_guests() {
        teller
            .step("there is no busybox on this machine (apt install busybox-static): going without agents and secrets");
        return Ok(Nodes { addresses, agents });
    }
    for site in sites {
        for node in 1..=NODES_PER_SITE {
            agents.push(agent(folder, site, &format!("pve{node}"), addresses.agents).await?);
        }
    }
    teller.step(&format!("{} agents run, one for each node", agents.len()));
    Ok(Nodes { addresses, agents })
}

/// Sets the secrets and chooses addresses, unless an earlier demo has.
async fn prepare(folder: &Folder, teller: &Teller<'_>) -> Result<Addresses, CommandError> {
    let known = std::fs::read(folder.path(PREPARED)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    if let Some(addresses) = known {
        return Ok(addresses);
    }
    teller.step("setting two secrets to random values");
    for (name, length) in SECRETS {
        run(folder, &["secret", "set", name, "--generate", length]).await?;
    }
    let free = || -> std::io::Result<Addresses> {
        // Both at once, so that they differ.
        let (agents, dns) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        Ok(Addresses { agents: agents.local_addr()?, dns: dns.local_addr()? })
    };
    let addresses = free().map_err(|error| CommandError::failed("no address is free").because(error))?;
    folder.write(PREPARED, &json!(addresses).to_string())?;
    Ok(addresses)
}

/// The agent of one node, which joins unless it has before.
async fn agent(folder: &Folder, site: &SimulatedSite, node: &str, address: SocketAddr) -> Result<Child, CommandError> {
    let name = format!("{NODES}/{}-{node}", site.name());
    let failed = |error: std::io::Error| {
        CommandError::failed(format!("the agent of {}/{node} cannot be started", site.name())).because(error)
    };
    let (home, tools) = (folder.path(&name), folder.path(&format!("{name}/tools")));
    let control = site.control().ok_or_else(|| CommandError::failed("the simulated site has no control address"))?;
    let trees = folder.path(&format!("{NODES}/{}-containers", site.name()));
    let program = std::env::current_exe().map_err(failed)?;
    pve_sim::pct::install(&tools, &program, control, node, &trees).map_err(failed)?;
    let token = format!("{name}/token");
    // A token that was used up by an agent that was killed in the moment of its join is worth nothing: a new one costs nothing.
    folder.write(&token, &run(folder, &["agent", "token", "--site", site.name(), "--node", node]).await?)?;
    let log = std::fs::File::create(home.join("log")).map_err(failed)?;
    let mut command = folder.command()?;
    command.args(["agent", "--server", &format!("https://{address}"), "--lock-dir", ""]);
    let paths: [(&str, &Path); 4] = [
        ("--data", &home.join("agent")),
        ("--pct", &tools.join("pct")),
        ("--pvesh", &tools.join("pvesh")),
        ("--token-file", &folder.path(&token)),
    ];
    for (option, path) in paths {
        command.arg(option).arg(path);
    }
    // A Ctrl-C at the terminal is for the demo, which then ends the agents.
    command.process_group(0).stdout(Stdio::null()).stderr(log).spawn().map_err(failed)
}

/// Runs a command of this program on the demo's data directory; answers what it printed.
async fn run(folder: &Folder, words: &[&str]) -> Result<String, CommandError> {
    let what = || format!("the demo's `rapidlaunch {}` failed", words.join(" "));
    let mut command = folder.command()?;
    let output = command.args(words).output().await.map_err(|error| CommandError::failed(what()).because(error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(CommandError::failed(format!("{}: {}", what(), said.trim())))
}
