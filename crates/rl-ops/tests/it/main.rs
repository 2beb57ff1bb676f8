//! Steps, jobs and proofs against a simulated site.
#![allow(clippy::unwrap_used)]

mod book;
mod economy;
mod firewall;
mod identity;
mod interruption;
mod lab;
mod look;
mod payloads;
mod proofs;
mod records;
mod samples;
mod scripted;
mod trouble;
mod volumes;
#[path = "../../../rl-providers/tests/it/dns/memory.rs"]
#[allow(dead_code, reason = "written for the providers' own tests")]
mod zone_book;
