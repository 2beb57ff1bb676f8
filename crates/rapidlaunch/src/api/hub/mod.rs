//! What happens, for followers: one task reads both logs as they grow, and hands what it read to everybody who is up to date.
//! Whoever is behind reads the logs alone; whoever is too far behind is told to fetch everything anew.

mod follower;
mod seats;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rl_engine::PAGE_MAX;
use rl_store::{Store, StoreError};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::work::happenings::{Happenings, Part, Position, ReadError, Signals, Told};

pub(crate) use follower::{Follower, Following, REPLAY_MAX, Renew, stream};
pub(crate) use seats::{SEATS_OF_CALLER, Seat, Seats};

/// Batches that a follower may be behind before it reads the logs alone.
const BATCHES_MAX: usize = 256;
/// Shortest time between two readings: under load many go out at once.
const PAUSE: Duration = Duration::from_millis(20);
/// Wait after the store could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is handed to everybody.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// What was read together, oldest first.
    Batch(Arc<[Told]>),
    /// Something was deleted before it could be read.
    Gap,
}

/// See the module.
pub(crate) struct Hub {
    happenings: Happenings,
    events: AtomicU64,
    changes: AtomicU64,
    live: broadcast::Sender<News>,
    /// Held while somebody begins to follow, and while what nobody follows is passed over.
    door: Mutex<()>,
}

impl Hub {
    /// Begins at the newest of both logs; reads until `shutdown`.
    pub(super) async fn start(store: Store, shutdown: CancellationToken) -> Result<Arc<Self>, StoreError> {
        Self::begin(store, shutdown, BATCHES_MAX).await
    }

    async fn begin(store: Store, shutdown: CancellationToken, room: usize) -> Result<Arc<Self>, StoreError> {
        let happenings = Happenings::of(store);
        let signals = happenings.signals();
        let Position { events, changes } = happenings.newest().await?;
        let live = broadcast::channel(room).0;
        let (events, changes) = (AtomicU64::new(events), AtomicU64::new(changes));
        let hub = Arc::new(Self { happenings, events, changes, live, door: Mutex::default() });
        let reader = Arc::clone(&hub);
        tokio::spawn(async move {
            tokio::select! {
                () = reader.read_on(signals) => {}
                () = shutdown.cancelled() => {}
            }
        });
        Ok(hub)
    }

    fn place(&self, part: Part) -> &AtomicU64 {
        match part {
            Part::Events => &self.events,
            Part::Changes => &self.changes,
        }
    }

    /// Numbers of the newest that were handed on.
    pub(crate) fn newest(&self) -> Position {
        let of = |part| self.place(part).load(Ordering::Acquire);
        Position { events: of(Part::Events), changes: of(Part::Changes) }
    }

    /// What will be handed on from now, and after which place.
    fn subscribe(&self) -> (broadcast::Receiver<News>, Position) {
        let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        // After the subscription: what comes later than this comes by itself.
        (live, self.newest())
    }

    /// Passes over everything up to a place while nobody follows; answers whether that is so.
    fn pass_over(&self, newest: Position) -> bool {
        let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        let alone = self.followers() == 0;
        if alone {
            for part in Part::ALL {
                self.place(part).fetch_max(newest.of(part), Ordering::AcqRel);
            }
        }
        alone
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.live.receiver_count()
    }

    async fn read_on(&self, mut signals: Signals) {
        loop {
            let mut more = false;
            // Reading what happens costs as much as making it happen; whoever comes later reads the logs.
            let heard = if self.pass_over(signals.newest()) { &[] } else { &Part::ALL[..] };
            for part in heard {
                match self.hand_on(*part).await {
                    Ok(some) => more |= some,
                    Err(error) => {
                        tracing::warn!(%error, "what happens cannot be read; trying again");
                        tokio::time::sleep(STORE_PAUSE).await;
                        more = true;
                    }
                }
            }
            if more {
                continue;
            }
            if !signals.more().await {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Hands the next page of a log on; `false` when there is none.
    async fn hand_on(&self, part: Part) -> Result<bool, ReadError> {
        let place = self.place(part);
        // First the number, then the news: who subscribes between the two reads up to there from the log.
        let news = match self.page(part, place.load(Ordering::Acquire), PAGE_MAX).await {
            Ok(page) => {
                let Some(last) = page.last() else { return Ok(false) };
                place.store(last.seq, Ordering::Release);
                News::Batch(page.into())
            }
            Err(ReadError::Gone { complete_after }) => {
                place.store(complete_after, Ordering::Release);
                News::Gap
            }
            Err(error) => return Err(error),
        };
        // Nobody may be there to hear it.
        let _ = self.live.send(news);
        Ok(true)
    }

    /// What one log has after a number.
    async fn page(&self, part: Part, after: u64, limit: usize) -> Result<Vec<Told>, ReadError> {
        self.happenings.page(part, after, limit).await
    }
}
