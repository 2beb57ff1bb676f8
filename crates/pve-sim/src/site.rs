//! The site: the world, its clock, tasks, locks, faults and ledger in one place.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::api::call::{Call, Reply};
use crate::api::router::Router;
use crate::clock::Clock;
use crate::faults::{Action, Faults};
use crate::latency::{Draws, Work};
use crate::ledger::{Effect, LedgerBook};
use crate::locks::Locks;
use crate::tasks::{Task, Tasks};
use crate::world::World;

/// The process that starts guests when a node has booted.
const BOOT_PID: u32 = 990;

/// Numbers a site is set up with.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Calls that run at once in a node's pvedaemon.
    pub(crate) workers: usize,
    /// Heavy operations that run at once on a storage.
    pub(crate) heavy_per_storage: usize,
    /// How long a refused login waits.
    pub(crate) auth_delay: Duration,
}

/// An answer kept for the test that compares answers with their published shape.
#[derive(Debug, Clone)]
pub struct RecordedAnswer {
    /// GET, POST, PUT or DELETE.
    pub method: String,
    /// The published path with `{names}`.
    pub path: String,
    /// What stood under `data`.
    pub data: serde_json::Value,
}

pub(crate) struct Site {
    world: Mutex<World>,
    pub(crate) clock: Clock,
    pub(crate) draws: Draws,
    pub(crate) tasks: Tasks,
    pub(crate) locks: Locks,
    pub(crate) faults: Faults,
    pub(crate) ledger: LedgerBook,
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    /// Signs tickets.
    pub(crate) secret: [u8; 32],
    pub(crate) fingerprint: String,
    workers: HashMap<String, Arc<Semaphore>>,
    /// Cancelled to drop all open connections.
    connections: Mutex<CancellationToken>,
    /// When somebody last asked something, in seconds of uptime.
    pub(crate) last_call: Mutex<Duration>,
    pub(crate) recorded: Option<Mutex<Vec<RecordedAnswer>>>,
}

/// What [`Site::new`] needs beside the world.
pub(crate) struct SiteParts {
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) faults: Vec<crate::faults::Fault>,
    pub(crate) limits: Limits,
    pub(crate) secret: [u8; 32],
    pub(crate) fingerprint: String,
    pub(crate) record: bool,
}

impl Site {
    pub(crate) fn new(mut world: World, parts: SiteParts) -> Self {
        let now = parts.clock.now();
        for node in world.nodes.keys().cloned().collect::<Vec<_>>() {
            world.log(&node, "root@pam", BOOT_PID, now, "starting all guests that are marked for it".to_owned());
        }
        let workers =
            world.nodes.keys().map(|n| (n.clone(), Arc::new(Semaphore::new(parts.limits.workers.max(1))))).collect();
        Self {
            world: Mutex::new(world),
            clock: parts.clock,
            draws: Draws::new(parts.seed),
            tasks: Tasks::default(),
            locks: Locks::default(),
            faults: Faults::new(parts.faults, parts.seed),
            ledger: LedgerBook::default(),
            router: Router::new(crate::families::endpoints()),
            limits: parts.limits,
            secret: parts.secret,
            fingerprint: parts.fingerprint,
            workers,
            connections: Mutex::default(),
            last_call: Mutex::default(),
            recorded: parts.record.then(Mutex::default),
        }
    }

    /// The world; held only between two waits.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// The workers of a node's pvedaemon.
    pub(crate) fn workers(&self, node: &str) -> Option<Arc<Semaphore>> {
        self.workers.get(node).cloned()
    }

    /// The token that new connections listen to.
    pub(crate) fn connections(&self) -> CancellationToken {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Drops every open connection; new ones are taken at once.
    pub(crate) fn drop_connections(&self) {
        let old = std::mem::take(&mut *self.connections.lock().unwrap_or_else(PoisonError::into_inner));
        old.cancel();
    }

    /// A MAC address with the datacenter's prefix, drawn from the seed.
    pub(crate) fn new_mac(&self, prefix: &str) -> String {
        let number = self.draws.number();
        let missing = 6 - prefix.split(':').filter(|p| !p.is_empty()).count();
        let tail: Vec<String> = (0..missing).map(|n| format!("{:02X}", (number >> (8 * (n % 4))) as u8)).collect();
        format!("{}:{}", prefix.trim_end_matches(':'), tail.join(":"))
    }

    /// Uptime in hundredths of a second, as task ids carry it.
    fn jiffies(&self) -> u32 {
        /// Nodes have been up for a while before anybody asks.
        const BOOTED_BEFORE: u64 = 360_000;
        (BOOTED_BEFORE + self.clock.uptime().as_millis() as u64 / 10) as u32
    }

    /// Starts a task on the call's node and answers with its id.
    pub(crate) fn spawn<F, R>(call: &Call, kind: &str, id: &str, body: F) -> Reply
    where
        F: FnOnce(TaskCtx) -> R,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        json!(Self::start_task(call, kind, id, body).upid).into()
    }

