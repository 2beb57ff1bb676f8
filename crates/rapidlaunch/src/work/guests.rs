//! Guests of the store, as the sites show them now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rl_model::{Drift, GuestStatus, NodeName, ObservedGuest, ObservedSite, SiteName, StackName, Stamp, Upid, Vmid};
use rl_ops::{Scope, SiteApi, Target, look_closer, observe};
use rl_pve::api::tasks::{TaskQuery, TaskRow, TaskSource};
use rl_store::{GuestRecord, GuestState, Store, StoreError};

use crate::error::CommandError;
use crate::out::Out;
use crate::shape::guest::{GuestDetails, GuestShape, GuestWhole, TaskShape};
use crate::work::connect::{self, Sites};
use crate::work::data::{Data, store_error};
use crate::work::firewall::shown;
use crate::work::operate;

/// Tasks of a guest that are shown: what a person reads through.
const TASKS_SHOWN: u32 = 20;

/// A guest by its name, by stack and name, or by its id.
pub(crate) async fn find(data: &Data, text: &str) -> Result<GuestRecord, CommandError> {
    find_in(&data.store.all_guests().await.map_err(store_error)?, text)
}

/// The same among some guests.
pub(crate) fn find_in(all: &[GuestRecord], text: &str) -> Result<GuestRecord, CommandError> {
    one_of(all, text, |guest| [guest.stack.as_str(), guest.name.as_str(), guest.id.as_str()])
}

/// The one that is meant, where `named` tells stack, name and id of each.
pub(crate) fn one_of<T: Clone>(all: &[T], text: &str, named: impl Fn(&T) -> [&str; 3]) -> Result<T, CommandError> {
    let (stack, name) = match text.split_once('/') {
        Some((stack, name)) => (Some(stack), name),
        None => (None, text),
    };
    let meant = |guest: &&T| {
        let [of, called, _] = named(guest);
        called == name && stack.is_none_or(|stack| of == stack)
    };
    let found: Vec<&T> = all.iter().filter(meant).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => all.iter().find(|guest| named(guest)[2] == text).cloned().ok_or_else(|| {
            CommandError::input(format!("there is no guest `{text}`")).hinted("`rapidlaunch guest ls` lists them")
        }),
        several => {
            let stacks: Vec<String> = several.iter().map(|guest| named(guest)[..2].join("/")).collect();
            Err(CommandError::input(format!("several stacks have a guest `{name}`"))
                .hinted(format!("name one of {}", stacks.join(", "))))
        }
    }
}

/// Clients of stored sites. A site that is not known is left out.
pub(crate) async fn connect_sites(
    data: &Data,
    names: impl IntoIterator<Item = SiteName>,
    out: &Out,
) -> Result<Sites, CommandError> {
    let mut sites = Vec::new();
    for name in names {
        sites.extend(data.site(&name).await?);
    }
    connect::connect(data, &sites, connect::pace(), out).await
}

/// The guests of a stack, or all.
pub(crate) async fn listed(data: &Data, stack: Option<&StackName>, out: &Out) -> Result<Vec<GuestShape>, CommandError> {
    let records = match stack {
        Some(stack) => data.store.guests(stack).await.map_err(store_error)?,
        None => data.store.all_guests().await.map_err(store_error)?,
    };
    let names: BTreeSet<SiteName> = records.iter().map(|record| record.site.clone()).collect();
    let sites = connect_sites(data, names, out).await?;
    let mut seen = BTreeMap::new();
    for (name, api) in &sites {
        let one = BTreeMap::from([(name.clone(), Arc::clone(api))]);
        match observe(&one, &Scope::default(), operate::now_ms()).await {
            Ok(observed) => seen.extend(observed.sites),
            Err(error) => out.say(
                &CommandError::failed(format!("site {name} cannot be read; its guests are shown as unknown"))
                    .because(error)
                    .text(out.colour_err),
            ),
        }
    }
    let drifted = drifted(&data.store).await.map_err(store_error)?;
    Ok(records.iter().map(|record| as_seen(record, seen.get(&record.site), &drifted)).collect())
}

/// Where guests lie that were no longer as applied at the last look for drift.
pub(crate) type Drifted = BTreeSet<(SiteName, Vmid)>;

/// See [`Drifted`].
pub(crate) async fn drifted(store: &Store) -> Result<Drifted, StoreError> {
    let mut drifted = Drifted::new();
    for looks in store.looks().await? {
        if looks.drift.is_some_and(|drift| drift.faults > 0)
            && let Some((_, drift)) = store.drift(&looks.stack).await?
        {
            drifted.extend(drift.into_iter().filter_map(|drift| Some((drift.site?, drift.vmid?))));
        }
    }
    Ok(drifted)
}

/// A guest as its site shows it; a site that could not be read shows nothing.
pub(crate) fn as_seen(record: &GuestRecord, site: Option<&ObservedSite>, drifted: &Drifted) -> GuestShape {
    let ours = |now: &&ObservedGuest| now.has_stamp_tag(&Stamp::tag_of(&record.id));
    let now = site.and_then(|site| site.guests.get(&record.vmid)).filter(ours);
    let unread = site.is_none_or(|site| site.guests_unread().is_some());
    let state = match now {
        Some(now) => status(now.status),
        None if unread => "unknown",
        None => absent(record),
    };
    let node = now.map_or_else(|| record.node.to_string(), |now| now.node.to_string());
    let drifted = drifted.contains(&(record.site.clone(), record.vmid));
    GuestShape { drifted, ..GuestShape::of(record, state, node, addresses(record)) }
}

/// The word for a guest's state.
pub(crate) fn status(status: GuestStatus) -> &'static str {
    match status {
        GuestStatus::Running => "running",
        GuestStatus::Stopped => "stopped",
        GuestStatus::Unknown => "unknown",
    }
}

