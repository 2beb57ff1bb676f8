//! The hash of an entry: SHA-256 over its fields in a fixed order, each with its length, and the hash of the entry before it.
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::AuditRecord;

/// What every hash begins with, so that it is the hash of nothing else. A later encoding takes another number.
const ENCODING: &[u8] = b"rapidlaunch audit 1\n";

/// The hash of an audit entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditHash([u8; 32]);

/// A text that is no hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no hash of an audit entry: 64 hexadecimal digits were expected")]
pub struct AuditHashError {
    text: String,
}

impl AuditHash {
    /// What stands before the first entry.
    pub const START: AuditHash = AuditHash([0; 32]);

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for AuditHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AuditHash {
    type Err = AuditHashError;
    fn from_str(text: &str) -> Result<Self, AuditHashError> {
        let wrong = || AuditHashError { text: text.chars().take(80).collect() };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high).ok_or_else(wrong)? << 4 | digit(*low).ok_or_else(wrong)?;
        }
        Ok(Self(hash))
    }
}

/// The hash of an entry: numbers as 8 bytes, most significant first; a text as the byte 1, its length as a number and its bytes;
/// a text that is missing as the byte 0.
pub(super) fn hash(entry: &AuditRecord) -> AuditHash {
    let mut hasher = Sha256::new();
    hasher.update(ENCODING);
    hasher.update(entry.prev.0);
    hasher.update(entry.seq.to_be_bytes());
    hasher.update(entry.at.0.to_be_bytes());
    let via = entry.via.to_string();
    let texts = [
        Some(&entry.actor),
        Some(&via),
        entry.remote.as_ref(),
        Some(&entry.action),
        Some(&entry.path),
        entry.before.as_ref(),
        entry.after.as_ref(),
    ];
    for text in texts {
        match text {
            None => hasher.update([0]),
            Some(text) => {
                hasher.update([1]);
                hasher.update((text.len() as u64).to_be_bytes());
                hasher.update(text.as_bytes());
            }
        }
    }
    AuditHash(hasher.finalize().into())
}
