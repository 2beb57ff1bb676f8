//! Users who come from a provider of identities.
use rl_engine::{Lane, UnixMs};
use rl_model::{GroupName, UserName};

use super::super::rows::first;
use super::user::{USERS_MAX, count, one, read};
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
    pub async fn meet(&self, subject: Subject) -> Result<Met, StoreError> {
        let now = self.now();
        self.db().write_with(Lane::Intake, move |tx, db| meet(db, &subject, tx.at(now).now())).await
    }
}

fn meet(db: &dyn Sql, subject: &Subject, now: UnixMs) -> Result<Met, StoreError> {
    let groups = serde_json::to_string(&subject.groups)
        .map_err(|source| StoreError::Undecodable { what: "list of groups".to_owned(), source: Box::new(source) })?;
    if let Some(user) = of(db, &subject.id)? {
        if user.disabled_at.is_some() {
            return Ok(Met::Disabled);
        }
        let sql = "update access_user set groups = ?2 where name = ?1";
        db.execute(sql, values![user.name.as_str(), groups], "keeping the groups of a user")?;
        return Ok(Met::User(user.name));
    }
    if one(db, &subject.name)?.is_some() {
        return Ok(Met::NameTaken);
    }
    if count(db)? >= USERS_MAX {
        return Ok(Met::Full);
    }
    let sql = "insert into access_user (name, totp_step, subject, groups, created_at, created_by, version)
               values (?1, 0, ?2, ?3, ?4, 'oidc', 1)";
    db.execute(sql, values![subject.name.as_str(), &*subject.id, groups, now], "adding a user")?;
    Ok(Met::User(subject.name.clone()))
}

fn of(db: &dyn Sql, subject: &str) -> Result<Option<UserRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from access_user where subject = ?1");
    first(db, &sql, values![subject], "reading a user", read)
}
