//! SQLite or PostgreSQL behind the engine's journal and the stores of stacks, guests, leases and sites.
//!
//! - [`Store::open`] takes the data directory for this process alone; [`Store::look`] only reads one that another process has.
//!   [`Store::journal`] is what an engine runs on.
//! - [`Store::connect`] uses a PostgreSQL database, which other servers may use at the same time; [`Store::at`] takes either [`Place`].
//! - [`copy()`] copies a store from one place to another; [`check()`] looks for contradictions; [`raw_row`] reads a row as it is stored.
//! - [`Store::start_operation`] writes an operation, its stack's new revision and every reservation in one transaction, or
//!   nothing: a [`Conflict`] says what stood in the way.
//! - Sites: [`Store::put_site`], [`Store::site`], [`Store::sites`]. Stacks: [`Store::stack`], [`Store::stacks`],
//!   [`Store::revision`], [`Store::record_applied`]. Guests: [`Store::guests`], [`Store::guest`], [`Store::record_guest`],
//!   [`Store::release_guest`]. Secrets, encrypted: [`Store::put_secret_version`], [`Store::sealed_secret`],
//!   [`Store::record_delivery`]. Leases: [`Store::leases`], [`Store::vmid_of`], [`Store::lease_another_vmid`].
//!
//! **Invariant:** an answer leaves only after the commit it belongs to is on disk; after a failed commit none leaves.
mod check;
mod commits;
mod copy;
mod db;
mod domain;
mod error;
pub mod load;
mod mark;
mod pg;
mod place;
mod raw;
mod sql;
mod sqlite;
mod store;
mod view;

pub use check::{CheckReport, Finding, Level, check};
pub use commits::CommitHook;
pub use copy::{Copied, CopyError, CopyReport, copy};
pub use domain::{
    AgentRecord, AgentToken, DeliveryRecord, GENERATED_LEN_MAX, Generator, GuestRecord, GuestState, Joining, LeaseKind,
    NewVersion, Origin, RecipientRole, RevisionRecord, SecretRecord, SiteRecord, StackRecord, StackStart, StackState,
    Started, VERSIONS_KEPT, VersionRecord,
};
pub use error::{Conflict, StoreError};
pub use pg::{PgError, Postgres, Target, UrlError, plain_claim_complete};
pub use place::Place;
pub use raw::{Raw, RawRow, raw_row};
pub use store::{QUARANTINE, Store};
