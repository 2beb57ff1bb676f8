//! Where the parts of a manifest were written.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place in a stack file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Range in bytes from the start of the file.
    pub span: Range<usize>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Locations by path, as in `stacks.shop.containers.web.image` or `sites.fra1.networks.dmz.addresses`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Location>);

impl Origins {
    /// Remembers where a path was written; the first place given for a path stays.
    pub fn insert(&mut self, path: impl Into<String>, location: Location) {
        self.0.entry(path.into()).or_insert(location);
    }

    /// Where exactly this path was written.
    pub fn get(&self, path: &str) -> Option<&Location> {
        self.0.get(path)
    }

    /// Where the path was written, or its nearest parent that was.
    pub fn find(&self, path: &str) -> Option<&Location> {
        let mut rest = path;
        loop {
            if let Some(location) = self.0.get(rest) {
                return Some(location);
            }
            rest = rest.rsplit_once('.')?.0;
        }
    }

    /// Every path with its location.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Location)> {
        self.0.iter().map(|(path, location)| (path.as_str(), location))
    }
}
