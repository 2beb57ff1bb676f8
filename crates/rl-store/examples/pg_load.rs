//! Measures the store in PostgreSQL beside a plain queue in the same server:
//! `cargo run --release -p rl-store --example pg_load -- [COUNT] [IN_FLIGHT]`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use std::sync::Arc;

use pg_lab::{Options, PgServer};
use rl_store::{Postgres, Target, load, plain_claim_complete};

/// Connections of the plain queue.
const CLIENTS: usize = 64;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1).map(|number| number.parse::<usize>().unwrap());
    let count = args.next().unwrap_or(20_000);
    let in_flight = args.next().unwrap_or(1_024);
    let settings = vec!["max_connections = 100".to_owned(), "shared_buffers = 128MB".to_owned()];
    let server = PgServer::start(&Options { fsync: true, settings }).unwrap();
    let target = Target::parse(&server.url()).unwrap();
    let plain = plain_claim_complete(&target, CLIENTS, count).await.unwrap();
    println!("pg_plain_claim_complete_per_s {:.0} (p50 {:?}, p99 {:?})", plain.per_second(), plain.p50, plain.p99);
    let store = Postgres::open(&target).unwrap();
    let ours = load::journaled_jobs(Arc::new(store.clone()), in_flight, count).await.unwrap();
    println!("pg_journaled_jobs_per_s {:.0} (p50 {:?}, p99 {:?})", ours.per_second(), ours.p50, ours.p99);
    println!(
        "ratio {:.2}, {} commits, {:.1} jobs a commit",
        ours.per_second() / plain.per_second(),
        store.commits(),
        count as f64 / store.commits() as f64
    );
}
