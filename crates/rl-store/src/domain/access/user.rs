//! Users.
use rl_engine::{Lane, UnixMs};
use rl_model::{Grantee, GroupName, UserName};

use super::super::rows::{all, first};
use super::PasswordHash;
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// Most users of an installation: a provider of identities that sends a new name each time fills no disk.
pub const USERS_MAX: u64 = 20_000;

pub(super) const COLUMNS: &str =
    "name, password_at, case when totp is null then 0 else 1 end, totp_at, subject, groups,
    created_at, created_by, signed_in_at, disabled_at, version";

/// A user, without anything to sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The name.
    pub name: UserName,
    /// When the password was set, where there is one.
    pub password_at: Option<UnixMs>,
    /// How far the second factor is.
    pub totp: TotpState,
    /// Issuer and subject at a provider of identities, where the user comes from one.
    pub subject: Option<String>,
    /// The groups that the provider named last.
    pub groups: Vec<GroupName>,
    /// When the user was added.
    pub created_at: UnixMs,
    /// Who added the user.
    pub created_by: String,
    /// When they signed in last.
    pub signed_in_at: Option<UnixMs>,
    /// When they were shut out.
    pub disabled_at: Option<UnixMs>,
    /// Goes up with each change that somebody makes.
    pub version: u64,
}

/// How far a second factor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TotpState {
    /// There is none.
    Off,
    /// A key was made, and no code of it was shown yet.
    Pending,
    /// It is asked for since then.
    On(UnixMs),
}

/// A user to be added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The name.
    pub name: UserName,
    /// What the password is checked against.
    pub password: Option<PasswordHash>,
    /// Who adds them.
    pub actor: String,
}

/// What came of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is done; the new version.
    Done(u64),
    /// There is no such user.
    Gone,
    /// Somebody else has changed the user meanwhile, who is at this version.
    Moved(u64),
    /// The state of the user does not allow it.
    Refused,
}

impl Store {
    /// Whether there is any user.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        self.db().read_with(|db| Ok(count(db)? > 0)).await
    }

    /// Adds a user; answers whether the name was free and there is room.
    pub async fn add_user(&self, new: NewUser) -> Result<bool, StoreError> {
        let now = self.now();
        self.db().write_with(Lane::Intake, move |tx, db| add(db, &new, tx.at(now).now())).await
    }

    /// Users by name, those after `after`.
    pub async fn users(&self, after: Option<UserName>, limit: u32) -> Result<Vec<UserRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from access_user where name > ?1 order by name limit ?2");
                let after = after.as_ref().map_or("", UserName::as_str);
                all(db, &sql, values![after, limit], "reading users", read)
            })
            .await
    }

    /// A user.
    pub async fn user(&self, name: &UserName) -> Result<Option<UserRecord>, StoreError> {
        let name = name.clone();
        self.db().read_with(move |db| one(db, &name)).await
    }

    /// Sets or takes away the password, and ends every session of the user except `keep`.
    pub async fn set_password(
        &self,
        name: &UserName,
        expected: Option<u64>,
        password: Option<PasswordHash>,
        keep: Option<super::Digest>,
    ) -> Result<Changed, StoreError> {
        let (name, now) = (name.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                changing(db, &name, expected, |record| {
                    let at = password.is_some().then_some(now);
                    let sql = "update access_user set password = ?2, password_at = ?3 where name = ?1";
                    let hash = password.as_ref().map(PasswordHash::as_str);
                    db.execute(sql, values![record.name.as_str(), hash, at], "storing a password")?;
                    let keep = keep.as_ref().map_or("", super::Digest::as_str);
                    let sql = "delete from access_session where owner = ?1 and digest <> ?2";
                    db.execute(sql, values![record.name.as_str(), keep], "ending sessions")?;
                    Ok(true)
                })
            })
            .await
    }

    /// Shuts a user out, which ends every session of theirs, or lets them in again.
    pub async fn set_disabled(
        &self,
        name: &UserName,
        expected: Option<u64>,
        disabled: bool,
    ) -> Result<Changed, StoreError> {
        let (name, now) = (name.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                changing(db, &name, expected, |record| {
                    let at = disabled.then(|| record.disabled_at.unwrap_or(now));
                    let sql = "update access_user set disabled_at = ?2 where name = ?1";
                    db.execute(sql, values![record.name.as_str(), at], "shutting a user out")?;
                    if disabled {
                        let sql = "delete from access_session where owner = ?1";
                        db.execute(sql, values![record.name.as_str()], "ending sessions")?;
                    }
                    Ok(true)
                })
            })
            .await
    }

    /// Removes a user with everything of theirs: sessions, tokens, grants, second factor.
    pub async fn remove_user(&self, name: &UserName, expected: Option<u64>) -> Result<Changed, StoreError> {
        let name = name.clone();
        self.db()
            .write_with(Lane::Intake, move |_, db| {
                changing(db, &name, expected, |record| {
                    let owner = record.name.as_str();
                    for table in ["access_session", "access_token", "access_recovery"] {
                        let sql = format!("delete from {table} where owner = ?1");
                        db.execute(&sql, values![owner], "removing what a user has")?;
                    }
                    let grantee = Grantee::User(record.name.clone()).to_string();
                    db.execute("delete from access_grant where grantee = ?1", values![grantee], "removing grants")?;
                    db.execute("delete from access_user where name = ?1", values![owner], "removing a user")?;
                    Ok(true)
                })
            })
            .await
    }
}

