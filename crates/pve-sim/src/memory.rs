//! A site without sockets: connections are byte streams in memory, and time is tokio's.
//!
//! In a paused runtime with one thread a run is the same every time: chance comes from the seed, time from the runtime,
//! and nothing waits for the machine. TLS is left out here, because its handshake draws random numbers of its own.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::api::dispatch::NodeService;
use crate::faults::Fault;
use crate::http::{Service, conn};
use crate::ledger::{Effect, Ledger};
use crate::seed::SeedError;
use crate::sim::{Ground, SimConfig};
use crate::site::Site;

/// See the module. Set [`SimConfig::epoch`], or its clock starts at the machine's time.
pub struct MemorySim {
    site: Arc<Site>,
    nodes: Vec<String>,
    token: Option<String>,
}

/// A task that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningTask {
    /// Its id.
    pub upid: String,
    /// Where it runs.
    pub node: String,
    /// Its type, such as `vzcreate`.
    pub kind: String,
    /// What it is about; for most tasks the VMID.
    pub id: String,
}

impl MemorySim {
    /// Builds a site. Listening addresses, the control port and the idle limit of the settings mean nothing here.
    pub fn start(config: &SimConfig) -> Result<Self, SeedError> {
        let ground = Ground::of(config);
        let site = Arc::new(ground.site(config, "")?);
        Ok(Self { site, nodes: ground.seed_state.node_names(), token: ground.seed_state.first_token() })
    }

    /// Names of the nodes, in the order of their names.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// Serves one connection to the `at`-th node until it ends, as plain HTTP. Dropping the future hangs up.
    pub fn serve<S>(&self, at: usize, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (site, node) = (self.site.clone(), self.nodes.get(at).cloned().unwrap_or_default());
        let connections = site.connections();
        let service: Arc<dyn Service> = Arc::new(NodeService { site, node });
        async move { conn::serve(stream, service, connections).await }
    }

    /// See [`crate::Sim::token`].
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or("")
    }

    /// What was truly done so far.
    pub fn ledger(&self) -> Ledger {
        self.site.ledger.snapshot()
    }

    /// Calls `listener` with every effect from now on, where it happens; it must not wait. Only the first one is heard.
    pub fn on_effect(&self, listener: impl Fn(&Effect) + Send + Sync + 'static) {
        self.site.ledger.listen(Arc::new(listener));
    }

    /// Tasks that have not ended, of all nodes in the order of their names, oldest first.
    pub fn running_tasks(&self) -> Vec<RunningTask> {
        let tasks = self.nodes.iter().flat_map(|node| self.site.tasks.active(node).into_iter().rev());
        let shown = tasks.map(|task| RunningTask {
            upid: task.upid.clone(),
            node: task.node.clone(),
            kind: task.kind.clone(),
            id: task.id.clone(),
        });
        shown.collect()
    }

    /// Adds faults.
    pub fn add_faults(&self, faults: Vec<Fault>) {
        self.site.faults.add(faults);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.site.faults.clear();
    }

    /// See [`crate::Sim::control`].
    pub async fn control(&self, method: &str, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        crate::control::handle(&self.site, method, path, body).await
    }
}

impl std::fmt::Debug for MemorySim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemorySim").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}
