//! Rights, and the roles that bundle them.
use std::fmt;
use std::str::FromStr;

use crate::ParseError;

/// What may be done with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// See it.
    Read,
    /// Start, stop, restart, snapshot; cancel and retry operations.
    Operate,
    /// Plan, apply and destroy.
    Deploy,
    /// Approve what somebody else has planned.
    Approve,
    /// Decide who may do what, and change what the installation is made of.
    Admin,
}

impl Right {
    /// All of them.
    pub const ALL: [Right; 5] = [Right::Read, Right::Operate, Right::Deploy, Right::Approve, Right::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Operate => "operate",
            Right::Deploy => "deploy",
            Right::Approve => "approve",
            Right::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Rights that go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and operates.
    Operator,
    /// Reads, operates and deploys.
    Deployer,
    /// Reads and approves.
    Approver,
    /// Has every right.
    Admin,
}

impl Role {
    /// What a person calls this kind of value.
    pub const WHAT: &'static str = "role";
    /// All of them.
    pub const ALL: [Role; 5] = [Role::Viewer, Role::Operator, Role::Deployer, Role::Approver, Role::Admin];

    /// Whether the role has a right.
    pub fn has(self, right: Right) -> bool {
        match self {
            Role::Admin => true,
            Role::Viewer => right == Right::Read,
            Role::Operator => matches!(right, Right::Read | Right::Operate),
            Role::Deployer => matches!(right, Right::Read | Right::Operate | Right::Deploy),
            Role::Approver => matches!(right, Right::Read | Right::Approve),
        }
    }

    /// Whether it has no right that `other` lacks.
    pub fn is_within(self, other: Role) -> bool {
        Right::ALL.into_iter().all(|right| !self.has(right) || other.has(right))
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Deployer => "deployer",
            Role::Approver => "approver",
            Role::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let rule = "write viewer, operator, deployer, approver or admin";
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| ParseError::new(Self::WHAT, text, rule))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
