//! How many requests are under way at once: a node has three workers for them, and a queue of its own would only hide
//! where the waiting is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rl_model::NodeName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::request::Call;
use crate::{ErrorKind, PveError};

/// Requests under way at once to one site, over all its nodes: twenty nodes at three each.
const SITE_REQUESTS_MAX: usize = 64;
/// Longest wait for a place; longer means that nodes do not answer, and the caller should hear of it.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(120);
/// Most requests that wait at once; beyond it something asks without end.
const WAITING_MAX: usize = 20_000;

/// Places for requests.
pub(super) struct Limits {
    per_node: usize,
    nodes: Mutex<HashMap<Option<NodeName>, Arc<Semaphore>>>,
    site: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place, given back when it is dropped.
pub(super) struct Place {
    _node: OwnedSemaphorePermit,
    _site: OwnedSemaphorePermit,
}

impl Limits {
    pub(super) fn new(per_node: u32) -> Self {
        Self {
            per_node: (per_node.max(1) as usize).min(SITE_REQUESTS_MAX),
            nodes: Mutex::default(),
            site: Arc::new(Semaphore::new(SITE_REQUESTS_MAX)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Waits for a place at the node, then at the site, first come first served. A request that waits for a slow node
    /// holds no place of the site.
    pub(super) async fn enter(&self, call: &Call) -> Result<Place, PveError> {
        let _counted = Waiting::begin(&self.waiting).ok_or_else(|| full(call, "too many requests wait already"))?;
        let wait = async {
            let node = self.node(call.node.as_ref()).acquire_owned().await.ok()?;
            let site = self.site.clone().acquire_owned().await.ok()?;
            Some(Place { _node: node, _site: site })
        };
        match tokio::time::timeout(QUEUE_WAIT_MAX, wait).await {
            Ok(Some(place)) => Ok(place),
            _ => Err(full(call, "no place among the requests to this node became free in time")),
        }
    }

    fn node(&self, node: Option<&NodeName>) -> Arc<Semaphore> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.entry(node.cloned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_node))).clone()
    }
}

fn full(call: &Call, text: &str) -> PveError {
    PveError::new(call, ErrorKind::Busy, text)
}

/// Counts one waiting request for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(count);
        (before < WAITING_MAX).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
