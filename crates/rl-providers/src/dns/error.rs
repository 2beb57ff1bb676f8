//! What goes wrong with a zone.

use std::fmt;

use rl_model::dns::{TsigAlgorithm, ZoneConflict};

/// Why a zone could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// Nobody answered in time, or the connection broke. A change may have been made.
    #[error("the DNS server {server} does not answer: {why}")]
    Unreachable {
        /// The server.
        server: String,
        /// What happened.
        why: String,
    },
    /// The key was refused, or the answer was not signed with it.
    #[error("the DNS server {server} refuses the key {key} ({algorithm}): {fault}")]
    KeyRefused {
        /// The server.
        server: String,
        /// Name of the key.
        key: String,
        /// Its algorithm.
        algorithm: TsigAlgorithm,
        /// What is wrong with it.
        fault: KeyFault,
    },
    /// It was understood, and refused.
    #[error("{server} refuses to {what}: {why}")]
    Refused {
        /// The server.
        server: String,
        /// What was asked for.
        what: String,
        /// Its reason.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// The zone is not as the change expected it. Nothing was changed.
    #[error("nothing was changed")]
    Conflict(#[source] ZoneConflict),
    /// The answer makes no sense.
    #[error("the answer of {server} cannot be used: {why}")]
    Odd {
        /// The server.
        server: String,
        /// What is wrong with it.
        why: String,
    },
}

impl DnsError {
    /// Whether it may go away by itself.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { server, .. } => format!("check that {server} runs and can be reached from here"),
            Self::KeyRefused { fault, .. } => fault.hint().to_owned(),
            Self::Refused { hint, .. } => hint.clone(),
            Self::Conflict(_) => "plan again, and look at what changed".to_owned(),
            Self::Odd { server, .. } => format!("check that {server} is what the site file says it is"),
        }
    }

    /// The message with the cause behind it.
    pub fn full(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    pub(crate) fn unreachable(server: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Unreachable { server: server.to_string(), why: why.to_string() }
    }

    pub(crate) fn odd(server: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Odd { server: server.to_string(), why: why.to_string() }
    }
}

/// What is wrong with a key (RFC 8945 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// The server does not know a key of this name with this algorithm.
    Unknown,
    /// The key's value is another one there.
    Signature,
    /// The clocks differ by more than five minutes.
    Clock,
    /// The server wants another length of signature.
    Truncation,
    /// The server's answer is not signed, or not with this key.
    Answer,
}

impl KeyFault {
    fn hint(self) -> &'static str {
        match self {
            Self::Unknown => {
                "compare the key's name and algorithm with the server's configuration; both must be the same"
            }
            Self::Signature => "compare the key's value with the server's configuration",
            Self::Clock => {
                "set the clocks of this machine and of the DNS server; they may differ by five minutes at most"
            }
            Self::Truncation => "let the server accept whole signatures",
            Self::Answer => "somebody between here and the server may change its answers; check the address",
        }
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "it knows no key of this name and algorithm",
            Self::Signature => "its value is another one there",
            Self::Clock => "the clocks differ too much",
            Self::Truncation => "it does not accept the length of the signature",
            Self::Answer => "its answer is not signed with it",
        })
    }
}
