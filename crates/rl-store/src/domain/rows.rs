//! Small helpers over a connection, and envelopes in columns.
use rl_engine::Envelope;
use rusqlite::{Connection, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Doing, StoreError};
use crate::sqlite::convert::to_json;

pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    doing: &'static str,
) -> Result<usize, StoreError> {
    connection.prepare_cached(sql).doing(doing)?.execute(params).doing(doing)
}

pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    doing: &'static str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql).doing(doing)?;
    let rows = statement.query_map(params, read).doing(doing)?;
    rows.collect::<rusqlite::Result<Vec<T>>>().map_err(|error| match error {
        rusqlite::Error::FromSqlConversionFailure(..) => {
            StoreError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) }
        }
        source => StoreError::Sqlite { doing, source },
    })
}

pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    doing: &'static str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(all(connection, sql, params, doing, read)?.into_iter().next())
}

/// Wraps a value with its kind and version, as every stored payload is.
pub(super) fn seal<T: Serialize>(kind: &'static str, version: u32, value: &T) -> Result<String, StoreError> {
    let envelope = Envelope::of(kind, version, value)
        .map_err(|source| StoreError::Undecodable { what: kind.to_owned(), source: Box::new(source) })?;
    to_json(kind, &envelope)
}

/// Reads a value of at most `version`; a newer one is left as it is and reported.
pub(super) fn open<T: DeserializeOwned>(kind: &'static str, version: u32, text: &str) -> Result<T, StoreError> {
    let wrong =
        |source: Box<dyn std::error::Error + Send + Sync>| StoreError::Undecodable { what: kind.to_owned(), source };
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| wrong(Box::new(error)))?;
    if envelope.kind != kind || envelope.version > version {
        let found = format!(
            "it is a `{}` of version {}, this release reads `{kind}` up to {version}",
            envelope.kind, envelope.version
        );
        return Err(wrong(found.into()));
    }
    envelope.read().map_err(|error| wrong(Box::new(error)))
}
