//! The library that is preloaded into a process under test, built where it is needed.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::World;

/// A preloaded library with its switches, which are files.
pub(crate) struct Shim {
    library: PathBuf,
    eio: PathBuf,
    clock: PathBuf,
}

impl Shim {
    /// Builds the library into the test's folder; says why where that cannot be done.
    pub(crate) fn build(world: &World) -> Result<Self, String> {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/shim/shim.c");
        let library = world.path("shim.so");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").output();
        match built {
            Ok(done) if done.status.success() => {}
            Ok(done) => panic!("the shim does not compile: {}", String::from_utf8_lossy(&done.stderr)),
            Err(error) => return Err(format!("there is no C compiler: {error}")),
        }
        Ok(Self { library, eio: world.path("eio"), clock: world.path("clock") })
    }

    /// Preloads it into a command.
    pub(crate) fn preload(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library);
        command.env("RAPIDLAUNCH_SHIM_EIO", &self.eio).env("RAPIDLAUNCH_SHIM_CLOCK", &self.clock);
    }

    /// From now on every write-through fails.
    pub(crate) fn fail_syncs(&self) {
        std::fs::write(&self.eio, b"").unwrap();
    }

    /// Write-throughs that have failed.
    pub(crate) fn failed_syncs(&self) -> u64 {
        std::fs::metadata(&self.eio).map_or(0, |file| file.len())
    }

    /// From now on they succeed again.
    pub(crate) fn heal_syncs(&self) {
        let _ = std::fs::remove_file(&self.eio);
    }

    /// Sets the wall clock so many seconds ahead of the true time.
    pub(crate) fn jump(&self, seconds: i64) {
        let beside = self.clock.with_extension("new");
        std::fs::write(&beside, seconds.to_string()).unwrap();
        std::fs::rename(beside, &self.clock).unwrap();
    }
}
