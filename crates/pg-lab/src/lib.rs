//! Real PostgreSQL servers for tests: each has its own folder, listens on loopback alone, and ends with the value that holds it.
//!
//! PostgreSQL refuses to run as root, so that a test that runs as root hands the server to the user `postgres`.
mod server;
mod tools;

pub use server::{Options, PgServer};
pub use tools::{LabError, Tools};
