//! Zones.

mod book;
mod cloudflare;
mod conformance;
mod keys;
mod lab;
mod servers;
