//! Events for followers: one task reads the durable log as it grows, and hands what it read to everybody who is up to date.
//! Whoever is behind reads the log alone; whoever is too far behind is told to fetch everything anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rl_engine::{EventQuery, Journal, JournalError, OperationId, PAGE_MAX};
use tokio::sync::{Mutex, broadcast};
use tokio_util::sync::CancellationToken;

use crate::shape::operation::EventShape;

/// Batches that a follower may be behind before it reads the log alone.
const BATCHES_MAX: usize = 256;
/// Operations whose stacks are remembered; more would be a leak in a server that runs for years.
const SUBJECTS_MAX: usize = 4_096;
/// Shortest time between two readings: under load many events go out at once.
const PAUSE: Duration = Duration::from_millis(20);
/// Wait after the store could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// An event with the name that followers filter by.
#[derive(Debug)]
pub(crate) struct Told {
    /// The event.
    pub(crate) event: EventShape,
    /// The same as the text that is sent.
    pub(crate) text: String,
}

/// Events that were read together, oldest first.
pub(crate) type Batch = Arc<[Told]>;

/// See the module.
pub(crate) struct Hub {
    journal: Arc<dyn Journal>,
    newest: AtomicU64,
    live: broadcast::Sender<Batch>,
    subjects: Mutex<HashMap<OperationId, String>>,
}

impl Hub {
    /// Begins at the newest event; reads until `shutdown`.
    pub(super) fn start(journal: Arc<dyn Journal>, shutdown: CancellationToken) -> Arc<Self> {
        let mut signal = journal.subscribe();
        let newest = signal.borrow_and_update().events;
        let hub = Arc::new(Self {
            journal,
            newest: AtomicU64::new(newest),
            live: broadcast::channel(BATCHES_MAX).0,
            subjects: Mutex::default(),
        });
        let reader = Arc::clone(&hub);
        tokio::spawn(async move {
            tokio::select! {
                () = reader.read_on(signal) => {}
                () = shutdown.cancelled() => {}
            }
        });
        hub
    }

    /// Number of the newest event that was handed on.
    pub(crate) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// What will be handed on from now.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Batch> {
        self.live.subscribe()
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.live.receiver_count()
    }

    async fn read_on(&self, mut signal: tokio::sync::watch::Receiver<rl_engine::Signal>) {
        loop {
            match self.page(self.newest(), PAGE_MAX).await {
                Ok(page) => {
                    if let Some(last) = page.last() {
                        let last = last.event.seq;
                        // First the number: who subscribes after it reads up to there from the log.
                        self.newest.store(last, Ordering::Release);
                        // Nobody may be there to hear it.
                        let _ = self.live.send(page.into());
                        continue;
                    }
                }
                Err(JournalError::EventsGone { complete_after, .. }) => {
                    self.newest.store(complete_after, Ordering::Release);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "events cannot be read; trying again");
                    tokio::time::sleep(STORE_PAUSE).await;
                    continue;
                }
            }
            if signal.changed().await.is_err() {
                return;
            }
            signal.borrow_and_update();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Events after a number, from the log.
    pub(crate) async fn page(&self, after: u64, limit: usize) -> Result<Vec<Told>, JournalError> {
        let events = self.journal.events(EventQuery { after, operation: None, limit }).await?;
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            let stack = self.subject(event.operation).await?;
            let event = EventShape::of(event, stack);
            let text = serde_json::to_string(&event).unwrap_or_default();
            told.push(Told { event, text });
        }
        Ok(told)
    }

    /// The stack of an operation.
    async fn subject(&self, id: OperationId) -> Result<Option<String>, JournalError> {
        if let Some(known) = self.subjects.lock().await.get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(record) = self.journal.operation(id).await? else { return Ok(None) };
        let mut subjects = self.subjects.lock().await;
        if subjects.len() >= SUBJECTS_MAX {
            subjects.clear();
        }
        subjects.insert(id, record.info.subject.clone());
        Ok(Some(record.info.subject))
    }
}
