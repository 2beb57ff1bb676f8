//! Runs the program and measures it from outside.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::world::World;
use crate::error::CommandError;

/// How often the memory of the child is read; the kernel keeps the peak.
const LOOK: Duration = Duration::from_millis(20);

/// What was measured of one run.
pub(super) struct Measured {
    /// From start to end.
    pub(super) took: Duration,
    /// Peak resident memory in bytes, as far as it was seen.
    pub(super) rss_bytes: u64,
    /// Whether it exited with 0.
    pub(super) success: bool,
    /// What it said on stderr.
    pub(super) stderr: String,
}

/// The program, set up for a world.
pub(super) struct RapidLaunch<'a> {
    world: &'a World,
    pace: f64,
}

impl<'a> RapidLaunch<'a> {
    /// The program with the world's data directory and pace.
    pub(super) fn new(world: &'a World, pace: f64) -> Self {
        Self { world, pace }
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, args: &[&str]) -> Result<Measured, CommandError> {
        let failed =
            |error: std::io::Error| CommandError::failed("the program under measurement cannot be run").because(error);
        let program = std::env::current_exe().map_err(failed)?;
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(args)
            .arg("--data")
            .arg(self.world.data())
            .env("RAPIDLAUNCH_PACE", self.pace.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut stderr = child.stderr.take().ok_or_else(|| CommandError::failed("the program has no stderr"))?;
        let said = tokio::spawn(async move {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text).await;
            text
        });
        let pid = child.id().unwrap_or_default();
        let mut rss_bytes = 0;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.map_err(failed)?,
                () = tokio::time::sleep(LOOK) => rss_bytes = rss_bytes.max(crate::memory::peak(pid)),
            }
        };
        let took = began.elapsed();
        let stderr = said.await.unwrap_or_default();
        Ok(Measured { took, rss_bytes, success: status.success(), stderr })
    }
}
