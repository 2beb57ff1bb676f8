//! What users sign in with: the hash of a password, and the key of a second factor with its recovery codes.
use std::fmt;
use std::str::FromStr;

use rl_engine::Lane;
use rl_model::{SealedValue, UserName};

use super::super::deed::Deed;
use super::super::rows::{all, first};
use super::user::{changing, one};
use super::{Changed, Digest, TotpState, UserRecord};
use crate::error::StoreError;
use crate::sql::{Sql, values};
use crate::store::Store;

/// Longest hash of a password: argon2's text has about a hundred characters.
const HASH_LEN_MAX: usize = 512;

/// The hash of a password as a text that names how it was made (PHC string format). It is not shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

impl FromStr for PasswordHash {
    type Err = std::io::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = text.starts_with("$argon2") && text.len() <= HASH_LEN_MAX;
        if good { Ok(Self(text.to_owned())) } else { Err(std::io::Error::other("it is no hash of argon2")) }
    }
}

/// What a sign-in is checked against.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user.
    pub user: UserRecord,
    /// The password's hash.
    pub password: Option<PasswordHash>,
    /// The second factor.
    pub totp: Option<Totp>,
}

/// A second factor.
#[derive(Debug, Clone)]
pub struct Totp {
    /// Its key, encrypted.
    pub sealed: SealedValue,
    /// Whether a code of it was shown once, so that it is asked for.
    pub confirmed: bool,
    /// The last time step a code of which was used (RFC 6238): it and those before it are spent.
    pub step: u64,
}

impl Store {
    /// What a user signs in with.
    pub async fn credentials(&self, name: &UserName) -> Result<Option<Credentials>, StoreError> {
        let name = name.clone();
        self.db()
            .read_with(move |db| {
                let Some(user) = one(db, &name)? else { return Ok(None) };
                let sql = "select password, totp, totp_step from access_user where name = ?1";
                first(db, sql, values![name.as_str()], "reading what a user signs in with", |row| {
                    let confirmed = matches!(user.totp, TotpState::On(_));
                    let (sealed, step) = (row.parsed_opt(1)?, row.count(2)?);
                    let totp = sealed.map(|sealed| Totp { sealed, confirmed, step });
                    Ok(Credentials { user: user.clone(), password: row.parsed_opt(0)?, totp })
                })
            })
            .await
    }

    /// Keeps the key of a second factor that is not asked for yet; one that is in use stays, and this is refused.
    pub async fn begin_totp(&self, name: &UserName, sealed: SealedValue, deed: Deed) -> Result<Changed, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, _| {
            changing(db, &name, None, |user| {
                let sql = "update access_user set totp = ?2, totp_step = 0 where name = ?1 and totp_at is null";
                Ok(db.execute(sql, values![user.name.as_str(), sealed.as_str()], "keeping a second factor")? > 0)
            })
        })
        .await
    }

    /// Asks for the second factor from now on, a code of this time step having been shown. The recovery codes replace others.
    pub async fn confirm_totp(
        &self,
        name: &UserName,
        step: u64,
        codes: Vec<Digest>,
        deed: Deed,
    ) -> Result<Changed, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, now| {
            changing(db, &name, None, |user| {
                let sql = "update access_user set totp_at = ?2, totp_step = ?3
                           where name = ?1 and totp is not null and totp_at is null";
                if db.execute(sql, values![user.name.as_str(), now, step], "confirming a second factor")? == 0 {
                    return Ok(false);
                }
                forget_codes(db, &user.name)?;
                for code in &codes {
                    let sql = "insert into access_recovery (owner, digest) values (?1, ?2)
                               on conflict (owner, digest) do nothing";
                    db.execute(sql, values![user.name.as_str(), code.as_str()], "keeping a recovery code")?;
                }
                Ok(true)
            })
        })
        .await
    }

    /// The keys of all second factors, encrypted.
    pub async fn sealed_factors(&self) -> Result<Vec<(UserName, SealedValue)>, StoreError> {
        self.db()
            .read_with(|db| {
                let sql = "select name, totp from access_user where totp is not null order by name";
                all(db, sql, values![], "reading second factors", |row| Ok((row.parsed(0)?, row.parsed(1)?)))
            })
            .await
    }

    /// Keeps keys of second factors that were encrypted anew: name, the one before, the same anew. One that was changed meanwhile
    /// stays as it is.
    pub async fn reseal_factors(&self, anew: Vec<(UserName, SealedValue, SealedValue)>) -> Result<(), StoreError> {
        self.db()
            .write_with(Lane::Intake, move |_, db| {
                for (name, before, after) in &anew {
                    let sql = "update access_user set totp = ?3 where name = ?1 and totp = ?2";
                    let given = values![name.as_str(), before.as_str(), after.as_str()];
                    db.execute(sql, given, "keeping a second factor")?;
                }
                Ok(())
            })
            .await
    }

    /// Spends a time step: answers whether it and every later one was unspent, so that no code is good twice.
    pub async fn spend_totp(&self, name: &UserName, step: u64) -> Result<bool, StoreError> {
        let name = name.clone();
        self.db()
            .write_with(Lane::Intake, move |_, db| {
                let sql = "update access_user set totp_step = ?2
                           where name = ?1 and totp_step < ?2 and totp_at is not null";
                Ok(db.execute(sql, values![name.as_str(), step], "spending a code")? > 0)
            })
            .await
    }

    /// Spends a recovery code: answers whether there was one that was not used before.
    pub async fn spend_recovery(&self, name: &UserName, code: Digest) -> Result<bool, StoreError> {
        let (name, now) = (name.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let sql =
                    "update access_recovery set used_at = ?3 where owner = ?1 and digest = ?2 and used_at is null";
                let given = values![name.as_str(), code.as_str(), tx.at(now).now()];
                Ok(db.execute(sql, given, "spending a recovery code")? > 0)
            })
            .await
    }

    /// Recovery codes that are left.
    pub async fn recovery_left(&self, name: &UserName) -> Result<u64, StoreError> {
        let name = name.clone();
        self.db()
            .read_with(move |db| {
                let sql = "select cast(count(*) as bigint) from access_recovery where owner = ?1 and used_at is null";
                let left = first(db, sql, values![name.as_str()], "counting recovery codes", |row| row.count(0))?;
                Ok(left.unwrap_or(0))
            })
            .await
    }

    /// Takes the second factor away, with its recovery codes.
    pub async fn remove_totp(&self, name: &UserName, deed: Deed) -> Result<Changed, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, _| {
            changing(db, &name, None, |user| {
                let sql = "update access_user set totp = null, totp_at = null, totp_step = 0 where name = ?1";
                db.execute(sql, values![user.name.as_str()], "taking a second factor away")?;
                forget_codes(db, &user.name)?;
                Ok(true)
            })
        })
        .await
    }
}

fn forget_codes(db: &dyn Sql, name: &UserName) -> Result<(), StoreError> {
    let sql = "delete from access_recovery where owner = ?1";
    db.execute(sql, values![name.as_str()], "removing recovery codes").map(|_| ())
}
