//! Measures the store alone: `cargo run --release -p rl-store --example load -- [submits|jobs] [COUNT]`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use std::sync::Arc;

use rl_engine::SystemClock;
use rl_store::{Store, load};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let which = args.next().unwrap_or_else(|| "submits".to_owned());
    let count = args.next().map_or(100_000, |count| count.parse().unwrap());
    let dir = tempfile::Builder::new()
        .prefix("rl-load")
        .tempdir_in(std::env::var("RL_LOAD_DIR").unwrap_or_else(|_| "/var/tmp".to_owned()))
        .unwrap();
    let store = Store::open(dir.path(), Arc::new(SystemClock::new())).await.unwrap();
    let measured = match which.as_str() {
        "jobs" => load::journaled_jobs(store.journal(), 1_024, count).await.unwrap(),
        submitters => load::submits(store.journal(), submitters.parse().unwrap_or(64), count).await.unwrap(),
    };
    println!(
        "{which}: {:.0}/s, p50 {:?}, p99 {:?}, {} commits, mean {:.1} a commit",
        measured.per_second(),
        measured.p50,
        measured.p99,
        store.commits(),
        count as f64 / store.commits() as f64
    );
}
