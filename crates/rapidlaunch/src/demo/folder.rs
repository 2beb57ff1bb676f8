//! The demo's folder: one demo at a time, and all it wrote down.

use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use rl_agent::files;
use serde_json::json;
use tokio::process::Command;

use super::nodes::NODES;
use super::sites::{SITES, SimulatedSite};
use crate::cli::args::Global;
use crate::env::PARENT;
use crate::error::CommandError;
use crate::work::place;

/// The example whose sites and stack the demo uses.
const EXAMPLE: &str = include_str!("../../../../examples/three-tiers.yaml");
/// Its stack.
pub(super) const STACK: &str = "market";
/// What the demo leaves in its folder beside the data directory and the folders of nodes.
const FILES: [&str; 4] = ["sites.json", "sites.yaml", "market.yaml", "prepared"];

/// The demo's folder, held until it is dropped.
pub(super) struct Folder {
    dir: PathBuf,
    speed: Cell<f64>,
    _lock: File,
}

impl Folder {
    /// Opens the folder below the data directory and takes its lock.
    pub(super) fn open(global: &Global, fresh: bool) -> Result<Self, CommandError> {
        let dir = place::directory(global)?.join("demo");
        let failed = |error: std::io::Error| {
            CommandError::failed(format!("the demo's folder {} cannot be used", dir.display())).because(error)
        };
        std::fs::create_dir_all(&dir).map_err(failed)?;
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let lock = File::create(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CommandError::failed("another demo is running")
                    .hinted("end it with Ctrl-C, or give this one its own --data DIR"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let folder = Self { dir, speed: Cell::new(1.0), _lock: lock };
        if fresh {
            folder.wipe();
        }
        Ok(folder)
    }

    /// Where the demo's stacks and operations are kept.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The stack file that a person may edit.
    pub(super) fn stack_file(&self) -> PathBuf {
        self.dir.join("market.yaml")
    }

    /// Files to apply, sites first.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        ["sites.yaml", "market.yaml"].map(|name| self.dir.join(name)).to_vec()
    }

    /// A folder or file of the demo's own.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A command of this program on the demo's data directory, which dies with the demo.
    pub(super) fn command(&self) -> Result<Command, CommandError> {
        let program = std::env::current_exe()
            .map_err(|error| CommandError::failed("the demo does not find its own program").because(error))?;
        let mut command = Command::new(program);
        // Should the demo be killed, what it started dies with it: the next demo goes on with it.
        command.env("RAPIDLAUNCH_DATA", self.data()).env(PARENT, std::process::id().to_string());
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// What is written down of the sites.
    pub(super) fn read_sites(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&std::fs::read(self.dir.join("sites.json")).ok()?).ok()
    }

    /// Writes down how the sites are found again.
    pub(super) fn write_sites(&self, sites: &[SimulatedSite], speed: f64) -> Result<(), CommandError> {
        self.speed.set(speed);
        let rows: Vec<serde_json::Value> = sites.iter().map(SimulatedSite::json).collect();
        self.write("sites.json", &json!({ "speed": speed, "sites": rows }).to_string())
    }

    /// Remembers the speed of sites that were found again.
    pub(super) fn set_speed(&self, speed: f64) {
        self.speed.set(speed);
    }

    /// The speed of the sites as an environment variable gives it.
    pub(super) fn speed_text(&self) -> String {
        self.speed.get().to_string()
    }

    /// Writes site files with the addresses of the simulated sites, and the example stacks as they are.
    pub(super) fn write_declarations(&self, sites: &[SimulatedSite]) -> Result<(), CommandError> {
        let mut declared = Vec::new();
        for site in sites {
            let token = format!("{}.token", site.name());
            self.write(&token, site.token())?;
            declared.extend(document("site", site.name()).map(|text| readdressed(text, site, &token)));
        }
        self.write("sites.yaml", &declared.join("---\n"))?;
        self.write("market.yaml", document("stack", STACK).unwrap_or_default())
    }

    /// Takes away everything but the lock.
    pub(super) fn wipe(&self) {
        let _ = std::fs::remove_dir_all(self.data());
        let _ = std::fs::remove_dir_all(self.dir.join(NODES));
        let of_sites = SITES.iter().flat_map(|(site, _)| [format!("{site}.token"), format!("{site}.state.json")]);
        let names = FILES.iter().map(|name| (*name).to_owned()).chain(of_sites);
        names.for_each(|name| drop(std::fs::remove_file(self.dir.join(name))));
    }

    /// Takes the folder away.
    pub(super) fn remove(&self) {
        self.wipe();
        let _ = std::fs::remove_dir_all(&self.dir);
    }

    /// Writes a file that only its owner reads.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), CommandError> {
        files::write_private(&self.dir.join(name), text.as_bytes()).map_err(|error| {
            CommandError::failed(format!("{name} cannot be written into {}", self.dir.display())).because(error)
        })
    }
}

/// The document of a kind and name in the example.
fn document(kind: &str, name: &str) -> Option<&'static str> {
    let (kind, name) = (format!("kind: {kind}"), format!("name: {name}"));
    EXAMPLE.split("---\n").find(|text| text.lines().any(|line| line == kind) && text.lines().any(|line| line == name))
}

/// The same site with the address, token and fingerprint of the simulated one.
fn readdressed(text: &str, site: &SimulatedSite, token: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("proxmox:") {
            inside = true;
            out.push_str(&format!(
                "proxmox:\n  endpoints: {}\n  token: {{ file: {token} }}\n  tls: {{ fingerprint: \"{}\" }}\n",
                json!(site.urls()),
                site.fingerprint()
            ));
        } else if !inside || !line.starts_with(' ') {
            inside = false;
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}
