//! SQL that both databases understand: one text, one kind of parameter and one kind of row for SQLite and PostgreSQL.
//!
//! What the statements must keep to: placeholders `?1`, `?2`, … (translated by [`dollars`] for PostgreSQL); columns of `text` and
//! of whole numbers of 64 bits alone; booleans as 0 and 1; texts in the order of their bytes (PostgreSQL's text columns are
//! declared `collate "C"`); `sum` cast to `bigint`; in `on conflict .. do update` the old row is named by its table.
use std::borrow::Cow;
use std::str::FromStr;

use rl_engine::UnixMs;

use crate::error::StoreError;

/// Runs statements inside whatever transaction it is in. A statement that fails may end the whole write it belongs to, which
/// then keeps nothing.
pub(crate) trait Sql {
    /// Changes rows; answers how many.
    fn execute(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<u64, StoreError>;

    /// Reads rows, all of them: whoever may meet many gives a limit.
    fn query(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<Vec<SqlRow>, StoreError>;
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(Cow<'a, str>),
}

/// One column of a row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes, or a text that is none: only a damaged row has it.
    Bytes(Vec<u8>),
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlRow(pub(crate) Vec<Cell>);

/// A column does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[error("column {column} cannot be read")]
pub(crate) struct CellError {
    column: usize,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl CellError {
    pub(crate) fn new(column: usize, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { column, source: source.into() }
    }
}

impl SqlRow {
    /// A whole number, or null.
    pub(crate) fn int_opt(&self, column: usize) -> Result<Option<i64>, CellError> {
        match self.0.get(column) {
            Some(Cell::Int(value)) => Ok(Some(*value)),
            Some(Cell::Null) => Ok(None),
            _ => Err(CellError::new(column, "it is no whole number")),
        }
    }

    /// A whole number.
    pub(crate) fn int(&self, column: usize) -> Result<i64, CellError> {
        self.int_opt(column)?.ok_or_else(|| CellError::new(column, "it is empty"))
    }

    /// A number that is never negative.
    pub(crate) fn count(&self, column: usize) -> Result<u64, CellError> {
        Ok(self.int(column)?.unsigned_abs())
    }

    /// A text, or null.
    pub(crate) fn text_opt(&self, column: usize) -> Result<Option<&str>, CellError> {
        match self.0.get(column) {
            Some(Cell::Text(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            _ => Err(CellError::new(column, "it is no text")),
        }
    }

    /// A text.
    pub(crate) fn text(&self, column: usize) -> Result<&str, CellError> {
        self.text_opt(column)?.ok_or_else(|| CellError::new(column, "it is empty"))
    }

    /// A text that parses.
    pub(crate) fn parsed<T: FromStr>(&self, column: usize) -> Result<T, CellError>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        self.text(column)?.parse().map_err(|error: T::Err| CellError::new(column, error))
    }

    /// A text that parses, or null.
    pub(crate) fn parsed_opt<T: FromStr>(&self, column: usize) -> Result<Option<T>, CellError>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let text = self.text_opt(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| CellError::new(column, error))).transpose()
    }

    /// A number that fits another type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, CellError>
    where
        T::Error: std::error::Error + Send + Sync + 'static,
    {
        T::try_from(self.int(column)?).map_err(|error| CellError::new(column, error))
    }

    /// Milliseconds.
    pub(crate) fn ms(&self, column: usize) -> Result<UnixMs, CellError> {
        Ok(UnixMs(u64::try_from(self.int(column)?).unwrap_or(0)))
    }

    /// Milliseconds, or null.
    pub(crate) fn ms_opt(&self, column: usize) -> Result<Option<UnixMs>, CellError> {
        Ok(self.int_opt(column)?.map(|ms| UnixMs(u64::try_from(ms).unwrap_or(0))))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Int(i64::from(number))
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Int(i64::from(flag))
    }
}

impl From<UnixMs> for Value<'_> {
    fn from(at: UnixMs) -> Self {
        at.0.into()
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// Parameters of a statement, each whatever [`Value`] can be made from.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Value::from($value)),*][..] };
}
pub(crate) use values;

/// The statement with PostgreSQL's placeholders: `?1` becomes `$1`, outside of quoted texts.
pub(crate) fn dollars(sql: &str) -> String {
    let mut quoted = None;
    let mut text = String::with_capacity(sql.len());
    for (at, letter) in sql.char_indices() {
        match quoted {
            Some(end) if letter == end => quoted = None,
            None if letter == '\'' || letter == '"' => quoted = Some(letter),
            _ => {}
        }
        let is_placeholder =
            letter == '?' && quoted.is_none() && sql[at + 1..].starts_with(|c: char| c.is_ascii_digit());
        text.push(if is_placeholder { '$' } else { letter });
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn placeholders_change_outside_of_quotes_alone() {
        let sql = r#"select '?1', "?2" from t where a = ?1 and b = ?12 or c ? 'x'"#;
        assert_eq!(dollars(sql), r#"select '?1', "?2" from t where a = $1 and b = $12 or c ? 'x'"#);
    }

    #[test]
    fn cells_are_read_as_what_they_are_or_refused() {
        let row = SqlRow(vec![Cell::Int(-1), Cell::Text("7".to_owned()), Cell::Null, Cell::Bytes(vec![0xff])]);
        assert_eq!((row.int(0).unwrap(), row.parsed::<u32>(1).unwrap(), row.text_opt(2).unwrap()), (-1, 7, None));
        assert_eq!((row.ms(0).unwrap(), row.ms_opt(2).unwrap()), (UnixMs(0), None));
        assert!(row.text(0).is_err() && row.int(1).is_err() && row.int(2).is_err() && row.text(3).is_err());
        assert!(row.number::<u32>(0).is_err() && row.text(4).is_err());
    }

    #[test]
    fn values_are_made_from_what_the_domain_has() {
        let owned = "b".to_owned();
        let values = values!["a", &owned, 1_i64, u64::MAX, true, None::<u32>, Some(UnixMs(5))];
        let expected = [
            Value::Text("a".into()),
            Value::Text("b".into()),
            Value::Int(1),
            Value::Int(i64::MAX),
            Value::Int(1),
            Value::Null,
            Value::Int(5),
        ];
        assert_eq!(values, expected);
    }
}
