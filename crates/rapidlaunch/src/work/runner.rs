//! Runs the engine until an operation is settled, shows what happens, and lets go of it when asked to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{
    Engine, EngineConfig, Event, EventQuery, JobSteps, Journal, OperationId, OperationRecord, OperationState, PAGE_MAX,
    ProgressBoard, SystemClock, UnixMs,
};
use rl_ops::Ctx;
use tokio_util::sync::CancellationToken;

use crate::error::CommandError;
use crate::out::Out;
use crate::render::progress::View;
use crate::shape::operation::EventShape;

/// How often the live view is drawn, and how often a request to cancel from another process is looked for.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks for such a request.
const TICKS_PER_REQUEST_LOOK: u32 = 5;

/// Longer than any command runs.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// How an operation was left.
pub(crate) enum Left {
    /// It is finished, or blocked.
    Settled(Box<OperationRecord>),
    /// The person detached; it goes on when it is taken up again.
    Detached,
}

/// What running an operation needs.
pub(crate) struct Run<'a> {
    /// The journal.
    pub(crate) journal: Arc<dyn Journal>,
    /// The steps' context.
    pub(crate) ctx: Arc<Ctx>,
    /// The operation to be settled; others that are unfinished go on beside it.
    pub(crate) operation: OperationId,
    /// Where another process may ask for cancellation.
    pub(crate) cancel_file: Option<PathBuf>,
    /// The sites whose work is taken; all of it when the store is this process's alone.
    pub(crate) only: Option<Vec<String>>,
    /// Who acts.
    pub(crate) actor: String,
    /// Shows progress.
    pub(crate) out: &'a Out,
}

/// Runs until the operation is settled, or until Ctrl-C.
pub(crate) async fn run(run: Run<'_>) -> Result<Left, CommandError> {
    let clock = Arc::new(SystemClock::new());
    let engine = Engine::new(
        Arc::clone(&run.journal),
        rl_ops::registry(),
        Arc::clone(&run.ctx) as Arc<dyn std::any::Any + Send + Sync>,
        clock,
        config(&run),
    );
    let board = engine.progress();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let engine = Arc::new(engine);
    let mut running = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.run(stop).await }
    });
    // A job parked by an older release must get its chance before "blocked" is believed.
    tokio::select! {
        () = engine.registered() => {}
        ended = &mut running => return Err(stopped(ended)),
    }
    let left = follow(&run, &board, &running).await;
    shutdown.cancel();
    match running.await {
        Ok(Ok(())) => left,
        ended => Err(stopped(ended)),
    }
}

/// The engine's settings. In a store that others share, a command leaves the work of sites it is not connected to to them.
fn config(run: &Run<'_>) -> EngineConfig {
    let standard = EngineConfig::standard();
    match &run.only {
        Some(sites) => EngineConfig { sites: sites.clone(), foreign_grace: NEVER, ..standard },
        None => standard,
    }
}

/// The error for an engine that ended by itself.
fn stopped(ended: Result<Result<(), rl_engine::EngineError>, tokio::task::JoinError>) -> CommandError {
    match ended {
        Ok(Ok(())) => CommandError::failed("the engine stopped before the operation was settled"),
        Ok(Err(error)) => CommandError::failed("the engine stopped").because(error),
        Err(error) => CommandError::failed("the engine ended unexpectedly").because(error),
    }
}

type Running = tokio::task::JoinHandle<Result<(), rl_engine::EngineError>>;

async fn follow(run: &Run<'_>, board: &ProgressBoard, engine: &Running) -> Result<Left, CommandError> {
    let jobs = job_names(run).await?;
    let mut view = View::new(run.out, jobs);
    let mut seen = Seen { after: 0, operation: run.operation };
    let (mut ticks, mut behind, mut reachable) = (0u32, true, true);
    let mut signal = run.journal.subscribe();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            _ = &mut interrupted => {
                view.say("detached: calls under way are written down, then this process ends");
                return Ok(Left::Detached);
            }
        }
        ticks += 1;
        let changed = signal.has_changed().unwrap_or(true);
        signal.borrow_and_update();
        behind |= changed || ticks == 1;
        match round(run, &mut seen, &mut view, behind, ticks).await {
            Ok(Some(record)) => {
                view.finish();
                return Ok(Left::Settled(Box::new(record)));
            }
            Ok(None) => (behind, reachable) = (false, true),
            // The engine waits for the store to come back, and so does who looks on.
            Err(error) if is_out_of_reach(&error) => {
                if std::mem::take(&mut reachable) {
                    view.say("the store is out of reach; waiting for it");
                }
            }
            Err(error) => return Err(error),
        }
        if engine.is_finished() {
            return Err(CommandError::failed("the engine stopped before the operation was settled"));
        }
        view.draw(|| board.all().into_iter().map(|(job, progress)| (job.to_string(), progress.text)).collect());
    }
}

