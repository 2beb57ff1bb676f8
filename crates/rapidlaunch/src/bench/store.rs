//! Figures of the store and the engine alone: durable submits, whole lives of jobs, and the time from a submit to its start.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobKind, JobSpec, OpClass, OperationSpec, Receipt, Registry, Step,
    StepCx, StepError, SystemClock,
};
use rl_store::{Store, load};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::CommandError;

/// Submits of one run.
const SUBMITS: usize = 100_000;
/// Jobs of one run.
const JOBS: usize = 30_000;
/// Times a figure is taken; the median counts.
const RUNS: usize = 3;
/// Submits of which the start is awaited, one after the other.
const STARTS: usize = 500;
/// Rest between two of them, so that the engine is idle when the next comes.
const REST: Duration = Duration::from_millis(4);

/// Durable submits a second by 64 submitters.
pub(super) async fn submits(dir: &Path) -> Result<f64, CommandError> {
    let mut rates = Vec::new();
    for run in 0..RUNS {
        let store = open(&dir.join(format!("submits-{run}"))).await?;
        rates.push(load::submits(store.journal(), 64, SUBMITS).await.map_err(failed)?.per_second());
    }
    Ok(median(rates))
}

/// Whole lives of jobs a second, 1,024 at once.
pub(super) async fn jobs(dir: &Path) -> Result<f64, CommandError> {
    let mut rates = Vec::new();
    for run in 0..RUNS {
        let store = open(&dir.join(format!("jobs-{run}"))).await?;
        rates.push(load::journaled_jobs(store.journal(), 1_024, JOBS).await.map_err(failed)?.per_second());
    }
    Ok(median(rates))
}

/// Milliseconds from the answer to a submit until the job's step runs, all but one in a hundred, on an idle engine.
pub(super) async fn start_latency(dir: &Path) -> Result<f64, CommandError> {
    let store = open(&dir.join("latency")).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (sender, mut started) = mpsc::unbounded_channel::<Instant>();
    let registry = Registry::new().with(JobKind::first("tell", |_| Ok(vec![Arc::new(Tell)])));
    let config = EngineConfig::standard();
    let engine = Engine::new(store.journal(), registry, Arc::new(sender), Arc::clone(&clock), config);
    let shutdown = CancellationToken::new();
    let measure = async {
        engine.registered().await;
        let ids = Ids::from_os(Arc::clone(&clock));
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let submitted = store.journal().submit(operation(&ids), clock.now()).await.map_err(failed);
            let answered = Instant::now();
            submitted?;
            let Some(at) = started.recv().await else { break };
            times.push(at.saturating_duration_since(answered));
            tokio::time::sleep(REST).await;
        }
        shutdown.cancel();
        times.sort_unstable();
        let at = times.len().saturating_sub(1) * 99 / 100;
        Ok(times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0))
    };
    let (ran, measured) = tokio::join!(engine.run(shutdown.clone()), measure);
    ran.map_err(failed)?;
    measured
}

struct Tell;

#[async_trait]
impl Step for Tell {
    fn name(&self) -> &'static str {
        "tell"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        // Whoever listens may have given up; the job is done all the same.
        let _ = cx.context::<mpsc::UnboundedSender<Instant>>().send(Instant::now());
        Ok(Envelope::new("told", 1, json!({})))
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

fn operation(ids: &Ids) -> OperationSpec {
    let id = ids.operation();
    OperationSpec {
        id,
        kind: "bench".to_owned(),
        subject: id.to_string(),
        actor: "bench".to_owned(),
        summary: "one step that tells when it starts".to_owned(),
        payload: Envelope::new("bench", 1, json!({})),
        idempotency_key: None,
        exclusive: false,
        jobs: vec![JobSpec::new(ids.job(), "tell", Envelope::new("tell", 1, json!({})))],
    }
}

pub(super) async fn open(dir: &Path) -> Result<Store, CommandError> {
    Store::open(dir, Arc::new(SystemClock::new())).await.map_err(failed)
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::failed("the store under measurement failed").because(error)
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
