//! Guests: which exist or are about to, and as what they were last applied.
use rl_engine::{Lane, UnixMs};
use rl_model::{GuestId, GuestName, NodeName, ResolvedGuest, SiteName, StackName, Vmid};

use super::delivery;
use super::lease::{self, Holding};
use super::rows::{all, first, listed, open, read_as, seal};
use crate::error::{Conflict, StoreError};
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// Kind and version of a stored resolved guest.
pub(crate) const RESOLVED: (&str, u32) = ("resolved-guest", 1);

/// Where a guest stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestState {
    /// An operation that makes it has started; nothing is known to exist yet.
    Reserved,
    /// It was made or changed as recorded.
    Present,
    /// It is gone and has given back what it held.
    Removed,
}

impl GuestState {
    const ALL: [GuestState; 3] = [GuestState::Reserved, GuestState::Present, GuestState::Removed];

    /// The name in the store and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            GuestState::Reserved => "reserved",
            GuestState::Present => "present",
            GuestState::Removed => "removed",
        }
    }
}

impl std::str::FromStr for GuestState {
    type Err = std::io::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == name);
        found.ok_or_else(|| std::io::Error::other(format!("`{name}` is no state of a guest that this release knows")))
    }
}

/// A stored guest.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestRecord {
    /// Its identity.
    pub id: GuestId,
    /// Its stack.
    pub stack: StackName,
    /// Its name there.
    pub name: GuestName,
    /// Its site.
    pub site: SiteName,
    /// The node it was last put on.
    pub node: NodeName,
    /// Its VMID.
    pub vmid: Vmid,
    /// Where it stands.
    pub state: GuestState,
    /// As it was last applied.
    pub applied: Option<ResolvedGuest>,
    /// When it was first reserved.
    pub created_at: UnixMs,
    /// When it was given up.
    pub removed_at: Option<UnixMs>,
}

const COLUMNS: &str = "id, stack, name, site, node, vmid, state, resolved, created_at, removed_at";

impl Store {
    /// The guests of a stack that are not removed, by name.
    pub async fn guests(&self, stack: &StackName) -> Result<Vec<GuestRecord>, StoreError> {
        let stack = stack.clone();
        self.db().read_with(move |db| of_stack(db, &stack)).await
    }

    /// Every guest that is not removed and can be read, by stack and name.
    pub async fn all_guests(&self) -> Result<Vec<GuestRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from guest where removed_at is null order by stack, name");
                listed(db, &sql, "reading guests", |row| finish(read_as(read(row))?))
            })
            .await
    }

    /// A guest by its identity, also one that is removed.
    pub async fn guest(&self, id: &GuestId) -> Result<Option<GuestRecord>, StoreError> {
        let id = id.clone();
        self.db()
            .look_up(move |db| {
                let sql = format!("select {COLUMNS} from guest where id = ?1");
                first(db, &sql, values![id.as_str()], "reading a guest", read)?.map(finish).transpose()
            })
            .await
    }

    /// Writes down that a guest is as resolved, on this node under this VMID, and gives back what it held and no longer needs.
    pub async fn record_guest(
        &self,
        stack: &StackName,
        guest: &ResolvedGuest,
        node: &NodeName,
        vmid: Vmid,
    ) -> Result<(), StoreError> {
        let (stack, now, rest) = (stack.clone(), self.now(), self.quarantine());
        let guest = ResolvedGuest { node: node.clone(), vmid, ..guest.clone() };
        self.db()
            .write_with(Lane::Progress, move |tx, db| {
                let now = tx.at(now).now();
                reserve(db, &stack, &guest, now)?;
                let sql = "update guest set node = ?2, vmid = ?3, state = 'present', resolved = ?4 where id = ?1";
                let text = seal(RESOLVED.0, RESOLVED.1, &guest)?;
                let values = values![guest.id.as_str(), guest.node.as_str(), u32::from(vmid), text];
                db.execute(sql, values, "recording a guest")?;
                lease::keep_only(db, &guest.id, &Holding::all_of(&guest), now + rest)
            })
            .await
    }

    /// Gives back all that a guest holds, after a quarantine, and marks it removed. Doing it again changes nothing.
    pub async fn release_guest(&self, id: &GuestId) -> Result<(), StoreError> {
        let (id, now, rest) = (id.clone(), self.now(), self.quarantine());
        self.db()
            .write_with(Lane::Progress, move |tx, db| {
                let now = tx.at(now).now();
                lease::keep_only(db, &id, &[], now + rest)?;
                delivery::forget_all(db, &id)?;
                let sql = "update guest set state = 'removed', removed_at = ?2 where id = ?1 and removed_at is null";
                db.execute(sql, values![id.as_str(), now], "releasing a guest")?;
                Ok(())
            })
            .await
    }
}

/// The guests of a stack that are not removed.
pub(super) fn of_stack(db: &dyn Sql, stack: &StackName) -> Result<Vec<GuestRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from guest where stack = ?1 and removed_at is null order by name");
    all(db, &sql, values![stack.as_str()], "reading guests", read)?.into_iter().map(finish).collect()
}

/// Reserves all that a guest needs, and the guest itself. What it already holds it keeps.
pub(super) fn reserve(db: &dyn Sql, stack: &StackName, guest: &ResolvedGuest, now: UnixMs) -> Result<(), StoreError> {
    let sql = "select id from guest where stack = ?1 and name = ?2 and removed_at is null and id <> ?3";
    let other = first(
        db,
        sql,
        values![stack.as_str(), guest.name.as_str(), guest.id.as_str()],
        "looking for a guest of the same name",
        |row| row.parsed(0),
    )?;
    if let Some(holder) = other {
        return Err(Conflict::GuestName { stack: stack.clone(), name: guest.name.to_string(), holder }.into());
    }
    db.execute(
        "insert into guest (id, stack, name, site, node, vmid, state, created_at) values (?1, ?2, ?3, ?4, ?5, ?6, 'reserved', ?7)
         on conflict (id) do update set stack = excluded.stack, name = excluded.name, site = excluded.site,
           node = case when guest.removed_at is null then guest.node else excluded.node end,
           vmid = case when guest.removed_at is null then guest.vmid else excluded.vmid end,
           state = case when guest.removed_at is null then guest.state else 'reserved' end, removed_at = null",
        values![
            guest.id.as_str(),
            stack.as_str(),
            guest.name.as_str(),
            guest.site.as_str(),
            guest.node.as_str(),
            u32::from(guest.vmid),
            now
        ],
        "reserving a guest",
    )?;
    Holding::all_of(guest).iter().try_for_each(|holding| lease::take(db, &guest.id, holding, now))
}

type Read = (GuestRecord, Option<String>);

fn read(row: &SqlRow) -> Result<Read, CellError> {
    let vmid = row.number::<u32>(5)?;
    let record = GuestRecord {
        id: row.parsed(0)?,
        stack: row.parsed(1)?,
        name: row.parsed(2)?,
        site: row.parsed(3)?,
        node: row.parsed(4)?,
        vmid: Vmid::try_from(vmid).map_err(|_| CellError::new(5, format!("{vmid} is no VMID")))?,
        state: row.parsed(6)?,
        applied: None,
        created_at: row.ms(8)?,
        removed_at: row.ms_opt(9)?,
    };
    Ok((record, row.text_opt(7)?.map(str::to_owned)))
}

fn finish((record, resolved): Read) -> Result<GuestRecord, StoreError> {
    let applied = resolved.map(|text| open(RESOLVED.0, RESOLVED.1, &text)).transpose()?;
    Ok(GuestRecord { applied, ..record })
}
