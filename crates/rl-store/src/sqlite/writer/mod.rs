//! The one writer: a thread that joins what waits into one transaction, commits it, and only then answers.
mod queue;
mod serve;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use rl_engine::{JournalError, Lane, OperationSpec, Signal, Submitted, Tx, UnixMs};
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::dir::HeldDir;
use super::{Commit, Pending};
use crate::commits::Commits;
use crate::domain::Deed;
use crate::error::StoreError;
use queue::{Shared, Work};
use session::Session;

/// Handle of the writer thread. Dropping it writes what waits, and lets go of the data directory.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, held: HeldDir) -> Result<Self, StoreError> {
        let mut session = Session::new(connection, &held)?;
        let shared = Arc::new(Shared::new(session.last_event()?));
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                shared.serve(&mut session);
                // The directory is let go of only after the database is closed.
                drop(session);
                drop(held);
            }
        });
        let thread = thread.map_err(|source| StoreError::Directory {
            dir: PathBuf::new(),
            doing: "starting the writer thread",
            source,
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A write that only works on the journal's rows.
    pub(super) async fn write_rows<T, E>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.send(lane, false, move |session| session.in_cache(work)).await
    }

    /// Starts an operation, together with its deed; see [`Session::start_operation`].
    pub(super) async fn start_operation(
        &self,
        spec: OperationSpec,
        deed: Option<Deed>,
        now: UnixMs,
    ) -> Result<(Submitted, u64), StoreError> {
        self.send(Lane::Intake, false, move |session| session.start_operation(&spec, deed, now)).await
    }

    /// A write that also runs statements of its own.
    pub(super) async fn write<T, E>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>, &Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.send(lane, true, move |session| session.in_savepoint(work)).await
    }

    async fn send<T, E>(
        &self,
        lane: Lane,
        statements: bool,
        work: impl FnOnce(&mut Session) -> (Result<T, E>, rl_engine::Announce) + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let room = self.shared.room(lane);
        let _room = room.acquire().await.map_err(|_| E::from(JournalError::Poisoned))?;
        if self.is_poisoned() {
            return Err(JournalError::Poisoned.into());
        }
        let (sender, answer) = oneshot::channel();
        let run = Box::new(move |session: Option<&mut Session>| {
            let full = || Err(JournalError::from(StoreError::Full).into());
            let (result, announce) = session.map_or_else(|| (full(), Default::default()), work);
            let answer = Box::new(move |commit: Commit| {
                let _ = sender.send(match commit {
                    Commit::Kept => result,
                    // What it was refused for stands, whatever became of the others.
                    Commit::TakenBack if result.is_err() => result,
                    Commit::TakenBack => full(),
                    Commit::Failed => Err(JournalError::Poisoned.into()),
                });
            });
            Pending { announce, answer }
        });
        self.shared.push(lane, Work { statements, run });
        answer.await.unwrap_or_else(|_| Err(JournalError::Poisoned.into()))
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.shared.is_poisoned()
    }

    pub(super) fn commits(&self) -> &Commits {
        &self.shared.commits
    }

    pub(super) fn signals(&self) -> watch::Receiver<Signal> {
        self.shared.signal.subscribe()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