    /// Starts a task on the call's node.
    pub(crate) fn start_task<F, R>(call: &Call, kind: &str, id: &str, body: F) -> Arc<Task>
    where
        F: FnOnce(TaskCtx) -> R,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        let site = call.site.clone();
        let user = call.who.authuser();
        let task = site.tasks.begin(call.node(), kind, id, &user, site.now(), site.jiffies());
        site.world().log(call.node(), &user, task.pid, site.now(), format!("starting task {}", task.upid));
        let fault = call.task_fault.clone();
        let ctx = TaskCtx { site: site.clone(), task: task.clone(), fault: fault.clone() };
        let work = body(ctx);
        let runner = task.clone();
        tokio::spawn(async move {
            let (result, killed) = tokio::select! {
                biased;
                () = runner.kill.cancelled() => (Ok(()), true),
                result = work => (result, false),
            };
            let forgotten = matches!(fault, Some(Action::ForgetTask {}));
            let result = match fault {
                Some(Action::FailTask { text, done: true }) if result.is_ok() => Err(text),
                _ => result,
            };
            let status = site.tasks.finish(&runner, &result, killed, site.now());
            if forgotten {
                site.tasks.forget(&runner);
            }
            let text = format!("end task {} {status}", runner.upid);
            site.world().log(&runner.node, &runner.user, runner.pid, site.now(), text);
        });
        task
    }
}

/// What a task's body works with.
#[derive(Clone)]
pub(crate) struct TaskCtx {
    pub(crate) site: Arc<Site>,
    pub(crate) task: Arc<Task>,
    fault: Option<Action>,
}

/// What a worker says that was asked to stop.
pub(crate) const INTERRUPTED: &str = "received interrupt";

impl TaskCtx {
    /// Spends the time an operation takes; ends early when the task is stopped.
    pub(crate) async fn work(&self, work: Work) -> Result<(), String> {
        self.spend(self.site.draws.duration(work)).await
    }

    /// Spends so much model time.
    pub(crate) async fn spend(&self, model: Duration) -> Result<(), String> {
        let nap = async {
            match &self.fault {
                Some(Action::KillTask {}) => {
                    self.site.clock.sleep(model / 2).await;
                    self.task.kill.cancel();
                    std::future::pending::<()>().await;
                }
                Some(Action::HangTask {}) => std::future::pending::<()>().await,
                _ => self.site.clock.sleep(model).await,
            }
        };
        tokio::select! {
            biased;
            () = nap => Ok(()),
            () = self.task.interrupt.cancelled() => Err(INTERRUPTED.to_owned()),
        }
    }

    /// The place where a fault lets an operation fail; call it before the last, visible change.
    pub(crate) fn last_chance(&self) -> Result<(), String> {
        match &self.fault {
            Some(Action::FailTask { text, done: false }) => Err(text.clone()),
            _ => Ok(()),
        }
    }

    /// Spends the time of a heavy operation, waiting for one of the storage's places first.
    pub(crate) async fn heavy(&self, storage: &str, work: Work) -> Result<(), String> {
        let shared = self.site.world().storages.defs.get(storage).is_some_and(|s| s.shared);
        let node = if shared { "" } else { &self.task.node };
        let place = self.site.locks.storage_place(storage, node, self.site.limits.heavy_per_storage);
        let _place = tokio::select! {
            biased;
            place = place => place,
            () = self.task.interrupt.cancelled() => return Err(INTERRUPTED.to_owned()),
        };
        self.work(work).await
    }

    pub(crate) fn log(&self, line: impl Into<String>) {
        self.task.log(line);
    }

    /// Writes an effect into the ledger.
    pub(crate) fn effect(&self, kind: &str, vmid: u32) {
        self.site.effect(kind, vmid, &self.task.node, &self.task.user);
    }
}

impl Site {
    /// Writes an effect into the ledger, with the guest's description as it is now.
    pub(crate) fn effect(&self, kind: &str, vmid: u32, node: &str, user: &str) {
        /// Descriptions may be long; stamps stand at their beginning or end.
        const LINES: usize = 16;
        let description = self.world().guests.get(&vmid).and_then(|g| g.config.get("description").map(str::to_owned));
        let description = description.unwrap_or_default();
        let description = description.lines().filter(|l| !l.trim().is_empty()).take(LINES).map(str::to_owned).collect();
        let (kind, node, user) = (kind.to_owned(), node.to_owned(), user.to_owned());
        self.ledger.effect(Effect { seq: 0, time: self.now(), kind, vmid, node, description, user });
    }
}
