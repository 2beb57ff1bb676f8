//! Secrets: encrypted values by version, and whom they are encrypted for. Nothing here can read a value.
use std::fmt;
use std::str::FromStr;

use rl_engine::{Lane, UnixMs};
use rl_model::{SealedValue, SecretRef};

use super::deed::Deed;
use super::policy::next_version;
use super::rows::{all, first, listed, read_as};
use crate::error::{Conflict, StoreError};
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// Versions whose values are kept: the newest, and those before it that a plan may still name. Older values are wiped, and
/// stay in the history without one.
pub const VERSIONS_KEPT: u64 = 10;
/// Longest value a generator makes, in characters.
pub const GENERATED_LEN_MAX: u32 = 1024;

/// How the values of a secret are made where no person gives them: letters and digits, so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generator {
    /// Characters of a value.
    pub length: u32,
}

impl FromStr for Generator {
    type Err = std::io::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.parse().ok().filter(|length| (1..=GENERATED_LEN_MAX).contains(length));
        length.map(|length| Self { length }).ok_or_else(|| std::io::Error::other(format!("`{text}` is no generator")))
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.length.fmt(f)
    }
}

/// How a value came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A person gave it.
    Given,
    /// It was generated.
    Generated,
}

impl Origin {
    /// The name in the store and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Given => "given",
            Origin::Generated => "generated",
        }
    }
}

impl FromStr for Origin {
    type Err = std::io::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = [Origin::Given, Origin::Generated].into_iter().find(|origin| origin.as_str() == name);
        found.ok_or_else(|| std::io::Error::other(format!("`{name}` is no origin that this release knows")))
    }
}

/// A secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRecord {
    /// Its name.
    pub name: SecretRef,
    /// Its newest version, from 1; versions go on after it was removed and set again.
    pub latest: u64,
    /// How a rotation makes the next value; `None` when a person gives it.
    pub generator: Option<Generator>,
    /// When it was first set.
    pub created_at: UnixMs,
    /// When and by whom it was removed.
    pub removed: Option<(UnixMs, String)>,
}

/// One version of a secret without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRecord {
    /// Its number.
    pub version: u64,
    /// How it came to be.
    pub origin: Origin,
    /// Who set it.
    pub actor: String,
    /// When.
    pub created_at: UnixMs,
    /// When its value was wiped.
    pub wiped_at: Option<UnixMs>,
}

/// A version to be stored.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// The secret.
    pub name: SecretRef,
    /// The number its value was sealed with: the one after the latest.
    pub version: u64,
    /// The value, encrypted.
    pub sealed: SealedValue,
    /// How it came to be.
    pub origin: Origin,
    /// How a rotation makes the next one.
    pub generator: Option<Generator>,
    /// Who sets it.
    pub actor: String,
}

/// For whom values are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientRole {
    /// The servers of the installation.
    Installation,
    /// Whoever keeps the offline key.
    Recovery,
}

impl RecipientRole {
    fn as_str(self) -> &'static str {
        match self {
            RecipientRole::Installation => "installation",
            RecipientRole::Recovery => "recovery",
        }
    }
}

const SECRET: &str = "name, latest, generator, created_at, removed_at, removed_by";

impl Store {
    /// A secret, also one that was removed.
    pub async fn secret(&self, name: &SecretRef) -> Result<Option<SecretRecord>, StoreError> {
        let name = name.clone();
        self.db().read_with(move |db| one(db, &name)).await
    }

