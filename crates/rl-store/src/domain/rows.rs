//! Small helpers over SQL, and envelopes in columns.
use std::error::Error;

use rl_engine::Envelope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, Value};

/// Reads rows. One that does not read as it should is reported as such, with its bytes left alone.
pub(super) fn all<T>(
    db: &dyn Sql,
    sql: &str,
    values: &[Value<'_>],
    doing: &'static str,
    read: impl FnMut(&SqlRow) -> Result<T, CellError>,
) -> Result<Vec<T>, StoreError> {
    let rows = db.query(sql, values, doing)?;
    rows.iter()
        .map(read)
        .collect::<Result<Vec<T>, CellError>>()
        .map_err(|error| StoreError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) })
}

/// The rows of a listing, the first column of which names the row. One that cannot be read is left out, said in the log and
/// found by a check: it must not keep the others from being listed. Not for decisions that need every row.
pub(super) fn listed<T>(
    db: &dyn Sql,
    sql: &str,
    doing: &'static str,
    read: impl Fn(&SqlRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = db.query(sql, &[], doing)?;
    let readable = rows.iter().filter_map(|row| match read(row) {
        Ok(value) => Some(value),
        Err(error) => {
            let row = row.text(0).unwrap_or("without a readable name");
            let why = error.source().map(ToString::to_string);
            tracing::error!(doing, row, why, "a stored row cannot be read and is left out; `store check` tells more");
            None
        }
    });
    Ok(readable.collect())
}

/// A row without its key, for [`listed`].
pub(super) fn read_as<T>(row: Result<T, CellError>) -> Result<T, StoreError> {
    row.map_err(|error| StoreError::Undecodable { what: "row".to_owned(), source: Box::new(error) })
}

/// The first row, if there is one.
pub(super) fn first<T>(
    db: &dyn Sql,
    sql: &str,
    values: &[Value<'_>],
    doing: &'static str,
    read: impl FnMut(&SqlRow) -> Result<T, CellError>,
) -> Result<Option<T>, StoreError> {
    Ok(all(db, sql, values, doing, read)?.into_iter().next())
}

/// Wraps a value with its kind and version, as every stored payload is.
pub(super) fn seal<T: Serialize>(kind: &'static str, version: u32, value: &T) -> Result<String, StoreError> {
    let envelope = Envelope::of(kind, version, value)
        .map_err(|source| StoreError::Undecodable { what: kind.to_owned(), source: Box::new(source) })?;
    serde_json::to_string(&envelope)
        .map_err(|source| StoreError::Undecodable { what: kind.to_owned(), source: Box::new(source) })
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
