//! The proof: everything that shall be is read back and compared, item by item.

mod firewall;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use rl_engine::{StepError, fail_point};
use rl_model::{
    AddressMode, ConfigFields, FieldKey, GuestKind, GuestName, GuestStatus, LiveInterface, ObservedGuest, Proof,
    ProofCheck, ProofItem, ResolvedGuest, ResolvedStack, SiteName, StackName, Stamp, Unread, Vmid,
};
use rl_pve::PveError;
use rl_pve::decode::SiteRows;

use crate::fault::{classify, full_text};
use crate::site::SiteApi;

/// Guests read at once; the client's own limit by node is what holds back.
const READS_AT_ONCE: usize = 64;
/// Looks at the live addresses of one guest: a container has its address some moments after its start.
const LIVE_LOOKS_MAX: u32 = 12;

/// Looks at a guest that does not run at all: a start is seen at once, only addresses take their time.
const STOPPED_LOOKS_MAX: u32 = 3;

/// Looks at a list or a configuration before the proof says that it could not be read: a proof that fails because a
/// proxy was restarted tells nothing about the guest.
const READS_MAX: u32 = 4;

/// Reads a stack back and compares it with what shall be. Changes nothing.
pub async fn prove(sites: &BTreeMap<SiteName, Arc<SiteApi>>, resolved: &ResolvedStack, at_ms: i64) -> Proof {
    fail_point!("ops.proof.before");
    let lists = lists(sites, resolved).await;
    let firewalls = firewall::sites(sites, resolved).await;
    let guests: Vec<&ResolvedGuest> = resolved.guests.values().collect();
    // By place, not by reference: then whoever awaits this may move between threads.
    let mut items: Vec<ProofItem> = futures::stream::iter(0..guests.len())
        .map(|place| {
            let guest = guests[place];
            let (site, stamp) = (SiteReads { sites, lists: &lists, firewalls: &firewalls }, resolved.stamp(guest));
            async move { prove_guest(&site, resolved, guest, &stamp).await }
        })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;
    items.extend(strays(&lists, resolved));
    items.sort_by(|a, b| a.guest.cmp(&b.guest));
    Proof::new(resolved.name.clone(), at_ms, items)
}

/// Reads back that no guest of a destroyed stack is left.
pub async fn prove_gone(
    sites: &BTreeMap<SiteName, Arc<SiteApi>>,
    stack: &StackName,
    guests: &[(SiteName, Stamp)],
    at_ms: i64,
) -> Proof {
    let mut items = Vec::new();
    for (name, api) in sites {
        let ours = guests.iter().filter(|(site, _)| site == name);
        match patiently(api, || api.rows()).await {
            Ok(rows) => items.extend(ours.map(|(_, stamp)| {
                let left = rows.guests.values().find(|row| row.has_stamp_tag(&stamp.tag()));
                let found =
                    left.map_or_else(|| "nothing".to_owned(), |row| format!("VMID {} on {}", row.vmid, row.node));
                let mut checks: Vec<ProofCheck> =
                    rows.unread.iter().filter(|row| row.row_vmid().is_some()).map(unread_row).collect();
                checks.push(check("gone", "nothing", &found));
                item(stamp.name.clone(), name, left.map(|row| row.vmid), checks)
            })),
            Err(error) => {
                items.extend(ours.map(|(_, stamp)| item(stamp.name.clone(), name, None, vec![unread(&error)])))
            }
        }
    }
    Proof::new(stack.clone(), at_ms, items)
}

/// Reads, and reads again a second of the site's time later while the error is one that may pass.
async fn patiently<T, F>(api: &SiteApi, read: impl Fn() -> F) -> Result<T, PveError>
where
    F: Future<Output = Result<T, PveError>>,
{
    let mut looks = 1;
    loop {
        match read().await {
            Err(error) if looks < READS_MAX && may_pass(&error) => looks += 1,
            answer => return answer,
        }
        api.pause(Duration::from_secs(1)).await;
    }
}

fn may_pass(error: &PveError) -> bool {
    matches!(classify(error), StepError::Retry { .. } | StepError::Unreachable { .. })
}

type Lists = BTreeMap<SiteName, Result<Arc<SiteRows>, PveError>>;

async fn lists(sites: &BTreeMap<SiteName, Arc<SiteApi>>, resolved: &ResolvedStack) -> Lists {
    let mut out = Lists::new();
    for (name, api) in sites {
        if resolved.guests.values().any(|guest| guest.site == *name) {
            out.insert(name.clone(), patiently(api, || api.rows()).await);
        }
    }
    out
}

/// What was read once for all guests.
struct SiteReads<'a> {
    sites: &'a BTreeMap<SiteName, Arc<SiteApi>>,
    lists: &'a Lists,
    firewalls: &'a firewall::SiteFirewalls,
}

