//! The crate from outside: against the API description, the recordings, a server of our own and the simulator.

#![allow(clippy::unwrap_used)]

mod contract;
mod fake;
mod observed;
mod recordings;
mod requests;
mod rights;
mod samples;
mod schema;
mod shared;
mod simulated;
mod spy;
mod tickets;
mod transport;
mod watching;
