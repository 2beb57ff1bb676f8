//! Carries orders out: who is meant is read from the guest's configuration in the same call, every time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rl_model::GuestId;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use zeroize::Zeroizing;

use super::book::{Book, Known};
use super::config::difference;
use super::pct::{Hold, Pct, PctError, Ran, Run, said};
use super::{fileswork, scripts};
use crate::answer::{Answer, Ended, Refusal};
use crate::courier::{Output, Stream};
use crate::seal::SealKey;
use crate::work::{Exec, Order, Target, Work};

/// Most orders under way at a time: each is a process or two of the node.
pub(crate) const ORDERS_MAX: usize = 32;
/// Most bytes of output kept of commands that have ended, for one that asks again.
const KEPT_OUTPUT_MAX: usize = 32 << 20;
/// Time a guest's own `timeout` has before the agent ends a command from outside.
const LIMIT_GRACE: Duration = Duration::from_secs(15);
/// Exit codes of `timeout`: the time was up; it had to kill (coreutils, busybox).
const TIMED_OUT: [i32; 3] = [124, 137, 143];

/// What is given beside an order on this side.
pub(crate) struct Beside {
    /// Input of the order.
    pub(crate) input: Zeroizing<Vec<u8>>,
    /// Where output goes.
    pub(crate) output: mpsc::UnboundedSender<Output>,
    /// Asks whether the order is still wanted.
    pub(crate) may: May,
}

/// Asks whoever gave an order whether it is still wanted. No answer comes when the line is dead.
pub(crate) type May = Box<dyn FnOnce() -> oneshot::Receiver<bool> + Send>;

/// Carries orders out.
pub(crate) struct Desk {
    pub(crate) pct: Arc<dyn Pct>,
    pub(crate) seal: SealKey,
    book: Mutex<Book>,
    running: Mutex<HashMap<String, watch::Receiver<bool>>>,
    kept: Mutex<Kept>,
    /// Whose turn it is to change files of a guest.
    turns: Mutex<HashMap<GuestId, Weak<tokio::sync::Mutex<()>>>>,
    slots: Semaphore,
}

/// Output of commands that have ended, newest last.
#[derive(Default)]
struct Kept {
    bytes: usize,
    outputs: std::collections::VecDeque<(String, Zeroizing<Vec<u8>>, Vec<u8>)>,
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Failed { what: error.to_string() }
}

fn pct_failed(error: PctError) -> Refusal {
    match error {
        PctError::Held(vmid) => Refusal::InUse { vmid: vmid.into(), by: "Proxmox holds its lock".to_owned() },
        other => failed(other),
    }
}

