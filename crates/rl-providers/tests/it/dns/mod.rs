//! Zones.

mod authority;
mod book;
mod cloudflare;
mod conformance;
mod keys;
#[allow(dead_code, reason = "the tests of the program as a whole use it too")]
mod lab;
mod memory;
mod servers;
