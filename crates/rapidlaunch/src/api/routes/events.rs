//! What happens, as it happens: server-sent events from the durable log.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use rl_engine::JournalError;
use rl_model::Right;
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::operations;
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::Params;
use crate::api::hub::{Batch, Hub, Told};
use crate::api::problem::{Code, Problem};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// Most followers at once: each keeps a connection with its buffers.
const FOLLOWERS_MAX: usize = 12_000;
/// Events that a follower may be behind and still gets one by one; beyond it, fetching the present state is quicker.
const REPLAY_MAX: u64 = 20_000;
/// Events read from the log at once for a follower that is behind.
const PAGE: usize = 200;
/// After this a follower must come again, so that rights that were taken away end here too.
const FOLLOW_MAX: Duration = Duration::from_secs(15 * 60);
/// Time between comments that keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a follower waits before it comes again, in milliseconds.
const RETRY: Duration = Duration::from_secs(1);

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only events whose kind begins with one of these, separated by commas: `operation.,job.`
    kinds: Option<String>,
    /// Only of this stack.
    stack: Option<String>,
    /// Only of this operation.
    operation: Option<String>,
    /// Only after this id; `Last-Event-ID` goes before it.
    after: Option<String>,
}

impl Filter {
    fn fits(&self, caller: &Caller, told: &Told) -> bool {
        let event = &told.event;
        let kind = |kinds: &String| kinds.split(',').any(|start| event.kind.starts_with(start.trim()));
        let stack = event.stack.as_deref().unwrap_or_default();
        self.kinds.as_ref().is_none_or(kind)
            && self.stack.as_deref().is_none_or(|wanted| wanted == stack)
            && self.operation.as_deref().is_none_or(|wanted| wanted == event.operation)
            && caller.may(Right::Read, &operations::paths(stack))
    }
}

/// Follows what happens. Each event has an id; with `Last-Event-ID` a follower goes on where it stopped, also after a restart of
/// the server. `event: ready` comes first, `event: resync` when what was missed is no longer there or too much: fetch anew.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(Filter, ("Last-Event-ID" = Option<String>, Header, description = "The last id that was seen")),
    responses((status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream")))]
async fn follow(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    caller.need_somewhere(Right::Read)?;
    if api.hub.followers() >= FOLLOWERS_MAX {
        return Err(Problem::new(Code::UNAVAILABLE, "too many follow already").retry_after(30));
    }
    let last = match headers.get("last-event-id") {
        Some(id) => Some(id.to_str().map_err(|_| no_id())?.to_owned()),
        None => filter.after.clone(),
    };
    let live = api.hub.subscribe();
    let newest = api.hub.newest();
    let after = match last.as_deref().filter(|id| !id.is_empty()) {
        None => newest,
        Some(id) => id.split('-').next().unwrap_or_default().parse().map_err(|_| no_id())?,
    };
    let first = Event::default().event("ready").id(id(after)).retry(RETRY).data("{}");
    let follower = Follower {
        hub: Arc::clone(&api.hub),
        live,
        caller,
        filter,
        after,
        // A number from the future belongs to another store: nothing can be replayed from there.
        stale: after > newest || newest.saturating_sub(after) > REPLAY_MAX,
        behind: after < newest,
        queue: VecDeque::from([first]),
        until: Instant::now() + FOLLOW_MAX,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(stream(follower)).keep_alive(keep_alive))
}

fn no_id() -> Problem {
    Problem::new(Code::MALFORMED, "the id to go on from is none that was given out")
}

fn id(seq: u64) -> String {
    format!("{seq}-0")
}

/// Somebody who follows.
struct Follower {
    hub: Arc<Hub>,
    live: Receiver<Batch>,
    caller: Caller,
    filter: Filter,
    after: u64,
    stale: bool,
    behind: bool,
    queue: VecDeque<Event>,
    until: Instant,
}

fn stream(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(event) = follower.queue.pop_front() {
                return Some((Ok(event), follower));
            }
            if !follower.more().await {
                return None;
            }
        }
    })
}

impl Follower {
    /// Gets more events; `false` at the end.
    async fn more(&mut self) -> bool {
        if self.stale {
            self.resync(self.hub.newest());
            return true;
        }
        if self.behind {
            return self.read().await;
        }
        tokio::select! {
            batch = self.live.recv() => match batch {
                Ok(batch) => batch.iter().for_each(|told| self.take(told)),
                // What was missed is in the log.
                Err(RecvError::Lagged(_)) => {
                    self.behind = true;
                    self.stale = self.hub.newest().saturating_sub(self.after) > REPLAY_MAX;
                }
                Err(RecvError::Closed) => return false,
            },
            () = tokio::time::sleep_until(self.until) => return false,
        }
        true
    }

    /// Reads on in the log.
    async fn read(&mut self) -> bool {
        match self.hub.page(self.after, PAGE).await {
            Ok(page) => {
                self.behind = !page.is_empty();
                page.iter().for_each(|told| self.take(told));
                true
            }
            Err(JournalError::EventsGone { complete_after, .. }) => {
                self.resync(complete_after.max(self.hub.newest()));
                true
            }
            // The follower comes again, and goes on where it stopped.
            Err(_) => false,
        }
    }

    fn take(&mut self, told: &Told) {
        if told.event.seq <= self.after {
            return;
        }
        self.after = told.event.seq;
        if self.filter.fits(&self.caller, told) {
            self.queue.push_back(Event::default().event(&told.event.kind).id(id(self.after)).data(&told.text));
        }
    }

    fn resync(&mut self, newest: u64) {
        (self.after, self.stale, self.behind) = (newest, false, false);
        self.queue.push_back(Event::default().event("resync").id(id(newest)).data("{}"));
    }
}
