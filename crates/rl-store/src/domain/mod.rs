//! Sites, stacks, guests and what they hold, in the same database as the journal.
mod access;
mod agent;
mod audit;
mod deed;
mod delivery;
mod dns;
mod guest;
mod held;
mod lease;
mod plan;
mod policy;
mod proof;
mod quota;
mod rows;
mod secret;
mod site;
mod stack;
mod start;
mod tidy;
mod webhook;

use std::fmt;

pub use access::{
    Attempt, AttemptKey, Changed, Credentials, Digest, FAILURES_MAX, GrantRecord, Granted, Holder, Met, NewGrant,
    NewSession, NewToken, NewUser, PasswordHash, SESSION_IDLE, SESSION_LIFE, SESSIONS_PER_USER_MAX, SessionBearer,
    SessionRecord, SetUp, Subject, TOKENS_PER_USER_MAX, TokenAdded, TokenBearer, TokenRecord, Totp, TotpState,
    USERS_MAX, UserRecord, session_id,
};
pub use agent::{AgentRecord, AgentToken, Joining};
pub use audit::{
    AuditBreak, AuditFault, AuditHash, AuditHashError, AuditPage, AuditQuery, AuditRecord, AuditVerdict, AuditWalk,
    NewAudit, Via,
};
pub(crate) use audit::{check_chain, head as audit_head, insert as insert_entry, next as next_entry};
pub use deed::{ANSWER_KEPT, Deed, KeptAnswer};
pub(crate) use deed::{answered, insert_answer, is_answered};
pub use delivery::DeliveryRecord;
pub(crate) use dns::read_set as read_record_set;
pub(crate) use guest::RESOLVED as GUEST_PAYLOAD;
pub use guest::{GuestRecord, GuestState};
pub use held::{LeaseKey, LeaseRecord};
pub use plan::{NewPlan, PLAN_KEPT, PLANS_PER_STACK_MAX, PlanQuery, PlanRecord, PlanRefusal, PlanState, StoredPlanId};
pub use policy::{Owner, OwnerError, StackPolicy};
pub(crate) use proof::{DRIFT as DRIFT_PAYLOAD, PROOF as PROOF_PAYLOAD};
pub use proof::{LastLook, LooksAt};
pub use quota::{Counted, Limits, QuotaRecord, Use};
pub use secret::{
    GENERATED_LEN_MAX, Generator, NewVersion, Origin, RecipientRole, SecretRecord, VERSIONS_KEPT, VersionRecord,
};
pub(crate) use site::SITE as SITE_PAYLOAD;
pub use site::SiteRecord;
pub(crate) use stack::RESOLVED as STACK_PAYLOAD;
pub use stack::{RevisionRecord, StackRecord, StackState};
pub use start::{StackStart, Started};
pub use webhook::{
    Claimed, DeliveryState, NewWebhook, NewWebhookDelivery, Outcome, PENDING_MAX, WEBHOOKS_MAX, WebhookChange,
    WebhookDelivery, WebhookRecord,
};

/// What can be held on a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeaseKind {
    /// A VMID.
    Vmid,
    /// A MAC address.
    Mac,
    /// An IP address.
    Address,
}

impl LeaseKind {
    const ALL: [LeaseKind; 3] = [LeaseKind::Vmid, LeaseKind::Mac, LeaseKind::Address];

    /// The name in the store and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseKind::Vmid => "vmid",
            LeaseKind::Mac => "mac",
            LeaseKind::Address => "address",
        }
    }
}

impl std::str::FromStr for LeaseKind {
    type Err = std::io::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| std::io::Error::other(format!("`{name}` is no kind of a lease")))
    }
}

impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LeaseKind::Vmid => "VMID",
            LeaseKind::Mac => "MAC address",
            LeaseKind::Address => "address",
        })
    }
}
