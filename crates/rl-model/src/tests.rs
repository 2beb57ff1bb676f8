//! Properties of the newtypes, and examples of the rules they hold.
#![allow(clippy::unwrap_used)]

mod config;
mod doors;
