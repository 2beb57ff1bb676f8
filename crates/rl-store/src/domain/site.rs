//! Sites.
use rl_engine::{Lane, UnixMs};
use rl_model::{Site, SiteName};

use super::deed::{Came, Deed};
use super::policy::next_version;
use super::rows::{first, listed, open, read_as, seal};
use crate::error::{Conflict, StoreError};
use crate::sql::{Sql, values};
use crate::store::Store;

/// Kind and version of a stored site.
pub(crate) const SITE: (&str, u32) = ("site", 1);

/// A stored site.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteRecord {
    /// The site.
    pub site: Site,
    /// When it was changed last.
    pub updated_at: UnixMs,
}

impl Store {
    /// Stores a site under its name, in place of an earlier one. One that is the same already stays as it is, with its time.
    pub async fn put_site(&self, site: Site) -> Result<(), StoreError> {
        let now = self.now();
        self.db().write_with(Lane::Intake, move |tx, db| put(db, &site, tx.at(now).now())).await
    }

    /// Declares a site, in place of an earlier one of its name; `seen` is the time of its record that was read. Answers its record.
    pub async fn declare_site(&self, site: Site, seen: Option<u64>, deed: Deed) -> Result<SiteRecord, StoreError> {
        self.try_change(deed, move |db, now| {
            let found = one(db, &site.name)?;
            let version = found.as_ref().map_or(0, |found| found.updated_at.0);
            let next = next_version("the site", version, seen)?;
            let before = match found {
                Some(found) if found.site == site => return Ok(Came::Nothing(found)),
                found => found.and_then(|found| serde_json::to_value(&found.site).ok()),
            };
            // Never the time of an earlier record, also where the clock was set back.
            let updated_at = UnixMs(now.0.max(next));
            put(db, &site, updated_at)?;
            let after = serde_json::to_value(&site).ok();
            Ok(Came::Changed { value: SiteRecord { site, updated_at }, before, after })
        })
        .await
    }

    /// Forgets a site that nothing lies on any more; `seen` is the time of its record that was read. Answers whether there was one.
    /// Values in quarantine stay so, should a site of that name come back.
    pub async fn remove_site(&self, name: &SiteName, seen: Option<u64>, deed: Deed) -> Result<bool, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, _| {
            let Some(record) = one(db, &name)? else { return Ok(Came::Nothing(false)) };
            next_version("the site", record.updated_at.0, seen)?;
            if let Some(holder) = held(db, &name)? {
                return Err(Conflict::SiteHeld { site: name, holder }.into());
            }
            db.execute("delete from site where name = ?1", values![name.as_str()], "removing a site")?;
            Ok(Came::Changed { value: true, before: serde_json::to_value(&record.site).ok(), after: None })
        })
        .await
    }

    /// A site by its name.
    pub async fn site(&self, name: &SiteName) -> Result<Option<SiteRecord>, StoreError> {
        let name = name.clone();
        self.db().read_with(move |db| one(db, &name)).await
    }

    /// All sites by name that can be read.
    pub async fn sites(&self) -> Result<Vec<SiteRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = "select name, document, updated_at from site order by name";
                listed(db, sql, "reading sites", |row| {
                    read(read_as(row.text(1).and_then(|text| Ok((text.to_owned(), row.ms(2)?))))?)
                })
            })
            .await
    }
}

fn one(db: &dyn Sql, name: &SiteName) -> Result<Option<SiteRecord>, StoreError> {
    let sql = "select document, updated_at from site where name = ?1";
    let row =
        first(db, sql, values![name.as_str()], "reading a site", |row| Ok((row.text(0)?.to_owned(), row.ms(1)?)))?;
    row.map(read).transpose()
}

fn put(db: &dyn Sql, site: &Site, at: UnixMs) -> Result<(), StoreError> {
    let document = seal(SITE.0, SITE.1, site)?;
    let sql = "insert into site (name, document, updated_at) values (?1, ?2, ?3)
               on conflict (name) do update set document = excluded.document, updated_at = excluded.updated_at
               where site.document <> excluded.document";
    db.execute(sql, values![site.name.as_str(), document, at], "storing a site").map(drop)
}

/// What still lies on a site: a guest, or an agent that may join.
fn held(db: &dyn Sql, site: &SiteName) -> Result<Option<String>, StoreError> {
    let guest = "select stack, name from guest where site = ?1 and removed_at is null order by stack, name limit 1";
    let agent = "select node, node from agent where site = ?1 and revoked_at is null order by node limit 1";
    let found = first(db, guest, values![site.as_str()], "looking for guests of a site", |row| {
        Ok(format!("the guest {} of stack {}", row.text(1)?, row.text(0)?))
    })?;
    match found {
        Some(guest) => Ok(Some(guest)),
        None => first(db, agent, values![site.as_str()], "looking for agents of a site", |row| {
            Ok(format!("the agent of node {}", row.text(0)?))
        }),
    }
}

fn read((document, updated_at): (String, UnixMs)) -> Result<SiteRecord, StoreError> {
    Ok(SiteRecord { site: open(SITE.0, SITE.1, &document)?, updated_at })
}
