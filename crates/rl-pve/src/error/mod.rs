//! What went wrong with a call, and what is known to have happened.

mod classify;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rl_model::Endpoint;

use crate::request::{Call, Method, Safety};

pub(crate) use classify::{Refusal, classify};
pub(crate) use text::clean;

/// Longest error text that is kept: enough for a long command line in a task's error, too short to flood a terminal.
const TEXT_CHARS_MAX: usize = 600;

/// What went wrong, in the way a caller acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No endpoint could be reached; nothing was sent, nothing happened.
    Unreachable,
    /// The call was sent and its answer is not known: a lost connection, a timeout, 595 to 599. Look before going on.
    MayHaveHappened,
    /// The credentials were refused.
    Unauthorized,
    /// A privilege is missing.
    Forbidden {
        /// The path of the access control tree, where Proxmox names one.
        path: Option<String>,
        /// The privileges, one of which is needed, where Proxmox names them.
        privileges: Vec<String>,
        /// Whether only the user `root@pam` itself may do this, never a token.
        root_only: bool,
    },
    /// Parameters were refused; the rule broken, by parameter.
    BadParameters(BTreeMap<String, String>),
    /// The guest's configuration bears a lock, such as `backup`.
    Locked(String),
    /// A file or cluster lock was not free in time; nothing was changed.
    LockTimeout,
    /// The VMID (or pool, volume) is taken.
    AlreadyExists,
    /// The guest is not there.
    DoesNotExist,
    /// Something else that the call names is not there: a node, storage, bridge, pool, snapshot or user. Says nothing
    /// about the guest.
    NotFound,
    /// The configuration changed since it was read.
    DigestMismatch,
    /// The cluster has no quorum, so nothing can be written.
    NoQuorum,
    /// The guest runs already.
    AlreadyRunning,
    /// The guest does not run.
    NotRunning,
    /// The guest runs, and must not for this call.
    StillRunning,
    /// The guest is protected against removal.
    Protected,
    /// The disk has the size asked for.
    SameSize,
    /// The task is forgotten, or not visible yet.
    NoSuchTask,
    /// The site, or this client's queue to it, is full; nothing was done.
    Busy,
    /// This version of Proxmox does not know the call.
    NotImplemented,
    /// The request is larger than Proxmox takes; it was not sent.
    RequestTooLarge,
    /// The answer cannot be read: `field` names the place. The call itself was carried out.
    Decode {
        /// Where in the answer, such as `data[3].vmid`.
        field: String,
    },
    /// Anything else Proxmox refused.
    Server,
}

