//! Parts of a plan: what belongs to no single guest, or follows after one.
//!
//! A part is carried out by a job of its own. It has a number from the same row as the actions, so that a guest may wait for a
//! part and a part for guests.

mod dns;
mod firewall;
mod secrets;

use serde::{Deserialize, Serialize};

pub use dns::{RecordChange, RecordType, Records};
pub use firewall::{AliasChange, GroupChange, SetChange, SiteFirewall};
pub use secrets::{GrantChange, GuestSecrets};

use crate::{ActionId, SiteName};

/// What is done to one part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartAction {
    /// Its place.
    pub id: ActionId,
    /// What is done.
    pub kind: PartKind,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// Actions and parts that must be done before.
    pub after: Vec<ActionId>,
}

/// The families of parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum PartKind {
    /// Firewall objects of a site that several guests share.
    SiteFirewall(Box<SiteFirewall>),
    /// DNS records of one zone.
    Records(Box<Records>),
    /// Secrets of one guest.
    Secrets(Box<GuestSecrets>),
}

impl PartKind {
    /// What every family tells of a part.
    pub fn part(&self) -> &dyn Part {
        match self {
            Self::SiteFirewall(part) => &**part,
            Self::Records(part) => &**part,
            Self::Secrets(part) => &**part,
        }
    }

    /// Name of the kind of job that carries it out.
    pub fn job_kind(&self) -> &'static str {
        match self {
            Self::SiteFirewall(_) => "site-firewall",
            Self::Records(_) => "dns-records",
            Self::Secrets(_) => "secret-delivery",
        }
    }
}

/// What planning, compiling and showing need to know of a part, whatever its family.
pub trait Part {
    /// What it is about, as in `zone example.org`; the job is named after it.
    fn subject(&self) -> String;
    /// The site whose servers carry it out first; `None` where any server can.
    fn site(&self) -> Option<&SiteName>;
    /// Lock domain that one job holds at a time, as in `zone:example.org`.
    fn lock(&self) -> String;
    /// One line a change, as a person reads it.
    fn lines(&self) -> Vec<PartLine>;
}

/// One change of a part as a person reads it. Never anything of a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartLine {
    /// What happens to it.
    pub sign: PartSign,
    /// In a few words.
    pub text: String,
}

/// What happens to one thing of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartSign {
    /// It is new.
    Add,
    /// It changes.
    Change,
    /// It goes.
    Remove,
}

impl PartSign {
    /// The sign of a change between two states, of which each may be absent.
    pub fn between<T>(before: Option<&T>, after: Option<&T>) -> Self {
        match (before, after) {
            (None, _) => Self::Add,
            (Some(_), Some(_)) => Self::Change,
            (Some(_), None) => Self::Remove,
        }
    }
}