    /// All secrets by name that are not removed and can be read.
    pub async fn secrets(&self) -> Result<Vec<SecretRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {SECRET} from secret where removed_at is null order by name");
                listed(db, &sql, "reading secrets", |row| read_as(read(row)))
            })
            .await
    }

    /// The versions of a secret, newest first.
    pub async fn secret_history(&self, name: &SecretRef) -> Result<Vec<VersionRecord>, StoreError> {
        let name = name.clone();
        self.db()
            .read_with(move |db| {
                let sql = "select version, origin, actor, created_at, wiped_at from secret_version where name = ?1
                           order by version desc";
                all(db, sql, values![name.as_str()], "reading a secret's history", |row| {
                    Ok(VersionRecord {
                        version: row.count(0)?,
                        origin: row.parsed(1)?,
                        actor: row.text(2)?.to_owned(),
                        created_at: row.ms(3)?,
                        wiped_at: row.ms_opt(4)?,
                    })
                })
            })
            .await
    }

    /// The encrypted value of one version; `None` when there is no such version, or its value was wiped.
    pub async fn sealed_secret(&self, name: &SecretRef, version: u64) -> Result<Option<SealedValue>, StoreError> {
        let name = name.clone();
        self.db()
            .read_with(move |db| {
                let sql = "select sealed from secret_version where name = ?1 and version = ?2 and sealed is not null";
                first(db, sql, values![name.as_str(), version], "reading a secret", |row| row.parsed(0))
            })
            .await
    }

    /// Stores a version and wipes the values of those too old to be kept. A version that is not the one after the latest
    /// is refused with [`Conflict::SecretVersion`]: somebody else was quicker.
    pub async fn put_secret_version(&self, new: NewVersion, deed: Option<Deed>) -> Result<(), StoreError> {
        self.change_for(deed, move |db, now| put(db, &new, now)).await.map(|((), _)| ())
    }

    /// Encrypts stored values anew, as when a recovery recipient is named: each as `(name, version, value)`. Versions that have
    /// been wiped meanwhile stay so.
    pub async fn reseal_secrets(&self, values: Vec<(SecretRef, u64, SealedValue)>) -> Result<(), StoreError> {
        self.db()
            .write_with(Lane::Intake, move |_, db| {
                for (name, version, sealed) in &values {
                    let sql = "update secret_version set sealed = ?3
                               where name = ?1 and version = ?2 and sealed is not null";
                    let values = values![name.as_str(), *version, sealed.as_str()];
                    db.execute(sql, values, "encrypting secrets anew")?;
                }
                Ok(())
            })
            .await
    }

    /// Every version that still has a value.
    pub async fn sealed_secrets(&self) -> Result<Vec<(SecretRef, u64, SealedValue)>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = "select name, version, sealed from secret_version where sealed is not null
                           order by name, version";
                all(db, sql, values![], "reading secrets", |row| Ok((row.parsed(0)?, row.count(1)?, row.parsed(2)?)))
            })
            .await
    }

    /// Removes a secret, if its newest version is the one that was seen (`None`: whatever it is): every value is wiped, the
    /// history stays. Answers whether there was one.
    pub async fn remove_secret(
        &self,
        name: &SecretRef,
        seen: Option<u64>,
        actor: String,
        deed: Option<Deed>,
    ) -> Result<bool, StoreError> {
        let name = name.clone();
        let remove = move |db: &dyn Sql, now| {
            let found = one(db, &name)?.map_or(0, |record| record.latest);
            next_version("the secret", found, seen)?;
            let doing = "removing a secret";
            let sql = "update secret set removed_at = ?2, removed_by = ?3 where name = ?1 and removed_at is null";
            if db.execute(sql, values![name.as_str(), now, actor], doing)? == 0 {
                return Ok(false);
            }
            let sql = "update secret_version set sealed = null, wiped_at = ?2 where name = ?1 and sealed is not null";
            db.execute(sql, values![name.as_str(), now], doing)?;
            Ok(true)
        };
        self.change_for(deed, remove).await.map(|(removed, _)| removed)
    }

    /// For whom values are encrypted in this role.
    pub async fn recipient(&self, role: RecipientRole) -> Result<Option<String>, StoreError> {
        self.db().read_with(move |db| recipient(db, role)).await
    }

    /// Names the installation's recipient, unless one is named already; answers the one that counts.
    pub async fn claim_recipient(&self, recipient: String, actor: String) -> Result<String, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let sql = "insert into secret_recipient (role, recipient, actor, updated_at) values (?1, ?2, ?3, ?4)
                           on conflict (role) do nothing";
                let role = RecipientRole::Installation;
                db.execute(sql, values![role.as_str(), &recipient, &actor, now], "naming a recipient")?;
                Ok(self::recipient(db, role)?.unwrap_or(recipient))
            })
            .await
    }

    /// Names the recovery recipient, or takes it away.
    pub async fn put_recovery(
        &self,
        recipient: Option<String>,
        actor: String,
        deed: Option<Deed>,
    ) -> Result<(), StoreError> {
        let put = move |db: &dyn Sql, now| {
            let (role, doing) = (RecipientRole::Recovery.as_str(), "naming the recovery recipient");
            db.execute("delete from secret_recipient where role = ?1", values![role], doing)?;
            if let Some(recipient) = recipient {
                let sql = "insert into secret_recipient (role, recipient, actor, updated_at) values (?1, ?2, ?3, ?4)";
                db.execute(sql, values![role, recipient, actor, now], doing)?;
            }
            Ok(())
        };
        self.change_for(deed, put).await.map(|((), _)| ())
    }
}

fn put(db: &dyn Sql, new: &NewVersion, now: UnixMs) -> Result<(), StoreError> {
    let doing = "storing a secret";
    let latest = one(db, &new.name)?.map_or(0, |record| record.latest);
    if new.version != latest + 1 {
        return Err(Conflict::SecretVersion { name: new.name.clone(), latest, tried: new.version }.into());
    }
    let sql = "insert into secret (name, latest, generator, created_at) values (?1, ?2, ?3, ?4)
               on conflict (name) do update set latest = excluded.latest, generator = excluded.generator,
                 removed_at = null, removed_by = null";
    let generator = new.generator.map(|generator| generator.to_string());
    db.execute(sql, values![new.name.as_str(), new.version, generator, now], doing)?;
    let sql =
        "insert into secret_version (name, version, sealed, origin, actor, created_at) values (?1, ?2, ?3, ?4, ?5, ?6)";
    let (name, version, origin) = (new.name.as_str(), new.version, new.origin.as_str());
    db.execute(sql, values![name, version, new.sealed.as_str(), origin, &new.actor, now], doing)?;
    let sql = "update secret_version set sealed = null, wiped_at = ?3
               where name = ?1 and version <= ?2 and sealed is not null";
    db.execute(sql, values![name, version.saturating_sub(VERSIONS_KEPT), now], doing)?;
    Ok(())
}

fn one(db: &dyn Sql, name: &SecretRef) -> Result<Option<SecretRecord>, StoreError> {
    let sql = format!("select {SECRET} from secret where name = ?1");
    first(db, &sql, values![name.as_str()], "reading a secret", read)
}

fn read(row: &SqlRow) -> Result<SecretRecord, CellError> {
    let removed = match (row.ms_opt(4)?, row.text_opt(5)?) {
        (Some(at), by) => Some((at, by.unwrap_or("unknown").to_owned())),
        (None, _) => None,
    };
    Ok(SecretRecord {
        name: row.parsed(0)?,
        latest: row.count(1)?,
        generator: row.parsed_opt(2)?,
        created_at: row.ms(3)?,
        removed,
    })
}

fn recipient(db: &dyn Sql, role: RecipientRole) -> Result<Option<String>, StoreError> {
    let sql = "select recipient from secret_recipient where role = ?1";
    first(db, sql, values![role.as_str()], "reading a recipient", |row| Ok(row.text(0)?.to_owned()))
}
