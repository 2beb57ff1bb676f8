//! Several engines on one journal, each over a link of its own that can be cut.
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{
    Backend, Clock, Engine, EngineConfig, Envelope, Event, EventQuery, Ids, JobId, JobKind, JobSpec, Journal,
    JournalError, Lane, MemoryJournal, OpClass, OperationId, OperationSpec, OperationState, Receipt, Registry,
    RowResult, Rows, Signal, SimClock, Step, StepCx, StepError, Tx, UnixMs, settled,
};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A journal behind a link.
#[derive(Clone)]
struct Link {
    journal: MemoryJournal,
    cut: Arc<AtomicBool>,
}

impl Link {
    fn reach(&self) -> RowResult<()> {
        match self.cut.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(JournalError::Unavailable { doing: "reaching the store", source: "the link is cut".into() }),
        }
    }
}

impl Backend for Link {
    fn exclusive(&self) -> bool {
        false
    }

    async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.reach()?;
        Backend::write(&self.journal, lane, work).await
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> RowResult<T> + Send + 'static,
    ) -> impl Future<Output = RowResult<T>> + Send {
        let reached = self.reach();
        let journal = self.journal.clone();
        async move {
            reached?;
            Backend::read(&journal, work).await
        }
    }

    fn signals(&self) -> watch::Receiver<Signal> {
        self.journal.subscribe()
    }
}

/// The outside: calls take a while, and what they do is done at their end, whether anybody waits for it or not.
pub(crate) struct Outside {
    clock: Arc<dyn Clock>,
    takes: Duration,
    /// How long steps say that a call may take.
    said: Duration,
    /// Steady time at which each call began.
    calls: Mutex<Vec<(JobId, Duration)>>,
    effects: Arc<Mutex<BTreeMap<JobId, u32>>>,
}

impl Outside {
    async fn call(&self, job: JobId) {
        self.calls.lock().unwrap().push((job, self.clock.steady()));
        let (clock, takes, effects) = (Arc::clone(&self.clock), self.takes, Arc::clone(&self.effects));
        let under_way = tokio::spawn(async move {
            clock.sleep(takes).await;
            *effects.lock().unwrap().entry(job).or_default() += 1;
        });
        under_way.await.unwrap();
    }
}

/// Looks, announces, calls.
struct Act;

#[async_trait]
impl Step for Act {
    fn name(&self) -> &'static str {
        "act"
    }
    fn class(&self) -> OpClass {
        OpClass::Discoverable
    }
    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let outside: &Outside = cx.context();
        let done = |outside: &Outside| outside.effects.lock().unwrap().contains_key(&cx.job().id);
        if !done(outside) {
            cx.may_announce(outside.said)?;
            cx.intent(Envelope::new("act", 1, json!({}))).await?;
            cx.may_call(outside.said)?;
            outside.call(cx.job().id).await;
            cx.submitted("done").await?;
        }
        Ok(Envelope::new("acted", 1, json!({})))
    }
    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

/// Says the same for a while, then something else, then ends.
struct Quiet;

#[async_trait]
impl Step for Quiet {
    fn name(&self) -> &'static str {
        "quiet"
    }
    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }
    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        for text in ["copying 10 GiB", "copying 20 GiB"] {
            for _ in 0..300 {
                cx.progress(text, None);
                cx.clock().sleep(Duration::from_secs(1)).await;
            }
        }
        Ok(Envelope::new("quiet", 1, json!({})))
    }
    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

pub(crate) fn registry() -> Registry {
    Registry::new()
        .with(JobKind::first("act", |_| Ok(vec![Arc::new(Act) as Arc<dyn Step>])))
        .with(JobKind::first("quiet", |_| Ok(vec![Arc::new(Quiet) as Arc<dyn Step>])))
}

pub(crate) struct Lab {
    pub(crate) journal: MemoryJournal,
    pub(crate) clock: SimClock,
    pub(crate) ids: Ids,
    pub(crate) outside: Arc<Outside>,
}

