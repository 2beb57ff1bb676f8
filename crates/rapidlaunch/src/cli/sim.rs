//! `rapidlaunch sim`

use std::path::Path;
use std::time::Duration;

use pve_sim::{Fault, SeedState, Sim, SimConfig};
use serde::de::DeserializeOwned;

use crate::cli::args::SimArgs;
use crate::error::CommandError;
use crate::out::Out;

/// Largest state or fault file in bytes: some 100,000 guests.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Runs a simulated site until it is interrupted. The first line on stdout is one JSON object.
pub(crate) async fn run(args: &SimArgs, out: &Out) -> Result<(), CommandError> {
    let sim = start(args).await?;
    out.print(&(sim.ready_line() + "\n"));
    tokio::select! {
        () = sim.wait() => {}
        () = interrupted() => sim.shutdown().await,
    }
    Ok(())
}

async fn start(args: &SimArgs) -> Result<Sim, CommandError> {
    if !(args.speed.is_finite() && args.speed > 0.0) {
        return Err(CommandError::input("--speed must be a number above 0, as in --speed 20"));
    }
    let mut config = SimConfig::new(args.nodes);
    config.listen = args.listen;
    config.seed = args.seed;
    config.time_scale = args.speed;
    config.control = args.control;
    config.exit_after_idle = args.exit_after_idle.map(Duration::from_secs);
    config.seed_state = args.state.as_deref().map(read::<SeedState>).transpose()?;
    config.faults = args.faults.as_deref().map(read::<Vec<Fault>>).transpose()?.unwrap_or_default();
    Sim::start(config).await.map_err(|error| CommandError::input("the simulator cannot start").because(error))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CommandError> {
    let wrong = || CommandError::input(format!("{} cannot be used; nothing was started", path.display()));
    let size = std::fs::metadata(path).map_err(|error| wrong().because(error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(CommandError::input(format!(
            "{} has {size} bytes, at most {FILE_BYTES_MAX} are read",
            path.display()
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong().because(error))?;
    // The error of serde_json names line, column and the key that is wrong.
    serde_json::from_str(&text).map_err(|error| wrong().because(error))
}

async fn interrupted() {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    match terminate {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
