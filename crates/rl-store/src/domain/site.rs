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
    /// When it was stored last.
    pub updated_at: UnixMs,
}

impl Store {
    /// Stores a site under its name, in place of an earlier one.
    pub async fn put_site(&self, site: Site) -> Result<(), StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let document = seal(SITE.0, SITE.1, &site)?;
                let sql = "insert into site (name, document, updated_at) values (?1, ?2, ?3)
                           on conflict (name) do update set document = excluded.document, updated_at = excluded.updated_at";
                db.execute(sql, values![site.name.as_str(), document, now], "storing a site")?;
                Ok(())
            })
            .await
    }

    /// Forgets a site that nothing lies on any more; `seen` is the time of its record that was read. Answers whether there was one.
    /// Values in quarantine stay so, should a site of that name come back.
    pub async fn remove_site(&self, name: &SiteName, seen: Option<u64>, deed: Deed) -> Result<bool, StoreError> {
        let name = name.clone();
        self.try_change(deed, move |db, _| {
            let sql = "select document, updated_at from site where name = ?1";
            let row = first(db, sql, values![name.as_str()], "reading a site", |row| {
                Ok((row.text(0)?.to_owned(), row.ms(1)?))
            })?;
            let Some(record) = row.map(read).transpose()? else { return Ok(Came::Nothing(false)) };
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
        self.db()
            .read_with(move |db| {
                let sql = "select document, updated_at from site where name = ?1";
                let row = first(db, sql, values![name.as_str()], "reading a site", |row| {
                    Ok((row.text(0)?.to_owned(), row.ms(1)?))
                })?;
                row.map(read).transpose()
            })
            .await
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
