//! Zones.

mod authority;
mod book;
mod cloudflare;
mod conformance;
mod keys;
mod lab;
mod servers;
