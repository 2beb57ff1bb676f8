//! Quotas: what all stacks of one owner may have together.
use std::fmt;

use rl_model::{ResolvedGuest, ResolvedStack, StackName};

use super::deed::Deed;
use super::policy::{Owner, next_version};
use super::rows::{all, first, open};
use super::stack::RESOLVED;
use crate::error::{Conflict, StoreError};
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// What a quota counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// Guests.
    Guests,
    /// CPU cores.
    Cores,
    /// Memory in MiB, without swap.
    MemoryMib,
    /// Root disks and data volumes in GiB.
    DiskGib,
    /// Leased addresses.
    Addresses,
}

impl Counted {
    /// The name in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Counted::Guests => "guests",
            Counted::Cores => "cores",
            Counted::MemoryMib => "memory_mib",
            Counted::DiskGib => "disk_gib",
            Counted::Addresses => "addresses",
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counted::Guests => "guests",
            Counted::Cores => "cores",
            Counted::MemoryMib => "MiB of memory",
            Counted::DiskGib => "GiB of disk",
            Counted::Addresses => "addresses",
        })
    }
}

/// What an owner may have; what is `None` is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Guests.
    pub guests: Option<u64>,
    /// CPU cores.
    pub cores: Option<u64>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// Disk in GiB.
    pub disk_gib: Option<u64>,
    /// Leased addresses.
    pub addresses: Option<u64>,
}

/// A stored quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaRecord {
    /// Whose it is.
    pub owner: Owner,
    /// What they may have.
    pub limits: Limits,
    /// Counts its changes.
    pub version: u64,
}

/// What guests use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Use {
    /// Guests.
    pub guests: u64,
    /// CPU cores.
    pub cores: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in MiB.
    pub disk_mib: u64,
    /// Leased addresses.
    pub addresses: u64,
}

impl Use {
    /// What a stack uses.
    pub fn of(stack: &ResolvedStack) -> Self {
        stack.guests.values().map(Self::of_guest).fold(Self::default(), Self::and)
    }

    fn of_guest(guest: &ResolvedGuest) -> Self {
        let volumes: u64 = guest.volumes.iter().map(|volume| volume.size.mib()).sum();
        let modes = guest.nics.iter().flat_map(|nic| [&nic.ipv4, &nic.ipv6]);
        Self {
            guests: 1,
            cores: u64::from(guest.cores),
            memory_mib: guest.memory.mib(),
            disk_mib: guest.disk.mib() + volumes,
            addresses: modes.filter(|mode| mode.leased().is_some()).count() as u64,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            guests: self.guests.saturating_add(other.guests),
            cores: self.cores.saturating_add(other.cores),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            disk_mib: self.disk_mib.saturating_add(other.disk_mib),
            addresses: self.addresses.saturating_add(other.addresses),
        }
    }

    /// Disk in GiB, a started one counted whole.
    pub fn disk_gib(self) -> u64 {
        self.disk_mib.div_ceil(1024)
    }
}

impl Limits {
    fn each(self, used: Use) -> [(Counted, Option<u64>, u64); 5] {
        [
            (Counted::Guests, self.guests, used.guests),
            (Counted::Cores, self.cores, used.cores),
            (Counted::MemoryMib, self.memory_mib, used.memory_mib),
            (Counted::DiskGib, self.disk_gib, used.disk_gib()),
            (Counted::Addresses, self.addresses, used.addresses),
        ]
    }

    /// What goes beyond the limits when `before` becomes `after`: what shrinks, or stays as it was, is never refused.
    fn exceeded(self, owner: &Owner, before: Use, after: Use) -> Option<Conflict> {
        let mut pairs = self.each(before).into_iter().zip(self.each(after));
        pairs.find_map(|((_, _, used), (what, limit, wanted))| {
            let limit = limit.filter(|limit| wanted > *limit && wanted > used)?;
            Some(Conflict::Quota { owner: owner.clone(), what, limit, used, wanted })
        })
    }
}

const COLUMNS: &str = "owner, guests, cores, memory_mib, disk_gib, addresses, version";

impl Store {
    /// Every quota, by owner.
    pub async fn quotas(&self) -> Result<Vec<QuotaRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from quota order by owner");
                all(db, &sql, &[], "reading quotas", read)
            })
            .await
    }

    /// The quota of an owner.
    pub async fn quota(&self, owner: &Owner) -> Result<Option<QuotaRecord>, StoreError> {
        let owner = owner.clone();
        self.db().read_with(move |db| find(db, &owner)).await
    }

    /// What all stacks of an owner have by their newest revisions.
    pub async fn quota_use(&self, owner: &Owner) -> Result<Use, StoreError> {
        let owner = owner.clone();
        self.db().read_with(move |db| Ok(used(db, &owner, None, false)?.0)).await
    }

    /// Sets what an owner may have, if the quota is at the version that was seen (0: there is none; `None`: whatever it is).
    pub async fn put_quota(
        &self,
        owner: &Owner,
        limits: Limits,
        seen: Option<u64>,
        deed: Deed,
    ) -> Result<QuotaRecord, StoreError> {
        let owner = owner.clone();
        let put = move |db: &dyn Sql, now| {
            let found = find(db, &owner)?.map_or(0, |quota| quota.version);
            let version = next_version("the quota", found, seen)?;
            let sql = "insert into quota (owner, guests, cores, memory_mib, disk_gib, addresses, version, updated_at)
                       values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                       on conflict (owner) do update set guests = excluded.guests, cores = excluded.cores,
                         memory_mib = excluded.memory_mib, disk_gib = excluded.disk_gib, addresses = excluded.addresses,
                         version = excluded.version, updated_at = excluded.updated_at";
            let Limits { guests, cores, memory_mib, disk_gib, addresses } = limits;
            let given = values![owner.as_str(), guests, cores, memory_mib, disk_gib, addresses, version, now];
            db.execute(sql, given, "setting a quota")?;
            Ok(QuotaRecord { owner, limits, version })
        };
        self.change(deed, put).await.map(|(quota, _)| quota)
    }

    /// Removes the quota of an owner, if it is at the version that was seen; answers whether there was one.
    pub async fn remove_quota(&self, owner: &Owner, seen: Option<u64>, deed: Deed) -> Result<bool, StoreError> {
        let owner = owner.clone();
        let remove = move |db: &dyn Sql, _| {
            let found = find(db, &owner)?.map_or(0, |quota| quota.version);
            next_version("the quota", found, seen)?;
            Ok(db.execute("delete from quota where owner = ?1", values![owner.as_str()], "removing a quota")? == 1)
        };
        self.change(deed, remove).await.map(|(removed, _)| removed)
    }
}

