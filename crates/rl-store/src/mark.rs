//! The mark on a store that is being filled by a copy: until it is gone nobody can open it.
use crate::error::StoreError;
use crate::sql::{Sql, values};

/// Key of the mark in table `meta`; its value says what is copied.
pub(crate) const KEY: &str = "copying";

/// What is being copied into this store.
pub(crate) fn read(db: &dyn Sql) -> Result<Option<String>, StoreError> {
    let rows = db.query("select value from meta where key = ?1", values![KEY], "looking for an unfinished copy")?;
    Ok(rows.first().map(|row| row.text(0).unwrap_or("another store").to_owned()))
}

/// Marks the store.
pub(crate) fn set(db: &dyn Sql, from: &str) -> Result<(), StoreError> {
    let sql = "insert into meta (key, value) values (?1, ?2) on conflict (key) do update set value = excluded.value";
    db.execute(sql, values![KEY, from], "marking the copy as unfinished")?;
    Ok(())
}

/// Takes the mark away.
pub(crate) fn clear(db: &dyn Sql) -> Result<(), StoreError> {
    db.execute("delete from meta where key = ?1", values![KEY], "marking the copy as finished")?;
    Ok(())
}

/// Nobody works with half a store.
pub(crate) fn refuse_unfinished(db: &dyn Sql) -> Result<(), StoreError> {
    read(db)?.map_or(Ok(()), |from| Err(StoreError::UnfinishedCopy { from }))
}
