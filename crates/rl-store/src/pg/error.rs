//! What can go wrong between us and PostgreSQL.
use std::path::PathBuf;

use rl_engine::JournalError;
use tokio_postgres::error::SqlState;

use super::url::Target;
use crate::error::StoreError;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PgError {
    /// No connection could be made.
    #[error("no connection to {target}; check that the server runs, takes writes, and accepts this user")]
    Connect {
        /// The database, without its password.
        target: String,
        /// What failed.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The server's name leads nowhere.
    #[error("the server of {target} has no address")]
    NoAddress {
        /// The database.
        target: String,
        /// What the lookup said.
        #[source]
        source: Source,
    },
    /// The password cannot be read.
    #[error("the database's password cannot be read from its file")]
    Password {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The certificates of `sslrootcert` cannot be used.
    #[error("the certificates in {} cannot be used", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Source,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls {
        /// Why.
        #[source]
        source: Source,
    },
    /// The database did not answer in time.
    #[error("the database did not answer in time while {doing}")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
    },
    /// The connection was lost, or the server ended it.
    #[error("the connection to the database was lost while {doing}")]
    Lost {
        /// What was being done.
        doing: &'static str,
        /// What failed.
        #[source]
        source: Source,
    },
    /// The database asks for the transaction to be run again (SQLSTATE 40001, 40P01, 55P03).
    #[error("the database took the transaction back while {doing}")]
    Again {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The database refused a statement.
    #[error("the database refused a statement while {doing}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A row that this release cannot read.
    #[error("a stored {what} cannot be read; it is left as it is")]
    Undecodable {
        /// Which row.
        what: String,
        /// What the decoder said.
        #[source]
        source: Source,
    },
    /// Another server wrote while this one's transaction had to be run again.
    #[error("another server wrote first while {doing}; nothing was kept")]
    Overtaken {
        /// What was being done.
        doing: &'static str,
    },
    /// The transaction ended before this write's turn.
    #[error("the transaction ended before its turn: {why}")]
    Ended {
        /// What ended it.
        why: String,
    },
}

impl PgError {
    pub(super) fn connect(target: &Target, source: tokio_postgres::Error) -> Self {
        PgError::Connect { target: target.to_string(), source }
    }

    /// Sorts an error of a statement by what can be done about it.
    pub(super) fn of(doing: &'static str, source: tokio_postgres::Error) -> Self {
        let Some(code) = source.code() else { return PgError::Lost { doing, source: source.into() } };
        let again =
            [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE];
        let class = code.code().get(..2).unwrap_or_default();
        if again.contains(code) {
            PgError::Again { doing, source }
        } else if class == "08" || code.code().starts_with("57P") || matches!(code.code(), "25P03" | "25006" | "57014")
        {
            PgError::Lost { doing, source: source.into() }
        } else {
            PgError::Refused { doing, source }
        }
    }

    /// The connection is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        matches!(
            self,
            PgError::Connect { .. } | PgError::NoAddress { .. } | PgError::TimedOut { .. } | PgError::Lost { .. }
        )
    }

    pub(super) fn is_again(&self) -> bool {
        matches!(self, PgError::Again { .. })
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self, PgError::Refused { source, .. } if source.code() == Some(&SqlState::DISK_FULL))
    }
}

impl From<PgError> for JournalError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Undecodable { what, source } => JournalError::Undecodable { what, source },
            error if error.is_full() => {
                JournalError::Full { why: "the disk of the database server is full".to_owned(), retry_after: None }
            }
            PgError::Refused { doing, .. } => JournalError::Store { doing, source: Box::new(error) },
            error => unavailable(error),
        }
    }
}

/// The database cannot be reached; nothing was kept.
fn unavailable(error: PgError) -> JournalError {
    JournalError::Unavailable { doing: "talking to the database", source: Box::new(error) }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Undecodable { what, source } => StoreError::Undecodable { what, source },
            error => StoreError::Postgres(Box::new(error)),
        }
    }
}
