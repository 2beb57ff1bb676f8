//! Changes of a zone that say what they expect, and whose a record is.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DnsName, RecordSet, RecordValue, ZoneRecords};
use crate::{ControllerId, ParseError, RecordType, StackName};

/// One change of a zone: made whole when every expectation holds, else not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneChange {
    /// What must be so before.
    pub expect: Vec<Expect>,
    /// What is written.
    pub puts: Vec<RecordPut>,
}

/// What must be so before a change (RFC 2136 section 2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// The name.
    pub name: DnsName,
    /// The type.
    pub kind: RecordType,
    /// Its values; no such record when empty.
    pub values: BTreeSet<RecordValue>,
}

/// One record set after the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPut {
    /// The name.
    pub name: DnsName,
    /// The type.
    pub kind: RecordType,
    /// What it is afterwards; it goes when there is none.
    pub set: Option<RecordSet>,
}

/// A zone is not as a change expected it; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the zone was changed by somebody else: {what}")]
pub struct ZoneConflict {
    /// What differs.
    pub what: String,
}

impl ZoneChange {
    /// Compares what is expected with what is there.
    pub fn check(&self, found: &ZoneRecords) -> Result<(), ZoneConflict> {
        let none = BTreeSet::new();
        for Expect { name, kind, values } in &self.expect {
            let have = found.get(&(name.clone(), *kind)).map_or(&none, |set| &set.values);
            if have != values {
                let what = format!("{name} {kind} is {}, not {} as expected", shown(have), shown(values));
                return Err(ZoneConflict { what });
            }
        }
        Ok(())
    }

    /// Every name it speaks of.
    pub fn names(&self) -> BTreeSet<DnsName> {
        let expected = self.expect.iter().map(|expect| &expect.name);
        expected.chain(self.puts.iter().map(|put| &put.name)).cloned().collect()
    }

    /// Writes what it writes into records that were checked.
    pub fn apply_to(&self, records: &mut ZoneRecords) {
        for RecordPut { name, kind, set } in &self.puts {
            match set {
                Some(set) => records.insert((name.clone(), *kind), set.clone()),
                None => records.remove(&(name.clone(), *kind)),
            };
        }
    }
}

fn shown(values: &BTreeSet<RecordValue>) -> String {
    if values.is_empty() {
        return "absent".to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whose a record is: written into a TXT record beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The installation.
    pub controller: ControllerId,
    /// The stack.
    pub stack: StackName,
}

/// What the text of an owner begins with.
const OWNER_PREFIX: &str = "rapidlaunch";
/// What the name of an owner's record begins with; the type follows.
const OWNER_LABEL: &str = "_rl-";
/// What stands for the label `*`, which is one only as the first of a name (RFC 4592 section 2.1.1).
const ANY_LABEL: &str = "_any";

impl Owner {
    /// The record that says so.
    pub fn value(&self) -> RecordValue {
        RecordValue::Txt(self.to_string())
    }

    /// Reads an owner's record; `None` when it is none of ours.
    pub fn of_value(value: &RecordValue) -> Option<Self> {
        let RecordValue::Txt(text) = value else { return None };
        text.parse().ok()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OWNER_PREFIX} owner={} stack={}", self.controller, self.stack)
    }
}

impl std::str::FromStr for Owner {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("owner", text, "it is `rapidlaunch owner=.. stack=..`");
        let mut words = text.split(' ');
        let mut next = |prefix: &str| words.next().and_then(|word| word.strip_prefix(prefix)).ok_or_else(wrong);
        next(OWNER_PREFIX)?;
        Ok(Self { controller: next("owner=")?.parse()?, stack: next("stack=")?.parse()? })
    }
}

/// The name beside a record under which its owner stands: `_rl-a.www.example.org` for the A records of `www.example.org`. `None`
/// where that is too long for a name.
pub fn owner_name(name: &DnsName, kind: RecordType) -> Option<DnsName> {
    let kind = kind.to_string().to_ascii_lowercase();
    let below = match name.as_str().strip_prefix("*.") {
        Some(rest) => format!("{ANY_LABEL}.{rest}"),
        None => name.to_string(),
    };
    format!("{OWNER_LABEL}{kind}.{below}").parse().ok()
}

/// The record whose owner stands under this name; the reverse of [`owner_name`].
pub fn owner_kind(name: &DnsName) -> Option<(DnsName, RecordType)> {
    let (label, rest) = name.as_str().split_once('.')?;
    let kind = label.strip_prefix(OWNER_LABEL)?;
    let kind = RecordType::ALL.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(kind))?;
    let owned = match rest.strip_prefix(ANY_LABEL).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => format!("*.{rest}"),
        None => rest.to_owned(),
    };
    Some((owned.parse().ok()?, kind))
}
