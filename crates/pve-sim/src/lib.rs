//! A simulated Proxmox VE site behind real HTTPS.
//!
//! [`Sim::start`] gives one cluster in this process: a listener per node, tokens and tickets with real privilege checks,
//! tasks that take their time on a scaled clock, locks, digests and seeded faults. What was truly done stands in the
//! [`Ledger`], which the control endpoint also shows.
//!
//! [`MemorySim`] is the same site without sockets and TLS, for a simulation of a whole system in one thread.
//!
//! [`pct`] is the nodes' own tool of that name, on real files and real processes.
//!
//! The crate uses no other crate of this project, so that it cannot share a client's mistakes.

mod api;
mod auth;
mod clock;
mod control;
mod describe;
mod families;
mod faults;
mod http;
mod latency;
mod ledger;
mod locks;
mod memory;
pub mod pct;
mod seed;
mod sim;
mod site;
mod tasks;
mod tls;
mod world;

pub use describe::declared_endpoints;
pub use faults::{Action, Fault, FaultState, Loss, When};
pub use ledger::{Effect, Ledger};
pub use memory::{MemorySim, RunningTask};
pub use seed::{
    SeedAcl, SeedBridge, SeedError, SeedFirewall, SeedGroup, SeedGuest, SeedKind, SeedNode, SeedPool, SeedRole,
    SeedState, SeedStorage, SeedToken, SeedUser, SizedNode,
};
pub use sim::{Sim, SimConfig, SimError, token_secret};
pub use site::RecordedAnswer;
pub use tls::TlsError;
