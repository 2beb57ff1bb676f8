//! Secrets: names, versions and places, never anything of a value.

use rl_store::{SecretRecord, VersionRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::work::secrets::Held;

/// A secret in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SecretShape {
    /// Its name, such as `shop/db-password`.
    pub(crate) name: String,
    /// Its newest version, from 1.
    pub(crate) version: u64,
    /// When it was first set.
    pub(crate) created_at_ms: u64,
    /// When its newest version was set.
    pub(crate) changed_at_ms: u64,
    /// Who set it.
    pub(crate) changed_by: String,
    /// Characters of a generated value; null where a person gives it.
    pub(crate) generated_length: Option<u32>,
    /// Files of guests that hold it, in whatever version.
    pub(crate) files: usize,
}

impl SecretShape {
    /// The shape of a record with its newest version, whose value this many files hold.
    pub(crate) fn of(record: &SecretRecord, newest: Option<&VersionRecord>, files: usize) -> Self {
        Self {
            name: record.name.to_string(),
            version: record.latest,
            created_at_ms: record.created_at.0,
            changed_at_ms: newest.map_or(record.created_at, |version| version.created_at).0,
            changed_by: newest.map(|version| version.actor.clone()).unwrap_or_default(),
            generated_length: record.generator.map(|generator| generator.length),
            files,
        }
    }
}

/// A version of a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct VersionShape {
    /// Its number.
    pub(crate) version: u64,
    /// `given` or `generated`.
    pub(crate) origin: String,
    /// Who set it.
    pub(crate) set_by: String,
    /// When.
    pub(crate) at_ms: u64,
    /// When its value was wiped; null while it is kept.
    pub(crate) wiped_at_ms: Option<u64>,
}

impl VersionShape {
    /// The shape of a record.
    pub(crate) fn of(record: &VersionRecord) -> Self {
        Self {
            version: record.version,
            origin: record.origin.as_str().to_owned(),
            set_by: record.actor.clone(),
            at_ms: record.created_at.0,
            wiped_at_ms: record.wiped_at.map(|at| at.0),
        }
    }
}

/// A file of a guest that holds a secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeliveredShape {
    /// The guest, as STACK/NAME; its id where it is known no more.
    pub(crate) guest: String,
    /// The file in the guest.
    pub(crate) path: String,
    /// The version it holds.
    pub(crate) version: u64,
    /// When it was delivered.
    pub(crate) at_ms: u64,
}

impl DeliveredShape {
    /// The shapes of files.
    pub(crate) fn all(held: Vec<Held>) -> Vec<Self> {
        let shape = |Held { guest, path, version, at }| Self { guest, path: path.to_string(), version, at_ms: at.0 };
        held.into_iter().map(shape).collect()
    }
}

/// A secret with its versions and where it was delivered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SecretWhole {
    /// Its name.
    pub(crate) name: String,
    /// Its newest version.
    pub(crate) version: u64,
    /// Characters of a generated value; null where a person gives it.
    pub(crate) generated_length: Option<u32>,
    /// Its versions, newest first.
    pub(crate) versions: Vec<VersionShape>,
    /// When it was removed; null while it is there.
    pub(crate) removed_at_ms: Option<u64>,
    /// Who removed it.
    pub(crate) removed_by: Option<String>,
    /// The files that hold it.
    pub(crate) delivered: Vec<DeliveredShape>,
}

/// A version that was just set.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SecretSet {
    /// The secret.
    pub(crate) name: String,
    /// The new version.
    pub(crate) version: u64,
    /// Files that hold an older version: the next apply of their stacks delivers this one.
    pub(crate) held: Vec<DeliveredShape>,
}