/// Refuses a revision with which the stacks of its owner would have more than they may. Costs one look-up where there is no
/// quota. To be called before the revision is stored.
pub(super) fn check(db: &dyn Sql, stack: &StackName, resolved: &ResolvedStack) -> Result<(), StoreError> {
    let sql = format!(
        "select q.{} from stack_policy p join quota q on q.owner = p.owner where p.stack = ?1",
        COLUMNS.replace(", ", ", q.")
    );
    let Some(quota) = first(db, &sql, values![stack.as_str()], "looking for a quota", read)? else { return Ok(()) };
    let (others, before) = used(db, &quota.owner, Some(stack), true)?;
    let after = others.and(Use::of(resolved));
    match quota.limits.exceeded(&quota.owner, others.and(before), after) {
        None => Ok(()),
        Some(conflict) => Err(conflict.into()),
    }
}

/// What the stacks of an owner use, and apart from them the stack `apart`. `keep` writes down what had to be counted.
fn used(db: &dyn Sql, owner: &Owner, apart: Option<&StackName>, keep: bool) -> Result<(Use, Use), StoreError> {
    let sql = "select s.name, s.revision, u.guests, u.cores, u.memory_mib, u.disk_mib, u.addresses
               from stack_policy p join stack s on s.name = p.stack
                 left join stack_use u on u.stack = s.name and u.revision = s.revision
               where p.owner = ?1 and s.state <> 'destroyed'";
    let rows = all(db, sql, values![owner.as_str()], "counting what an owner has", |row| {
        let counted = row.int_opt(2)?.is_some().then(|| read_use(row)).transpose()?;
        Ok((row.parsed::<StackName>(0)?, row.count(1)?, counted))
    })?;
    let (mut all, mut this) = (Use::default(), Use::default());
    for (name, revision, counted) in rows {
        let used = match counted {
            Some(used) => used,
            None => count(db, &name, revision, keep)?,
        };
        match apart {
            Some(apart) if *apart == name => this = used,
            _ => all = all.and(used),
        }
    }
    Ok((all, this))
}

/// Counts what a revision uses.
fn count(db: &dyn Sql, stack: &StackName, revision: u64, keep: bool) -> Result<Use, StoreError> {
    let doing = "counting what a stack uses";
    let sql = "select resolved from stack_revision where stack = ?1 and revision = ?2";
    let text = first(db, sql, values![stack.as_str(), revision], doing, |row| Ok(row.text(0)?.to_owned()))?;
    let Some(text) = text else { return Ok(Use::default()) };
    let used = Use::of(&open(RESOLVED.0, RESOLVED.1, &text)?);
    if keep {
        let sql = "insert into stack_use (stack, revision, guests, cores, memory_mib, disk_mib, addresses)
                   values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   on conflict (stack) do update set revision = excluded.revision, guests = excluded.guests,
                     cores = excluded.cores, memory_mib = excluded.memory_mib, disk_mib = excluded.disk_mib,
                     addresses = excluded.addresses";
        let Use { guests, cores, memory_mib, disk_mib, addresses } = used;
        let given = values![stack.as_str(), revision, guests, cores, memory_mib, disk_mib, addresses];
        db.execute(sql, given, doing)?;
    }
    Ok(used)
}

fn find(db: &dyn Sql, owner: &Owner) -> Result<Option<QuotaRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from quota where owner = ?1");
    first(db, &sql, values![owner.as_str()], "reading a quota", read)
}

fn read(row: &SqlRow) -> Result<QuotaRecord, CellError> {
    let limit = |column| Ok::<_, CellError>(row.int_opt(column)?.map(i64::unsigned_abs));
    let limits = Limits {
        guests: limit(1)?,
        cores: limit(2)?,
        memory_mib: limit(3)?,
        disk_gib: limit(4)?,
        addresses: limit(5)?,
    };
    Ok(QuotaRecord { owner: row.parsed(0)?, limits, version: row.count(6)? })
}

fn read_use(row: &SqlRow) -> Result<Use, CellError> {
    Ok(Use {
        guests: row.count(2)?,
        cores: row.count(3)?,
        memory_mib: row.count(4)?,
        disk_mib: row.count(5)?,
        addresses: row.count(6)?,
    })
}
