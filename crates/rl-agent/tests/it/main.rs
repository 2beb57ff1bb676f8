//! The agent and its server, in one process: joining, orders, and a world that turns against them.
#![allow(clippy::unwrap_used)]

mod guards;
mod joining;
mod lab;
mod orders;
mod proxy;
mod sealed;
mod tools;
mod trouble;
