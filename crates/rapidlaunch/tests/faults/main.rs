//! The fault suite: real processes, real signals, real disks and databases. Each test is one row of the table in `docs/faults.md`.
//!
//! In `make test` every row runs in a small size. `make faults` sets `RAPIDLAUNCH_FAULTS=full` for the full sizes and
//! `RAPIDLAUNCH_FAULTS_TABLE` for the folder that the rows' lines are written to.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[allow(dead_code, unused_imports, reason = "shared with the other integration tests, which use the rest")]
#[path = "../it/harness/mod.rs"]
mod harness;
mod clocks;
mod disk;
mod keys;
mod kills;
mod launch;
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
