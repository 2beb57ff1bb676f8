//! Follows an operation to its end, showing what happens as it happens.

use std::collections::BTreeMap;
use std::time::Duration;

use rl_engine::{OperationId, OperationState};

use super::client::Remote;
use super::error::RemoteError;
use super::events::{Events, Heard};
use crate::error::CommandError;
use crate::out::Out;
use crate::render::progress::View;
use crate::shape::operation::{EventShape, OperationShape, OperationWhole};

/// Most events of one operation that are read to catch up; what is beyond is not shown.
const EVENTS_MAX: usize = 100_000;
/// How often the live view is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Waits until an operation is settled, and gives its state then; `None` when the person detached.
pub(crate) async fn follow(
    remote: &Remote,
    id: OperationId,
    out: &Out,
) -> Result<Option<OperationState>, CommandError> {
    let whole: OperationWhole = remote.get(&format!("/v1/operations/{id}")).await?;
    let names: BTreeMap<String, String> = whole.jobs.into_iter().map(|job| (job.id, job.name)).collect();
    let mut following = Following { remote, id, view: View::new(out, names), seen: 0 };
    let ended = following.until_its_end().await;
    following.view.finish();
    ended
}

struct Following<'a> {
    remote: &'a Remote,
    id: OperationId,
    view: View,
    /// Number of the last event that was shown.
    seen: u64,
}

/// Waits for something, and draws what runs meanwhile.
async fn drawn<T>(view: &mut View, awaited: impl Future<Output = T>) -> T {
    let mut tick = tokio::time::interval(TICK);
    tokio::pin!(awaited);
    loop {
        tokio::select! {
            come = &mut awaited => return come,
            _ = tick.tick() => view.draw(BTreeMap::new),
        }
    }
}

impl Following<'_> {
    async fn until_its_end(&mut self) -> Result<Option<OperationState>, CommandError> {
        let mut events = Events::new(self.remote, format!("/v1/events?operation={}", self.id));
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        let mut reachable = true;
        loop {
            let heard = tokio::select! {
                heard = drawn(&mut self.view, events.next()) => heard?,
                _ = &mut interrupted => {
                    self.view.say("detached: the server goes on with it");
                    return Ok(None);
                }
            };
            let look = match heard {
                Heard::Lost => {
                    if std::mem::take(&mut reachable) {
                        self.view.say("the server is out of reach; waiting for it");
                    }
                    continue;
                }
                Heard::Anew => {
                    self.catch_up().await?;
                    true
                }
                // Once in a while: what a stream should have told is not relied on alone.
                Heard::Alive => true,
                Heard::Event(told) => self.tell(&told.data),
            };
            reachable = true;
            if look && let Some(state) = self.settled().await? {
                self.catch_up().await?;
                return Ok(Some(state));
            }
        }
    }

    /// Shows an event; says whether it may have settled the operation.
    fn tell(&mut self, data: &str) -> bool {
        let Ok(event) = serde_json::from_str::<EventShape>(data) else { return true };
        if event.seq <= self.seen || event.operation != self.id.to_string() {
            return false;
        }
        self.seen = event.seq;
        self.view.event(&event);
        event.kind == "operation.state"
    }

    /// Shows what happened and was not heard.
    async fn catch_up(&mut self) -> Result<(), RemoteError> {
        let path = format!("/v1/operations/{}/events", self.id);
        let cursor = (self.seen > 0).then(|| self.seen.to_string());
        let events: Vec<EventShape> = self.remote.list_after(&path, cursor, EVENTS_MAX).await?;
        let seen = self.seen;
        for event in events.into_iter().filter(|event| event.seq > seen) {
            self.view.event(&event);
            self.seen = event.seq;
        }
        Ok(())
    }

    async fn settled(&self) -> Result<Option<OperationState>, CommandError> {
        let whole: OperationShape = self.remote.get(&format!("/v1/operations/{}", self.id)).await?;
        let state = OperationState::parse(&whole.state).ok_or_else(|| {
            CommandError::failed(format!("operation {} is in a state that this release does not know", self.id))
        })?;
        Ok((state != OperationState::Running).then_some(state))
    }
}
