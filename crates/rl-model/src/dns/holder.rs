//! Who holds a record, told from what stands beside it.

use std::fmt;

use super::{DnsName, Owner, ZoneRecords, owner_name};
use crate::RecordType;

/// Who holds a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// There is neither a record nor an owner.
    Nobody,
    /// The owner beside it says so; the record itself may be absent.
    Owner(Owner),
    /// There is a record, and beside it nothing that RapidLaunch wrote.
    Unmarked,
    /// Beside it stands something that only RapidLaunch should write, and that cannot be read.
    Unreadable(String),
}

impl Holder {
    /// Reads who holds the record of this name and type.
    pub fn of(found: &ZoneRecords, name: &DnsName, kind: RecordType) -> Self {
        let record = found.contains_key(&(name.clone(), kind));
        let beside = owner_name(name, kind).and_then(|beside| found.get(&(beside, RecordType::Txt)));
        let Some(beside) = beside else { return if record { Self::Unmarked } else { Self::Nobody } };
        let mut values = beside.values.iter();
        match (values.next().and_then(Owner::of_value), values.next()) {
            (Some(owner), None) => Self::Owner(owner),
            _ => Self::Unreadable(beside.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        }
    }

    /// Whether this owner may write there.
    pub fn lets(&self, owner: &Owner) -> bool {
        match self {
            Self::Nobody => true,
            Self::Owner(holder) => holder == owner,
            Self::Unmarked | Self::Unreadable(_) => false,
        }
    }

    /// What a person can do, where another holds the record.
    pub fn hint(&self, name: &DnsName, kind: RecordType) -> String {
        let beside = owner_name(name, kind).map_or_else(|| format!("the owner of {name}"), |beside| beside.to_string());
        match self {
            Self::Nobody => String::new(),
            Self::Owner(owner) => format!(
                "choose another name, or take the record out of the stack {} of installation {} first",
                owner.stack, owner.controller
            ),
            Self::Unmarked => format!(
                "choose another name, or remove {name} {kind} by hand; a record without the TXT record {beside} is never changed"
            ),
            Self::Unreadable(_) => format!("look at the TXT record {beside}, and remove it if nothing needs it"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody's"),
            Self::Owner(owner) => write!(f, "of the stack {} of installation {}", owner.stack, owner.controller),
            Self::Unmarked => f.write_str("there already and not made by RapidLaunch"),
            Self::Unreadable(text) => write!(f, "marked by something that cannot be read: {text}"),
        }
    }
}
