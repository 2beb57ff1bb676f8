//! The first set-up: whoever holds the link of the server's first start makes the first user.
use std::time::Duration;

use rl_engine::Lane;
use rl_model::{AccessPath, Grant, GrantId, Grantee, Role};
use serde_json::json;

use super::super::deed::{Came, Deed};
use super::super::rows::first;
use super::grant::{self, NewGrant};
use super::{Digest, NewUser, later, user};
use crate::error::StoreError;
use crate::sql::values;
use crate::store::Store;

/// What came of an attempt to set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetUp {
    /// The user is there and may do everything; the link is used up.
    Done,
    /// That is not the link, or its hour is over.
    NoLink,
    /// Somebody has done it before.
    Before,
}

impl Store {
    /// Keeps the digest of a new link in place of an earlier one; answers `false` when there are users, and no link is needed.
    pub async fn offer_setup(&self, digest: Digest, life: Duration) -> Result<bool, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                db.execute("delete from access_setup", values![], "forgetting a set-up link")?;
                if user::count(db)? > 0 {
                    return Ok(false);
                }
                let sql = "insert into access_setup (id, digest, expires_at) values ('link', ?1, ?2)";
                db.execute(sql, values![digest.as_str(), later(tx.at(now).now(), life)], "keeping a set-up link")?;
                Ok(true)
            })
            .await
    }

    /// Makes the first user, who may do everything, and uses the link up, in one transaction.
    pub async fn set_up(&self, link: Digest, new: NewUser, grant: GrantId, deed: Deed) -> Result<SetUp, StoreError> {
        self.try_change(deed, move |db, now| {
            if user::count(db)? > 0 {
                return Ok(Came::Nothing(SetUp::Before));
            }
            let sql = "select expires_at from access_setup where digest = ?1";
            let expires = first(db, sql, values![link.as_str()], "reading a set-up link", |row| row.ms(0))?;
            if expires.is_none_or(|end| end <= now) {
                return Ok(Came::Nothing(SetUp::NoLink));
            }
            user::add(db, &new, now)?;
            let all = Grant::new(Role::Admin, AccessPath::Root);
            let after = json!({ "user": new.name, "role": all.role, "path": all.path });
            let grantee = Grantee::User(new.name.clone());
            grant::add(db, &NewGrant { id: grant, grantee, grant: all, actor: new.actor.clone() }, now)?;
            db.execute("delete from access_setup", values![], "using a set-up link up")?;
            Ok(Came::Changed { value: SetUp::Done, before: None, after: Some(after) })
        })
        .await
    }
}