/// Obeys, shows what is new, and answers the operation once it is settled.
async fn round(
    run: &Run<'_>,
    seen: &mut Seen,
    view: &mut View,
    behind: bool,
    ticks: u32,
) -> Result<Option<OperationRecord>, CommandError> {
    if ticks.is_multiple_of(TICKS_PER_REQUEST_LOOK) {
        obey_cancel_request(run).await?;
    }
    if !behind {
        return Ok(None);
    }
    seen.show(run, view).await?;
    let record = settled(run).await?;
    if record.is_some() {
        seen.show(run, view).await?;
    }
    Ok(record)
}

/// Whether the store may come back by itself.
fn is_out_of_reach(error: &CommandError) -> bool {
    let source = error.source.as_deref().and_then(|source| source.downcast_ref::<rl_engine::JournalError>());
    source.is_some_and(rl_engine::JournalError::is_unavailable)
}

async fn job_names(run: &Run<'_>) -> Result<BTreeMap<String, String>, CommandError> {
    let mut names = BTreeMap::new();
    loop {
        let page = run.journal.jobs(run.operation, names.len() as u32, PAGE_MAX).await.map_err(journal_error)?;
        if page.is_empty() {
            return Ok(names);
        }
        names.extend(page.into_iter().map(|job| (job.spec.id.to_string(), job.spec.key)));
    }
}

async fn settled(run: &Run<'_>) -> Result<Option<OperationRecord>, CommandError> {
    let record = run.journal.operation(run.operation).await.map_err(journal_error)?;
    let record = record.ok_or_else(|| CommandError::failed(format!("operation {} is gone", run.operation)))?;
    Ok((record.status.state != OperationState::Running).then_some(record))
}

/// Another process cannot write to the store while this one holds it; it leaves a file with the operation's id instead.
async fn obey_cancel_request(run: &Run<'_>) -> Result<(), CommandError> {
    let Some(file) = run.cancel_file.as_ref().filter(|file| file.exists()) else { return Ok(()) };
    run.journal.request_cancel(run.operation, run.actor.clone(), now()).await.map_err(journal_error)?;
    let _ = std::fs::remove_file(file);
    Ok(())
}

/// Where the reading of events stands.
struct Seen {
    after: u64,
    operation: OperationId,
}

impl Seen {
    async fn show(&mut self, run: &Run<'_>, view: &mut View) -> Result<(), CommandError> {
        loop {
            let query = EventQuery { after: self.after, operation: Some(self.operation), limit: PAGE_MAX };
            let events: Vec<Event> = run.journal.events(query).await.map_err(journal_error)?;
            let Some(last) = events.last() else { return Ok(()) };
            self.after = last.seq;
            events.into_iter().for_each(|event| view.event(&EventShape::of(event, None)));
        }
    }
}

/// The wall clock, as the journal counts it.
pub(crate) fn now() -> UnixMs {
    UnixMs(u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0))
}

/// The error of a journal that cannot be read or written.
pub(crate) fn journal_error(error: rl_engine::JournalError) -> CommandError {
    CommandError::failed("the store failed").because(error)
}

/// The jobs of an operation with their steps.
pub(crate) async fn jobs_with_steps(journal: &dyn Journal, id: OperationId) -> Result<Vec<JobSteps>, CommandError> {
    let mut jobs = Vec::new();
    loop {
        let page = journal.jobs_with_steps(id, jobs.len() as u32, PAGE_MAX).await.map_err(journal_error)?;
        let is_last = page.len() < PAGE_MAX;
        jobs.extend(page);
        if is_last {
            return Ok(jobs);
        }
    }
}
