//! Runs `rapidlaunch apply` as a process of its own, to its end or to its death.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Child;

use super::folder::Folder;
use super::nodes::{Addresses, Nodes};
use super::sites::{self, SimulatedSite};
use crate::error::CommandError;

/// How often the demo looks how far the apply is that it is going to kill.
const LOOK: Duration = Duration::from_millis(40);

/// How applies are run.
pub(super) struct Launch<'a> {
    /// Where everything is.
    pub(super) folder: &'a Folder,
    /// The speed of the sites.
    pub(super) speed: f64,
    /// What runs on the nodes; without agents there are no secrets.
    pub(super) nodes: &'a Nodes,
    /// Whether the result is wanted as JSON; then nothing else is printed.
    pub(super) json: bool,
}

/// An apply that ended by itself.
pub(super) struct Run {
    status: ExitStatus,
    result: Option<Value>,
    stderr: String,
}

impl Run {
    /// Whether it reached its goal.
    pub(super) fn ok(&self) -> bool {
        self.status.success()
    }

    /// Why it failed, where that was not shown as it happened.
    pub(super) fn why(&self) -> String {
        let error = self.result.as_ref().map(|result| result["error"].to_string()).filter(|error| error != "null");
        let items = self.proofs().filter_map(|proof| proof["items"].as_array()).flatten();
        let checks = items.filter_map(|item| item["checks"].as_array()).flatten();
        let failed: Vec<String> = checks.filter(|check| check["ok"] == false).map(Value::to_string).collect();
        let said = match (error, failed.is_empty()) {
            (Some(error), _) => error,
            (None, false) => failed.join(", "),
            (None, true) => self.stderr.trim().to_owned(),
        };
        if said.is_empty() { "what it said is above".to_owned() } else { said }
    }

    /// Whether it was refused because another process holds the data directory.
    pub(super) fn is_held(&self) -> bool {
        self.stderr.contains("is in use")
    }

    fn stacks(&self) -> impl Iterator<Item = &Value> {
        self.result.iter().filter_map(|result| result["stacks"].as_array()).flatten()
    }

    fn proofs(&self) -> impl Iterator<Item = &Value> {
        self.stacks().map(|stack| &stack["proof"])
    }

    /// Whether every stack was proven; without a result to read, the exit code says the same.
    pub(super) fn proof_ok(&self) -> bool {
        self.ok() && self.proofs().all(|proof| proof["ok"] == true)
    }

    /// Comparisons of all proofs.
    pub(super) fn comparisons(&self) -> usize {
        let items = self.proofs().filter_map(|proof| proof["items"].as_array()).flatten();
        items.filter_map(|item| item["checks"].as_array()).map(Vec::len).sum()
    }

    /// Guests proven.
    pub(super) fn guests(&self) -> usize {
        self.proofs().filter_map(|proof| proof["items"].as_array()).map(Vec::len).sum()
    }

    /// Operations that were begun or gone on with.
    pub(super) fn operations(&self) -> Vec<String> {
        let ids = self.stacks().flat_map(|stack| [stack["resumed"].as_str(), stack["operation"]["id"].as_str()]);
        ids.flatten().map(str::to_owned).collect()
    }
}

impl Launch<'_> {
    /// Applies to the end.
    pub(super) async fn apply(&self) -> Result<Run, CommandError> {
        let child = self.spawn()?;
        self.wait(child).await
    }

    /// Applies, and kills the process when so many containers are made. `Some` when it was quicker.
    pub(super) async fn apply_and_kill(
        &self,
        sites: &[SimulatedSite],
        creates: u64,
    ) -> Result<Option<Run>, CommandError> {
        let mut child = self.spawn()?;
        loop {
            if let Some(status) = child.try_wait().map_err(failed)? {
                return Ok(Some(self.collect(child, status).await?));
            }
            if sites::creates(sites).await? >= creates {
                child.kill().await.map_err(failed)?;
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn spawn(&self) -> Result<Child, CommandError> {
        let mut command = self.folder.command()?;
        command.args(["apply", "--yes"]);
        let Addresses { agents, dns } = self.nodes.addresses;
        command.args(["--dns", &dns.to_string(), "--agents", &agents.to_string()]);
        if self.nodes.agents() == 0 {
            command.args(["--without", "secrets"]);
        }
        for file in self.folder.files() {
            command.arg("--file").arg(file);
        }
        if self.json {
            command.args(["--output", "json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        command.env("RAPIDLAUNCH_PACE", self.speed.to_string()).spawn().map_err(failed)
    }

    async fn wait(&self, child: Child) -> Result<Run, CommandError> {
        let output = child.wait_with_output().await.map_err(failed)?;
        Ok(run(output))
    }

    async fn collect(&self, child: Child, status: ExitStatus) -> Result<Run, CommandError> {
        let mut run = self.wait(child).await?;
        run.status = status;
        Ok(run)
    }
}

fn run(output: std::process::Output) -> Run {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { status: output.status, result: serde_json::from_slice(&output.stdout).ok(), stderr }
}

fn failed(error: std::io::Error) -> CommandError {
    CommandError::failed("the demo's apply cannot be run").because(error)
}
