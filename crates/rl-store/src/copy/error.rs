//! Why a copy was not made, as a person should read it.
use crate::error::StoreError;

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Source and target are one.
    #[error("{place} cannot be copied onto itself; name another target")]
    Same {
        /// The place.
        place: String,
    },
    /// The target holds something. Nothing was changed.
    #[error("the target {place} is not empty: its table `{table}` has rows; name an empty one")]
    NotEmpty {
        /// The target.
        place: String,
        /// A table that has rows.
        table: String,
    },
    /// An engine works on one of the two. Nothing was changed.
    #[error(
        "{place} is in use: {owners} engine run(s) hold it; stop every server and command that uses it, then copy again"
    )]
    InUse {
        /// The place.
        place: String,
        /// How many.
        owners: usize,
    },
    /// The target has no place for something. Nothing was changed.
    #[error("the target has no {what}, which the source has; use the release that wrote the source")]
    NoPlace {
        /// Table or column.
        what: String,
    },
    /// What was read back is not what was written.
    #[error("table `{table}` of the copy is not what the source holds; the copy cannot be used, copy again")]
    Differs {
        /// The table.
        table: String,
    },
    /// The writing thread ended.
    #[error("the copy stopped before its end; the target cannot be used, copy again")]
    Stopped,
    /// A store failed. What was copied so far cannot be used.
    #[error("a store failed")]
    Store(#[from] StoreError),
}

impl From<rl_engine::JournalError> for CopyError {
    fn from(error: rl_engine::JournalError) -> Self {
        CopyError::Store(error.into())
    }
}
