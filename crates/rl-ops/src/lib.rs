//! Where thought becomes act: observe the sites, compile a plan to jobs, the steps, and the proof.
//!
//! **Invariant of absence:** nothing here decides what shall be. A plan leaves no choice open; a step looks, acts if
//! needed, and looks again. No step touches a guest whose stamp it has not just read.

mod agent;
mod compile;
mod context;
mod fault;
mod gate;
mod identity;
mod kinds;
mod live;
mod observe;
mod observe_firewall;
mod parts;
mod payload;
mod preflight;
mod prove;
mod roster;
mod site;
pub mod steps;

pub use agent::agent_error;
pub use compile::{CompileError, compile, compile_guest, guest_of, retarget};
pub use context::{Ctx, GuestRegistry, RegistryError, SiteSource, ZoneShelf, Zones};
pub use kinds::registry;
pub use observe::{FirewallScope, ObserveError, Scope, look_closer, observe};
pub use parts::dns::{observe_zones, prove_records, prove_records_gone, zones_of};
pub use parts::secrets::{DeliveryBook, OtherGuest, SecretDesk, mark_lost, prove_others, prove_secrets};
pub use payload::{GuestVerb, JobPayload, Target};
pub use preflight::{CheckItem, SiteCheck, check_endpoint, check_privileges, needs};
pub use prove::{prove, prove_gone};
pub use site::{SiteApi, call_limit};
