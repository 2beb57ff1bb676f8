//! Looks at the sites: with few requests, and saying plainly what could not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use rl_model::{GuestKind, NodeName, Observed, ObservedSite, SiteName, StorageId, Unread, Vmid, VolumeId};
use rl_pve::api::{cluster, version};
use rl_pve::{PveError, decode};

use crate::fault::full_text;
use crate::site::SiteApi;

/// Reads under way at once per site; the client's own limit by node is what holds back.
pub(crate) const READS_AT_ONCE: usize = 64;

/// What is looked at beside the resource list, which always is.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Storages whose templates are listed, and bridges with them, on every node of the site: what new guests need.
    pub catalog: BTreeMap<SiteName, BTreeSet<StorageId>>,
    /// Guests whose configuration is read.
    pub configs: BTreeMap<SiteName, BTreeSet<Vmid>>,
    /// Firewalls that are read.
    pub firewalls: BTreeMap<SiteName, FirewallScope>,
}

/// What of a site's firewall is read.
#[derive(Debug, Clone, Default)]
pub struct FirewallScope {
    /// Guests whose rules are read, and whether their options are too.
    pub guests: BTreeMap<Vmid, bool>,
    /// Whose IP sets are read with their members: those with this comment. None are listed without it.
    pub sets_of: Option<String>,
    /// Whose aliases, IP sets and security groups are read with what they hold: those whose comment begins with this.
    pub objects_of: Option<String>,
    /// Whether what lets packets in to the nodes themselves is read: every object, and the rules of datacenter and nodes.
    pub entrance: bool,
}

/// Why nothing could be seen of a site.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A site that must be seen is not connected.
    #[error("site {0} is not connected")]
    NotConnected(SiteName),
    /// The resource list, without which nothing is known, could not be read.
    #[error("site {site} cannot be read")]
    Unreadable {
        /// The site.
        site: SiteName,
        /// Why.
        #[source]
        source: PveError,
    },
}

/// Looks at every given site.
pub async fn observe(
    sites: &BTreeMap<SiteName, Arc<SiteApi>>,
    scope: &Scope,
    now_ms: i64,
) -> Result<Observed, ObserveError> {
    let looks = sites.iter().map(|(name, api)| async move { (name.clone(), look(api, now_ms).await) });
    let mut observed = Observed::default();
    for (name, site) in futures::future::join_all(looks).await {
        let site = site.map_err(|source| ObserveError::Unreadable { site: name.clone(), source })?;
        observed.sites.insert(name, site);
    }
    look_closer(sites, scope, &mut observed).await;
    Ok(observed)
}

/// Adds what `scope` asks for to an observation made before.
pub async fn look_closer(sites: &BTreeMap<SiteName, Arc<SiteApi>>, scope: &Scope, observed: &mut Observed) {
    let work = observed.sites.iter_mut().filter_map(|(name, site)| sites.get(name).map(|api| (name, api, site)));
    let looks = work.map(|(name, api, site)| async move {
        if let Some(storages) = scope.catalog.get(name) {
            catalog(api, storages, site).await;
        }
        if let Some(vmids) = scope.configs.get(name) {
            configs(api, vmids, site).await;
        }
        if let Some(scope) = scope.firewalls.get(name) {
            crate::observe_firewall::read(api, scope, site).await;
        }
    });
    futures::future::join_all(looks).await;
}

async fn look(api: &SiteApi, now_ms: i64) -> Result<ObservedSite, PveError> {
    let (rows, version, status) =
        tokio::join!(api.rows(), api.pve().send(version::get()), api.pve().send(cluster::status()));
    let rows = rows?;
    let mut site = ObservedSite {
        seen_at_ms: now_ms,
        quorate: true,
        nodes: rows.nodes.clone(),
        guests: rows.guests.clone(),
        unread: rows.unread.clone(),
        ..ObservedSite::default()
    };
    match version {
        Ok(version) => site.version = version.version,
        Err(error) => site.unread.push(unread("version", &error)),
    }
    match status {
        Ok(rows) => site.quorate = decode::quorate(&rows),
        Err(error) => site.unread.push(unread("cluster status", &error)),
    }
    if !api.site().nodes.is_empty() {
        for missing in api.site().nodes.iter().filter(|name| !site.nodes.contains_key(*name)) {
            let why = "the site file names it, but the site does not show it".to_owned();
            site.unread.push(Unread { what: format!("node {missing}"), why });
        }
    }
    Ok(site)
}

async fn catalog(api: &SiteApi, storages: &BTreeSet<StorageId>, site: &mut ObservedSite) {
    let usable = &api.site().nodes;
    let names: Vec<NodeName> = site
        .nodes
        .iter()
        .filter(|(name, node)| node.online && (usable.is_empty() || usable.contains(name)))
        .map(|(name, _)| name.clone())
        .collect();
    let read: Vec<_> = futures::stream::iter(names)
        .map(|name| async move {
            let bridges = api.bridges(&name).await;
            let mut templates: Result<Vec<VolumeId>, PveError> = Ok(Vec::new());
            for storage in storages {
                match (&mut templates, api.templates(&name, storage).await) {
                    (Ok(all), Ok(volumes)) => all.extend(volumes),
                    (Ok(_), Err(error)) => templates = Err(error),
                    (Err(_), _) => {}
                }
            }
            (name, bridges, templates)
        })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;
    for (name, bridges, templates) in read {
        let Some(node) = site.nodes.get_mut(&name) else { continue };
        match bridges {
            Ok(bridges) => node.bridges = Some(bridges),
            Err(error) => site.unread.push(unread(&format!("bridges of node {name}"), &error)),
        }
        match templates {
            Ok(templates) => node.templates = Some(templates),
            Err(error) => site.unread.push(unread(&format!("templates of node {name}"), &error)),
        }
    }
}

async fn configs(api: &SiteApi, vmids: &BTreeSet<Vmid>, site: &mut ObservedSite) {
    // A virtual machine has no container configuration to read; that it is one says enough.
    let containers = |vmid: &Vmid| site.guests.get(vmid).filter(|guest| guest.kind == GuestKind::Container);
    let known: Vec<(Vmid, NodeName)> =
        vmids.iter().filter_map(|vmid| containers(vmid).map(|guest| (*vmid, guest.node.clone()))).collect();
    let read: Vec<_> = futures::stream::iter(known)
        .map(|(vmid, node)| async move { (vmid, api.config(&node, vmid).await) })
        .buffer_unordered(READS_AT_ONCE)
        .collect()
        .await;
    for (vmid, config) in read {
        match config {
            Ok(Some((config, _))) => {
                if let Some(guest) = site.guests.get_mut(&vmid) {
                    guest.lock = config.lock.clone();
                    guest.config = Some(config);
                }
            }
            Ok(None) => site.unread.push(Unread::config(vmid, "it was moved or removed while it was being read")),
            Err(error) => site.unread.push(Unread::config(vmid, full_text(&error))),
        }
    }
}

pub(crate) fn unread(what: &str, error: &PveError) -> Unread {
    Unread { what: what.to_owned(), why: full_text(error) }
}
