//! Where a store is: a data directory, or a database server.
use std::fmt;
use std::path::PathBuf;

use crate::pg::Target;

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A data directory with SQLite in it.
    Directory(PathBuf),
    /// A PostgreSQL database.
    Database(Target),
}

impl Place {
    /// Whether both are one, as far as can be told without looking: a database may be reached by many names.
    pub(crate) fn is_same(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Directory(one), Place::Directory(other)) => {
                let real = |dir: &PathBuf| std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone());
                real(one) == real(other)
            }
            (Place::Database(one), Place::Database(other)) => one.to_string() == other.to_string(),
            _ => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Directory(dir) => write!(f, "{}", dir.display()),
            Place::Database(target) => target.fmt(f),
        }
    }
}
