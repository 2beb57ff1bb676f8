//! Where a grant holds.
use std::fmt;
use std::str::FromStr;

use crate::{ParseError, SiteName, StackName};

/// A place that grants are given on: everything, all sites, one site, all stacks or one stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum AccessPath {
    /// `/`: everything.
    Root,
    /// `/sites`: every site, also those that are declared later.
    Sites,
    /// `/sites/NAME`.
    Site(SiteName),
    /// `/stacks`: every stack, also those that come later.
    Stacks,
    /// `/stacks/NAME`.
    Stack(StackName),
}

impl AccessPath {
    /// What a person calls this kind of value.
    pub const WHAT: &'static str = "path";

    /// Whether `other` is this place or lies in it.
    pub fn covers(&self, other: &AccessPath) -> bool {
        match self {
            AccessPath::Root => true,
            AccessPath::Sites => matches!(other, AccessPath::Sites | AccessPath::Site(_)),
            AccessPath::Stacks => matches!(other, AccessPath::Stacks | AccessPath::Stack(_)),
            AccessPath::Site(_) | AccessPath::Stack(_) => self == other,
        }
    }

    /// The one of the two that lies in the other; `None` when they have nothing in common.
    pub fn narrower(&self, other: &AccessPath) -> Option<AccessPath> {
        match (self.covers(other), other.covers(self)) {
            (true, _) => Some(other.clone()),
            (_, true) => Some(self.clone()),
            (false, false) => None,
        }
    }

    /// The place this one lies in; `None` for everything.
    pub fn parent(&self) -> Option<AccessPath> {
        match self {
            AccessPath::Root => None,
            AccessPath::Sites | AccessPath::Stacks => Some(AccessPath::Root),
            AccessPath::Site(_) => Some(AccessPath::Sites),
            AccessPath::Stack(_) => Some(AccessPath::Stacks),
        }
    }
}

impl FromStr for AccessPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let rule = "write /, /sites, /sites/NAME, /stacks or /stacks/NAME";
        let wrong = || ParseError::new(Self::WHAT, text, rule);
        let rest = text.strip_prefix('/').ok_or_else(wrong)?;
        match rest.split_once('/') {
            None if rest.is_empty() => Ok(AccessPath::Root),
            None if rest == "sites" => Ok(AccessPath::Sites),
            None if rest == "stacks" => Ok(AccessPath::Stacks),
            Some(("sites", name)) => Ok(AccessPath::Site(name.parse()?)),
            Some(("stacks", name)) => Ok(AccessPath::Stack(name.parse()?)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for AccessPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessPath::Root => f.pad("/"),
            AccessPath::Sites => f.pad("/sites"),
            AccessPath::Stacks => f.pad("/stacks"),
            AccessPath::Site(name) => f.pad(&format!("/sites/{name}")),
            AccessPath::Stack(name) => f.pad(&format!("/stacks/{name}")),
        }
    }
}

impl TryFrom<String> for AccessPath {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<AccessPath> for String {
    fn from(path: AccessPath) -> String {
        path.to_string()
    }
}
