//! Users who come from a provider of identities.
use rl_engine::UnixMs;
use rl_model::{GroupName, UserName};

use super::super::deed::{Came, Deed};
use super::super::rows::first;
use super::user::{USERS_MAX, count, one, read, told};
use super::{UserRecord, user::COLUMNS};
use crate::error::StoreError;
use crate::sql::{Sql, values};
use crate::store::Store;

/// Somebody whom a provider of identities vouches for.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Issuer and subject: what stays the same when a name changes.
    pub id: String,
    /// The name the provider gives.
    pub name: UserName,
    /// The groups they are in.
    pub groups: Vec<GroupName>,
}

/// Who that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    /// This user, who was added if need be.
    User(UserName),
    /// Another user has the name: nobody takes an account over by a name.
    NameTaken,
    /// They were shut out.
    Disabled,
    /// There is no room for another user.
    Full,
}

impl Store {
    /// Finds or adds the user for somebody whom a provider vouches for, and keeps the groups that it names.
    /// Only what is new is a deed: nothing is written down where user and groups are as they were.
    pub async fn meet(&self, subject: Subject, deed: Deed) -> Result<Met, StoreError> {
        self.try_change(deed, move |db, now| meet(db, &subject, now)).await
    }
}

fn meet(db: &dyn Sql, subject: &Subject, now: UnixMs) -> Result<Came<Met>, StoreError> {
    let groups = serde_json::to_string(&subject.groups)
        .map_err(|source| StoreError::Undecodable { what: "list of groups".to_owned(), source: Box::new(source) })?;
    if let Some(user) = of(db, &subject.id)? {
        if user.disabled_at.is_some() {
            return Ok(Came::Nothing(Met::Disabled));
        }
        if user.groups == subject.groups {
            return Ok(Came::Nothing(Met::User(user.name)));
        }
        let sql = "update access_user set groups = ?2 where name = ?1";
        db.execute(sql, values![user.name.as_str(), groups], "keeping the groups of a user")?;
        let after = one(db, &user.name)?.as_ref().map(told);
        return Ok(Came::Changed { before: Some(told(&user)), after, value: Met::User(user.name) });
    }
    if one(db, &subject.name)?.is_some() {
        return Ok(Came::Nothing(Met::NameTaken));
    }
    if count(db)? >= USERS_MAX {
        return Ok(Came::Nothing(Met::Full));
    }
    let sql = "insert into access_user (name, totp_step, subject, groups, created_at, created_by, version)
               values (?1, 0, ?2, ?3, ?4, 'oidc', 1)";
    db.execute(sql, values![subject.name.as_str(), &*subject.id, groups, now], "adding a user")?;
    let after = one(db, &subject.name)?.as_ref().map(told);
    Ok(Came::Changed { value: Met::User(subject.name.clone()), before: None, after })
}

fn of(db: &dyn Sql, subject: &str) -> Result<Option<UserRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from access_user where subject = ?1");
    first(db, &sql, values![subject], "reading a user", read)
}
