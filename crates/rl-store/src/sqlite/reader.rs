//! The readers: a few threads with a connection each that can only read.
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rl_engine::JournalError;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use crate::error::StoreError;

/// Reading threads: enough that one long listing does not hold up the rest.
const READERS: usize = 3;
/// Most reads that wait; whoever comes later waits in its own task.
const QUEUE_MAX: usize = 1_024;

type Work = Box<dyn FnOnce(&Connection) + Send>;

/// Handle of the reading threads. Dropping it ends them.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// For a look at a single row, without a thread.
    near: Mutex<Connection>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    room: Semaphore,
}

#[derive(Default)]
struct Queue {
    works: VecDeque<Work>,
    closed: bool,
}

impl Readers {
    pub(super) fn start(connect: impl Fn() -> Result<Connection, StoreError>) -> Result<Self, StoreError> {
        let shared =
            Arc::new(Shared { queue: Mutex::default(), arrived: Condvar::new(), room: Semaphore::new(QUEUE_MAX) });
        let mut readers = Self { shared, threads: Vec::new(), near: Mutex::new(connect()?) };
        for number in 0..READERS {
            let connection = connect()?;
            let shared = Arc::clone(&readers.shared);
            let thread = std::thread::Builder::new().name(format!("store-reader-{number}")).spawn(move || {
                while let Some(work) = shared.next() {
                    work(&connection);
                }
            });
            let failed =
                |source| StoreError::Directory { dir: PathBuf::new(), doing: "starting a reading thread", source };
            readers.threads.push(thread.map_err(failed)?);
        }
        Ok(readers)
    }

    pub(super) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let _room = self.shared.room.acquire().await.map_err(|_| E::from(JournalError::Poisoned))?;
        let (sender, answer) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let _ = sender.send(in_snapshot(connection, work));
        });
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).works.push_back(work);
        self.shared.arrived.notify_one();
        answer.await.unwrap_or_else(|_| Err(JournalError::Poisoned.into()))
    }

    /// A connection for a single statement here and now, unless somebody else has it.
    pub(super) fn near(&self) -> Option<MutexGuard<'_, Connection>> {
        self.near.try_lock().ok()
    }
}

/// All statements of one read see the same state.
fn in_snapshot<T, E: From<JournalError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |source| E::from(JournalError::Store { doing: "reading the database", source: Box::new(source) });
    let snapshot = connection.unchecked_transaction().map_err(failed)?;
    let value = work(connection)?;
    snapshot.finish().map_err(failed)?;
    Ok(value)
}

impl Shared {
    fn next(&self) -> Option<Work> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(work) = queue.works.pop_front() {
                return Some(work);
            }
            if queue.closed {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.shared.arrived.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
