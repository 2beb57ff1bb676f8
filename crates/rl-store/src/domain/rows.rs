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
    // Straight into the value: a tree of JSON in between costs more than all the rest of reading a stack.
    match serde_json::from_str::<Sealed<T>>(text) {
        Ok(sealed) if sealed.kind == kind && sealed.version <= version => Ok(sealed.body),
        Ok(_) => Err(wrong(foreign(kind, version, text).into())),
        Err(error) => match serde_json::from_str::<Envelope>(text) {
            Ok(envelope) if envelope.kind != kind || envelope.version > version => {
                Err(wrong(foreign(kind, version, text).into()))
            }
            _ => Err(wrong(Box::new(error))),
        },
    }
}

/// An envelope whose body is read as what it is.
#[derive(serde::Deserialize)]
struct Sealed<T> {
    kind: String,
    version: u32,
    body: T,
}

/// What is said of a payload of another kind or of a later version.
fn foreign(kind: &str, version: u32, text: &str) -> String {
    match serde_json::from_str::<Envelope>(text) {
        Ok(found) => {
            format!(
                "it is a `{}` of version {}, this release reads `{kind}` up to {version}",
                found.kind, found.version
            )
        }
        Err(error) => error.to_string(),
    }
}
