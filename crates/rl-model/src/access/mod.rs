//! Who may do what where: roles on paths, and what a caller's grants come to.
//!
//! Deny by default: whatever no grant covers is refused. A path covers itself and whatever lies below it, by whole parts.
mod holder;
mod path;
mod role;

pub use holder::{GrantId, Grantee, GroupName, TokenId, UserName, WebhookId};
pub use path::AccessPath;
pub use role::{Right, Role};

/// A role on a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What may be done.
    pub role: Role,
    /// There, and below.
    pub path: AccessPath,
}

impl Grant {
    /// Joins the two.
    pub fn new(role: Role, path: AccessPath) -> Self {
        Self { role, path }
    }

    /// Whether this grant allows `right` on `path`.
    pub fn allows(&self, right: Right, path: &AccessPath) -> bool {
        self.role.has(right) && self.path.covers(path)
    }
}

/// What one caller may do: the grants of a person, and the scopes of the token they came with, if it was one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    grants: Vec<Grant>,
    scopes: Option<Vec<Grant>>,
}

impl Access {
    /// What these grants allow.
    pub fn of(grants: Vec<Grant>) -> Self {
        Self { grants, scopes: None }
    }

    /// Everything, everywhere: whoever holds the data directory, and nobody who comes over the network.
    pub fn everything() -> Self {
        Self::of(vec![Grant::new(Role::Admin, AccessPath::Root)])
    }

    /// The same, but no more than `scopes` allow. Limits add up: a second one never takes the first away.
    #[must_use]
    pub fn limited(self, scopes: Vec<Grant>) -> Self {
        let scopes = match &self.scopes {
            None => scopes,
            Some(before) => common(before, &scopes),
        };
        Self { grants: self.grants, scopes: Some(scopes) }
    }

    /// Whether a thing that lies under these paths may be dealt with in this way. One path is enough; a thing without a path
    /// is nobody's.
    pub fn may(&self, right: Right, paths: &[AccessPath]) -> bool {
        let some = |grants: &[Grant]| grants.iter().any(|grant| paths.iter().any(|path| grant.allows(right, path)));
        some(&self.grants) && self.scopes.as_deref().is_none_or(some)
    }

    /// Whether there is any place where this is allowed.
    pub fn may_somewhere(&self, right: Right) -> bool {
        self.effective().iter().any(|grant| grant.role.has(right))
    }

    /// What is allowed, as grants, without repetitions: the common part of grants and scopes.
    pub fn effective(&self) -> Vec<Grant> {
        let mut grants = match &self.scopes {
            None => self.grants.clone(),
            Some(scopes) => common(&self.grants, scopes),
        };
        grants.sort();
        grants.dedup();
        grants
    }
}

/// What both allow: for each pair the narrower path, with each role that has no right beyond either.
fn common(left: &[Grant], right: &[Grant]) -> Vec<Grant> {
    let mut both = Vec::new();
    for (one, other) in left.iter().flat_map(|one| right.iter().map(move |other| (one, other))) {
        let Some(path) = one.path.narrower(&other.path) else { continue };
        let roles = Role::ALL.into_iter().filter(|role| role.is_within(one.role) && role.is_within(other.role));
        both.extend(roles.map(|role| Grant::new(role, path.clone())));
    }
    both.sort();
    both.dedup();
    both
}

#[cfg(test)]
mod tests;
