//! The thinking of RapidLaunch: parse, resolve, plan and drift.
//!
//! **Invariant of absence:** no async, no clock, no I/O, no randomness. Everything a decision needs is an argument.

pub mod diagnostic;
pub mod drift;
pub mod firewall;
pub mod parse;
pub mod parts;
mod place;
pub mod plan;
pub mod resolve;
pub mod schema;

pub use drift::drift;
pub use parse::parse;
pub use plan::{configs_needed, plan, plan_destroy};
pub use resolve::{ResolveErrors, resolve};
