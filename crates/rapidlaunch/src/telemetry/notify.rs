//! Signs of life to the service manager (sd_notify(3)): ready, what it does, ending, and a watchdog that is fed only while the
//! engine makes progress.

use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Engine, EngineStats};
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

/// Looks at the engine within the time in which the service manager expects a sign.
const LOOKS: u32 = 4;

/// Speaks to the service manager, where there is one: says so when the engine has taken up its work, feeds the watchdog from then
/// on, and says so when the end is asked for.
pub(crate) fn start(engine: Arc<Engine>, status: String, shutdown: CancellationToken) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let serving = async {
            engine.registered().await;
            tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
            match sd_notify::watchdog_enabled() {
                Some(limit) => feed(&engine.stats(), limit, || tell(&[NotifyState::Watchdog])).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = serving => {}
            () = shutdown.cancelled() => tell(&[NotifyState::Stopping, NotifyState::Status("giving back what runs")]),
        }
    })
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// Feeds whenever the pulse of the engine has moved. A loop that is stuck, or waits for a store that neither takes nor refuses
/// anything, has no pulse: then the service manager starts the server anew.
async fn feed(stats: &EngineStats, limit: Duration, mut sign: impl FnMut()) {
    let mut last = None;
    loop {
        let pulse = stats.pulse();
        if last != Some(pulse) {
            last = Some(pulse);
            sign();
        }
        tokio::time::sleep(limit / LOOKS).await;
    }
}
