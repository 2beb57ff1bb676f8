//! Reserved VMIDs, MACs and addresses: unique per site, quarantined for a while after release.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rl_engine::{Lane, UnixMs};
use rl_model::{
    GuestId, HeldLease, KnownGuest, LeaseState, Leases, NicName, ResolvedGuest, SiteLeases, SiteName, StackName, Vmid,
    VmidRange,
};

use super::LeaseKind;
use super::guest;
use super::rows::{all, first};
use crate::error::{Conflict, StoreError};
use crate::sql::{Sql, values};
use crate::store::Store;

/// One value a guest holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) site: SiteName,
    pub(super) kind: LeaseKind,
    pub(super) value: String,
    pub(super) nic: Option<NicName>,
}

impl Holding {
    fn vmid(site: &SiteName, vmid: Vmid) -> Self {
        Self { site: site.clone(), kind: LeaseKind::Vmid, value: vmid.to_string(), nic: None }
    }

    /// Everything a resolved guest holds.
    pub(super) fn all_of(guest: &ResolvedGuest) -> Vec<Holding> {
        let mut holdings = vec![Self::vmid(&guest.site, guest.vmid)];
        for nic in &guest.nics {
            let of = |kind, value| Self { site: guest.site.clone(), kind, value, nic: Some(nic.name.clone()) };
            holdings.push(of(LeaseKind::Mac, nic.mac.to_string()));
            let addresses = [&nic.ipv4, &nic.ipv6].into_iter().filter_map(|mode| mode.leased());
            holdings.extend(addresses.map(|address| of(LeaseKind::Address, address.to_string())));
        }
        holdings
    }
}

impl Store {
    /// Everything `resolve` must know about ids handed out: the guests of `stack`, and what is held on `sites` by whomever.
    /// `entropy` seeds the ids that resolving makes.
    pub async fn leases(&self, stack: &StackName, sites: &[SiteName], entropy: u64) -> Result<Leases, StoreError> {
        let (stack, sites, now, controller) = (stack.clone(), sites.to_vec(), self.now(), self.controller());
        let clock = self.db().clone();
        self.db()
            .read_with(move |db| {
                let now = clock.now(db, now)?;
                let mut guests = BTreeMap::new();
                for record in guest::of_stack(db, &stack)? {
                    guests.insert(record.name.clone(), known(db, record)?);
                }
                let mut by_site = BTreeMap::new();
                for site in sites {
                    let leases = of_site(db, &site, now)?;
                    by_site.insert(site, leases);
                }
                Ok(Leases { controller, guests, sites: by_site, entropy, secrets: rl_model::KnownSecrets::default() })
            })
            .await
    }

    /// The VMID that a guest holds on a site; the one recorded last when it holds two for a moment.
    pub async fn vmid_of(&self, site: &SiteName, id: &GuestId) -> Result<Option<Vmid>, StoreError> {
        let (site, id) = (site.clone(), id.clone());
        self.db()
            .read_with(move |db| {
                let sql = "select l.value from lease l left join guest g on g.id = l.guest
                           where l.guest = ?1 and l.site = ?2 and l.kind = 'vmid' and l.state = 'held'
                           order by l.value <> cast(coalesce(g.vmid, 0) as text) limit 1";
                first(db, sql, values![id.as_str(), site.as_str()], "reading a guest's VMID", |row| row.parsed(0))
            })
            .await
    }

    /// Gives a guest another VMID: the lowest of the range that nobody holds and that is not `taken`. The ones it held are
    /// given back at once, since a stranger has them. One transaction.
    pub async fn lease_another_vmid(
        &self,
        site: &SiteName,
        id: &GuestId,
        range: VmidRange,
        taken: &[Vmid],
    ) -> Result<Vmid, StoreError> {
        let (site, id, now) = (site.clone(), id.clone(), self.now());
        let taken: BTreeSet<Vmid> = taken.iter().copied().collect();
        self.db()
            .write_with(Lane::Progress, move |tx, db| {
                let now = tx.at(now).now();
                let held = of_site(db, &site, now)?.vmids;
                let free = range.iter().find(|vmid| !held.contains_key(vmid) && !taken.contains(vmid));
                let Some(vmid) = free else { return Err(StoreError::NoFreeVmid { site, range }) };
                let doing = "leasing another VMID";
                let sql = "delete from lease where guest = ?1 and site = ?2 and kind = 'vmid'";
                db.execute(sql, values![id.as_str(), site.as_str()], doing)?;
                take(db, &id, &Holding::vmid(&site, vmid), now)?;
                db.execute("update guest set vmid = ?2 where id = ?1", values![id.as_str(), u32::from(vmid)], doing)?;
                Ok(vmid)
            })
            .await
    }

    /// Forgets values whose quarantine is over; answers how many.
    pub async fn purge_quarantine(&self) -> Result<usize, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let sql = "delete from lease where state = 'quarantined' and until <= ?1";
                Ok(usize::try_from(db.execute(sql, values![now], "ending quarantines")?).unwrap_or(usize::MAX))
            })
            .await
    }
}

