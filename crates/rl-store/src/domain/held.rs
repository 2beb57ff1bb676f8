//! What is held on sites, listed for people.
use rl_engine::UnixMs;
use rl_model::{GuestId, GuestName, NicName, SiteName, StackName};

use super::LeaseKind;
use super::rows::all;
use crate::error::StoreError;
use crate::sql::{CellError, SqlRow, values};
use crate::store::Store;

/// A value that a guest holds, or gave back a while ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The site.
    pub site: SiteName,
    /// What kind of value it is.
    pub kind: LeaseKind,
    /// The value.
    pub value: String,
    /// Who holds it, or held it last.
    pub guest: GuestId,
    /// The stack and name of that guest, as long as it is known.
    pub name: Option<(StackName, GuestName)>,
    /// The NIC it belongs to.
    pub nic: Option<NicName>,
    /// Until when it is in quarantine; `None` while it is held.
    pub until: Option<UnixMs>,
}

/// Where a lease stands in the list of all.
pub type LeaseKey = (SiteName, LeaseKind, String);

impl LeaseRecord {
    /// Where it stands in the list of all.
    pub fn key(&self) -> LeaseKey {
        (self.site.clone(), self.kind, self.value.clone())
    }
}

impl Store {
    /// Leases by site, kind and value, of one site or all, those behind `after`, at most `limit`. What is past its quarantine is
    /// free, and left out.
    pub async fn held(
        &self,
        site: Option<&SiteName>,
        after: Option<LeaseKey>,
        limit: usize,
    ) -> Result<Vec<LeaseRecord>, StoreError> {
        let (site, now, clock) = (site.cloned(), self.now(), self.db().clone());
        self.db()
            .read_with(move |db| {
                let sql = "select l.site, l.kind, l.value, l.guest, g.stack, g.name, l.nic, l.until
                           from lease l left join guest g on g.id = l.guest
                           where (?1 = '' or l.site = ?1) and (l.site, l.kind, l.value) > (?2, ?3, ?4)
                             and (l.state = 'held' or l.until > ?5)
                           order by l.site, l.kind, l.value limit ?6";
                let (from, kind, value) = match &after {
                    Some((site, kind, value)) => (site.as_str(), kind.as_str(), value.as_str()),
                    None => ("", "", ""),
                };
                let site = site.as_ref().map_or("", SiteName::as_str);
                let given = values![site, from, kind, value, clock.now(db, now)?, limit as u64];
                all(db, sql, given, "listing leases", read)
            })
            .await
    }
}

fn read(row: &SqlRow) -> Result<LeaseRecord, CellError> {
    let name = match (row.parsed_opt::<StackName>(4)?, row.parsed_opt::<GuestName>(5)?) {
        (Some(stack), Some(name)) => Some((stack, name)),
        _ => None,
    };
    Ok(LeaseRecord {
        site: row.parsed(0)?,
        kind: row.parsed(1)?,
        value: row.text(2)?.to_owned(),
        guest: row.parsed(3)?,
        name,
        nic: row.parsed_opt(6)?,
        until: row.ms_opt(7)?,
    })
}
