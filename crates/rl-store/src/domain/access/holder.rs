//! Whoever a token or a session belongs to, with everything that decides what they may do.
use rl_model::{Grant, Grantee, UserName};

use super::super::rows::all;
use super::UserRecord;
use super::user::one;
use crate::error::StoreError;
use crate::sql::{Sql, values};
use crate::store::Store;

/// A user with their own grants and those of their groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The user.
    pub user: UserRecord,
    /// What they were given, themselves or by a group.
    pub grants: Vec<Grant>,
}

impl Store {
    /// A user and what they were given.
    pub async fn holder(&self, name: &UserName) -> Result<Option<Holder>, StoreError> {
        let name = name.clone();
        self.db().read_with(move |db| read(db, &name)).await
    }
}

/// Reads a user and their grants, on one view of the store.
pub(super) fn read(db: &dyn Sql, name: &UserName) -> Result<Option<Holder>, StoreError> {
    let Some(user) = one(db, name)? else { return Ok(None) };
    let own = std::iter::once(Grantee::User(user.name.clone()));
    let mut grants = Vec::new();
    for grantee in own.chain(user.groups.iter().cloned().map(Grantee::Group)) {
        let sql = "select role, path from access_grant where grantee = ?1";
        let given = values![grantee.to_string()];
        grants.extend(all(db, sql, given, "reading grants", |row| Ok(Grant::new(row.parsed(0)?, row.parsed(1)?)))?);
    }
    grants.sort();
    grants.dedup();
    Ok(Some(Holder { user, grants }))
}
