//! The node agent and its protocol.
//!
//! The same binary runs on a Proxmox node and does there what the API cannot: commands and files inside guests, unlocking.
//!
//! - [`Courier`] is what the rest of RapidLaunch calls: an [`Order`] for the agent of a [`Post`] (site and node), and its
//!   [`Answer`]. [`deliver_sealed`] brings a value that only that agent can open.
//! - [`server`] listens for agents: joining by a one-time token, certificates, the [`server::Agents`] that are connected.
//! - [`node`] is the agent itself: it connects outwards, checks the guest's stamp in every call, keeps fences and a journal.
//!
//! **Invariant:** work is done in a guest only after the guest's own configuration, read in the same call, said it is the one.

mod answer;
mod authority;
mod courier;
pub mod files;
mod frame;
mod message;
pub mod node;
mod pinned;
pub mod seal;
pub mod server;
mod token;
mod work;

pub use answer::{Answer, Ended, FileFacts, Refusal};
pub use courier::{CallError, Courier, Given, Output, Post, Stream, deliver_sealed};
pub use work::{Account, CONTENT_MAX, DeliverFile, Exec, FileMode, OUTPUT_MAX, Order, OrderError, Owner, Target, Work};

/// Chance from the operating system.
pub fn random() -> rand::rngs::StdRng {
    rand::SeedableRng::from_os_rng()
}
