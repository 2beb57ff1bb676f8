//! Tests of the engine from outside.
#![allow(clippy::unwrap_used)]

mod chores;
mod conformance;
mod failpoints;
mod observed;
mod outage;
mod proofs;
mod run;
mod sim;
mod stuck;
mod versions;
mod world;
