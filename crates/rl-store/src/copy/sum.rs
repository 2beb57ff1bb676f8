//! A checksum over rows that does not depend on their order, and texts that only one of the databases can hold.
use std::borrow::Cow;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::sql::{Cell, SqlRow};

/// What stands before the bytes of a text that PostgreSQL cannot hold, in hexadecimal digits. It is neither JSON nor a name, so that
/// whoever reads it finds it as unreadable as the bytes themselves.
const BYTES: &str = "rl-bytes:";

/// Sum of the SHA-256 of each row: the same for the same rows in whatever order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    /// Adds a row.
    pub(crate) fn add(&mut self, row: &SqlRow) {
        let mut hash = Sha256::new();
        for cell in &row.0 {
            match plain(cell) {
                Plain::Null => hash.update([0]),
                Plain::Int(number) => {
                    hash.update([1]);
                    hash.update(number.to_be_bytes());
                }
                Plain::Bytes(bytes) => {
                    hash.update([2]);
                    hash.update((bytes.len() as u64).to_be_bytes());
                    hash.update(bytes);
                }
            }
        }
        for (lane, bytes) in self.0.iter_mut().zip(hash.finalize().chunks_exact(8)) {
            let part = bytes.iter().fold(0u64, |part, byte| (part << 8) | u64::from(*byte));
            *lane = lane.wrapping_add(part);
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

/// A cell as what it stands for.
pub(crate) enum Plain<'a> {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// The bytes of a text, or of what should be one.
    Bytes(Cow<'a, [u8]>),
}

/// What a cell of either database stands for.
pub(crate) fn plain(cell: &Cell) -> Plain<'_> {
    match cell {
        Cell::Null => Plain::Null,
        Cell::Int(number) => Plain::Int(*number),
        Cell::Bytes(bytes) => Plain::Bytes(Cow::Borrowed(bytes)),
        Cell::Text(text) => match unwrap(text) {
            Some(bytes) => Plain::Bytes(Cow::Owned(bytes)),
            None => Plain::Bytes(Cow::Borrowed(text.as_bytes())),
        },
    }
}

/// Whether both databases can hold these bytes as a text: UTF-8 without a zero byte.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

/// Bytes as PostgreSQL can hold them.
pub(crate) fn wrap(bytes: &[u8]) -> String {
    format!("{BYTES}{}", hex(bytes))
}

/// The bytes of a wrapped text; `None` for any other, also for one that only looks like it.
fn unwrap(text: &str) -> Option<Vec<u8>> {
    let bytes = unhex(text.strip_prefix(BYTES)?)?;
    (!is_text(&bytes)).then_some(bytes)
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::try_from(digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn row(numbers: &[i64]) -> SqlRow {
        SqlRow(numbers.iter().map(|number| Cell::Int(*number)).collect())
    }

    fn sum(rows: &[SqlRow]) -> Sum {
        let mut sum = Sum::default();
        rows.iter().for_each(|row| sum.add(row));
        sum
    }

    #[test]
    fn sum_knows_rows_and_not_their_order() {
        let rows = [row(&[1, 2]), row(&[3, 4])];
        assert_eq!(sum(&rows), sum(&[row(&[3, 4]), row(&[1, 2])]));
        assert_ne!(sum(&rows), sum(&[row(&[1, 2]), row(&[3, 5])]));
        assert_ne!(sum(&rows), sum(&[row(&[1, 2]), row(&[3, 4]), row(&[3, 4])]));
        let texts = |a: &str, b: &str| SqlRow(vec![Cell::Text(a.to_owned()), Cell::Text(b.to_owned())]);
        assert_ne!(sum(&[texts("ab", "c")]), sum(&[texts("a", "bc")]), "where a text ends counts");
        assert_ne!(sum(&[SqlRow(vec![Cell::Null])]), sum(&[SqlRow(vec![Cell::Text(String::new())])]));
    }

    #[test]
    fn a_text_that_looks_wrapped_stays_what_it_is() {
        let looks = Cell::Text(wrap(b"plain"));
        assert!(matches!(plain(&looks), Plain::Bytes(bytes) if bytes.starts_with(b"rl-bytes:")));
    }

    proptest! {
        #[test]
        fn wrapped_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let cell = if is_text(&bytes) {
                Cell::Text(String::from_utf8(bytes.clone()).unwrap())
            } else {
                Cell::Text(wrap(&bytes))
            };
            match plain(&cell) {
                Plain::Bytes(found) => prop_assert_eq!(found.as_ref(), bytes.as_slice()),
                _ => prop_assert!(false),
            }
        }
    }
}
