//! Names and records: what a zone says, who owns a record, and the providers that change it.
//!
//! [`DnsProvider`] is the one trait; [`Rfc2136`], [`PowerDns`], [`Cloudflare`] and [`Builtin`] carry it out. [`owned`] turns what
//! a plan says about records into a change that states what it expects, so that nobody else's record is ever written.
//! [`ask`] asks one authoritative server, as anyone would.

mod ask;
mod builtin;
mod cloudflare;
mod error;
mod exchange;
mod http;
mod message;
pub mod owned;
mod powerdns;
mod provider;
pub(crate) mod resolve;
mod rfc2136;
pub mod server;
mod transfer;
mod tsig;

pub use ask::{Answer, Witness, ask};
pub use builtin::{BookError, Builtin, ZoneBook};
pub use cloudflare::Cloudflare;
pub use error::{DnsError, KeyFault};
pub use powerdns::PowerDns;
pub use provider::{DnsProvider, ZoneList};
pub use resolve::addresses;
pub use rfc2136::Rfc2136;
pub use tsig::{Key, KeyError};
