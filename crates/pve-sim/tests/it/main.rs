//! Integration tests of the simulator.
#![allow(clippy::unwrap_used)]

mod contract;
mod replay;
mod returns;
mod shared;
mod strangers;
