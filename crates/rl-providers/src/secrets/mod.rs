//! Where the values of secrets come from: the installation's own store, Vault or OpenBao, files encrypted by age or SOPS.

mod error;
mod files;
mod keyring;
mod make;
mod provider;
mod sops;
mod vault;

pub use error::SecretError;
pub use files::{FileKey, FileKind, Files};
pub use keyring::{IdentityFile, Keyring, KeyringError, Recipient};
pub use make::generated;
pub use provider::SecretProvider;
pub use vault::{Vault, VaultError, VaultLogin, VaultSettings};

/// Longest value of a secret in bytes: keys and certificate bundles with room to spare, and every copy of it is kept in memory.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
