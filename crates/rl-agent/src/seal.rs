//! Values that only one agent can open: age (age-encryption.org/v1) to the agent's own key, with guest and path inside the
//! encryption, so that a value cannot be turned to another guest or file.

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use rl_model::{GuestId, GuestPath};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// First line of what is encrypted, before guest, path and value.
const HEAD: &str = "rapidlaunch-sealed/1";

/// Why a value cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The recipient is none.
    #[error("`{0}` is no age recipient")]
    Recipient(String),
    /// Encryption failed.
    #[error("the value cannot be encrypted to the agent")]
    Encrypt(#[source] age::EncryptError),
    /// It was sealed for another agent, or was changed on its way.
    #[error("the sealed value cannot be opened with this agent's key")]
    Open(#[source] age::DecryptError),
    /// It opens, but is not what it should be.
    #[error("the sealed value is {0}")]
    Wrong(&'static str),
}

/// Encrypts a value for one guest and one path.
pub fn seal(recipient: &str, guest: &GuestId, path: &GuestPath, value: &[u8]) -> Result<Vec<u8>, SealError> {
    let to: Recipient = recipient.parse().map_err(|_| SealError::Recipient(recipient.to_owned()))?;
    let head = head(guest, path);
    let mut plain = Zeroizing::new(Vec::with_capacity(head.len() + value.len()));
    plain.extend_from_slice(head.as_bytes());
    plain.extend_from_slice(value);
    age::encrypt(&to, &plain).map_err(SealError::Encrypt)
}

fn head(guest: &GuestId, path: &GuestPath) -> String {
    format!("{HEAD}\n{guest}\n{path}\n")
}

/// An agent's own key.
#[derive(Clone)]
pub struct SealKey(Identity);

impl SealKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        Self(Identity::generate())
    }

    /// What values are encrypted to.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// The key as text, for the one file that holds it.
    pub fn secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }

    /// Reads a key back.
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self)
    }

    /// Opens a value that was sealed for this guest and path.
    pub fn open(&self, guest: &GuestId, path: &GuestPath, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let plain = Zeroizing::new(age::decrypt(&self.0, sealed).map_err(SealError::Open)?);
        match plain.strip_prefix(head(guest, path).as_bytes()) {
            Some(value) => Ok(Zeroizing::new(value.to_vec())),
            None => Err(SealError::Wrong("for another guest or another file")),
        }
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(hidden)")
    }
}

/// SHA-256 in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
