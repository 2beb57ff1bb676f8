//! Properties of the newtypes, and examples of the rules they hold.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod config;
mod doors;
mod published;
mod rules;
mod stamp;
