//! Shared keys (RFC 8945).

use std::fmt;

use base64::Engine;
use hickory_proto::op::Message;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm as WireAlgorithm, TsigError};
use rl_model::SecretValue;
use rl_model::dns::{DnsName, TsigAlgorithm, TsigKey};

use super::error::{DnsError, KeyFault};
use super::message::wire_name;

/// How far clocks may differ, in seconds (RFC 8945 section 10).
const FUDGE_S: u16 = 300;
/// Shortest key that is taken, in bytes: what `tsig-keygen` never goes below.
const KEY_BYTES_MIN: usize = 16;

/// A key with its value.
#[derive(Clone)]
pub struct Key {
    name: DnsName,
    algorithm: TsigAlgorithm,
    signer: TSigner,
    clock: fn() -> u64,
}

/// A value that is none of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is not in base 64.
    #[error("the value of the key {0} is not in base 64")]
    Encoding(DnsName),
    /// It is too short to be safe.
    #[error("the value of the key {0} has less than {KEY_BYTES_MIN} bytes")]
    Short(DnsName),
    /// The algorithm is not at hand.
    #[error("the algorithm {1} of the key {0} is not supported")]
    Algorithm(DnsName, TsigAlgorithm),
}

impl Key {
    /// Joins a key's declaration and its value in base 64.
    pub fn new(declared: &TsigKey, value: &SecretValue) -> Result<Self, KeyError> {
        let (name, algorithm) = (declared.name.clone(), declared.algorithm);
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(value.expose().trim())
            .map_err(|_| KeyError::Encoding(name.clone()))?;
        if bytes.len() < KEY_BYTES_MIN {
            return Err(KeyError::Short(name));
        }
        let signer = TSigner::new(bytes, wire_algorithm(algorithm), wire_name(&name), FUDGE_S)
            .map_err(|_| KeyError::Algorithm(name.clone(), algorithm))?;
        Ok(Self { name, algorithm, signer, clock: now_s })
    }

    /// Its name.
    pub fn name(&self) -> &DnsName {
        &self.name
    }

    /// The same key with another clock: seconds of Unix time.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> u64) -> Self {
        Self { clock, ..self }
    }

    /// What a signature made now says the time is.
    pub(crate) fn now_s(&self) -> u64 {
        (self.clock)()
    }

    pub(crate) fn signer(&self) -> &TSigner {
        &self.signer
    }

    pub(crate) fn refused(&self, server: impl fmt::Display, fault: KeyFault) -> DnsError {
        let (server, key) = (server.to_string(), self.name.to_string());
        DnsError::KeyRefused { server, key, algorithm: self.algorithm, fault }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.name, self.algorithm)
    }
}

fn wire_algorithm(algorithm: TsigAlgorithm) -> WireAlgorithm {
    match algorithm {
        TsigAlgorithm::HmacSha256 => WireAlgorithm::HmacSha256,
        TsigAlgorithm::HmacSha384 => WireAlgorithm::HmacSha384,
        TsigAlgorithm::HmacSha512 => WireAlgorithm::HmacSha512,
    }
}

/// What a server says is wrong with the key it was asked with.
pub(crate) fn fault_of(answer: &Message) -> Option<KeyFault> {
    Some(match answer.signature()?.data.error? {
        TsigError::BadKey => KeyFault::Unknown,
        TsigError::BadSig => KeyFault::Signature,
        TsigError::BadTime => KeyFault::Clock,
        TsigError::BadTrunc => KeyFault::Truncation,
        TsigError::Unknown(_) => KeyFault::Answer,
    })
}

/// Seconds of Unix time, as signatures carry them.
pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
