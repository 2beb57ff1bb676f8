//! One site, as steps use it: calls in the words of the domain, gates on its nodes, and shared readings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rl_model::config::split_tags;
use rl_model::{
    Bridge, BridgeName, ContainerConfig, DiskSize, FieldKey, GuestKind, GuestStatus, LiveInterface, NodeName,
    ObservedGuest, ResolvedGuest, Site, Stamp, Upid, Vmid, VolumeId,
};
use rl_pve::api::lxc::{self, ConfigPatch, ConfigView, Destroy, DiskKey, Migrate, SnapshotName};
use rl_pve::api::tasks::{self, TaskQuery, TaskSource};
use rl_pve::api::{cluster, network, storage};
use rl_pve::wire::Rows;
use rl_pve::{CallClass, ErrorKind, Pace, Pve, PveError, TaskEnd, decode};

use rl_pve::decode::SiteRows;
pub(crate) use rl_pve::wire::RawConfig;

use crate::gate::Gate;
use crate::roster::Shared;

/// Most running tasks of a node that are looked through for one of ours.
const RUNNING_TASKS_MAX: u32 = 500;
/// Lines of a task's log read at a time; what is beyond comes with the next look.
const LOG_LINES: u32 = 500;
/// Characters of a log line that are shown.
const LOG_LINE_MAX: usize = 200;
/// How long a start takes where nothing has been measured yet.
const START_USUAL: Duration = Duration::from_millis(2_500);
/// Longest wait before the first look at a start.
const START_LONGEST: Duration = Duration::from_secs(30);

/// Shortest limit of a call, however quickly a simulated site works: the network and this process keep their own time.
const CALL_SHORTEST: Duration = Duration::from_secs(2);

/// Longest time a call of this class may take on a site of this pace: what Proxmox needs, shorter only where the site is simulated
/// and quicker than a real one.
pub fn call_limit(class: CallClass, pace: Pace) -> Duration {
    let real = class.limit();
    pace.local(real).clamp(CALL_SHORTEST.min(real), real)
}

type Guests = BTreeMap<Vmid, ObservedGuest>;

/// The API of one site.
pub struct SiteApi {
    site: Site,
    pve: Pve,
    pace: Pace,
    rows: Shared<SiteRows>,
    start_usual: Mutex<Duration>,
    nodes: Mutex<BTreeMap<NodeName, Arc<Node>>>,
}

/// What is kept per node.
struct Node {
    creates: Arc<Gate>,
    starts: Arc<Gate>,
    guests: Shared<Guests>,
}

