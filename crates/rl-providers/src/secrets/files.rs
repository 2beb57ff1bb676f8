//! Files encrypted by age, whole, or by SOPS with age recipients, value by value.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use age::armor::ArmoredReader;
use async_trait::async_trait;
use rl_model::{SecretSource, SecretValue};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::provider::place_of;
use super::{IdentityFile, SecretError, SecretProvider, VALUE_BYTES_MAX, keyring, sops};

/// Longest file that is read: a SOPS file has many values and the keys of many recipients.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bits of a version: they fit a number of JSON.
const VERSION_BITS: u32 = 52;

/// Which kind of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// One value a file, encrypted by age.
    Age,
    /// Many values a file, YAML or JSON, encrypted by SOPS.
    Sops,
}

/// Files below a folder.
pub struct Files {
    kind: FileKind,
    folder: PathBuf,
    identity: FileKey,
}

/// Where the key that decrypts files is.
pub enum FileKey {
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In a text of the same form.
    Text(SecretValue),
}

impl FileKey {
    fn read(&self) -> Result<IdentityFile, String> {
        match self {
            Self::File(path) => IdentityFile::read(path).map_err(|error| error.to_string()),
            Self::Text(text) => IdentityFile::of(text.expose())
                .ok_or_else(|| "there is no line that begins with AGE-SECRET-KEY-1".to_owned()),
        }
    }
}

impl Files {
    /// Files below `folder` that the key decrypts. Both are read when a value is asked for.
    pub fn new(kind: FileKind, folder: PathBuf, identity: FileKey) -> Self {
        Self { kind, folder, identity }
    }

    fn read(&self, from: &SecretSource) -> Result<Vec<u8>, SecretError> {
        let place = Path::new(place_of(from).0);
        // A stack file may not reach for whatever else the key decrypts.
        if !place.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(unusable(from, "its file lies outside of the provider's folder"));
        }
        let path = self.folder.join(place);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)) {
            Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => Err(unusable(from, "its file is too long")),
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(SecretError::Missing(from.clone())),
            Err(error) => Err(unusable(from, format!("{} cannot be read: {error}", path.display()))),
        }
    }

    fn open(&self, from: &SecretSource, bytes: &[u8]) -> Result<SecretValue, SecretError> {
        let key = |why: String| SecretError::Key { from: from.clone(), why };
        let identity = self.identity.read().map_err(key)?;
        let value = match (self.kind, place_of(from).1) {
            (FileKind::Age, None) => {
                keyring::open(identity.identity(), bytes).map_err(|error| key(error.to_string()))?
            }
            (FileKind::Age, Some(_)) => return Err(unusable(from, "a file of age holds one value and has no entries")),
            (FileKind::Sops, None) => return Err(unusable(from, "name the entry, as in provider:file#entry")),
            (FileKind::Sops, Some(entry)) => {
                let document = sops::Document::parse(bytes).map_err(|error| unusable(from, error.to_string()))?;
                match document.value(identity.identity(), entry) {
                    Ok(Some(value)) => value,
                    Ok(None) => return Err(SecretError::Missing(from.clone())),
                    Err(error) if error.is_key() => return Err(key(error.to_string())),
                    Err(error) => return Err(unusable(from, error.to_string())),
                }
            }
        };
        as_value(from, &value)
    }

    fn version(&self, from: &SecretSource, bytes: &[u8]) -> Result<u64, SecretError> {
        let header = match self.kind {
            FileKind::Age => header(bytes).map_err(|error| unusable(from, error.to_string()))?,
            FileKind::Sops => {
                let document = sops::Document::parse(bytes).map_err(|error| unusable(from, error.to_string()))?;
                document
                    .entry_iv(place_of(from).1.unwrap_or_default())
                    .ok_or_else(|| SecretError::Missing(from.clone()))?
            }
        };
        let digest: [u8; 32] = Sha256::digest(header).into();
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Ok((number >> (u64::BITS - VERSION_BITS)).max(1))
    }
}

/// Makes a value of what was decrypted.
pub(super) fn as_value(from: &SecretSource, bytes: &[u8]) -> Result<SecretValue, SecretError> {
    if bytes.is_empty() || bytes.len() > VALUE_BYTES_MAX {
        return Err(unusable(from, format!("it must have 1 to {VALUE_BYTES_MAX} bytes")));
    }
    std::str::from_utf8(bytes).map(SecretValue::new).map_err(|_| unusable(from, "it is no text (UTF-8)"))
}

/// The header of an age file: the file's random key, wrapped for each recipient. Nothing of it comes from the value, and it is
/// another one whenever the file is encrypted.
fn header(bytes: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    const END: &[u8] = b"\n--- ";
    let mut plain = Zeroizing::new(Vec::new());
    ArmoredReader::new(bytes).take(FILE_BYTES_MAX).read_to_end(&mut plain)?;
    let end = plain.windows(END.len()).position(|window| window == END);
    let end = end.ok_or_else(|| io::Error::other("it is no file of age"))?;
    plain.truncate(end);
    Ok(plain)
}

fn unusable(from: &SecretSource, why: impl Into<String>) -> SecretError {
    SecretError::Unusable { from: from.clone(), why: why.into() }
}

#[async_trait]
impl SecretProvider for Files {
    async fn newest(&self, from: &SecretSource) -> Result<u64, SecretError> {
        self.version(from, &self.read(from)?)
    }

    async fn fetch(&self, from: &SecretSource, version: u64) -> Result<SecretValue, SecretError> {
        let bytes = self.read(from)?;
        if self.version(from, &bytes)? != version {
            return Err(SecretError::VersionGone { from: from.clone(), version });
        }
        self.open(from, &bytes)
    }
}
