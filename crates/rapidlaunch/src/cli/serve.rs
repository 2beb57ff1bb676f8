//! `rapidlaunch serve`

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rl_engine::EngineConfig;
use rl_model::SiteName;
use rl_ops::call_limit;
use rl_pve::{CallClass, Pace};
use tokio_util::sync::CancellationToken;

use crate::api::ListenArgs;
use crate::cli::args::{Global, duration};
use crate::error::CommandError;
use crate::out::Out;
use crate::telemetry::{Telemetry, TelemetryArgs};
use crate::work::connect;
use crate::work::data::Data;
use crate::work::serve::{self, Server};

/// `serve`
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Work for these sites only [default: all that the store knows]
    #[arg(long, value_delimiter = ',', value_name = "SITE")]
    pub(crate) sites: Vec<SiteName>,
    /// How long other servers wait for a sign of life before they take over this one's work, such as 15s or 1m [default: 15s];
    /// at least 2s
    #[arg(long, value_parser = duration, value_name = "TIME")]
    pub(crate) lease: Option<Duration>,
    #[command(flatten)]
    pub(crate) api: ListenArgs,
    #[command(flatten)]
    pub(crate) telemetry: TelemetryArgs,
}

/// Heartbeats that fit into a lease: one may be late, and the next, and still nobody takes the work.
const BEATS_PER_LEASE: u32 = 6;

/// Carries out what the store holds until it is told to end.
pub(crate) async fn run(global: &Global, args: &ServeArgs, out: &Out) -> Result<(), CommandError> {
    let telemetry = Telemetry::start(&args.telemetry, global.verbose, out)?;
    let pace = connect::pace();
    let config = config(args.lease, pace)?;
    let data = Data::open(global).await?;
    let shutdown = CancellationToken::new();
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            asked_to_end().await;
            shutdown.cancel();
        }
    });
    let only: BTreeSet<_> = args.sites.iter().cloned().collect();
    let api = args.api.clone();
    let server = Server { data: Arc::new(data), only, pace, config, api, telemetry: Arc::clone(&telemetry), out: *out };
    let ended = serve::run(server, shutdown).await;
    telemetry.end().await;
    ended
}

/// Shortest lease: heartbeats every third of a second still reach a database far away.
const LEASE_SHORTEST: Duration = Duration::from_secs(2);
/// A call that may be repeated takes two answers at the most, with a rest between.
const CALLS_GRACE: f64 = 2.4;

/// The engine's settings for a lease of this length. Calls may outlast it: they are announced, and a new holder waits for them.
fn config(lease: Option<Duration>, pace: Pace) -> Result<EngineConfig, CommandError> {
    let mut config = EngineConfig::standard();
    let Some(lease) = lease else { return Ok(config) };
    if lease < LEASE_SHORTEST {
        return Err(CommandError::input(format!("a lease of {lease:?} is too short for a database that is far away"))
            .hinted(format!("give --lease at least {}s", LEASE_SHORTEST.as_secs())));
    }
    config.lease_ttl = lease;
    config.heartbeat = lease / BEATS_PER_LEASE;
    let calls = call_limit(CallClass::Create, pace).mul_f64(CALLS_GRACE);
    config.takeover_grace = config.takeover_grace.min(calls);
    Ok(config)
}

/// Ends with SIGTERM or SIGINT.
pub(crate) async fn asked_to_end() {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lease_may_be_short_and_calls_long() {
        let standard = config(None, Pace::REAL).unwrap();
        let longest = call_limit(CallClass::Create, Pace::REAL).mul_f64(CALLS_GRACE);
        assert!(standard.lease_ttl < Duration::from_secs(20) && standard.takeover_grace >= longest);
        let refused = config(Some(Duration::from_secs(1)), Pace::REAL).unwrap_err();
        assert!(refused.text(false).contains("give --lease at least 2s"), "{}", refused.text(false));
        let short = config(Some(Duration::from_secs(3)), Pace::times(100.0)).unwrap();
        assert_eq!((short.heartbeat, short.takeover_grace), (Duration::from_millis(500), Duration::from_millis(4_800)));
    }
}