pub(crate) struct Server {
    pub(crate) engine: Arc<Engine>,
    link: Link,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Lab {
    pub(crate) fn new(call: Duration) -> Lab {
        Self::saying(call, call)
    }

    fn saying(call: Duration, said: Duration) -> Lab {
        let clock = SimClock::auto(UnixMs(1_700_000_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let outside = Arc::new(Outside {
            clock: Arc::clone(&shared),
            takes: call,
            said,
            calls: Mutex::default(),
            effects: Arc::default(),
        });
        let journal = MemoryJournal::shared_with_clock(Arc::clone(&shared));
        Lab { journal, ids: Ids::from_seed(shared, 1), clock, outside }
    }

    pub(crate) fn config(&self, seed: u64, grace: Duration) -> EngineConfig {
        let standard = EngineConfig::standard();
        EngineConfig {
            takeover_grace: grace,
            lease_ttl: standard.lease_ttl,
            heartbeat: standard.heartbeat,
            ..EngineConfig::quick(seed)
        }
    }

    pub(crate) fn start(&self, seed: u64, grace: Duration) -> Server {
        let link = Link { journal: self.journal.clone(), cut: Arc::default() };
        let (context, clock) = (Arc::clone(&self.outside) as _, Arc::new(self.clock.clone()));
        let config = self.config(seed, grace);
        let engine = Arc::new(Engine::new(Arc::new(link.clone()), registry(), context, clock, config));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let (engine, shutdown) = (Arc::clone(&engine), shutdown.clone());
            async move { engine.run(shutdown).await.unwrap() }
        });
        Server { engine, link, shutdown, task }
    }

    pub(crate) async fn submit(&self, kind: &str, jobs: usize) -> OperationId {
        let job = |number| JobSpec::new(self.ids.job(), format!("{number}"), Envelope::new(kind, 1, json!({})));
        let spec = OperationSpec {
            id: self.ids.operation(),
            kind: "test".to_owned(),
            subject: "shop".to_owned(),
            actor: "tester".to_owned(),
            summary: "test".to_owned(),
            payload: Envelope::new("plan", 1, json!({})),
            idempotency_key: None,
            exclusive: false,
            jobs: (0..jobs).map(job).collect(),
        };
        self.journal.submit(spec, self.clock.now()).await.unwrap().id
    }

    pub(crate) async fn sleep(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    pub(crate) async fn done(&self, id: OperationId) {
        assert_eq!(settled(&self.journal, id).await.unwrap().status.state, OperationState::Done);
    }

    pub(crate) async fn events(&self, kind: &str) -> Vec<Event> {
        let all = self.journal.events(EventQuery { limit: 1_000, ..Default::default() }).await.unwrap();
        all.into_iter().filter(|event| event.kind == kind).collect()
    }

    fn effects(&self) -> Vec<u32> {
        self.outside.effects.lock().unwrap().values().copied().collect()
    }
}

impl Server {
    fn cut(&self, cut: bool) {
        self.link.cut.store(cut, Ordering::SeqCst);
    }

    pub(crate) async fn stop(self) {
        self.cut(false);
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

pub(crate) const CALL: Duration = Duration::from_secs(2);
pub(crate) const GRACE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nothing() {
    let lab = Lab::new(CALL);
    let server = lab.start(1, GRACE);
    let id = lab.submit("act", 40).await;
    lab.sleep(1).await;
    server.cut(true);
    lab.sleep(6).await;
    server.cut(false);
    lab.done(id).await;
    assert_eq!(lab.effects(), vec![1; 40]);
    let stats = server.engine.stats();
    assert_eq!((stats.leases_lost(), stats.late_writes(), stats.outages()), (0, 0, 1));
    assert_eq!(lab.events("job.started").await.len(), 40, "the jobs were held throughout");
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_without_its_store_stops_acting_and_goes_on_later() {
    let lab = Lab::new(CALL);
    let server = lab.start(1, GRACE);
    let first = lab.submit("act", 4).await;
    lab.sleep(1).await;
    let cut_at = lab.clock.steady();
    server.cut(true);
    // Accepted by another server meanwhile.
    let second = lab.submit("act", 200).await;
    lab.sleep(300).await;
    let last_call = lab.outside.calls.lock().unwrap().iter().map(|(_, at)| *at).max().unwrap();
    assert!(
        last_call <= cut_at + Duration::from_secs(10),
        "no call starts after two thirds of the lease: {last_call:?}"
    );
    server.cut(false);
    lab.done(first).await;
    lab.done(second).await;
    assert!(lab.effects().iter().all(|times| *times == 1), "{:?}", lab.effects());
    assert_eq!(lab.effects().len(), 204);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_server_takes_over_within_twenty_seconds() {
    let lab = Lab::new(CALL);
    let (one, two) = (lab.start(1, GRACE), lab.start(2, GRACE));
    let id = lab.submit("quiet", 10).await;
    lab.sleep(30).await;
    let cut_at = lab.clock.now();
    let started = lab.events("job.started").await.len();
    let held_by_one = one.engine.stats().claimed();
    assert!(held_by_one > 0, "both servers work");
    one.cut(true);
    lab.sleep(20).await;
    let again = lab.events("job.started").await;
    assert_eq!(again.len() - started, held_by_one as usize, "all of its jobs run elsewhere");
    let took = again.last().unwrap().at.since(cut_at);
    assert!(took <= Duration::from_secs(16), "{took:?}");
    lab.sleep(100).await;
    one.cut(false);
    lab.done(id).await;
    lab.sleep(30).await;
    let stats = one.engine.stats();
    assert_eq!(stats.leases_lost(), held_by_one, "it learns that its jobs are gone");
    assert_eq!((stats.outages(), two.engine.stats().leases_lost()), (1, 0));
    let id = lab.submit("act", 200).await;
    lab.done(id).await;
    assert!(one.engine.stats().claimed() > held_by_one, "it works again, as a new owner");
    one.stop().await;
    two.stop().await;
}

/// A server announces a call that takes 40 s, and is cut off for good. What a second server does about it, if both believe that
/// calls take no longer than `said` and wait for `grace`.
async fn cut_off_in_a_call(said: Duration, grace: Duration) -> (Vec<u32>, Duration) {
    let lab = Lab::saying(Duration::from_secs(40), said);
    let one = lab.start(1, grace);
    let id = lab.submit("act", 1).await;
    lab.sleep(2).await;
    one.cut(true);
    let _two = lab.start(2, grace);
    let began = lab.clock.steady();
    lab.done(id).await;
    let took = lab.clock.steady() - began;
    lab.sleep(120).await;
    (lab.effects(), took)
}

#[tokio::test(start_paused = true)]
async fn a_call_of_a_server_that_is_gone_is_waited_for() {
    let (effects, took) = cut_off_in_a_call(Duration::from_secs(40), GRACE).await;
    assert_eq!(effects, [1], "the second server looks again when the call must have ended, and finds what it did");
    assert!(took >= Duration::from_secs(40), "{took:?}");
    // With a wait that is shorter than the call takes it is done twice. So it is the wait that prevents it.
    let (effects, _) = cut_off_in_a_call(Duration::from_secs(5), Duration::from_secs(5)).await;
    assert_eq!(effects, [2]);
}
