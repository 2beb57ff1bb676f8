//! A simulated site, a data directory and the binary, with the checks that every test makes on its way out.

mod agents;
mod api;
mod checks;
mod files;
mod hunt;
mod process;
mod proxy;
mod site;
mod through;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use pve_sim::{Sim, SimConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) use agents::{Held, free_address};
pub(crate) use api::Served;
pub(crate) use checks::Allow;
pub(crate) use files::{Farm, farm, site};
pub(crate) use process::{Child, Run};
pub(crate) use proxy::Proxy;
pub(crate) use through::through_a_server;

/// How many times faster than real nodes the simulated ones work.
pub(crate) const SPEED: f64 = 100.0;
/// Nodes of a site, unless a test wants more.
pub(crate) const NODES: usize = 3;

/// Where tests that draw something begin to draw.
pub(crate) fn seed() -> u8 {
    std::env::var("RAPIDLAUNCH_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7)
}

/// A test's world.
pub(crate) struct World {
    /// The simulated site.
    pub(crate) sim: Sim,
    /// Runs the simulated site.
    pub(crate) runtime: Runtime,
    /// Everything the test writes down.
    pub(crate) dir: TempDir,
    /// The data directory given to the binary.
    pub(crate) data: PathBuf,
    /// The database given to the binary in its stead.
    pub(crate) database: Option<String>,
    /// Time between signs of life of agents and servers, where a test does not want to wait for the usual one.
    pub(crate) heartbeat_ms: Option<u32>,
    /// All that any run has said, to be searched for secrets.
    said: RefCell<Vec<String>>,
    /// Values of secrets that may be found nowhere.
    hidden: RefCell<Vec<String>>,
    finished: std::cell::Cell<bool>,
    /// The server that commands work through, where they do.
    server: RefCell<Option<Served>>,
}

impl World {
    /// A site of three nodes.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A site set up as the test wants it.
    pub(crate) fn with(change: impl FnOnce(&mut SimConfig)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut config = SimConfig::new(NODES);
        config.time_scale = SPEED;
        config.auth_delay = std::time::Duration::from_millis(20);
        change(&mut config);
        let sim = runtime.block_on(Sim::start(config)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let world = Self {
            data: dir.path().join("data"),
            database: None,
            heartbeat_ms: None,
            sim,
            runtime,
            dir,
            said: RefCell::default(),
            hidden: RefCell::default(),
            finished: std::cell::Cell::new(false),
            server: RefCell::default(),
        };
        world.write_private("lab.token", world.sim.token());
        if through::is_on() {
            let served = world.api_server(&[]);
            world.server.replace(Some(served));
        }
        world
    }

    /// Writes a file into the test's folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The same, readable for its owner alone.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A path in the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The part of the token that nobody else may know.
    pub(crate) fn secret(&self) -> String {
        self.sim.token().split_once('=').map(|(_, secret)| secret.to_owned()).unwrap()
    }

    /// A value that nothing may say or store, in any form.
    pub(crate) fn hide(&self, value: &str) {
        assert!(value.len() >= 12, "the value is too short to be searched for");
        self.hidden.borrow_mut().push(value.to_owned());
    }

    /// Keeps what a run has said for the search for secrets.
    fn heard(&self, text: &str) {
        self.said.borrow_mut().push(text.to_owned());
    }

    /// The test's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for World {
    /// A test that forgets the checks on its way out fails.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.finished.get(), "the test did not call finish()");
        }
    }
}