impl Desk {
    /// A desk with its book in a folder.
    pub(crate) fn open(dir: &Path, pct: Arc<dyn Pct>, seal: SealKey) -> std::io::Result<Self> {
        let book = Mutex::new(Book::open(dir)?);
        let slots = Semaphore::new(ORDERS_MAX);
        let (running, kept, turns) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { pct, seal, book, running, kept, turns, slots })
    }

    /// Carries an order out, or says why not.
    pub(crate) async fn perform(self: &Arc<Self>, order: Order, beside: Beside) -> Result<Answer, Refusal> {
        order.check().map_err(|error| Refusal::NotUnderstood { what: error.to_string() })?;
        if let Work::Exec(exec) = order.work.clone() {
            return self.exec(order, exec, beside).await.map(Answer::Ended);
        }
        let _slot = self.slots.try_acquire().map_err(|_| Refusal::Busy { limit: ORDERS_MAX })?;
        let _turn = if order.work.writes() { Some(self.turn(&order).await) } else { None };
        let hold = self.admit(&order).await?;
        match &order.work {
            Work::Config => {
                let keys = self.keys(&order.guest).await?;
                Ok(Answer::Config { keys })
            }
            Work::Unlock => self.unlock(&order.guest, hold).await,
            _ => fileswork::perform(self, &order, hold, beside).await,
        }
    }

    /// Waits until no other order changes files of the guest: an older one that hangs cannot come after a newer one.
    async fn turn(&self, order: &Order) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = lock(&self.turns);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&order.guest.stamp.guest).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            turns.insert(order.guest.stamp.guest.clone(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }

    /// Holds the guest, reads its configuration, compares it with who is meant, and compares the fence.
    async fn admit(self: &Arc<Self>, order: &Order) -> Result<Hold, Refusal> {
        let hold = self.pct.hold(order.guest.vmid).await.map_err(pct_failed)?;
        self.keys(&order.guest).await?;
        let (guest, job, fence) = (order.guest.stamp.guest.to_string(), order.job.clone(), order.fence);
        let kept = self.write(move |book| book.fence(&guest, &job, fence)).await?;
        kept.map_err(|kept| Refusal::OldFence { given: order.fence, kept })?;
        Ok(hold)
    }

    /// The configuration of the guest, which is the one that is meant.
    pub(crate) async fn keys(&self, target: &Target) -> Result<super::pct::ConfigKeys, Refusal> {
        let vmid = number(target);
        let keys = self.pct.config(target.vmid).await.map_err(pct_failed)?.ok_or(Refusal::NotHere { vmid })?;
        match difference(target, &keys) {
            None => Ok(keys),
            Some(how) => Err(Refusal::NotOurs { vmid, how }),
        }
    }

    /// Changes the book, off the threads that must not wait for a disk.
    async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut Book) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let desk = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || change(&mut lock(&desk.book))).await;
        written.map_err(failed)?.map_err(|error| failed(format!("the agent's book cannot be written: {error}")))
    }

    /// Takes away a lock that nothing holds.
    async fn unlock(&self, target: &Target, hold: Hold) -> Result<Answer, Refusal> {
        let keys = self.keys(target).await?;
        let Some(was) = keys.get("lock").cloned() else { return Ok(Answer::Unlocked { was: None }) };
        let vmid = number(target);
        let tasks = self.pct.tasks().await.map_err(pct_failed)?;
        // A clone runs under the number of its source, a backup of several guests under none.
        let concerns =
            |task: &super::pct::Task| task.id == vmid.to_string() || task.id.is_empty() || task.kind == "vzclone";
        if let Some(task) = tasks.iter().find(|task| concerns(task)) {
            return Err(Refusal::InUse { vmid, by: format!("task {}", task.upid) });
        }
        // `pct unlock` takes the lock file itself.
        drop(hold);
        self.pct.unlock(target.vmid).await.map_err(pct_failed)?;
        match self.keys(target).await?.get("lock") {
            None => Ok(Answer::Unlocked { was: Some(was) }),
            Some(now) => Err(Refusal::InUse { vmid, by: format!("lock {now} was set again") }),
        }
    }

    async fn exec(self: &Arc<Self>, order: Order, exec: Exec, beside: Beside) -> Result<Ended, Refusal> {
        if let Some(mut running) = self.running(&order.key) {
            // The same order over another connection: wait for its end with whoever asked first.
            let _ = running.wait_for(|ended| *ended).await;
        }
        let known = lock(&self.book).known(&order.key).cloned();
        match known {
            Some(Known::Ended(ended)) => return Ok(self.again(&order.key, ended, &beside)),
            Some(Known::Begun) => return Err(Refusal::Unknown),
            None => {}
        }
        let (ended, watch) = watch::channel(false);
        if lock(&self.running).insert(order.key.clone(), watch).is_some() {
            return Err(Refusal::UnderWay);
        }
        // It goes on when the connection that asked for it is lost.
        let desk = Arc::clone(self);
        let work = tokio::spawn(async move {
            let done = desk.exec_once(&order, exec, beside).await;
            lock(&desk.running).remove(&order.key);
            let _ = ended.send(true);
            done
        });
        work.await.map_err(failed)?
    }

    fn running(&self, key: &str) -> Option<watch::Receiver<bool>> {
        lock(&self.running).get(key).cloned()
    }

    async fn exec_once(self: &Arc<Self>, order: &Order, exec: Exec, beside: Beside) -> Result<Ended, Refusal> {
        let _slot = self.slots.try_acquire().map_err(|_| Refusal::Busy { limit: ORDERS_MAX })?;
        // Two that ask at the same moment: the second finds what the first has left.
        if lock(&self.book).known(&order.key).is_some() {
            return Err(Refusal::UnderWay);
        }
        let hold = self.admit(order).await?;
        if !self.pct.is_running(order.guest.vmid).await.map_err(pct_failed)? {
            return Err(Refusal::NotRunning { vmid: number(&order.guest) });
        }
        if !matches!((beside.may)().await, Ok(true)) {
            return Err(Refusal::TakenBack);
        }
        let key = order.key.clone();
        self.write(move |book| book.begin(&key)).await?;
        let limit = Duration::from_secs(exec.time_limit_s.into());
        let started = tokio::time::Instant::now();
        let run = Run {
            argv: scripts::command(&exec.argv, exec.user.as_ref().map(crate::work::Account::as_str), exec.time_limit_s),
            env: exec.env,
            input: beside.input,
            word: None,
            limit: limit + LIMIT_GRACE,
            output_max: exec.output_max,
            output: Some(beside.output),
            hold: Some(hold),
        };
        let key = order.key.clone();
        match self.pct.run(order.guest.vmid, run).await {
            Err(error) => {
                // It was not started: the same order may come again.
                self.write(move |book| book.void(&key)).await?;
                Err(pct_failed(error))
            }
            Ok(ran) => {
                let out_of_time = ran.code.is_none_or(|code| TIMED_OUT.contains(&code)) && started.elapsed() >= limit;
                let timed_out = ran.timed_out || out_of_time;
                let ended = Ended { code: ran.code, timed_out, cut: ran.cut, ..Ended::default() };
                self.keep(&key, ran);
                let noted = ended.clone();
                self.write(move |book| book.end(&key, noted)).await?;
                Ok(ended)
            }
        }
    }

    fn keep(&self, key: &str, ran: Ran) {
        let mut kept = lock(&self.kept);
        kept.bytes += ran.out.len() + ran.err.len();
        kept.outputs.push_back((key.to_owned(), ran.out, ran.err));
        while kept.bytes > KEPT_OUTPUT_MAX || kept.outputs.len() > ORDERS_MAX * 4 {
            let Some((_, out, err)) = kept.outputs.pop_front() else { break };
            kept.bytes -= out.len() + err.len();
        }
    }

    /// The answer of the first time, with its output where that is still known.
    fn again(&self, key: &str, ended: Ended, beside: &Beside) -> Ended {
        let kept = lock(&self.kept);
        let found = kept.outputs.iter().find(|(known, ..)| known == key);
        if let Some((_, out, err)) = found {
            for (stream, bytes) in [(Stream::Out, &out[..]), (Stream::Err, &err[..])] {
                if !bytes.is_empty() {
                    let _ = beside.output.send((stream, bytes.to_vec()));
                }
            }
        }
        Ended { repeated: true, output_lost: found.is_none(), ..ended }
    }

    /// Runs one of the agent's own scripts in a guest.
    pub(crate) async fn script(
        &self,
        target: &Target,
        argv: Vec<String>,
        input: Zeroizing<Vec<u8>>,
        output_max: u64,
    ) -> Result<Ran, Refusal> {
        let limit = fileswork::SCRIPT_LIMIT;
        let run = Run { argv, env: Vec::new(), input, word: None, limit, output_max, output: None, hold: None };
        self.run_script(target, run).await
    }

    /// Runs the script that writes a file: what it says goes to `said`, and it waits for a word.
    pub(crate) async fn write_script(
        &self,
        target: &Target,
        argv: Vec<String>,
        input: Zeroizing<Vec<u8>>,
        said: mpsc::UnboundedSender<Output>,
        word: oneshot::Receiver<&'static [u8]>,
    ) -> Result<Ran, Refusal> {
        let (limit, output_max) = (fileswork::SCRIPT_LIMIT, fileswork::SCRIPT_OUTPUT_MAX);
        let (word, output) = (Some(word), Some(said));
        self.run_script(target, Run { argv, env: Vec::new(), input, word, limit, output_max, output, hold: None }).await
    }

    async fn run_script(&self, target: &Target, run: Run) -> Result<Ran, Refusal> {
        let limit = run.limit;
        let ran = self.pct.run(target.vmid, run).await.map_err(pct_failed)?;
        if ran.timed_out {
            return Err(failed(format!("the guest did not answer within {} s", limit.as_secs())));
        }
        Ok(ran)
    }

    /// The refusal for a script that failed in a way of its own.
    pub(crate) async fn script_failed(&self, target: &Target, doing: &str, ran: &Ran) -> Refusal {
        // What ran in a guest ends with it: one that has moved on or was exchanged is told as that.
        if let Err(refusal @ (Refusal::NotHere { .. } | Refusal::NotOurs { .. })) = self.keys(target).await {
            return refusal;
        }
        match self.pct.is_running(target.vmid).await {
            Ok(false) => Refusal::NotRunning { vmid: number(target) },
            _ => failed(format!("{doing} in container {} failed: {}", target.vmid, said(ran))),
        }
    }
}

/// The VMID as it stands in a refusal.
pub(crate) fn number(target: &Target) -> u32 {
    target.vmid.into()
}
