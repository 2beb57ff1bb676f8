//! Grants: which user or group has which role where.
use rl_engine::UnixMs;
use rl_model::{Grant, GrantId, Grantee};
use serde_json::{Value, json};

use super::super::deed::{Came, Deed};
use super::super::rows::{all, first};
use super::user::keeping_an_administrator;
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

const COLUMNS: &str = "id, grantee, role, path, created_at, created_by";

/// A stored grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRecord {
    /// What it is called where it is taken back.
    pub id: GrantId,
    /// Who has it.
    pub grantee: Grantee,
    /// Role and path.
    pub grant: Grant,
    /// When it was given.
    pub created_at: UnixMs,
    /// Who gave it.
    pub created_by: String,
}

/// A grant to be given.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// Its id.
    pub id: GrantId,
    /// Who gets it.
    pub grantee: Grantee,
    /// Role and path.
    pub grant: Grant,
    /// Who gives it.
    pub actor: String,
}

impl NewGrant {
    /// The grant as it is once given.
    pub fn record(&self, now: UnixMs) -> GrantRecord {
        GrantRecord {
            id: self.id.clone(),
            grantee: self.grantee.clone(),
            grant: self.grant.clone(),
            created_at: now,
            created_by: self.actor.clone(),
        }
    }
}

/// What came of a grant that was to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// It is given.
    Added,
    /// There was the same one already.
    Before(GrantId),
    /// There is no such user.
    NoUser,
}

impl Store {
    /// Gives a grant.
    pub async fn add_grant(&self, new: NewGrant, deed: Deed) -> Result<Granted, StoreError> {
        self.try_change(deed, move |db, now| match add(db, &new, now)? {
            Granted::Added => {
                let after = Some(told(&new.grantee, &new.grant));
                Ok(Came::Changed { value: Granted::Added, before: None, after })
            }
            refused => Ok(Came::Nothing(refused)),
        })
        .await
    }

    /// Grants by id, those after `after`.
    pub async fn grants(&self, after: Option<GrantId>, limit: u32) -> Result<Vec<GrantRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from access_grant where id > ?1 order by id limit ?2");
                let after = after.as_ref().map_or("", GrantId::as_str);
                all(db, &sql, values![after, limit], "reading grants", read)
            })
            .await
    }

    /// The grants of one user or group itself, by id.
    pub async fn grants_to(&self, grantee: &Grantee) -> Result<Vec<GrantRecord>, StoreError> {
        let grantee = grantee.to_string();
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from access_grant where grantee = ?1 order by id");
                all(db, &sql, values![&*grantee], "reading grants", read)
            })
            .await
    }

    /// A grant.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<GrantRecord>, StoreError> {
        let id = id.clone();
        self.db().read_with(move |db| one(db, &id)).await
    }

    /// Takes a grant back; answers whether there was one.
    pub async fn remove_grant(&self, id: &GrantId, deed: Deed) -> Result<bool, StoreError> {
        let id = id.clone();
        self.try_change(deed, move |db, _| {
            let Some(record) = one(db, &id)? else { return Ok(Came::Nothing(false)) };
            keeping_an_administrator(db, || {
                let sql = "delete from access_grant where id = ?1";
                db.execute(sql, values![id.as_str()], "taking a grant back")
            })?;
            Ok(Came::Changed { value: true, before: Some(told(&record.grantee, &record.grant)), after: None })
        })
        .await
    }
}

fn one(db: &dyn Sql, id: &GrantId) -> Result<Option<GrantRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from access_grant where id = ?1");
    first(db, &sql, values![id.as_str()], "reading a grant", read)
}

/// What the audit tells of a grant.
fn told(to: &Grantee, grant: &Grant) -> Value {
    json!({ "to": to, "role": grant.role, "path": grant.path })
}

pub(super) fn add(db: &dyn Sql, new: &NewGrant, now: UnixMs) -> Result<Granted, StoreError> {
    if let Grantee::User(name) = &new.grantee
        && super::user::one(db, name)?.is_none()
    {
        return Ok(Granted::NoUser);
    }
    let (grantee, role, path) = (new.grantee.to_string(), new.grant.role.as_str(), new.grant.path.to_string());
    let sql = "select id from access_grant where grantee = ?1 and role = ?2 and path = ?3";
    let before = first(db, sql, values![&*grantee, role, &*path], "reading grants", |row| row.parsed(0))?;
    if let Some(id) = before {
        return Ok(Granted::Before(id));
    }
    let sql = "insert into access_grant (id, grantee, role, path, created_at, created_by)
               values (?1, ?2, ?3, ?4, ?5, ?6)";
    db.execute(sql, values![new.id.as_str(), grantee, role, path, now, &*new.actor], "giving a grant")?;
    Ok(Granted::Added)
}

fn read(row: &SqlRow) -> Result<GrantRecord, CellError> {
    Ok(GrantRecord {
        id: row.parsed(0)?,
        grantee: row.parsed(1)?,
        grant: Grant::new(row.parsed(2)?, row.parsed(3)?),
        created_at: row.ms(4)?,
        created_by: row.text(5)?.to_owned(),
    })
}
