//! What happens, as followers and webhooks are told: the engine's events and the audit's entries, read from the store.

mod needs;
mod position;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::HashMap;
use std::sync::Arc;

use rl_engine::{Event, EventQuery, Journal, JournalError, OperationId};
use rl_model::{AccessPath, Right};
use rl_store::{AuditQuery, Store, StoreError};
use tokio::sync::Mutex;

use crate::shape::change::ChangeShape;
use crate::shape::operation::EventShape;

pub(crate) use position::{Part, Position};
pub(crate) use wanted::Wanted;

/// Name under which entries of the audit are sent.
pub(crate) const CHANGE: &str = "change";
/// Kind of an operation's first event, which names its stack.
const SUBMITTED: &str = "operation.submitted";
/// Operations whose stacks are remembered; more would be a leak in a server that runs for years.
const SUBJECTS_MAX: usize = 4_096;

/// Something that happened, with what decides who is told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Which log it is from.
    pub(crate) part: Part,
    /// Its number there.
    pub(crate) seq: u64,
    /// What filters compare: the kind of an event, `change.ACTION` of a change.
    pub(crate) kind: String,
    /// The stack it is about.
    pub(crate) stack: Option<String>,
    /// The operation it is about.
    pub(crate) operation: Option<String>,
    /// What whoever is told must be allowed.
    pub(crate) needs: (Right, AccessPath),
    /// It as JSON.
    pub(crate) text: String,
}

impl Told {
    /// The name it is sent under.
    pub(crate) fn name(&self) -> &str {
        match self.part {
            Part::Events => &self.kind,
            Part::Changes => CHANGE,
        }
    }
}

/// Why the logs cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// What comes next was deleted.
    #[error("what happened up to number {complete_after} is not kept any more")]
    Gone {
        /// From here on everything is there.
        complete_after: u64,
    },
    /// The store cannot be read.
    #[error("what happened cannot be read")]
    Store(#[source] StoreError),
}

impl From<JournalError> for ReadError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::EventsGone { complete_after, .. } => Self::Gone { complete_after },
            other => Self::Store(other.into()),
        }
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Reads both logs.
pub(crate) struct Happenings {
    store: Store,
    journal: Arc<dyn Journal>,
    subjects: Mutex<HashMap<OperationId, String>>,
}

impl Happenings {
    /// What happens in a store.
    pub(crate) fn of(store: Store) -> Self {
        let journal = store.journal();
        Self { store, journal, subjects: Mutex::default() }
    }

    /// The numbers of the newest of both.
    pub(crate) async fn newest(&self) -> Result<Position, StoreError> {
        let events = self.journal.subscribe().borrow().events;
        Ok(Position { events, changes: self.store.audit_head().await?.0 })
    }

    /// Grows when there may be more to read.
    pub(crate) fn signals(&self) -> Signals {
        Signals { events: self.journal.subscribe(), changes: self.store.subscribe_audit() }
    }

    /// A page of one log after a number, oldest first.
    pub(crate) async fn page(&self, part: Part, after: u64, limit: usize) -> Result<Vec<Told>, ReadError> {
        match part {
            Part::Events => self.events(after, limit).await,
            Part::Changes => self.changes(after, limit).await,
        }
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<Told>, ReadError> {
        let events = self.journal.events(EventQuery { after, operation: None, limit }).await?;
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            let stack = self.subject_of(&event).await?;
            let event = EventShape::of(event, stack);
            told.push(Told {
                part: Part::Events,
                seq: event.seq,
                kind: event.kind.clone(),
                needs: needs::of_operation(event.stack.as_deref()),
                text: serde_json::to_string(&event).unwrap_or_default(),
                stack: event.stack,
                operation: Some(event.operation),
            });
        }
        Ok(told)
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Vec<Told>, ReadError> {
        let page = self.store.audit_page(AuditQuery { after: Some(after), limit, ..AuditQuery::default() }).await?;
        // Entries are numbered without gaps.
        if let Some(first) = page.items.first().filter(|first| first.seq > after + 1) {
            return Err(ReadError::Gone { complete_after: first.seq - 1 });
        }
        let mut told = Vec::with_capacity(page.items.len());
        for entry in page.items {
            let operation = needs::operation(&entry.path);
            let subject = match operation.map(str::parse::<OperationId>) {
                Some(Ok(id)) => self.subject(id).await?,
                _ => None,
            };
            told.push(Told {
                part: Part::Changes,
                seq: entry.seq,
                kind: format!("{CHANGE}.{}", entry.action),
                needs: needs::of_change(&entry.action, &entry.path, subject.as_deref()),
                stack: subject.or_else(|| needs::stack(&entry.path).map(str::to_owned)),
                operation: operation.map(str::to_owned),
                text: serde_json::to_string(&ChangeShape::of(&entry)).unwrap_or_default(),
            });
        }
        Ok(told)
    }

    /// The stack of an event's operation. The first event of an operation names it, so that nothing is read for the others.
    async fn subject_of(&self, event: &Event) -> Result<Option<String>, JournalError> {
        match event.body["subject"].as_str() {
            Some(named) if event.kind == SUBMITTED => {
                self.remember(event.operation, named).await;
                Ok(Some(named.to_owned()))
            }
            _ => self.subject(event.operation).await,
        }
    }

    /// The stack of an operation.
    async fn subject(&self, id: OperationId) -> Result<Option<String>, JournalError> {
        if let Some(known) = self.subjects.lock().await.get(&id) {
            return Ok(Some(known.clone()));
        }
        let Some(record) = self.journal.operation(id).await? else { return Ok(None) };
        self.remember(id, &record.info.subject).await;
        Ok(Some(record.info.subject))
    }

    async fn remember(&self, id: OperationId, subject: &str) {
        let mut subjects = self.subjects.lock().await;
        if subjects.len() >= SUBJECTS_MAX {
            subjects.clear();
        }
        subjects.insert(id, subject.to_owned());
    }
}

/// Tells that there may be more to read.
pub(crate) struct Signals {
    events: tokio::sync::watch::Receiver<rl_engine::Signal>,
    changes: tokio::sync::watch::Receiver<u64>,
}

impl Signals {
    /// The numbers that were told last.
    pub(crate) fn newest(&self) -> Position {
        Position { events: self.events.borrow().events, changes: *self.changes.borrow() }
    }

    /// Waits for more; `false` when there will be none.
    pub(crate) async fn more(&mut self) -> bool {
        let more = tokio::select! {
            more = self.events.changed() => more.is_ok(),
            more = self.changes.changed() => more.is_ok(),
        };
        self.events.borrow_and_update();
        self.changes.borrow_and_update();
        more
    }
}
