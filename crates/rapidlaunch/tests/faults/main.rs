//! The fault suite: real processes, real signals, real disks and databases. Each test is one row of the table in `docs/faults.md`.
//!
//! In `make test` every row runs in a small size. `make faults` sets `RAPIDLAUNCH_FAULTS=full` for the full sizes and
//! `RAPIDLAUNCH_FAULTS_TABLE` for the folder that the rows' lines are written to.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod clocks;
mod database;
mod disk;
#[allow(dead_code, unused_imports, reason = "shared with the other integration tests, which use the rest")]
#[path = "../it/harness/mod.rs"]
mod harness;
mod keys;
mod kills;
mod lab;
mod launch;
mod network;
mod poison;
mod process;
mod proxy;
mod report;
mod saga;
mod shim;
mod sites;
mod storm;
mod versions;
mod worker;
mod zombies;
