//! The whole system in one thread under a simulated clock, from a seed: engines, the real steps, the real client and
//! simulated sites, with everything that may go wrong between them. See `docs/simulation.md`.
#![allow(clippy::unwrap_used)]

mod book;
mod broken;
mod database;
mod faults;
mod handle;
mod life;
mod net;
mod place;
mod rules;
mod run;
mod seeds;
mod server;
mod user;
