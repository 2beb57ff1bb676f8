//! The agents that are connected, and the orders that wait for their answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::rolls::Rolls;
use crate::answer::{Answer, Refusal};
use crate::courier::{CallError, Courier, Given, Output, Post};
use crate::frame::{CHUNK, Frame};
use crate::message::ToAgent;
use crate::work::{CONTENT_MAX, OUTPUT_MAX, Order, Work};

/// Most orders that may wait for one agent's answers; an agent itself takes fewer at a time and says so.
const CALLS_MAX: usize = 256;

/// An order that waits for its answer.
pub(super) struct Call {
    pub(super) done: oneshot::Sender<Result<Answer, Refusal>>,
    pub(super) output: Option<mpsc::UnboundedSender<Output>>,
    /// Bytes of output that may still come.
    pub(super) room: u64,
    /// When nobody waits for it any more, by a clock that goes on while this process is stopped; `None` when in no time one can count.
    pub(super) until: Option<Instant>,
}

/// A connected agent.
pub(super) struct Connected {
    pub(super) out: mpsc::Sender<Frame>,
    pub(super) calls: Mutex<HashMap<u64, Call>>,
    /// Ends the connection.
    pub(super) close: CancellationToken,
}

impl Connected {
    pub(super) fn calls(&self) -> MutexGuard<'_, HashMap<u64, Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The agents that are connected to this process.
pub struct Agents {
    rolls: Arc<dyn Rolls>,
    connected: Mutex<BTreeMap<Post, Arc<Connected>>>,
    changed: watch::Sender<u64>,
    next: AtomicU64,
}

impl Agents {
    pub(super) fn new(rolls: Arc<dyn Rolls>) -> Self {
        Self { rolls, connected: Mutex::default(), changed: watch::Sender::new(0), next: AtomicU64::new(1) }
    }

    /// The nodes whose agents are connected now.
    pub fn connected(&self) -> Vec<Post> {
        self.lock().keys().cloned().collect()
    }

    /// Who is known.
    pub fn rolls(&self) -> &Arc<dyn Rolls> {
        &self.rolls
    }

    /// Ends the connection of a node's agent, if it has one.
    pub fn disconnect(&self, post: &Post) {
        if let Some(connected) = self.lock().remove(post) {
            connected.close.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Post, Arc<Connected>>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in. An earlier one of the same node is ended: an agent that comes again has lost it.
    pub(super) fn enter(&self, post: &Post, connected: &Arc<Connected>) {
        if let Some(earlier) = self.lock().insert(post.clone(), Arc::clone(connected)) {
            earlier.close.cancel();
        }
        self.changed.send_modify(|n| *n += 1);
    }

    /// Lets a connection go, unless another has taken its place.
    pub(super) fn leave(&self, post: &Post, connected: &Arc<Connected>) {
        let mut all = self.lock();
        if all.get(post).is_some_and(|now| Arc::ptr_eq(now, connected)) {
            all.remove(post);
        }
        drop(all);
        // Whoever waits for an answer learns at once that it will not come.
        connected.calls().clear();
    }

    async fn wait_for(&self, post: &Post, wait: Duration) -> Result<Arc<Connected>, CallError> {
        let mut changed = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(connected) = self.lock().get(post).cloned() {
                    return connected;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match tokio::time::timeout(wait, found).await {
            Ok(connected) => Ok(connected),
            Err(_) => Err(self.away(post).await),
        }
    }

    async fn away(&self, post: &Post) -> CallError {
        match self.rolls.known(post).await {
            Ok(Some(known)) => CallError::Away { post: post.clone(), last_seen_ms: known.last_seen_ms },
            Ok(None) => CallError::NoAgent { post: post.clone() },
            Err(error) => CallError::NoWay { how: error.to_string() },
        }
    }

    async fn send(connected: &Connected, id: u64, order: &Order, input: &Zeroizing<Vec<u8>>) -> Result<(), String> {
        let order = serde_json::to_value(order).map_err(|error| error.to_string())?;
        let message = ToAgent::Order { id, order, input_bytes: input.len() as u64 };
        let lost = |_| "the connection was lost".to_owned();
        connected.out.send(Frame::message(&message)).await.map_err(lost)?;
        for chunk in input.chunks(CHUNK) {
            connected.out.send(Frame::Piece { id, stream: 0, bytes: chunk.to_vec() }).await.map_err(lost)?;
        }
        Ok(())
    }
}

/// Takes an order back when whoever gave it does not wait any more.
struct Waiting<'a> {
    connected: &'a Connected,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.connected.calls().remove(&self.id);
    }
}

#[async_trait]
impl Courier for Agents {
    async fn call(
        &self,
        post: &Post,
        order: Order,
        given: Given,
        wait: Duration,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        order.check()?;
        if given.input.len() as u64 > 2 * CONTENT_MAX {
            return Err(CallError::Malformed { what: format!("more than {CONTENT_MAX} bytes of input") });
        }
        let connected = self.wait_for(post, wait).await?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        let room = match &order.work {
            Work::Exec(exec) => exec.output_max.min(OUTPUT_MAX),
            _ => CONTENT_MAX,
        };
        {
            let mut calls = connected.calls();
            if calls.len() >= CALLS_MAX {
                let refusal = Refusal::Busy { limit: CALLS_MAX };
                return Err(CallError::Refused { post: post.clone(), refusal });
            }
            let until = Instant::now().checked_add(limit);
            calls.insert(id, Call { done, output: given.output, room, until });
        }
        let waiting = Waiting { connected: &connected, id };
        let lost = |how: String| CallError::Lost { post: post.clone(), how };
        let exchange = async {
            tokio::select! {
                biased;
                () = connected.close.cancelled() => return Err(lost("the connection was lost".to_owned())),
                sent = Self::send(&connected, id, &order, &given.input) => sent.map_err(lost)?,
            }
            match answer.await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(refusal)) => Err(CallError::Refused { post: post.clone(), refusal }),
                Err(_) => Err(lost("the connection was lost".to_owned())),
            }
        };
        let ended = tokio::time::timeout(limit, exchange).await;
        drop(waiting);
        ended.unwrap_or_else(|_| Err(lost(format!("nothing came within {:.1} s", limit.as_secs_f64()))))
    }

    async fn recipient(&self, post: &Post) -> Result<String, CallError> {
        match self.rolls.known(post).await {
            Ok(Some(known)) => Ok(known.recipient),
            Ok(None) => Err(CallError::NoAgent { post: post.clone() }),
            Err(error) => Err(CallError::NoWay { how: error.to_string() }),
        }
    }
}
