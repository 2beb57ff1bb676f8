//! Somebody who follows: what was missed first, then what happens, in the order of each log.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{Hub, News, Seat};
use crate::api::caller::Caller;
use crate::work::happenings::{Part, Position, ReadError, Told, Wanted};

/// Most of one log that a follower may be behind and still gets one by one; beyond it, fetching the present state is quicker.
pub(crate) const REPLAY_MAX: u64 = 20_000;
/// What is read from a log at once for a follower that is behind.
const PAGE: usize = 200;
/// After this a follower must come again, so that what it was let in with is looked at in full.
const FOLLOW_MAX: Duration = Duration::from_secs(15 * 60);
/// How long what a caller may read is taken as known, where nothing in this process says that it has changed.
const RIGHTS_KNOWN: Duration = Duration::from_secs(5);
/// What a follower waits before it comes again.
const RETRY: Duration = Duration::from_secs(1);

/// Looks up anew who follows; `None` when they are nobody any more.
pub(crate) type Renew = Box<dyn Fn() -> BoxFuture<'static, Option<Caller>> + Send + Sync>;

/// What somebody follows with.
pub(crate) struct Following {
    /// Who.
    pub(crate) caller: Caller,
    /// Looks them up anew.
    pub(crate) renew: Renew,
    /// Tells whether what somebody may do has changed since: another number each time.
    pub(crate) rights: Box<dyn Fn() -> u64 + Send + Sync>,
    /// What they want to hear of.
    pub(crate) wanted: Wanted,
    /// After which place; from now on where there is none.
    pub(crate) after: Option<Position>,
    /// How far behind they may be and still get everything one by one.
    pub(crate) reach: u64,
    /// Their place, given back when they go.
    pub(crate) _seat: Option<Seat>,
}

/// See the module.
pub(crate) struct Follower {
    hub: Arc<Hub>,
    live: Receiver<News>,
    with: Following,
    /// When their rights were looked up, and at which of their changes.
    known: (Instant, u64),
    after: Position,
    stale: bool,
    /// Logs that have something that was not sent and will not come by itself.
    behind: Vec<Part>,
    queue: VecDeque<Event>,
    until: Instant,
}

impl Follower {
    /// Begins to follow.
    pub(crate) fn new(hub: Arc<Hub>, with: Following) -> Self {
        let (live, newest) = hub.subscribe();
        let after = with.after.unwrap_or(newest);
        let first = Event::default().event("ready").id(after.to_string()).retry(RETRY).data("{}");
        let reach = with.reach;
        // A number from the future belongs to another store: nothing can be replayed from there.
        let lost = |part: &Part| {
            let (after, newest) = (after.of(*part), newest.of(*part));
            after > newest || newest - after > reach
        };
        Self {
            stale: Part::ALL.iter().any(lost),
            behind: Part::ALL.into_iter().filter(|part| after.of(*part) < newest.of(*part)).collect(),
            known: (Instant::now(), (with.rights)()),
            hub,
            live,
            with,
            after,
            queue: VecDeque::from([first]),
            until: Instant::now() + FOLLOW_MAX,
        }
    }

    /// Gets more events; `false` at the end.
    async fn more(&mut self) -> bool {
        if self.stale {
            self.resync(self.hub.newest());
            return true;
        }
        if let Some(part) = self.behind.first().copied() {
            return self.read(part).await;
        }
        tokio::select! {
            news = self.live.recv() => match news {
                Ok(News::Batch(batch)) => return self.take(&batch).await,
                Ok(News::Gap) => self.stale = true,
                // What was missed is in the logs.
                Err(RecvError::Lagged(_)) => {
                    let newest = self.hub.newest();
                    self.behind = Part::ALL.to_vec();
                    let reach = self.with.reach;
                    let far = |part: &Part| newest.of(*part).saturating_sub(self.after.of(*part)) > reach;
                    self.stale = Part::ALL.iter().any(far);
                }
                Err(RecvError::Closed) => return false,
            },
            () = tokio::time::sleep_until(self.until) => return false,
        }
        true
    }

    /// Reads on in a log.
    async fn read(&mut self, part: Part) -> bool {
        match self.hub.page(part, self.after.of(part), PAGE).await {
            Ok(page) if page.is_empty() => {
                self.behind.retain(|behind| *behind != part);
                true
            }
            Ok(page) => self.take(&page).await,
            Err(ReadError::Gone { complete_after }) => {
                self.resync(self.hub.newest().max(Position::default().with(part, complete_after)));
                true
            }
            // The follower comes again, and goes on where it stopped.
            Err(ReadError::Store(_)) => false,
        }
    }

    /// Takes what this follower wants and may read; `false` when they are nobody any more.
    async fn take(&mut self, page: &[Told]) -> bool {
        let new = |told: &&Told| told.seq > self.after.of(told.part);
        if page.iter().filter(new).any(|told| self.with.wanted.fits(told)) && !self.look_again().await {
            return false;
        }
        for told in page {
            if told.seq <= self.after.of(told.part) {
                continue;
            }
            self.after = self.after.with(told.part, told.seq);
            let (right, place) = &told.needs;
            if self.with.wanted.fits(told) && self.with.caller.may(*right, std::slice::from_ref(place)) {
                let event = Event::default().event(told.name()).id(self.after.to_string()).data(&told.text);
                self.queue.push_back(event);
            }
        }
        true
    }

    /// Looks up what the follower may read, unless it is known; `false` when they may follow no longer.
    async fn look_again(&mut self) -> bool {
        let change = (self.with.rights)();
        if self.known.1 == change && self.known.0.elapsed() < RIGHTS_KNOWN {
            return true;
        }
        let Some(caller) = (self.with.renew)().await else { return false };
        self.known = (Instant::now(), change);
        if caller.access != self.with.caller.access {
            // What could not be seen before may be now, and the other way round.
            self.queue.push_back(Event::default().event("resync").id(self.after.to_string()).data("{}"));
        }
        self.with.caller = caller;
        true
    }

    fn resync(&mut self, newest: Position) {
        (self.after, self.stale) = (newest, false);
        self.behind.clear();
        self.queue.push_back(Event::default().event("resync").id(newest.to_string()).data("{}"));
    }
}

/// What a follower is sent.
pub(crate) fn stream(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
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
