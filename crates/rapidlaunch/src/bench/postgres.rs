//! Figures on PostgreSQL, taken where `RAPIDLAUNCH_BENCH_POSTGRES` names an empty database; the plain queue it is compared with
//! runs in the same server.

use std::sync::Arc;

use rl_engine::SystemClock;
use rl_store::{Store, Target, load, plain_claim_complete};

use super::store::failed;
use crate::error::CommandError;

/// Names the database, as `postgres://user@host/database`.
const URL: &str = "RAPIDLAUNCH_BENCH_POSTGRES";
/// Jobs of one run.
const JOBS: usize = 20_000;
/// Jobs of the plain queue: it is slower.
const PLAIN_JOBS: usize = 10_000;
/// Clients of the plain queue: more gain nothing.
const CLIENTS: usize = 64;

/// Whole lives of jobs a second, and jobs claimed and completed a second by the plain queue; `None` where no database is named.
pub(super) async fn jobs() -> Result<Option<(f64, f64)>, CommandError> {
    let Ok(url) = std::env::var(URL) else { return Ok(None) };
    let target = Target::parse(&url).map_err(failed)?;
    let store = Store::connect(&target, Arc::new(SystemClock::new())).await.map_err(failed)?;
    let ours = load::journaled_jobs(store.journal(), 1_024, JOBS).await.map_err(failed)?.per_second();
    drop(store);
    let plain = plain_claim_complete(&target, CLIENTS, PLAIN_JOBS).await.map_err(failed)?.per_second();
    Ok(Some((ours, plain)))
}
