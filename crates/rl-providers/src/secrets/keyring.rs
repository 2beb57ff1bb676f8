//! The key of an installation: values are encrypted by age (age-encryption.org/v1) to it and to an optional recovery key.
//!
//! Name and version stand inside the encryption, so that a row of the store moved under another name is refused and not
//! delivered.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fmt, iter};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::ExposeSecret;
use age::x25519;
use rl_model::{SealedValue, SecretRef, SecretValue};
use zeroize::Zeroizing;

use super::VALUE_BYTES_MAX;

/// First line of what is encrypted; name, version and value follow, a line each.
const HEAD: &str = "rapidlaunch-secret/1";
/// Longest identity file that is read: a key is a line of 74 characters.
const IDENTITY_BYTES_MAX: u64 = 16 << 10;
/// Bits of the mode that let others read the identity.
const OTHERS: u32 = 0o077;

/// Why a value was not encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The identity file cannot be read or written.
    #[error("the key {} cannot be {doing}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the identity file.
    #[error("others can read the key {0}; run `chmod 600 {0}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no identity.
    #[error("{} holds no age key: a line that begins with AGE-SECRET-KEY-1", path.display())]
    NoIdentity {
        /// The file.
        path: PathBuf,
    },
    /// A text is no recipient.
    #[error("`{0}` is no age recipient: it begins with age1")]
    Recipient(String),
    /// The value is longer than [`VALUE_BYTES_MAX`].
    #[error("the value is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
    /// Encryption failed.
    #[error("the value cannot be encrypted")]
    Encrypt(#[source] io::Error),
    /// It was encrypted for another key, or is damaged.
    #[error("the value of {name}, version {version}, cannot be decrypted with this key")]
    Decrypt {
        /// The secret.
        name: SecretRef,
        /// Its version.
        version: u64,
        /// Why.
        #[source]
        source: age::DecryptError,
    },
    /// It decrypts, and is the value of something else.
    #[error("what is stored as {name}, version {version}, was encrypted as something else")]
    Foreign {
        /// The secret.
        name: SecretRef,
        /// Its version.
        version: u64,
    },
}

/// Who can decrypt: the public half of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl std::str::FromStr for Recipient {
    type Err = KeyringError;
    fn from_str(text: &str) -> Result<Self, KeyringError> {
        // Whoever gives the secret half by mistake must not find it in a message.
        let shown = if text.starts_with("age1") { text.chars().take(80).collect() } else { "(hidden)".to_owned() };
        text.trim().parse().map(Self).map_err(|_| KeyringError::Recipient(shown))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.0)
    }
}

/// The secret half of a key, read from its file.
#[derive(Clone)]
pub struct IdentityFile(x25519::Identity);

impl IdentityFile {
    /// Reads the file that `age-keygen` or [`IdentityFile::create`] wrote. One that others can read is refused.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let failed = |source| KeyringError::File { path: path.to_owned(), doing: "read", source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().mode() & OTHERS != 0 {
            return Err(KeyringError::Open { path: path.to_owned() });
        }
        let mut text = Zeroizing::new(String::with_capacity(IDENTITY_BYTES_MAX as usize));
        file.take(IDENTITY_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::of(&text).ok_or_else(|| KeyringError::NoIdentity { path: path.to_owned() })
    }

    /// Reads the first key of a text in the form of such a file.
    pub fn of(text: &str) -> Option<Self> {
        let mut keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.next().and_then(|line| line.parse().ok()).map(Self)
    }

    /// Makes a key and its file, which only its owner can read. A file that is there already is left alone, and an error.
    pub fn create(path: &Path) -> Result<Self, KeyringError> {
        let identity = x25519::Identity::generate();
        let failed = |source| KeyringError::File { path: path.to_owned(), doing: "written", source };
        let text = Zeroizing::new(format!(
            "# RapidLaunch: the key of this installation's secrets. Whoever has it can read them; without it they are lost.\n\
             # public key: {}\n{}\n",
            identity.to_public(),
            identity.to_string().expose_secret()
        ));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Self(identity))
    }

    /// The public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// For decrypting files that others encrypted.
    pub(super) fn identity(&self) -> &x25519::Identity {
        &self.0
    }
}

impl fmt::Debug for IdentityFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityFile({})", self.0.to_public())
    }
}

/// Encrypts for the installation, and for whoever keeps the recovery key.
#[derive(Debug, Clone)]
pub struct Keyring {
    /// The installation's recipient.
    pub installation: Recipient,
    /// The offline recipient.
    pub recovery: Option<Recipient>,
}

impl Keyring {
    /// Encrypts a value as this version of this secret.
    pub fn seal(&self, name: &SecretRef, version: u64, value: &SecretValue) -> Result<SealedValue, KeyringError> {
        if value.expose().len() > VALUE_BYTES_MAX {
            return Err(KeyringError::TooLong);
        }
        let plain = [head(name, version).as_bytes(), value.expose().as_bytes()].map(<[u8]>::to_vec);
        let plain = plain.map(Zeroizing::new);
        let recipients = iter::once(&self.installation).chain(&self.recovery);
        let sealed = seal(recipients, &plain.iter().map(|part| part.as_slice()).collect::<Vec<_>>());
        let text = sealed.map_err(KeyringError::Encrypt)?;
        text.parse().map_err(|error| KeyringError::Encrypt(io::Error::other(error)))
    }
}

impl IdentityFile {
    /// Decrypts what [`Keyring::seal`] made of this version of this secret.
    pub fn open(&self, name: &SecretRef, version: u64, sealed: &SealedValue) -> Result<SecretValue, KeyringError> {
        let damaged = |source| KeyringError::Decrypt { name: name.clone(), version, source };
        let plain = open(&self.0, sealed.as_str().as_bytes()).map_err(damaged)?;
        let foreign = || KeyringError::Foreign { name: name.clone(), version };
        let value = plain.strip_prefix(head(name, version).as_bytes()).ok_or_else(foreign)?;
        let text = std::str::from_utf8(value).map_err(|_| foreign())?;
        Ok(SecretValue::new(text))
    }
}

fn head(name: &SecretRef, version: u64) -> String {
    format!("{HEAD}\n{name}\n{version}\n")
}

fn seal<'a>(recipients: impl Iterator<Item = &'a Recipient>, parts: &[&[u8]]) -> io::Result<String> {
    let encryptor = age::Encryptor::with_recipients(recipients.map(|recipient| &recipient.0 as &dyn age::Recipient))
        .map_err(io::Error::other)?;
    let mut out = Vec::new();
    let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor)?)?;
    for part in parts {
        writer.write_all(part)?;
    }
    writer.finish()?.finish()?;
    String::from_utf8(out).map_err(io::Error::other)
}

/// Decrypts, armored or not. What is longer than any value is an error.
pub(super) fn open(identity: &x25519::Identity, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, age::DecryptError> {
    /// The head beside the value.
    const HEAD_BYTES_MAX: usize = 1024;
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(sealed))?;
    let reader = decryptor.decrypt(iter::once(identity as &dyn age::Identity))?;
    // The room is taken at once: a buffer that grows leaves copies behind.
    let limit = VALUE_BYTES_MAX + HEAD_BYTES_MAX;
    let mut plain = Zeroizing::new(Vec::with_capacity(limit + 1));
    reader.take(limit as u64 + 1).read_to_end(&mut plain)?;
    if plain.len() > limit {
        return Err(io::Error::other("it is longer than any secret").into());
    }
    Ok(plain)
}
