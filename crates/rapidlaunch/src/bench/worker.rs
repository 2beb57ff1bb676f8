//! A process of its own with thousands of jobs in flight, killed and started again; and one with nothing to do.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobKind, JobSpec, OpClass, OperationSpec, PriorAttempt, Receipt,
    Registry, Step, StepCx, StepError, SystemClock,
};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::store::{failed, open};
use crate::error::CommandError;
use crate::memory::{processor, resident};
use crate::out::Out;

/// Names the data directory in the environment of a worker.
const DIR: &str = "RAPIDLAUNCH_BENCH_WORKER";
/// Names the jobs it is to have in flight.
const JOBS: &str = "RAPIDLAUNCH_BENCH_JOBS";
/// Jobs of one operation.
const JOBS_PER_OPERATION: usize = 100;
/// What a worker says when all of its jobs are in flight.
const HELD: &str = "held";
/// How long an idle process is looked at.
const IDLE: Duration = Duration::from_secs(8);

/// Memory with so many jobs in flight (bytes), and the time from a start after `kill -9` until all are in flight again.
pub(super) async fn in_flight(dir: &Path, jobs: usize) -> Result<(u64, Duration), CommandError> {
    let (mut first, _) = start(dir, jobs).await?;
    let rss = resident(first.id().unwrap_or_default());
    first.kill().await.map_err(failed)?;
    let (mut second, took) = start(dir, jobs).await?;
    second.kill().await.map_err(failed)?;
    Ok((rss, took))
}

/// Memory (bytes) and share of a processor (per cent) of a process with nothing to do.
pub(super) async fn idle(dir: &Path) -> Result<(u64, f64), CommandError> {
    let (mut child, _) = start(dir, 0).await?;
    let pid = child.id().unwrap_or_default();
    // The start itself is over: its last checkpoint too.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, began) = (processor(pid), Instant::now());
    tokio::time::sleep(IDLE).await;
    let share = (processor(pid) - before).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let rss = resident(pid);
    child.kill().await.map_err(failed)?;
    Ok((rss, share))
}

async fn start(dir: &Path, jobs: usize) -> Result<(Child, Duration), CommandError> {
    let began = Instant::now();
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["bench"])
        .env(DIR, dir)
        .env(JOBS, jobs.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().ok_or_else(|| CommandError::failed("the worker has no stdout"))?;
    match BufReader::new(stdout).lines().next_line().await.map_err(failed)? {
        Some(line) if line == HELD => Ok((child, began.elapsed())),
        said => Err(CommandError::failed(format!("the worker ended before its jobs were in flight: {said:?}"))),
    }
}

/// Runs as a worker if this process was started as one.
pub(super) async fn serve(out: &Out) -> Option<Result<(), CommandError>> {
    let dir = std::env::var_os(DIR)?;
    let jobs = std::env::var(JOBS).ok()?.parse().ok()?;
    Some(work(Path::new(&dir), jobs, out).await)
}

async fn work(dir: &Path, jobs: usize, out: &Out) -> Result<(), CommandError> {
    let store = open(dir).await?;
    let journal = store.journal();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = Arc::new(AtomicUsize::new(0));
    let registry = Registry::new().with(JobKind::first("hold", |_| Ok(vec![Arc::new(Hold)])));
    let config = EngineConfig::standard();
    let engine = Engine::new(store.journal(), registry, held.clone(), Arc::clone(&clock), config);
    let submit = async {
        engine.registered().await;
        if journal.unfinished("bench".to_owned()).await.map_err(failed)?.is_empty() {
            let ids = Ids::from_os(Arc::clone(&clock));
            for _ in 0..jobs.div_ceil(JOBS_PER_OPERATION) {
                journal.submit(operation(&ids), clock.now()).await.map_err(failed)?;
            }
        }
        while held.load(Ordering::Relaxed) < jobs {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        out.print(&format!("{HELD}\n"));
        std::future::pending::<Result<(), CommandError>>().await
    };
    tokio::select! {
        ran = engine.run(CancellationToken::new()) => ran.map_err(failed),
        submitted = submit => submitted,
    }
}

/// Announces a call, records its answer, and follows a task that does not end.
struct Hold;

#[async_trait]
impl Step for Hold {
    fn name(&self) -> &'static str {
        "hold"
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        if *cx.prior() == PriorAttempt::None {
            cx.intent(Envelope::new("hold", 1, json!({ "vmid": 2001, "node": "pve1" }))).await?;
            cx.submitted("UPID:pve1:0003A1F2:01C2D3E4:66F0A1B2:vzcreate:2001:root@pam!launch:").await?;
        }
        cx.context::<AtomicUsize>().fetch_add(1, Ordering::Relaxed);
        cx.cancelled().await;
        Err(StepError::Cancelled)
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

fn operation(ids: &Ids) -> OperationSpec {
    let body = json!({ "text": "x".repeat(300) });
    let job = |number: usize| JobSpec::new(ids.job(), format!("hold-{number}"), Envelope::new("hold", 1, body.clone()));
    OperationSpec {
        id: ids.operation(),
        kind: "bench".to_owned(),
        subject: "bench".to_owned(),
        actor: "bench".to_owned(),
        summary: "jobs that stay in flight".to_owned(),
        payload: Envelope::new("bench", 1, json!({})),
        idempotency_key: None,
        exclusive: false,
        jobs: (0..JOBS_PER_OPERATION).map(job).collect(),
    }
}