/// Takes a value for a guest, or says who has it. A value whose quarantine is over, or that the guest itself gave back, is free.
pub(super) fn take(db: &dyn Sql, id: &GuestId, holding: &Holding, now: UnixMs) -> Result<(), StoreError> {
    let sql = "insert into lease (site, kind, value, guest, nic, state) values (?1, ?2, ?3, ?4, ?5, 'held')
               on conflict (site, kind, value) do update set guest = excluded.guest, nic = excluded.nic, state = 'held', until = null
                 where lease.guest = excluded.guest or (lease.state = 'quarantined' and lease.until <= ?6)";
    let nic = holding.nic.as_ref().map(NicName::as_str);
    let (site, kind, value) = (holding.site.as_str(), holding.kind.as_str(), &holding.value);
    let taken = db.execute(sql, values![site, kind, value, id.as_str(), nic, now], "reserving")?;
    if taken == 1 {
        return Ok(());
    }
    let sql = "select guest, state from lease where site = ?1 and kind = ?2 and value = ?3";
    let holder = first(db, sql, values![site, kind, value], "reading who holds a value", |row| {
        Ok((row.parsed(0)?, row.text(1)? == "quarantined"))
    })?;
    let (holder, quarantined) = holder.unwrap_or_else(|| (id.clone(), false));
    let (site, value) = (holding.site.clone(), holding.value.clone());
    Err(Conflict::Reserved { site, kind: holding.kind, value, holder, quarantined }.into())
}

/// Puts into quarantine what a guest holds and does not need.
pub(super) fn keep_only(db: &dyn Sql, id: &GuestId, needed: &[Holding], until: UnixMs) -> Result<(), StoreError> {
    let doing = "giving back what a guest no longer needs";
    let sql = "select site, kind, value from lease where guest = ?1 and state = 'held'";
    let held = all(db, sql, values![id.as_str()], doing, |row| {
        Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.text(2)?.to_owned()))
    })?;
    for (site, kind, value) in held {
        let is_needed =
            needed.iter().any(|need| need.site.as_str() == site && need.kind.as_str() == kind && need.value == value);
        if !is_needed {
            let sql = "update lease set state = 'quarantined', until = ?4 where site = ?1 and kind = ?2 and value = ?3";
            db.execute(sql, values![site, kind, value, until], doing)?;
        }
    }
    Ok(())
}

/// Everything held on a site; what is past its quarantine is free.
fn of_site(db: &dyn Sql, site: &SiteName, now: UnixMs) -> Result<SiteLeases, StoreError> {
    let mut leases = SiteLeases::default();
    for kind in LeaseKind::ALL {
        let sql = "select value, guest, state, until from lease where site = ?1 and kind = ?2";
        let rows = all(db, sql, values![site.as_str(), kind.as_str()], "reading leases", |row| {
            Ok((row.text(0)?.to_owned(), row.parsed::<GuestId>(1)?, row.text(2)? == "held", row.ms_opt(3)?))
        })?;
        for (value, guest, held, until) in rows {
            if !held && until.is_some_and(|until| until <= now) {
                continue;
            }
            let state = if held { LeaseState::Held } else { LeaseState::Quarantined };
            insert(&mut leases, kind, &value, HeldLease { guest, state })?;
        }
    }
    Ok(leases)
}

fn insert(leases: &mut SiteLeases, kind: LeaseKind, value: &str, lease: HeldLease) -> Result<(), StoreError> {
    match kind {
        LeaseKind::Vmid => leases.vmids.insert(value.parse().map_err(|error| wrong(kind, error))?, lease),
        LeaseKind::Mac => leases.macs.insert(value.parse().map_err(|error| wrong(kind, error))?, lease),
        LeaseKind::Address => leases.addresses.insert(value.parse().map_err(|error| wrong(kind, error))?, lease),
    };
    Ok(())
}

fn wrong(kind: LeaseKind, error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Undecodable { what: format!("lease of a {kind}"), source: Box::new(error) }
}

/// A guest with the MACs and addresses it holds.
fn known(db: &dyn Sql, record: guest::GuestRecord) -> Result<KnownGuest, StoreError> {
    let sql = "select kind, value, nic from lease where guest = ?1 and site = ?2 and state = 'held' and nic is not null order by kind, value";
    let rows = all(db, sql, values![record.id.as_str(), record.site.as_str()], "reading a guest's leases", |row| {
        Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.parsed_opt::<NicName>(2)?))
    })?;
    let mut macs = BTreeMap::new();
    let mut addresses: BTreeMap<NicName, Vec<IpAddr>> = BTreeMap::new();
    for (kind, value, nic) in rows {
        let Some(nic) = nic else { continue };
        if kind == LeaseKind::Mac.as_str() {
            macs.insert(nic, value.parse().map_err(|error| wrong(LeaseKind::Mac, error))?);
        } else {
            let address = value.parse().map_err(|error| wrong(LeaseKind::Address, error))?;
            addresses.entry(nic).or_default().push(address);
        }
    }
    let guest::GuestRecord { id, stack, name, site, node, vmid, applied, .. } = record;
    Ok(KnownGuest { id, stack, name, site, node, vmid, macs, addresses, last: applied })
}
