//! Loads for measuring a journal: many submitters, and whole lives of jobs, every write awaited until it is on disk.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rl_engine::{
    ClaimRequest, Claimed, Direction, Envelope, Finish, Ids, JobSpec, Journal, JournalError, OperationSpec,
    RegisterRequest, StepKey, SystemClock, UnixMs,
};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Bytes of a job's payload, about what a container's creation takes.
const PAYLOAD_BYTES: usize = 300;
/// Jobs asked for by one claim, as the engine does.
const CLAIM_MAX: usize = 256;
/// Kind of every job of the load.
const KIND: &str = "load";

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Submits or jobs done.
    pub count: usize,
    /// From the first to the last.
    pub took: Duration,
    /// Half of them took at most this long.
    pub p50: Duration,
    /// All but one in a hundred took at most this long.
    pub p99: Duration,
}

impl Measured {
    /// Submits or jobs a second.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    pub(crate) fn of(mut times: Vec<Duration>, took: Duration) -> Self {
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).copied();
        Self { count: times.len(), took, p50: at(0.50).unwrap_or_default(), p99: at(0.99).unwrap_or_default() }
    }
}

/// `submitters` tasks submit operations of one job each, the next when the last is on disk; about `count` in all.
pub async fn submits(journal: Arc<dyn Journal>, submitters: usize, count: usize) -> Result<Measured, JournalError> {
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..submitters {
        let (journal, ids) = (Arc::clone(&journal), ids.clone());
        let share = count.div_ceil(submitters);
        tasks.spawn(async move {
            let mut times = Vec::with_capacity(share);
            for _ in 0..share {
                let spec = operation(&ids);
                let began = Instant::now();
                journal.submit(spec, now()).await?;
                times.push(began.elapsed());
            }
            Ok::<_, JournalError>(times)
        });
    }
    let mut times = Vec::with_capacity(count);
    while let Some(ended) = tasks.join_next().await {
        times.extend(joined(ended)?);
    }
    Ok(Measured::of(times, began.elapsed()))
}

/// `count` whole lives of jobs, `in_flight` at once: submit, claim, intent, submitted, outcome with the end of the job. A
/// job's time is from its submit to its end.
pub async fn journaled_jobs(
    journal: Arc<dyn Journal>,
    in_flight: usize,
    count: usize,
) -> Result<Measured, JournalError> {
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let owner = ids.owner();
    let known = BTreeMap::from([(KIND.to_owned(), 1..=1)]);
    let lease_until = UnixMs(now().0 + LEASE.as_millis() as u64);
    let request = RegisterRequest { known: known.clone(), lease_until, takeover_grace: LEASE };
    journal.register(owner, request, now()).await?;
    let room = Arc::new(Semaphore::new(in_flight));
    let began = Instant::now();
    let mut submitting = tokio::spawn(submit_all(Arc::clone(&journal), ids.clone(), Arc::clone(&room), count));
    let mut lives = Lives { journal: Arc::clone(&journal), room, tasks: JoinSet::new(), times: Vec::new() };
    let claim = ClaimRequest { takeover_grace: LEASE, ..ClaimRequest::new(owner, CLAIM_MAX, known) };
    let mut signal = journal.subscribe();
    while lives.times.len() < count {
        let seen = signal.borrow_and_update().work;
        let claims = journal.claim(claim.clone(), now()).await?;
        let full = claims.jobs.len() == CLAIM_MAX;
        for claimed in claims.jobs {
            lives.start(claimed);
        }
        lives.collect()?;
        while !full && lives.times.len() < count {
            if signal.borrow_and_update().work != seen {
                break;
            }
            tokio::select! {
                changed = signal.changed() => changed.map_err(|_| JournalError::Poisoned)?,
                Some(ended) = lives.tasks.join_next() => { lives.times.push(joined(ended)?); }
                ended = &mut submitting, if !submitting.is_finished() => joined(ended)?,
            }
        }
    }
    let took = began.elapsed();
    journal.unregister(owner, now()).await?;
    Ok(Measured::of(lives.times, took))
}

/// Longer than any load runs.
const LEASE: Duration = Duration::from_secs(3600);

struct Lives {
    journal: Arc<dyn Journal>,
    room: Arc<Semaphore>,
    tasks: JoinSet<Result<Duration, JournalError>>,
    times: Vec<Duration>,
}

impl Lives {
    fn start(&mut self, claimed: Claimed) {
        let (journal, room) = (Arc::clone(&self.journal), Arc::clone(&self.room));
        self.tasks.spawn(async move {
            let made = claimed.job.operation.made_at_ms();
            live(&*journal, &claimed).await?;
            room.add_permits(1);
            Ok(now().since(UnixMs(made)))
        });
    }

    fn collect(&mut self) -> Result<(), JournalError> {
        while let Some(ended) = self.tasks.try_join_next() {
            self.times.push(joined(ended)?);
        }
        Ok(())
    }
}

async fn submit_all(
    journal: Arc<dyn Journal>,
    ids: Ids,
    room: Arc<Semaphore>,
    count: usize,
) -> Result<(), JournalError> {
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let permit = room.acquire().await.map_err(|_| JournalError::Poisoned)?;
        permit.forget();
        let (journal, spec) = (Arc::clone(&journal), operation(&ids));
        tasks.spawn(async move { journal.submit(spec, now()).await.map(|_| ()) });
        while let Some(ended) = tasks.try_join_next() {
            joined(ended)?;
        }
    }
    while let Some(ended) = tasks.join_next().await {
        joined(ended)?;
    }
    Ok(())
}

/// What an engine writes about a job whose one step makes one call.
async fn live(journal: &dyn Journal, claimed: &Claimed) -> Result<(), JournalError> {
    let holder = claimed.holder;
    let step = || StepKey { name: "create".to_owned(), direction: Direction::Do, position: 0 };
    journal.intent(holder, step(), Envelope::new("create", 1, json!({ "vmid": 2001, "node": "pve1" })), now()).await?;
    let upid = "UPID:pve1:0003A1F2:01C2D3E4:66F0A1B2:vzcreate:2001:root@pam!launch:";
    journal.submitted(holder, step(), upid.to_owned(), now()).await?;
    let receipt = Envelope::new("created", 1, json!({ "vmid": 2001 }));
    journal.outcome(holder, step(), receipt, Some(Finish::Done), now()).await?;
    Ok(())
}

fn operation(ids: &Ids) -> OperationSpec {
    let id = ids.operation();
    let body = json!({ "text": "x".repeat(PAYLOAD_BYTES) });
    OperationSpec {
        id,
        kind: KIND.to_owned(),
        subject: id.to_string(),
        actor: "bench".to_owned(),
        summary: "one job of a load".to_owned(),
        payload: Envelope::new(KIND, 1, serde_json::Value::Null),
        idempotency_key: None,
        exclusive: false,
        jobs: vec![JobSpec::new(ids.job(), "job", Envelope::new(KIND, 1, body))],
    }
}

fn now() -> UnixMs {
    use rl_engine::Clock;
    SystemClock::new().now()
}

fn joined<T>(ended: Result<Result<T, JournalError>, tokio::task::JoinError>) -> Result<T, JournalError> {
    ended.map_err(|source| JournalError::Store { doing: "running a load", source: Box::new(source) })?
}
