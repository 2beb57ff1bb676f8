//! Sites.
use rl_engine::{Lane, UnixMs};
use rl_model::{Site, SiteName};
use rusqlite::params;

use super::rows::{all, execute, first, open, seal};
use crate::error::StoreError;
use crate::sqlite::convert::{from_ms, ms};
use crate::store::Store;

/// Kind and version of a stored site.
const SITE: (&str, u32) = ("site", 1);

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
        self.sqlite()
            .write_with(Lane::Intake, move |_, connection| {
                let document = seal(SITE.0, SITE.1, &site)?;
                let sql = "insert into site (name, document, updated_at) values (?1, ?2, ?3)
                           on conflict (name) do update set document = excluded.document, updated_at = excluded.updated_at";
                execute(connection, sql, params![site.name.as_str(), document, from_ms(now)], "storing a site")?;
                Ok(())
            })
            .await
    }

    /// A site by its name.
    pub async fn site(&self, name: &SiteName) -> Result<Option<SiteRecord>, StoreError> {
        let name = name.clone();
        self.sqlite()
            .read_with(move |connection| {
                let sql = "select document, updated_at from site where name = ?1";
                let row = first(connection, sql, [name.as_str()], "reading a site", |row| {
                    Ok((row.get::<_, String>(0)?, ms(row, 1)?))
                })?;
                row.map(read).transpose()
            })
            .await
    }

    /// All sites by name.
    pub async fn sites(&self) -> Result<Vec<SiteRecord>, StoreError> {
        self.sqlite()
            .read_with(move |connection| {
                let sql = "select document, updated_at from site order by name";
                let rows =
                    all(connection, sql, (), "reading sites", |row| Ok((row.get::<_, String>(0)?, ms(row, 1)?)))?;
                rows.into_iter().map(read).collect()
            })
            .await
    }
}

fn read((document, updated_at): (String, UnixMs)) -> Result<SiteRecord, StoreError> {
    Ok(SiteRecord { site: open(SITE.0, SITE.1, &document)?, updated_at })
}
