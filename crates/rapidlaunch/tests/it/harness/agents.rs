//! Agents as processes on simulated nodes, and a gate before their `pct` that holds what a test wants held.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Child, World};

/// Folder of the files of simulated guests.
const TREES: &str = "trees";

/// Stands before `pct`. What it is called with and its environment are written down for the hunt for secrets. Where a test has put a file of that name beside it, it holds the reading of a configuration, the input
/// of the script that writes a file after its first bytes, or that script's word that the whole file lies beside its name.
const GATE: &str = r#"#!/bin/sh
here=${0%/*}
{ printf '%s\n' "$0" "$@"; env; } >> "$here/calls"
hold() { : > "$here/held"; while [ -e "$here/hold-$1" ]; do sleep 0.05; done; }
case "$*" in
"config "*) [ ! -e "$here/hold-config" ] || hold config ;;
"exec "*"echo staged"*)
  if [ -e "$here/hold-input" ]; then { head -c 100; hold input; cat; } | "$here/pct" "$@"; exit; fi
  if [ -e "$here/hold-output" ]; then "$here/pct" "$@" | { read -r line; hold output; echo "$line"; cat; }; exit; fi ;;
esac
exec "$here/pct" "$@"
"#;

/// What a gate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// The reading of a guest's configuration.
    Config,
    /// The content of a file: its first bytes are in the guest.
    Input,
    /// The word that a file lies in the guest, whole and not yet under its name.
    Output,
}

impl Held {
    fn file(self) -> &'static str {
        match self {
            Self::Config => "hold-config",
            Self::Input => "hold-input",
            Self::Output => "hold-output",
        }
    }
}

/// A free address of this machine. Should somebody else take it, whoever listens there says so and the test fails with that.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl World {
    /// Starts the agent of a node.
    pub(crate) fn agent(&self, node: &str, server: SocketAddr, token: Option<&str>) -> Child {
        let tools = self.tools(node);
        let control = self.sim.control_url().trim_start_matches("http://").parse().unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_rapidlaunch"));
        pve_sim::pct::install(&tools, &program, control, node, &self.path(TREES)).unwrap();
        let gate = tools.join("gate");
        std::fs::write(&gate, GATE).unwrap();
        std::fs::set_permissions(&gate, std::fs::Permissions::from_mode(0o755)).unwrap();
        let text = |path: PathBuf| path.display().to_string();
        let (server, dir) = (format!("https://{server}"), text(self.path(&format!("agent-{node}"))));
        let (pct, pvesh) = (text(gate), text(tools.join("pvesh")));
        let mut args = vec![
            "agent",
            "--server",
            &server,
            "--data",
            &dir,
            "--pct",
            &pct,
            "--pvesh",
            &pvesh,
            "--lock-dir",
            "",
            "-vv",
        ];
        args.extend(token.into_iter().flat_map(|token| ["--token-file", token]));
        self.spawn(&args)
    }

    /// A file with a token for the agent of a node.
    pub(crate) fn agent_token(&self, node: &str) -> String {
        let token = self.run(&["agent", "token", "--site", "lab", "--node", node]).expect(0).stdout;
        self.write_private(&format!("token-{node}"), &token).display().to_string()
    }

    /// What the server says of the agent of a node: `connected`, `away`, `revoked`, or nothing.
    pub(crate) fn agent_state(&self, node: &str) -> Option<String> {
        let listed = self.run(&["agent", "ls", "-o", "json"]).expect(0).json();
        let agents = listed["agents"].as_array().unwrap();
        let found = agents.iter().find(|agent| agent["node"] == node);
        found.map(|agent| agent["state"].as_str().unwrap().to_owned())
    }

    /// Waits until the server says so of an agent.
    #[track_caller]
    pub(crate) fn until_agent(&self, node: &str, state: &str) {
        self.until(&format!("the agent of {node} is {state}"), || self.agent_state(node).as_deref() == Some(state));
    }

    fn tools(&self, node: &str) -> PathBuf {
        self.path(&format!("tools-{node}"))
    }

    /// From now on the gate of a node holds what comes next.
    pub(crate) fn hold(&self, node: &str, what: Held) {
        let _ = std::fs::remove_file(self.tools(node).join("held"));
        std::fs::write(self.tools(node).join(what.file()), "").unwrap();
    }

    /// Waits until the gate of a node holds something.
    #[track_caller]
    pub(crate) fn until_held(&self, node: &str) {
        self.until(&format!("the gate of {node} holds something"), || self.tools(node).join("held").exists());
    }

    /// Lets go of what the gate of a node holds.
    pub(crate) fn release(&self, node: &str, what: Held) {
        std::fs::remove_file(self.tools(node).join(what.file())).unwrap();
    }

    /// Files of that name in all guests.
    pub(crate) fn found(&self, name: &str) -> Vec<PathBuf> {
        self.guest_trees().into_iter().map(|tree| tree.join(name)).filter(|file| file.exists()).collect()
    }

    /// Files in that folder of all guests under which the file of that name is being written.
    pub(crate) fn parts(&self, folder: &str, name: &str) -> Vec<PathBuf> {
        let begin = format!(".{name}.");
        let is_part = |path: &Path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&begin));
        let folders = self.guest_trees().into_iter().filter_map(|tree| std::fs::read_dir(tree.join(folder)).ok());
        folders.flatten().flatten().map(|entry| entry.path()).filter(|path| is_part(path)).collect()
    }

    fn guest_trees(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(TREES)).into_iter().flatten().flatten();
        entries.filter(|tree| !tree.file_name().to_string_lossy().starts_with('.')).map(|tree| tree.path()).collect()
    }
}
