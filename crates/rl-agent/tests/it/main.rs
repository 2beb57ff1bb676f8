//! The agent and its server, in one process.
#![allow(clippy::unwrap_used)]

mod sealed;
