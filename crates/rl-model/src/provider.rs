//! A provider of secrets as a site file declares it. Holds no secret: credentials are references.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::dns::ZoneUrl;
use crate::{ProviderName, TokenSource};

/// Where secrets are kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name: grants say `from: NAME:place#entry`.
    pub name: ProviderName,
    /// What it is.
    pub kind: ProviderKind,
}

/// What a provider is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// A KV engine, version 2, of Vault or OpenBao.
    Vault {
        /// Where its API is; plain HTTP only on this machine.
        address: ZoneUrl,
        /// Path of the engine.
        mount: String,
        /// Namespace, where there are several.
        namespace: Option<String>,
        /// File with the certificates that are trusted (PEM); the public ones when left out.
        ca_file: Option<PathBuf>,
        /// How one logs in.
        login: ProviderLogin,
    },
    /// Files encrypted by age, a value each.
    Age(ProviderFiles),
    /// Files encrypted by SOPS for an age key, many values each.
    Sops(ProviderFiles),
}

/// How one logs in to Vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderLogin {
    /// With a token.
    Token(TokenSource),
    /// With an AppRole.
    Approle {
        /// Path of the auth method.
        mount: String,
        /// The role; it is no secret.
        role_id: String,
        /// The role's secret.
        secret_id: TokenSource,
    },
}

/// Encrypted files below a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderFiles {
    /// The folder.
    pub folder: PathBuf,
    /// Where the age key that decrypts them comes from.
    pub identity: TokenSource,
}

impl ProviderKind {
    /// What a person calls it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Vault { .. } => "vault",
            Self::Age(_) => "age",
            Self::Sops(_) => "sops",
        }
    }

    /// Whether a place of it has several entries, so that one must be named.
    pub fn has_entries(&self) -> bool {
        !matches!(self, Self::Age(_))
    }
}

impl Provider {
    /// Where its credential is read from.
    pub fn credential_mut(&mut self) -> &mut TokenSource {
        match &mut self.kind {
            ProviderKind::Vault { login: ProviderLogin::Token(token), .. } => token,
            ProviderKind::Vault { login: ProviderLogin::Approle { secret_id, .. }, .. } => secret_id,
            ProviderKind::Age(files) | ProviderKind::Sops(files) => &mut files.identity,
        }
    }

    /// Every other path in it.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        match &mut self.kind {
            ProviderKind::Vault { ca_file, .. } => ca_file.as_mut(),
            ProviderKind::Age(files) | ProviderKind::Sops(files) => Some(&mut files.folder),
        }
        .into_iter()
    }
}