/// The word for a guest that is not there: one that was never made is not missed.
fn absent(record: &GuestRecord) -> &'static str {
    if record.state == GuestState::Reserved { GuestState::Reserved.as_str() } else { "gone" }
}

fn addresses(record: &GuestRecord) -> Vec<String> {
    let nics = record.applied.iter().flat_map(|guest| &guest.nics);
    nics.flat_map(|nic| [nic.ipv4.leased(), nic.ipv6.leased()]).flatten().map(|address| address.to_string()).collect()
}

/// A guest with its configuration as it is now and as it was applied.
pub(crate) async fn whole(data: &Data, record: &GuestRecord, out: &Out) -> Result<GuestWhole, CommandError> {
    let sites = connect_sites(data, [record.site.clone()], out).await?;
    let mut whole = whole_on(&sites, record).await?;
    whole.guest.drifted = !drift_of(data, record).await?.is_empty();
    Ok(whole)
}

/// The same with all else that its site tells of it.
pub(crate) async fn details(data: &Data, record: &GuestRecord, out: &Out) -> Result<GuestDetails, CommandError> {
    let sites = connect_sites(data, [record.site.clone()], out).await?;
    let mut whole = whole_on(&sites, record).await?;
    let drift = drift_of(data, record).await?;
    whole.guest.drifted = !drift.is_empty();
    let mut details = GuestDetails { guest: whole, firewall: None, tasks: Vec::new(), drift, unread: Vec::new() };
    let ours = details.guest.observed.as_ref().filter(|now| now.has_stamp_tag(&Stamp::tag_of(&record.id)));
    let (Some(site), Some(now)) = (sites.get(&record.site), ours) else { return Ok(details) };
    let told = |error: CommandError| error.text(false);
    match shown::shown(site.pve(), &now.node, record.vmid).await {
        Ok(firewall) => details.firewall = Some(firewall),
        Err(error) => details.unread.push(told(error)),
    }
    match tasks(site, &now.node, record).await {
        Ok(tasks) => details.tasks = tasks,
        Err(error) => details.unread.push(told(error)),
    }
    Ok(details)
}

/// What the last look for drift found of a guest.
async fn drift_of(data: &Data, record: &GuestRecord) -> Result<Vec<Drift>, CommandError> {
    let found = data.store.drift(&record.stack).await.map_err(store_error)?;
    let mut found = found.map_or_else(Vec::new, |(_, found)| found);
    found.retain(|drift| drift.site.as_ref() == Some(&record.site) && drift.vmid == Some(record.vmid));
    Ok(found)
}

/// What a node did with a guest of late.
async fn tasks(site: &SiteApi, node: &NodeName, record: &GuestRecord) -> Result<Vec<TaskShape>, CommandError> {
    let about = Some(record.vmid);
    let query = TaskQuery { source: TaskSource::All, since: None, limit: TASKS_SHOWN, about };
    let rows = site.pve().send(rl_pve::api::tasks::list(node, &query)).await;
    let rows =
        rows.map_err(|error| CommandError::failed(format!("the tasks of {node} cannot be read")).because(error))?;
    let shape = |row: TaskRow| TaskShape {
        status: row.ended().map(str::to_owned),
        user: row.upid.parse::<Upid>().ok().map(|upid| upid.user().to_owned()),
        started_at_ms: row.starttime.unsigned() * 1_000,
        finished_at_ms: row.endtime.map(|at| at.unsigned() * 1_000),
        kind: row.kind,
        upid: row.upid,
    };
    Ok(rows.into_iter().map(shape).collect())
}

async fn whole_on(sites: &Sites, record: &GuestRecord) -> Result<GuestWhole, CommandError> {
    let unseen = |error: rl_ops::ObserveError| CommandError::failed("the site cannot be read").because(error);
    let mut observed = observe(sites, &Scope::default(), operate::now_ms()).await.map_err(unseen)?;
    let mut scope = Scope::default();
    scope.configs.entry(record.site.clone()).or_default().insert(record.vmid);
    look_closer(sites, &scope, &mut observed).await;
    let now = observed.sites.get(&record.site).and_then(|site| site.guests.get(&record.vmid));
    let node = now.map_or_else(|| record.node.to_string(), |now| now.node.to_string());
    let guest =
        GuestShape::of(record, now.map_or_else(|| absent(record), |now| status(now.status)), node, addresses(record));
    Ok(GuestWhole { guest, applied: record.applied.clone(), observed: now.cloned() })
}

/// The names of a guest's snapshots, as its site lists them.
pub(crate) async fn snapshots(data: &Data, record: &GuestRecord, out: &Out) -> Result<Vec<String>, CommandError> {
    let sites = connect_sites(data, [record.site.clone()], out).await?;
    let api =
        sites.get(&record.site).ok_or_else(|| CommandError::input(format!("site `{}` is not known", record.site)))?;
    api.snapshots(&record.node, record.vmid).await.map_err(|error| {
        CommandError::failed(format!("the snapshots of {} cannot be read", record.name)).because(error)
    })
}

/// Who a guest is, for whoever acts on it.
pub(crate) fn target(data: &Data, record: &GuestRecord) -> Result<Target, CommandError> {
    let guest = record.applied.as_ref().ok_or_else(|| {
        CommandError::input(format!("{} was never made", record.name)).hinted("apply its stack first")
    })?;
    let stamp = Stamp {
        guest: record.id.clone(),
        stack: record.stack.clone(),
        name: record.name.clone(),
        controller: data.store.controller(),
    };
    let mut target = Target::applied(stamp, guest);
    target.vmid = record.vmid;
    target.node = record.node.clone();
    Ok(target)
}
