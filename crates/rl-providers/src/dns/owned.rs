//! What a plan says about records becomes a change that states what it expects.
//!
//! *Guarantees*: a record set is written only where it still is what the plan saw, and only where the owner beside it is the
//! plan's own or nobody holds the name; one that is as it shall be already is left alone.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::dns::{DnsName, Expect, Holder, RecordPut, RecordSet, ZoneChange, ZoneRecords, owner_name};
use rl_model::{RecordChange, RecordType, Records};

/// Time to live of an owner's record, in seconds: nobody but RapidLaunch asks for it, and always at the source.
const OWNER_TTL_S: u32 = 300;

/// Why records may not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Taken {
    /// Somebody else holds it.
    #[error("{name} {kind} is {holder}; nothing was changed")]
    Held {
        /// The name.
        name: DnsName,
        /// The type.
        kind: RecordType,
        /// Who.
        holder: Holder,
    },
    /// It is ours, but no longer what the plan saw.
    #[error("{name} {kind} is {found} now, and was {before} when the plan was made; nothing was changed")]
    Changed {
        /// The name.
        name: DnsName,
        /// The type.
        kind: RecordType,
        /// What it is.
        found: String,
        /// What it was.
        before: String,
    },
    /// The name has records of another type that do not go along with it.
    #[error(
        "{name} cannot have a record of type {kind}: it has one of type {other} that is {holder}; nothing was changed"
    )]
    Beside {
        /// The name.
        name: DnsName,
        /// The type.
        kind: RecordType,
        /// What is there.
        other: RecordType,
        /// Whose it is.
        holder: Holder,
    },
    /// There is no room for the owner's name.
    #[error("the name {0} is too long to note its owner beside it")]
    TooLong(DnsName),
}

impl Taken {
    /// What a person can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Held { name, kind, holder } => holder.hint(name, *kind),
            Self::Beside { name, other, holder, .. } => match holder {
                Holder::Owner(_) => format!("declare the name {name} with one of the two types alone"),
                holder => holder.hint(name, *other),
            },
            Self::Changed { .. } => "find out who changed it, then plan again".to_owned(),
            Self::TooLong(_) => "choose a shorter name".to_owned(),
        }
    }
}

/// Every name that must be read to judge the records of a part.
pub fn names(part: &Records) -> BTreeSet<DnsName> {
    let mut out = BTreeSet::new();
    for change in &part.changes {
        out.insert(change.name.clone());
        out.extend(RecordType::ALL.into_iter().filter_map(|kind| owner_name(&change.name, kind)));
    }
    out
}

/// The change that is still to be made, from what is there; nothing when all is as it shall be.
pub fn open_change(part: &Records, found: &ZoneRecords) -> Result<Option<ZoneChange>, Taken> {
    let scene = Scene { part, found, changes: part.changes.iter().map(|c| ((&c.name, c.kind), c)).collect() };
    let mut change = ZoneChange::default();
    for wanted in &part.changes {
        if !scene.done(wanted) {
            scene.add(wanted, &mut change)?;
        }
    }
    Ok((!change.puts.is_empty()).then_some(change))
}

struct Scene<'a> {
    part: &'a Records,
    found: &'a ZoneRecords,
    changes: BTreeMap<(&'a DnsName, RecordType), &'a RecordChange>,
}

impl Scene<'_> {
    fn current(&self, name: &DnsName, kind: RecordType) -> Option<&RecordSet> {
        self.found.get(&(name.clone(), kind))
    }

    fn done(&self, wanted: &RecordChange) -> bool {
        let holder = Holder::of(self.found, &wanted.name, wanted.kind);
        let current = self.current(&wanted.name, wanted.kind);
        match &wanted.after {
            Some(after) => current == Some(after) && holder == Holder::Owner(self.part.owner.clone()),
            // Gone, and whoever is there now is not us.
            None => !matches!(&holder, Holder::Owner(owner) if *owner == self.part.owner) && current.is_none(),
        }
    }

    fn add(&self, wanted: &RecordChange, change: &mut ZoneChange) -> Result<(), Taken> {
        let RecordChange { name, kind, before, after } = wanted;
        let beside = owner_name(name, *kind).ok_or_else(|| Taken::TooLong(name.clone()))?;
        let holder = Holder::of(self.found, name, *kind);
        if !holder.lets(&self.part.owner) {
            return Err(Taken::Held { name: name.clone(), kind: *kind, holder });
        }
        let current = self.current(name, *kind);
        if current.map(|set| &set.values) != before.as_ref().map(|set| &set.values)
            && current.map(|set| &set.values) != after.as_ref().map(|set| &set.values)
        {
            let (found, before) = (shown(current), shown(before.as_ref()));
            return Err(Taken::Changed { name: name.clone(), kind: *kind, found, before });
        }
        if after.is_some() {
            self.neighbours(wanted, change)?;
        }
        change.expect.push(self.expect(name, *kind));
        change.expect.push(self.expect(&beside, RecordType::Txt));
        change.puts.push(RecordPut { name: name.clone(), kind: *kind, set: after.clone() });
        let owner = after.as_ref().map(|_| RecordSet::new(OWNER_TTL_S, [self.part.owner.value()]));
        change.puts.push(RecordPut { name: beside, kind: RecordType::Txt, set: owner });
        Ok(())
    }

    fn expect(&self, name: &DnsName, kind: RecordType) -> Expect {
        let values = self.current(name, kind).map(|set| set.values.clone()).unwrap_or_default();
        Expect { name: name.clone(), kind, values }
    }

    /// Other types of the same name: an alias stands alone (RFC 1034 section 3.6.2), and addresses of one name belong to one
    /// owner, so that no name leads to two places.
    fn neighbours(&self, wanted: &RecordChange, change: &mut ZoneChange) -> Result<(), Taken> {
        for other in RecordType::ALL.into_iter().filter(|other| *other != wanted.kind) {
            let alias = other == RecordType::Cname || wanted.kind == RecordType::Cname;
            let matters = alias || (is_address(other) && is_address(wanted.kind));
            if !matters {
                continue;
            }
            let goes = self.changes.get(&(&wanted.name, other)).is_some_and(|change| change.after.is_none());
            let there = self.current(&wanted.name, other).is_some();
            let holder = Holder::of(self.found, &wanted.name, other);
            let ours = matches!(&holder, Holder::Owner(owner) if *owner == self.part.owner);
            if there && !(ours && (goes || !alias)) {
                let (name, kind) = (wanted.name.clone(), wanted.kind);
                return Err(Taken::Beside { name, kind, other, holder });
            }
            if !self.changes.contains_key(&(&wanted.name, other)) {
                change.expect.push(self.expect(&wanted.name, other));
            }
        }
        Ok(())
    }
}

fn is_address(kind: RecordType) -> bool {
    matches!(kind, RecordType::A | RecordType::Aaaa)
}

fn shown(set: Option<&RecordSet>) -> String {
    let values = set.map(|set| set.values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    values.unwrap_or_else(|| "absent".to_owned())
}

#[cfg(test)]
mod tests;