/// Why a call failed. Never holds a credential.
#[derive(Clone)]
pub struct PveError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    method: Method,
    template: &'static str,
    path: String,
    endpoint: Option<Endpoint>,
    status: Option<u16>,
    text: String,
    repeated: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl PveError {
    pub(crate) fn new(call: &Call, kind: ErrorKind, text: &str) -> Self {
        Self(Box::new(Inner {
            kind,
            method: call.method,
            template: call.template,
            path: call.path.clone(),
            endpoint: None,
            status: None,
            text: clean(text, TEXT_CHARS_MAX),
            repeated: false,
            source: None,
        }))
    }

    /// A call whose answer is unknown: a read has not changed anything, everything else may have.
    pub(crate) fn lost(call: &Call, text: &str) -> Self {
        let kind = if call.safety == Safety::Read { ErrorKind::Unreachable } else { ErrorKind::MayHaveHappened };
        Self::new(call, kind, text)
    }

    pub(crate) fn at(mut self, endpoint: &Endpoint) -> Self {
        self.0.endpoint = Some(endpoint.clone());
        self
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// After a repetition a refusal says nothing of the first try, whose answer was lost: it may be the echo of its
    /// success, or the site may have got into trouble in between. Only what would have been refused just so the first
    /// time is certain.
    pub(crate) fn after_repetition(mut self) -> Self {
        let echo = !matches!(
            self.0.kind,
            ErrorKind::Unauthorized
                | ErrorKind::Forbidden { .. }
                | ErrorKind::BadParameters(_)
                | ErrorKind::Protected
                | ErrorKind::NotImplemented
                | ErrorKind::RequestTooLarge
                | ErrorKind::Decode { .. }
        );
        if echo {
            self.0.kind = ErrorKind::MayHaveHappened;
            self.0.repeated = true;
        }
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The method of the call.
    pub fn method(&self) -> Method {
        self.0.method
    }

    /// The path of the call as the API description spells it.
    pub fn template(&self) -> &'static str {
        self.0.template
    }

    /// The path of the call, filled in.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The endpoint that was asked last, where one was.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.0.endpoint.as_ref()
    }

    /// The HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Proxmox's own words, cut and without control characters; untrusted.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether the call may have been carried out although it failed.
    pub fn may_have_happened(&self) -> bool {
        let write = self.0.method != Method::Get;
        match self.0.kind {
            ErrorKind::MayHaveHappened => true,
            ErrorKind::Decode { .. } => write,
            _ => false,
        }
    }

    /// Whether the same call may succeed later without anyone doing anything, and when to try. `None` otherwise, and
    /// for calls that may have been carried out: there the world must be looked at first.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.kind {
            ErrorKind::LockTimeout => Some(Duration::from_secs(1)),
            ErrorKind::Busy | ErrorKind::Locked(_) | ErrorKind::Unreachable => Some(Duration::from_secs(3)),
            ErrorKind::NoQuorum => Some(Duration::from_secs(10)),
            _ => None,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match &self.0.kind {
            ErrorKind::Unreachable => "check that the endpoint is right and that a firewall lets port 8006 through",
            ErrorKind::MayHaveHappened => "look at the guest and at the node's task list before trying again",
            ErrorKind::Unauthorized => "check the token: user@realm!id=secret, not expired, its user enabled",
            ErrorKind::Forbidden { root_only: true, .. } => "no token can do this: do it as root@pam, or do without it",
            ErrorKind::Forbidden { .. } => {
                "give the token's user (and the token, with privilege separation) a role with it"
            }
            ErrorKind::Locked(_) => {
                "wait until its task has ended; a lock left behind is removed with `pct unlock` on the node"
            }
            ErrorKind::NoQuorum => "bring back enough nodes for a majority",
            ErrorKind::Protected => "switch its protection off first",
            ErrorKind::NotImplemented => "this call needs a later release of Proxmox VE",
            ErrorKind::DigestMismatch => "someone else changed it meanwhile: look again and make a new plan",
            _ => return None,
        })
    }

    fn what(&self) -> String {
        match &self.0.kind {
            ErrorKind::Unreachable => "no answer from".into(),
            ErrorKind::MayHaveHappened if self.0.repeated => {
                "after a lost answer, the repetition was refused by".into()
            }
            ErrorKind::MayHaveHappened => "the answer was lost, so it may have been carried out:".into(),
            ErrorKind::Unauthorized => "credentials refused by".into(),
            ErrorKind::Forbidden { .. } => "not allowed:".into(),
            ErrorKind::BadParameters(_) => "parameters refused by".into(),
            ErrorKind::Decode { field } => format!("answer not understood at `{field}`:"),
            ErrorKind::Busy => "too busy for".into(),
            ErrorKind::RequestTooLarge => "request too large:".into(),
            _ => "refused:".into(),
        }
    }
}

impl fmt::Display for PveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.what(), self.0.method, self.0.path)?;
        if let Some(endpoint) = &self.0.endpoint {
            write!(f, " at {endpoint}")?;
        }
        if let ErrorKind::BadParameters(errors) = &self.0.kind {
            for (index, (name, rule)) in errors.iter().enumerate() {
                write!(f, "{} `{name}` {rule}", if index == 0 { ":" } else { ";" })?;
            }
            return Ok(());
        }
        if self.0.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.text) }
    }
}

impl fmt::Debug for PveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PveError")
            .field("kind", &self.0.kind)
            .field("call", &format_args!("{} {}", self.0.method, self.0.path))
            .field("endpoint", &self.0.endpoint)
            .field("status", &self.0.status)
            .field("text", &self.0.text)
            .finish()
    }
}

impl std::error::Error for PveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests;
