//! Between columns and the engine's types.
use std::str::FromStr;

use rl_engine::UnixMs;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

fn wrong(column: usize, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, source.into())
}

/// A column that parses.
pub(crate) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error: T::Err| wrong(column, error))
}

/// A column that parses, or is null.
pub(crate) fn parsed_opt<T: FromStr>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(|text| text.parse().map_err(|error: T::Err| wrong(column, error))).transpose()
}

/// A column with one of a set of names.
pub(super) fn named<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let name = row.get_ref(column)?.as_str()?;
    parse(name).ok_or_else(|| wrong(column, format!("`{name}` is not known to this release")))
}

/// A column of JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| wrong(column, error))
}

/// A column of JSON, or null.
pub(crate) fn json_opt<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text = row.get_ref(column)?.as_str_or_null()?;
    text.map(|text| serde_json::from_str(text).map_err(|error| wrong(column, error))).transpose()
}

/// A value as JSON text.
pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|source| StoreError::Undecodable { what: what.to_owned(), source: Box::new(source) })
}

/// A column of milliseconds.
pub(crate) fn ms(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMs> {
    Ok(UnixMs(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0)))
}

/// A column of milliseconds, or null.
pub(crate) fn ms_opt(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<UnixMs>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|ms| UnixMs(u64::try_from(ms).unwrap_or(0))))
}

/// Milliseconds as SQLite's integer.
pub(crate) fn from_ms(at: UnixMs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A size or number as SQLite's integer.
pub(crate) fn from_u64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
