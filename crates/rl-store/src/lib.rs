//! SQLite or PostgreSQL behind the engine's journal and the stores of stacks, guests, leases and sites.
//!
//! - [`Store::open`] takes the data directory for this process alone; [`Store::look`] only reads one that another process has.
//!   [`Store::journal`] is what an engine runs on.
//! - [`Store::connect`] uses a PostgreSQL database, which other servers may use at the same time; [`Store::at`] takes either [`Place`].
//! - [`copy()`] copies a store from one place to another; [`check()`] looks for contradictions; [`raw_row`] reads a row as it is stored.
//! - [`Store::start_operation`] writes an operation, its stack's new revision and every reservation in one transaction, or
//!   nothing: a [`Conflict`] says what stood in the way.
//! - Sites: [`Store::put_site`], [`Store::declare_site`], [`Store::site`], [`Store::sites`]. Stacks: [`Store::stack`], [`Store::stacks`],
//!   [`Store::revision`], [`Store::record_applied`]. Guests: [`Store::guests`], [`Store::guest`], [`Store::record_guest`],
//!   [`Store::release_guest`]. Secrets, encrypted: [`Store::put_secret_version`], [`Store::sealed_secret`],
//!   [`Store::record_delivery`]. Leases: [`Store::leases`], [`Store::vmid_of`], [`Store::lease_another_vmid`].
//! - Who may come in and do what: [`Store::add_user`], [`Store::add_grant`], [`Store::token_bearer`], [`Store::session_bearer`],
//!   [`Store::set_up`], [`Store::begin_attempt`].
//! - [`Store::audit`] writes into the audit by itself; a [`Deed`] is written in the transaction of the change it belongs to, with
//!   the answer that a repeated request is given. Plans: [`Store::put_plan`], [`Store::approve_plan`]. Rules and quotas:
//!   [`Store::put_stack_policy`], [`Store::put_quota`]. Webhooks: [`Store::feed_webhook`], [`Store::claim_deliveries`]. Looks at stacks: [`Store::put_proof`], [`Store::put_drift`].
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
    ANSWER_KEPT, AgentRecord, AgentToken, Attempt, AttemptKey, AuditBreak, AuditFault, AuditHash, AuditHashError,
    AuditPage, AuditQuery, AuditRecord, AuditVerdict, AuditWalk, Changed, Claimed, Counted, Credentials, Deed,
    DeliveryRecord, DeliveryState, Digest, FAILURES_MAX, GENERATED_LEN_MAX, Generator, GrantRecord, Granted,
    GuestRecord, GuestState, Holder, Joining, KeptAnswer, LastLook, LeaseKey, LeaseKind, LeaseRecord, Limits, LooksAt,
    Met, NewAudit, NewGrant, NewPlan, NewSession, NewToken, NewUser, NewVersion, NewWebhook, NewWebhookDelivery,
    Origin, Outcome, Owner, OwnerError, PENDING_MAX, PLAN_KEPT, PLANS_PER_STACK_MAX, PasswordHash, PlanQuery,
    PlanRecord, PlanRefusal, PlanState, QuotaRecord, RecipientRole, RevisionRecord, SESSION_IDLE, SESSION_LIFE,
    SESSIONS_PER_USER_MAX, SecretRecord, SessionBearer, SessionRecord, SetUp, SiteRecord, StackPolicy, StackRecord,
    StackStart, StackState, Started, StoredPlanId, Subject, TOKENS_PER_USER_MAX, TokenAdded, TokenBearer, TokenRecord,
    Totp, TotpState, USERS_MAX, Use, UserRecord, VERSIONS_KEPT, VersionRecord, Via, WEBHOOKS_MAX, WebhookChange,
    WebhookDelivery, WebhookRecord, session_id,
};
pub use error::{Conflict, StoreError};
pub use pg::{PgError, Postgres, Target, UrlError, plain_claim_complete};
pub use place::Place;
pub use raw::{Raw, RawRow, raw_row};
pub use store::{QUARANTINE, Store};
