//! Sites.
use rl_engine::{Lane, UnixMs};
use rl_model::{Site, SiteName};

use super::rows::{first, listed, open, read_as, seal};
use crate::error::StoreError;
use crate::sql::values;
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

fn read((document, updated_at): (String, UnixMs)) -> Result<SiteRecord, StoreError> {
    Ok(SiteRecord { site: open(SITE.0, SITE.1, &document)?, updated_at })
}
