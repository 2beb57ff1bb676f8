//! The readers: a few threads with a connection each that can only read.
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use rl_engine::JournalError;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};

use super::conn::{Conn, runtime};
use super::error::PgError;
use super::url::Target;

/// Reading threads: enough that one long listing does not hold up the rest.
const READERS: usize = 3;
/// Most reads that wait; whoever comes later waits in its own task.
const QUEUE_MAX: usize = 1_024;
/// All statements of one read see the same state; of the primary alone, since a standby may be behind.
const BEGIN: &str = "begin isolation level repeatable read read only";

type Work = Box<dyn FnOnce(Result<&RefCell<Conn>, PgError>) + Send>;

/// Handle of the reading threads. Dropping it ends them.
pub(super) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
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
    pub(super) fn start(target: &Target) -> std::io::Result<Self> {
        let shared =
            Arc::new(Shared { queue: Mutex::default(), arrived: Condvar::new(), room: Semaphore::new(QUEUE_MAX) });
        let mut readers = Self { shared, threads: Vec::new() };
        for number in 0..READERS {
            let (shared, target) = (Arc::clone(&readers.shared), target.clone());
            let thread = std::thread::Builder::new().name(format!("store-reader-{number}"));
            readers.threads.push(thread.spawn(move || serve(&shared, &target))?);
        }
        Ok(readers)
    }

    pub(super) async fn read<T, E>(
        &self,
        work: impl FnOnce(&RefCell<Conn>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let _room = self.shared.room.acquire().await.map_err(|_| E::from(JournalError::Poisoned))?;
        let (sender, answer) = oneshot::channel();
        let work: Work = Box::new(move |conn| {
            let result = match conn {
                Ok(conn) => work(conn),
                Err(error) => Err(JournalError::from(error).into()),
            };
            // Who asked may be gone.
            let _ = sender.send(result);
        });
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).works.push_back(work);
        self.shared.arrived.notify_one();
        answer.await.unwrap_or_else(|_| Err(JournalError::Poisoned.into()))
    }
}

fn serve(shared: &Shared, target: &Target) {
    let Ok(runtime) = runtime() else { return };
    let mut kept = None;
    while let Some(work) = shared.next() {
        match begin(&runtime, target, kept.take()) {
            Ok(conn) => {
                let conn = RefCell::new(conn);
                work(Ok(&conn));
                let conn = conn.into_inner();
                // A connection whose transaction does not end is of no more use.
                if conn.batch("rollback", "ending a read").is_ok() {
                    kept = Some(conn);
                }
            }
            Err(error) => work(Err(error)),
        }
    }
}

/// Begins a transaction that reads, on the connection at hand if it still works.
fn begin(runtime: &Rc<Runtime>, target: &Target, kept: Option<Conn>) -> Result<Conn, PgError> {
    if let Some(conn) = kept.filter(|conn| conn.batch(BEGIN, "beginning a read").is_ok()) {
        return Ok(conn);
    }
    let conn = Conn::open(runtime, target)?;
    conn.batch(BEGIN, "beginning a read")?;
    Ok(conn)
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