impl SiteApi {
    /// Joins a site's declaration and the client that reaches it.
    pub fn new(site: Site, pve: Pve, pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            site,
            pve,
            pace,
            rows: Shared::new(),
            start_usual: Mutex::new(pace.local(START_USUAL)),
            nodes: Mutex::default(),
        })
    }

    /// The site's declaration.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The client, for calls that no step makes.
    pub fn pve(&self) -> &Pve {
        &self.pve
    }

    fn node(&self, name: &NodeName) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let limits = self.site.limits;
            let (creates, starts) = (Gate::new(limits.creates_per_node), Gate::new(limits.starts_per_node));
            Arc::new(Node { creates, starts, guests: Shared::new() })
        };
        Arc::clone(nodes.entry(name.clone()).or_insert_with(make))
    }

    /// The gate for disk-heavy tasks of a node.
    pub(crate) fn creates(&self, node: &NodeName) -> Arc<Gate> {
        Arc::clone(&self.node(node).creates)
    }

    /// The gate for starts on a node.
    pub(crate) fn starts(&self, node: &NodeName) -> Arc<Gate> {
        Arc::clone(&self.node(node).starts)
    }

    /// Longest time a call of this class may take.
    pub(crate) fn limit(&self, class: CallClass) -> Duration {
        call_limit(class, self.pace)
    }

    /// How long a span of the site's time is by our clock.
    pub(crate) fn local(&self, span: Duration) -> Duration {
        self.pace.local(span)
    }

    /// Waits for a span of the site's time.
    pub(crate) async fn pause(&self, span: Duration) {
        tokio::time::sleep(self.pace.local(span)).await;
    }

    /// How long a container usually takes to start after it was made, in our time.
    pub(crate) fn start_usual(&self) -> Duration {
        *self.start_usual.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from a look after that time: whether it ran by then.
    pub(crate) fn start_was_usual(&self, ran: bool) {
        let mut usual = self.start_usual.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = self.pace.local(START_LONGEST);
        *usual = if ran { usual.mul_f64(0.99) } else { usual.mul_f64(1.25).min(longest) };
    }

    /// The resource list, read after this call; those who ask together share one reading.
    pub(crate) async fn rows(&self) -> Result<Arc<SiteRows>, PveError> {
        self.rows.fresh(async { Ok(decode::site_rows(self.pve.send(cluster::resources(None)).await?)) }).await
    }

    /// The kind and node of the guest with this VMID, by the resource list.
    pub(crate) async fn where_is(&self, vmid: Vmid) -> Result<Option<(GuestKind, NodeName)>, PveError> {
        Ok(self.rows().await?.guests.get(&vmid).map(|guest| (guest.kind, guest.node.clone())))
    }

    /// Containers of one node by its own list, which is live.
    pub(crate) async fn node_guests(&self, name: &NodeName) -> Result<Arc<Guests>, PveError> {
        let read = async { Ok(node_guests(name, self.pve.send(lxc::list(name)).await?)) };
        self.node(name).guests.fresh(read).await
    }

    /// A container's configuration as written, with the keys that wait for a start; `None` when there is no such
    /// container on the node.
    pub(crate) async fn config(
        &self,
        node: &NodeName,
        vmid: Vmid,
    ) -> Result<Option<(ContainerConfig, RawConfig)>, PveError> {
        match self.pve.send(lxc::pending(node, vmid)).await {
            Ok(rows) => {
                let raw = decode::effective(&rows, ConfigView::Merged);
                Ok(Some((decode::container_config(&raw, decode::pending_keys(&rows)), raw)))
            }
            Err(error) if matches!(error.kind(), ErrorKind::DoesNotExist) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Interfaces inside a running container; `None` when it does not run.
    pub(crate) async fn interfaces(&self, node: &NodeName, vmid: Vmid) -> Result<Option<Vec<LiveInterface>>, PveError> {
        let rows = self.pve.send(lxc::interfaces(node, vmid)).await?;
        Ok((!rows.0.is_empty()).then(|| decode::live_interfaces(rows)))
    }

    /// Bridges of a node.
    pub(crate) async fn bridges(&self, node: &NodeName) -> Result<BTreeMap<BridgeName, Bridge>, PveError> {
        Ok(decode::bridges(self.pve.send(network::bridges(node)).await?))
    }

    /// Templates on one storage of a node.
    pub(crate) async fn templates(
        &self,
        node: &NodeName,
        storage: &rl_model::StorageId,
    ) -> Result<Vec<VolumeId>, PveError> {
        Ok(decode::volumes(self.pve.send(storage::content(node, storage, storage::Content::Templates, None)).await?))
    }

    /// Makes a container under this VMID.
    pub(crate) async fn create(
        &self,
        node: &NodeName,
        guest: &ResolvedGuest,
        stamp: &Stamp,
        vmid: Vmid,
        start: bool,
    ) -> Result<Upid, PveError> {
        let guest = ResolvedGuest { vmid, ..guest.clone() };
        self.pve.send(lxc::create(node, &guest, stamp, start)).await
    }

    /// Writes configuration fields.
    pub(crate) async fn set_config(&self, node: &NodeName, vmid: Vmid, patch: &ConfigPatch) -> Result<(), PveError> {
        self.pve.send(lxc::set_config(node, vmid, patch)).await.map(drop)
    }

    /// Grows a disk to an absolute size.
    pub(crate) async fn resize(
        &self,
        node: &NodeName,
        vmid: Vmid,
        disk: FieldKey,
        size: DiskSize,
        digest: &str,
    ) -> Result<Upid, PveError> {
        let disk = DiskKey::of(disk).unwrap_or(DiskKey::Root);
        self.pve.send(lxc::resize(node, vmid, disk, size, Some(digest))).await
    }

    /// Starts a container.
    pub(crate) async fn start(&self, node: &NodeName, vmid: Vmid) -> Result<Upid, PveError> {
        self.pve.send(lxc::start(node, vmid)).await
    }

    /// Shuts a container down; it is stopped by force after `grace`.
    pub(crate) async fn shutdown(&self, node: &NodeName, vmid: Vmid, grace: Duration) -> Result<Upid, PveError> {
        let seconds = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX);
        self.pve.send(lxc::shutdown(node, vmid, seconds, true)).await
    }

    /// Stops a container at once.
    pub(crate) async fn stop(&self, node: &NodeName, vmid: Vmid) -> Result<Upid, PveError> {
        self.pve.send(lxc::stop(node, vmid)).await
    }

    /// Destroys a container, also from backup jobs, replication and HA. Never by force, and never disks that its
    /// configuration does not name: they may be somebody else's.
    pub(crate) async fn destroy(&self, node: &NodeName, vmid: Vmid) -> Result<Upid, PveError> {
        let how = Destroy { purge: true, force: false, unreferenced_disks: false };
        self.pve.send(lxc::destroy(node, vmid, how)).await
    }

    /// Moves a container to another node.
    pub(crate) async fn migrate(
        &self,
        node: &NodeName,
        vmid: Vmid,
        to: &NodeName,
        running: bool,
    ) -> Result<Upid, PveError> {
        let how = Migrate { target: to.clone(), restart: running, timeout_s: None, target_storage: None };
        self.pve.send(lxc::migrate(node, vmid, &how)).await
    }

    /// Names of a container's snapshots.
    pub async fn snapshots(&self, node: &NodeName, vmid: Vmid) -> Result<Vec<String>, PveError> {
        let rows = self.pve.send(lxc::list_snapshots(node, vmid)).await?.0;
        Ok(rows.into_iter().map(|row| row.name.0).filter(|name| name != "current").collect())
    }

    /// Makes a snapshot.
    pub(crate) async fn take_snapshot(
        &self,
        node: &NodeName,
        vmid: Vmid,
        name: &SnapshotName,
    ) -> Result<Upid, PveError> {
        self.pve.send(lxc::take_snapshot(node, vmid, name, None)).await
    }

    /// Removes a snapshot.
    pub(crate) async fn delete_snapshot(
        &self,
        node: &NodeName,
        vmid: Vmid,
        name: &SnapshotName,
    ) -> Result<Upid, PveError> {
        self.pve.send(lxc::delete_snapshot(node, vmid, name, false)).await
    }

    /// Returns to a snapshot.
    pub(crate) async fn rollback_snapshot(
        &self,
        node: &NodeName,
        vmid: Vmid,
        name: &SnapshotName,
    ) -> Result<Upid, PveError> {
        self.pve.send(lxc::rollback_snapshot(node, vmid, name, false)).await
    }

    /// Follows a task to its end.
    pub(crate) async fn watch(&self, upid: &Upid) -> Result<TaskEnd, PveError> {
        self.pve.watch(upid).await
    }

    /// The newest line of a task's log that comes behind those seen, without control characters.
    pub(crate) async fn task_said(&self, upid: &Upid, seen: &mut u64) -> Result<Option<String>, PveError> {
        let log = self.pve.send(tasks::log(upid, *seen, LOG_LINES)).await?;
        // An empty log is told as one line, `no content` (`PVE/Tools.pm`, `dump_logfile`).
        let told = log.total.unsigned().min(*seen + u64::from(LOG_LINES));
        let Some(last) = log.data.0.last().filter(|_| told > *seen) else { return Ok(None) };
        *seen = told;
        let text: String = last.t.0.chars().filter(|letter| !letter.is_control()).take(LOG_LINE_MAX).collect();
        Ok((!text.trim().is_empty()).then_some(text))
    }

    /// Asks Proxmox to stop a task. One that has ended already is no error.
    pub(crate) async fn stop_task(&self, upid: &Upid) -> Result<(), PveError> {
        match self.pve.send(tasks::stop(upid)).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::NoSuchTask | ErrorKind::DoesNotExist) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A running task of one of these types about a VMID, as far as the token may see it.
    pub(crate) async fn running_task(
        &self,
        node: &NodeName,
        vmid: Vmid,
        kinds: &[&str],
    ) -> Result<Option<Upid>, PveError> {
        let query = TaskQuery { source: TaskSource::Active, since: None, limit: RUNNING_TASKS_MAX, about: Some(vmid) };
        let rows = self.pve.send(tasks::list(node, &query)).await?.0;
        let ours = rows.iter().filter(|row| kinds.contains(&row.kind.as_str()) && row.ended().is_none());
        Ok(ours.filter_map(|row| row.upid.parse().ok()).next())
    }
}

/// Rows of a node's own list, without what only configurations show.
fn node_guests(node: &NodeName, rows: Rows<lxc::GuestRow>) -> Guests {
    rows.into_iter()
        .filter_map(|row| {
            let vmid: Vmid = row.vmid.0.to_string().parse().ok()?;
            let guest = ObservedGuest {
                vmid,
                kind: GuestKind::Container,
                node: node.clone(),
                name: row.name.unwrap_or_default().0,
                status: match row.status.as_str() {
                    "running" => GuestStatus::Running,
                    "stopped" => GuestStatus::Stopped,
                    _ => GuestStatus::Unknown,
                },
                template: row.template.is_some_and(|template| template.0),
                tags: row.tags.map(|tags| split_tags(&tags.0)).unwrap_or_default(),
                lock: row.lock,
                pool: None,
                max_cores: row.cpus.map_or(0, |cpus| cpus.0.clamp(0.0, f64::from(u32::MAX)) as u32),
                max_memory_bytes: row.maxmem.map_or(0, |bytes| bytes.unsigned()),
                max_disk_bytes: row.maxdisk.map_or(0, |bytes| bytes.unsigned()),
                config: None,
                live: None,
            };
            Some((vmid, guest))
        })
        .collect()
}
