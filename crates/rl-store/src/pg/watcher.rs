//! Telling followers what happens in the database: by this server at once, by others as a notification or a poll says.
//!
//! Nothing depends on a notification; without any the poll finds the same within about a second.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::Rng;
use rl_engine::{Announce, Signal};
use tokio::sync::{Notify, watch};

use super::connect::{Link, open};
use super::error::PgError;
use super::head::Head;
use super::session::News;
use super::txn::text;
use super::url::Target;

/// Least time between two notifications of this server: one says as much as many.
const NOTIFY_EVERY: Duration = Duration::from_millis(10);
/// Time between two looks at the database without a notification, give or take a quarter.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Longest wait for the answer to a look.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The channel of the notifications.
const CHANNEL: &str = "rapidlaunch";

/// What this server knows of the database, and who is told when that changes.
pub(super) struct Known {
    seen: Mutex<Marks>,
    signal: watch::Sender<Signal>,
    /// This server has committed something that others may want to know.
    news: Notify,
    closed: AtomicBool,
}

/// The counters of the head that were told last.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Marks {
    version: u64,
    epoch: u64,
    cancels: u64,
    schedules: u64,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            seen: Mutex::default(),
            signal: watch::Sender::new(Signal::default()),
            news: Notify::new(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This server committed.
    pub(super) fn committed(&self, head: &Head, announce: Announce) {
        let is_new = {
            let mut marks = self.marks();
            let is_new = marks.version != head.version;
            marks.reach(head);
            is_new
        };
        self.signal.send_if_modified(|signal| announce.apply(signal));
        if is_new {
            self.news.notify_one();
        }
    }

    /// The writer took over what other servers did.
    pub(super) fn followed(&self, head: &Head, news: &News) {
        self.marks().reach(head);
        if !news.foreign {
            return;
        }
        self.signal.send_modify(|signal| {
            signal.events = signal.events.max(head.last_event);
            signal.work += 1;
            signal.cancels += u64::from(news.cancels);
            signal.schedules += u64::from(news.schedules);
        });
    }

    /// A look at the database found this.
    fn looked(&self, head: &Head) {
        let mut marks = self.marks();
        if (head.version, head.epoch) == (marks.version, marks.epoch)
            || (head.epoch == marks.epoch && head.version < marks.version)
        {
            return;
        }
        let (cancels, schedules) = (head.cancels != marks.cancels, head.schedules != marks.schedules);
        marks.reach(head);
        drop(marks);
        self.signal.send_modify(|signal| {
            signal.events = signal.events.max(head.last_event);
            signal.work += 1;
            signal.cancels += u64::from(cancels);
            signal.schedules += u64::from(schedules);
        });
    }
}

impl Marks {
    fn reach(&mut self, head: &Head) {
        let Head { version, epoch, cancels, schedules, .. } = *head;
        *self = Self { version, epoch, cancels, schedules };
    }
}

/// The watching thread. Dropping it ends it.
pub(super) struct Watcher {
    known: Arc<Known>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(super) fn start(target: Target, known: Arc<Known>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("store-watcher".to_owned()).spawn({
            let known = Arc::clone(&known);
            move || runtime.block_on(watch_over(&target, &known))
        })?;
        Ok(Self { known, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.known.closed.store(true, Ordering::SeqCst);
        self.known.news.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Why the watcher woke up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// Time for a look, or another server sent a notification.
    Look,
    /// This server committed.
    Tell,
}

async fn watch_over(target: &Target, known: &Known) {
    let heard = Arc::new(Notify::new());
    let mut link = None;
    let mut woken = Woken::Look;
    while !known.closed.load(Ordering::SeqCst) {
        let watched = tokio::time::timeout(ANSWER_MAX, round(&mut link, target, known, &heard, woken)).await;
        let failed = match watched {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(PgError::TimedOut { doing: "looking at the database" }),
        };
        if let Some(error) = &failed {
            tracing::debug!(error = text(error), "the database is looked at again in a moment");
            link = None;
        }
        // Also keeps a stream of notifications from being answered one by one.
        tokio::time::sleep(NOTIFY_EVERY).await;
        woken = wait(known, &heard, failed.is_some()).await;
    }
}

/// Tells the others of our commits, or looks at theirs.
async fn round(
    link: &mut Option<Link>,
    target: &Target,
    known: &Known,
    heard: &Arc<Notify>,
    woken: Woken,
) -> Result<(), PgError> {
    let doing = "looking at the database";
    let link = match link {
        Some(link) => link,
        None => link.insert(listen(target, heard).await?),
    };
    if woken == Woken::Tell {
        let told = link.client.batch_execute(&format!("notify {CHANNEL}")).await;
        return match told {
            Err(error) if error.as_db_error().is_none() => Err(PgError::of(doing, error)),
            // A database without notifications is polled.
            _ => Ok(()),
        };
    }
    let sql = "select version, epoch, last_event, cancels, schedules from head where id = 1";
    let row = link.client.query_one(sql, &[]).await.map_err(|error| PgError::of(doing, error))?;
    let number = |column: usize| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
    let head = || -> Result<Head, tokio_postgres::Error> {
        Ok(Head {
            version: number(0)?,
            epoch: number(1)?,
            last_event: number(2)?,
            cancels: number(3)?,
            schedules: number(4)?,
            ..Head::default()
        })
    };
    known.looked(&head().map_err(|error| PgError::of(doing, error))?);
    Ok(())
}

async fn listen(target: &Target, heard: &Arc<Notify>) -> Result<Link, PgError> {
    let link = open(target, Some(Arc::clone(heard))).await?;
    if let Err(error) = link.client.batch_execute(&format!("listen {CHANNEL}")).await {
        tracing::debug!(%error, "the database sends no notifications");
    }
    Ok(link)
}

/// Waits until there is something to tell or to look at.
async fn wait(known: &Known, heard: &Notify, failed: bool) -> Woken {
    let poll = POLL_EVERY.mul_f64(super::conn::random().random_range(0.75..1.25));
    if failed {
        tokio::select! {
            () = tokio::time::sleep(poll) => {}
            () = closed(known) => {}
        }
        return Woken::Look;
    }
    tokio::select! {
        () = tokio::time::sleep(poll) => Woken::Look,
        () = heard.notified() => Woken::Look,
        () = known.news.notified() => Woken::Tell,
    }
}

/// Returns when the store is closed.
async fn closed(known: &Known) {
    loop {
        known.news.notified().await;
        if known.closed.load(Ordering::SeqCst) {
            return;
        }
    }
}