async fn prove_guest(
    read: &SiteReads<'_>,
    resolved: &ResolvedStack,
    guest: &ResolvedGuest,
    stamp: &Stamp,
) -> ProofItem {
    let (Some(api), Some(list)) = (read.sites.get(&guest.site), read.lists.get(&guest.site)) else {
        let checks = vec![check("site", "connected", "not connected")];
        return item(guest.name.clone(), &guest.site, Some(guest.vmid), checks);
    };
    let rows = match list {
        Ok(rows) => rows,
        Err(error) => return item(guest.name.clone(), &guest.site, Some(guest.vmid), vec![unread(error)]),
    };
    let list = &rows.guests;
    let mut checks: Vec<ProofCheck> =
        rows.unread.iter().filter(|row| row.row_vmid().is_some()).map(unread_row).collect();
    checks.push(exists_once(list, guest, stamp));
    let Some(row) = list.get(&guest.vmid) else {
        return item(guest.name.clone(), &guest.site, Some(guest.vmid), checks);
    };
    checks.push(check(
        "type",
        "container",
        if row.kind == GuestKind::Container { "container" } else { "virtual machine" },
    ));
    if guest.node_pinned {
        checks.push(check("node", guest.node.as_str(), row.node.as_str()));
    }
    if row.kind == GuestKind::Container {
        read_checks(api, row, guest, stamp, &mut checks).await;
        firewall::checks(api, row, guest, resolved.firewall.get(&guest.site), read.firewalls, &mut checks).await;
    }
    let mut out = item(guest.name.clone(), &guest.site, Some(guest.vmid), checks);
    out.node = Some(row.node.clone());
    out
}

fn exists_once(list: &BTreeMap<Vmid, ObservedGuest>, guest: &ResolvedGuest, stamp: &Stamp) -> ProofCheck {
    let tag = stamp.tag();
    let bearers: Vec<String> =
        list.values().filter(|row| row.has_stamp_tag(&tag)).map(|row| row.vmid.to_string()).collect();
    let found = match bearers.len() {
        0 if list.contains_key(&guest.vmid) => format!("VMID {} without our tag", guest.vmid),
        0 => "nothing".to_owned(),
        _ => format!("VMID {}", bearers.join(" and ")),
    };
    check("exists once", &format!("VMID {}", guest.vmid), &found)
}

async fn read_checks(
    api: &SiteApi,
    row: &ObservedGuest,
    guest: &ResolvedGuest,
    stamp: &Stamp,
    checks: &mut Vec<ProofCheck>,
) {
    let config = match patiently(api, || api.config(&row.node, row.vmid)).await {
        Ok(Some((config, _))) => config,
        Ok(None) => return checks.push(check("configuration", "present", "missing")),
        Err(error) => return checks.push(unread(&error)),
    };
    let found = config.stamp.as_ref().map_or_else(|| "none".to_owned(), |found| found.guest.to_string());
    checks.push(check("stamp", stamp.guest.as_str(), &found));
    checks.extend(config_checks(guest, stamp, &config.fields));
    if !config.pending.is_empty() {
        checks.push(check("pending changes", "none", &config.pending.join(", ")));
    }
    power_checks(api, row, guest, checks).await;
}

/// Compares every field, in Proxmox's own words. Tags may be more than ours: people add their own.
pub(crate) fn config_checks(guest: &ResolvedGuest, stamp: &Stamp, found: &ConfigFields) -> Vec<ProofCheck> {
    let desired = ConfigFields::desired(guest, stamp);
    // A NIC that shall not be there is a difference; mount points that others added are left alone.
    let added = found.0.iter().filter(|(key, _)| matches!(key, FieldKey::Nic(_)) && !desired.0.contains_key(*key));
    let added = added.map(|(key, value)| check(&key.to_string(), "", value));
    desired
        .0
        .iter()
        .map(|(key, expected)| match key {
            FieldKey::Tags => {
                let have: Vec<&str> = found.get(*key).split(';').collect();
                let missing = expected.split(';').any(|tag| !tag.is_empty() && !have.contains(&tag));
                ProofCheck {
                    name: key.to_string(),
                    ok: !missing,
                    expected: expected.clone(),
                    found: found.get(*key).to_owned(),
                }
            }
            key if key.is_disk() => {
                let (want, have) = (desired.disk_size(*key), found.disk_size(*key));
                let ok = have >= want && without_size(expected) == without_size(found.get(*key));
                ProofCheck { name: key.to_string(), ok, expected: expected.clone(), found: found.get(*key).to_owned() }
            }
            FieldKey::Features => {
                let ok = our_features(expected) == our_features(found.get(*key));
                ProofCheck { name: key.to_string(), ok, expected: expected.clone(), found: found.get(*key).to_owned() }
            }
            _ => check(&key.to_string(), expected, found.get(*key)),
        })
        .chain(added)
        .collect()
}

/// Features that are on, without those RapidLaunch has no word for: root may have set them.
fn our_features(value: &str) -> Vec<String> {
    let parsed = rl_model::PropertyString::parse(value);
    ["nesting", "keyctl", "fuse"].into_iter().filter(|key| parsed.get(key) == Some("1")).map(str::to_owned).collect()
}

