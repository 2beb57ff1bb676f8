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
mod samples;
mod scripted;
mod trouble;
mod volumes;
