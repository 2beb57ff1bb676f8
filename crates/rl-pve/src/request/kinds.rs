//! The kinds of call: method, what a repetition can do, how long an answer may take, and parameters.

use std::fmt;
use std::time::Duration;

use rl_model::SecretValue;

/// HTTP method, of those Proxmox knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Read.
    Get,
    /// Create or act.
    Post,
    /// Change.
    Put,
    /// Remove.
    Delete,
}

impl Method {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether parameters travel in the body. A DELETE with a body is refused (`Unexpected content for method`).
    pub fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What sending a request a second time can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// It changes nothing: repeat at will.
    Read,
    /// Guarded by the state it needs (a digest, "not running"): a repetition is refused or has the same effect.
    Repeatable,
    /// A repetition could do the work twice; without an answer the caller must look.
    Once,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallClass {
    /// Reads.
    Read,
    /// Changes that answer when they are done, or when their task is forked.
    Write,
    /// Calls that work on storages before they answer.
    Create,
}

/// pveproxy gives another node 30 s before it answers 596; a read waits a little longer, to hear that.
const READ_LIMIT: Duration = Duration::from_secs(35);
/// A write may wait 10 s for a file lock on top of pveproxy's 30 s.
const WRITE_LIMIT: Duration = Duration::from_secs(45);
/// A create checks and activates storages before it forks; the answer is worth waiting for, since losing it costs a look.
const CREATE_LIMIT: Duration = Duration::from_secs(75);

impl CallClass {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Create => "create",
        }
    }

    /// Longest time from sending to the end of the answer.
    pub fn limit(self) -> Duration {
        match self {
            Self::Read => READ_LIMIT,
            Self::Write => WRITE_LIMIT,
            Self::Create => CREATE_LIMIT,
        }
    }
}

/// Value of a parameter.
#[derive(Debug, Clone)]
pub enum ParamValue {
    /// May be shown.
    Plain(String),
    /// May not.
    Secret(SecretValue),
}

impl ParamValue {
    pub(crate) fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }
}

impl PartialEq for ParamValue {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// One parameter, in the query of GET and DELETE, in the body of POST and PUT.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name, as Proxmox spells it.
    pub name: String,
    /// Its value.
    pub value: ParamValue,
}