pub(super) fn count(db: &dyn Sql) -> Result<u64, StoreError> {
    let sql = "select cast(count(*) as bigint) from access_user";
    Ok(first(db, sql, values![], "counting users", |row| row.count(0))?.unwrap_or(0))
}

pub(super) fn one(db: &dyn Sql, name: &UserName) -> Result<Option<UserRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from access_user where name = ?1");
    first(db, &sql, values![name.as_str()], "reading a user", read)
}

/// Adds a user where the name is free and there is room.
pub(super) fn add(db: &dyn Sql, new: &NewUser, now: UnixMs) -> Result<bool, StoreError> {
    if count(db)? >= USERS_MAX {
        return Ok(false);
    }
    let sql =
        "insert into access_user (name, password, password_at, totp_step, groups, created_at, created_by, version)
               values (?1, ?2, ?3, 0, '[]', ?4, ?5, 1) on conflict (name) do nothing";
    let hash = new.password.as_ref().map(PasswordHash::as_str);
    let at = hash.map(|_| now);
    Ok(db.execute(sql, values![new.name.as_str(), hash, at, now, &*new.actor], "adding a user")? > 0)
}

/// Changes a user who is still as `expected`, and counts the change.
pub(super) fn changing(
    db: &dyn Sql,
    name: &UserName,
    expected: Option<u64>,
    change: impl FnOnce(&UserRecord) -> Result<bool, StoreError>,
) -> Result<Changed, StoreError> {
    let Some(record) = one(db, name)? else { return Ok(Changed::Gone) };
    if expected.is_some_and(|expected| expected != record.version) {
        return Ok(Changed::Moved(record.version));
    }
    if !change(&record)? {
        return Ok(Changed::Refused);
    }
    let version = record.version + 1;
    db.execute(
        "update access_user set version = ?2 where name = ?1",
        values![name.as_str(), version],
        "changing a user",
    )?;
    Ok(Changed::Done(version))
}

pub(super) fn read(row: &SqlRow) -> Result<UserRecord, CellError> {
    let totp = match (row.int(2)? != 0, row.ms_opt(3)?) {
        (false, _) => TotpState::Off,
        (true, None) => TotpState::Pending,
        (true, Some(at)) => TotpState::On(at),
    };
    Ok(UserRecord {
        name: row.parsed(0)?,
        password_at: row.ms_opt(1)?,
        totp,
        subject: row.text_opt(4)?.map(str::to_owned),
        groups: serde_json::from_str(row.text(5)?).map_err(|error| CellError::new(5, error))?,
        created_at: row.ms(6)?,
        created_by: row.text(7)?.to_owned(),
        signed_in_at: row.ms_opt(8)?,
        disabled_at: row.ms_opt(9)?,
        version: row.count(10)?,
    })
}
