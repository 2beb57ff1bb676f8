//! Integration tests of the simulator.
#![allow(clippy::unwrap_used)]

mod client;
mod contract;
mod faults;
mod firewall;
mod replay;
mod returns;
mod shared;
mod strangers;
mod world;