fn without_size(value: &str) -> String {
    let mut parsed = rl_model::PropertyString::parse(value);
    parsed.remove("size");
    parsed.to_string()
}

async fn power_checks(api: &SiteApi, row: &ObservedGuest, guest: &ResolvedGuest, checks: &mut Vec<ProofCheck>) {
    let wanted = if guest.running { "running" } else { "stopped" };
    if !guest.running {
        // The resource list shows a state up to ten seconds old; the node's own list is live, and read once for all.
        let found = match patiently(api, || api.node_guests(&row.node)).await {
            Ok(list) => match list.get(&row.vmid).map(|row| row.status) {
                Some(GuestStatus::Stopped) => "stopped",
                Some(GuestStatus::Running) => "running",
                Some(GuestStatus::Unknown) | None => "unknown",
            },
            Err(error) => return checks.push(unread(&error)),
        };
        return checks.push(check("state", wanted, found));
    }
    let mut last: Vec<ProofCheck> = Vec::new();
    let mut looks = LIVE_LOOKS_MAX;
    for look in 0..LIVE_LOOKS_MAX {
        if look >= looks {
            break;
        }
        if look > 0 {
            api.pause(Duration::from_secs(1)).await;
        }
        match api.interfaces(&row.node, row.vmid).await {
            Ok(live) => {
                if live.is_none() {
                    looks = STOPPED_LOOKS_MAX;
                }
                last = live_checks(guest, live.as_deref());
                if last.iter().all(|check| check.ok) {
                    break;
                }
            }
            Err(error) => last = vec![unread(&error)],
        }
    }
    checks.extend(last);
}

/// Compares what is live inside a running guest: that it runs, and each leased address on the NIC with the right MAC.
pub(crate) fn live_checks(guest: &ResolvedGuest, live: Option<&[LiveInterface]>) -> Vec<ProofCheck> {
    let Some(live) = live else { return vec![check("state", "running", "stopped")] };
    let mut checks = vec![check("state", "running", "running")];
    for nic in &guest.nics {
        let inside = live.iter().find(|interface| interface.name == nic.name);
        let mac = inside.and_then(|interface| interface.mac);
        let found = mac.map_or_else(|| "no such interface".to_owned(), |mac| mac.to_string());
        checks.push(check(&format!("live MAC of {}", nic.name), &nic.mac.to_string(), &found));
        for mode in [&nic.ipv4, &nic.ipv6] {
            if let AddressMode::Static { address, .. } = mode {
                let have: Vec<String> =
                    inside.map(|i| i.addresses.iter().map(ToString::to_string).collect()).unwrap_or_default();
                let there = inside.is_some_and(|interface| interface.addresses.contains(address));
                let found = if there {
                    address.to_string()
                } else if have.is_empty() {
                    "none".to_owned()
                } else {
                    have.join(", ")
                };
                checks.push(check(&format!("live address of {}", nic.name), &address.to_string(), &found));
            }
        }
    }
    checks
}

/// Guests that bear a stamp tag of this stack's guests under a VMID that is not theirs.
fn strays(lists: &Lists, resolved: &ResolvedStack) -> Vec<ProofItem> {
    let mut wanted: BTreeMap<String, &ResolvedGuest> = BTreeMap::new();
    for guest in resolved.guests.values() {
        wanted.insert(resolved.stamp(guest).tag().to_string(), guest);
    }
    let mut out = Vec::new();
    for (site, list) in lists {
        for row in list.iter().flat_map(|rows| rows.guests.values()) {
            let Some(guest) = row.tags.iter().find_map(|tag| wanted.get(tag)) else { continue };
            if guest.site != *site {
                let found = format!("VMID {} on {site}/{}", row.vmid, row.node);
                out.push(item(
                    guest.name.clone(),
                    site,
                    Some(row.vmid),
                    vec![check("exists once", guest.site.as_str(), &found)],
                ));
            }
        }
    }
    out
}

fn item(guest: GuestName, site: &SiteName, vmid: Option<Vmid>, checks: Vec<ProofCheck>) -> ProofItem {
    ProofItem { guest, site: site.clone(), node: None, vmid, checks }
}

fn check(name: &str, expected: &str, found: &str) -> ProofCheck {
    ProofCheck { name: name.to_owned(), ok: expected == found, expected: expected.to_owned(), found: found.to_owned() }
}

fn unread(error: &PveError) -> ProofCheck {
    ProofCheck { name: "read back".to_owned(), ok: false, expected: "an answer".to_owned(), found: full_text(error) }
}

/// A guest of the site that the list shows and nobody can read: it may be one of ours, or a copy of it.
fn unread_row(row: &Unread) -> ProofCheck {
    let found = format!("{}: {}", row.what, row.why);
    ProofCheck { name: "read back".to_owned(), ok: false, expected: "every guest of the list".to_owned(), found }
}
