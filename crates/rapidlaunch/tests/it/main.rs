//! The program as a whole: the binary as a process of its own against a simulated site.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod abuse;
mod accounts;
mod agents;
mod agents_trouble;
mod api;
mod cli;
mod converge;
mod crash;
mod demo;
mod dns;
#[path = "../../../rl-providers/tests/it/dns/lab.rs"]
#[allow(dead_code, clippy::print_stdout, reason = "written for the providers' own tests")]
mod dns_lab;
mod faults;
mod following;
mod fuzzed;
mod harness;
mod launching;
mod office;
mod oidc;
mod providers;
mod readme;
mod rights;
mod rooms;
mod secrets;
mod secrets_trouble;
mod store;
mod strangers;
mod telemetry;
mod ui;
mod webhooks;
