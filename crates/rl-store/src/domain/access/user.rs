//! Users.
use rl_engine::UnixMs;
use rl_model::{AccessPath, Grantee, GroupName, Role, UserName};
use serde_json::{Value, json};

use super::super::deed::{Came, Deed};
use super::super::rows::{all, first};
use super::PasswordHash;
use crate::error::{Conflict, StoreError};
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

impl NewUser {
    /// The user as they are once added.
    pub fn record(&self, now: UnixMs) -> UserRecord {
        UserRecord {
            name: self.name.clone(),
            password_at: self.password.as_ref().map(|_| now),
            totp: TotpState::Off,
            subject: None,
            groups: Vec::new(),
            created_at: now,
            created_by: self.actor.clone(),
            signed_in_at: None,
            disabled_at: None,
            version: 1,
        }
    }
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
    pub async fn add_user(&self, new: NewUser, deed: Deed) -> Result<bool, StoreError> {
        self.try_change(deed, move |db, now| {
            if !add(db, &new, now)? {
                return Ok(Came::Nothing(false));
            }
            Ok(Came::Changed { value: true, before: None, after: one(db, &new.name)?.as_ref().map(told) })
        })
        .await
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
        deed: Deed,
    ) -> Result<Changed, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, now| {
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
        deed: Deed,
    ) -> Result<Changed, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, now| {
            keeping_an_administrator(db, || {
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
        })
        .await
    }

    /// Removes a user with everything of theirs: sessions, tokens, grants, second factor.
    pub async fn remove_user(&self, name: &UserName, expected: Option<u64>, deed: Deed) -> Result<Changed, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, _| {
            keeping_an_administrator(db, || {
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
) -> Result<Came<Changed>, StoreError> {
    let Some(record) = one(db, name)? else { return Ok(Came::Nothing(Changed::Gone)) };
    if expected.is_some_and(|expected| expected != record.version) {
        return Ok(Came::Nothing(Changed::Moved(record.version)));
    }
    if !change(&record)? {
        return Ok(Came::Nothing(Changed::Refused));
    }
    let version = record.version + 1;
    db.execute(
        "update access_user set version = ?2 where name = ?1",
        values![name.as_str(), version],
        "changing a user",
    )?;
    let after = one(db, name)?.as_ref().map(told);
    Ok(Came::Changed { value: Changed::Done(version), before: Some(told(&record)), after })
}

/// What the audit tells of a user.
pub(super) fn told(user: &UserRecord) -> Value {
    json!({
        "password_at_ms": user.password_at,
        "totp": match user.totp {
            TotpState::Off => "off",
            TotpState::Pending => "pending",
            TotpState::On(_) => "on",
        },
        "subject": user.subject,
        "groups": user.groups,
        "disabled_at_ms": user.disabled_at,
    })
}

/// Makes a change after which somebody must still be there who may administer everything, if there was anybody before.
pub(super) fn keeping_an_administrator<T>(
    db: &dyn Sql,
    change: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let had = is_administered(db)?;
    let done = change()?;
    match had && !is_administered(db)? {
        true => Err(Conflict::LastAdministrator.into()),
        false => Ok(done),
    }
}

/// Whether there is a user who can sign in and may administer everything, by a grant of their own or of a group.
fn is_administered(db: &dyn Sql) -> Result<bool, StoreError> {
    let sql = "select grantee from access_grant where role = ?1 and path = ?2 order by grantee";
    let given = values![Role::Admin.as_str(), AccessPath::Root.to_string()];
    let grantees: Vec<Grantee> = all(db, sql, given, "reading grants", |row| row.parsed(0))?;
    let sql = format!(
        "select {COLUMNS} from access_user where disabled_at is null and (password is not null or subject is not null)
         and (name = ?1 or groups <> '[]' and ?1 = '') order by name"
    );
    let mut groups = Vec::new();
    for grantee in grantees {
        match grantee {
            Grantee::User(name) if first(db, &sql, values![name.as_str()], "reading a user", read)?.is_some() => {
                return Ok(true);
            }
            Grantee::User(_) => {}
            Grantee::Group(group) => groups.push(group),
        }
    }
    if groups.is_empty() {
        return Ok(false);
    }
    let members = all(db, &sql, values![""], "reading users", read)?;
    Ok(members.iter().any(|user| user.groups.iter().any(|group| groups.contains(group))))
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
