//! Rules for a stack: whether its plans need another person's approval, and who owns it.
use std::fmt;
use std::str::FromStr;

use rl_model::StackName;

use super::deed::Deed;
use super::rows::{all, first};
use crate::error::{Conflict, StoreError};
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// Longest name of an owner in bytes: as long as the name of a person may be.
const OWNER_BYTES_MAX: usize = 128;

/// Who owns stacks: a person or a team, by a name that quotas are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(String);

/// A text that is no name of an owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no name of an owner: 1 to {OWNER_BYTES_MAX} bytes without spaces, `/` and control characters")]
pub struct OwnerError {
    text: String,
}

impl Owner {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Owner {
    type Err = OwnerError;
    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let fits = (1..=OWNER_BYTES_MAX).contains(&text.len());
        let is_name = fits && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/');
        match is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(OwnerError { text: text.chars().take(OWNER_BYTES_MAX).collect() }),
        }
    }
}

/// Rules for a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackPolicy {
    /// Its plans need the approval of another person than their author.
    pub protected: bool,
    /// Who owns it; nobody's quota counts it otherwise.
    pub owner: Option<Owner>,
    /// Counts its changes; 0 while there was none.
    pub version: u64,
}

impl Store {
    /// The rules for a stack; the usual ones where none were set.
    pub async fn stack_policy(&self, stack: &StackName) -> Result<StackPolicy, StoreError> {
        let stack = stack.clone();
        self.db().read_with(move |db| find(db, &stack)).await
    }

    /// The rules of every stack that has some.
    pub async fn stack_policies(&self) -> Result<Vec<(StackName, StackPolicy)>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = "select protected, owner, version, stack from stack_policy order by stack";
                all(db, sql, &[], "reading the rules for stacks", |row| Ok((row.parsed(3)?, read(row)?)))
            })
            .await
    }

    /// Sets the rules for a stack, if they are at the version that was seen (`None`: whatever it is). Answers with them at their
    /// new version.
    pub async fn put_stack_policy(
        &self,
        stack: &StackName,
        protected: bool,
        owner: Option<Owner>,
        seen: Option<u64>,
        deed: Deed,
    ) -> Result<StackPolicy, StoreError> {
        let stack = stack.clone();
        let put = move |db: &dyn Sql, now| {
            let version = next_version("the rules of the stack", find(db, &stack)?.version, seen)?;
            let sql =
                "insert into stack_policy (stack, protected, owner, version, updated_at) values (?1, ?2, ?3, ?4, ?5)
                       on conflict (stack) do update set protected = excluded.protected, owner = excluded.owner,
                         version = excluded.version, updated_at = excluded.updated_at";
            let name = owner.as_ref().map(Owner::as_str);
            db.execute(sql, values![stack.as_str(), protected, name, version, now], "setting the rules for a stack")?;
            Ok(StackPolicy { protected, owner, version })
        };
        self.change(deed, put).await.map(|(policy, _)| policy)
    }
}

/// The version after the one found, if that is the one that was seen.
pub(super) fn next_version(what: &'static str, found: u64, seen: Option<u64>) -> Result<u64, StoreError> {
    match seen {
        Some(seen) if seen != found => Err(Conflict::Version { what, seen, found }.into()),
        _ => Ok(found + 1),
    }
}

fn find(db: &dyn Sql, stack: &StackName) -> Result<StackPolicy, StoreError> {
    let sql = "select protected, owner, version from stack_policy where stack = ?1";
    Ok(first(db, sql, values![stack.as_str()], "reading the rules for a stack", read)?.unwrap_or_default())
}

fn read(row: &SqlRow) -> Result<StackPolicy, CellError> {
    Ok(StackPolicy { protected: row.int(0)? != 0, owner: row.parsed_opt(1)?, version: row.count(2)? })
}
