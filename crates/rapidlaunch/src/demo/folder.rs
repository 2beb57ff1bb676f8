//! The demo's folder: one demo at a time, and all it wrote down.

use std::cell::Cell;
use std::fs::{File, TryLockError};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::sites::SimulatedSite;
use crate::cli::args::Global;
use crate::error::CommandError;
use crate::work::place;

/// The example whose site `fra1` and stack `shop` the demo uses.
const SHOP: &str = include_str!("../../../../examples/shop.yaml");
/// The example whose site `ams1` and stack `mirror` the demo uses.
const TWO_SITES: &str = include_str!("../../../../examples/two-sites.yaml");

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
        self.dir.join("shop.yaml")
    }

    /// Files to apply, sites first.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        ["sites.yaml", "shop.yaml", "mirror.yaml"].map(|name| self.dir.join(name)).to_vec()
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
            let example = if site.name() == "fra1" { SHOP } else { TWO_SITES };
            declared.extend(document(example, "site", site.name()).map(|text| readdressed(text, site, &token)));
        }
        self.write("sites.yaml", &declared.join("---\n"))?;
        self.write("shop.yaml", document(SHOP, "stack", "shop").unwrap_or_default())?;
        self.write("mirror.yaml", document(TWO_SITES, "stack", "mirror").unwrap_or_default())
    }

    /// Takes away everything but the lock.
    pub(super) fn wipe(&self) {
        let _ = std::fs::remove_dir_all(self.data());
        let names = ["sites.json", "sites.yaml", "shop.yaml", "mirror.yaml", "fra1.token", "ams1.token"];
        names.iter().for_each(|name| drop(std::fs::remove_file(self.dir.join(name))));
    }

    /// Takes the folder away.
    pub(super) fn remove(&self) {
        self.wipe();
        let _ = std::fs::remove_dir_all(&self.dir);
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CommandError> {
        write_private(&self.dir.join(name), text).map_err(|error| {
            CommandError::failed(format!("{name} cannot be written into {}", self.dir.display())).because(error)
        })
    }
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let half = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(half, path)
}

/// The document of a kind and name in an example.
fn document<'a>(example: &'a str, kind: &str, name: &str) -> Option<&'a str> {
    let (kind, name) = (format!("kind: {kind}"), format!("name: {name}"));
    example.split("---\n").find(|text| text.lines().any(|line| line == kind) && text.lines().any(|line| line == name))
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
