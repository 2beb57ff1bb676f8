//! A process under load: the engine over a store, with a submitter beside it. Its jobs mark guests of the simulated site: one call,
//! one effect, one line in the site's ledger. What it has acknowledged it says at once, so that whoever reads its lines knows what
//! must never be lost.
//!
//! The process is this test binary itself, started again with only [`worker`] selected and its settings in an environment variable.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobKind, JobSpec, Journal, LockDomain, MissedPolicy, OnFailure,
    OpClass, OperationQuery, OperationSpec, OperationState, PayloadError, Receipt, Registry, ScheduleSpec, Step,
    StepCx, StepError, SystemClock, Timetable,
};
use rl_store::Store;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::World;
use crate::process::{Process, READY};

/// Carries the settings.
const VARIABLE: &str = "RAPIDLAUNCH_FAULTS_WORKER";
/// Submits under way at once.
const SUBMITS_MAX: usize = 64;
/// Jobs of each operation of a storm.
const STORM_JOBS: usize = 100;
/// Attempts of a mark: faults last longer than an ordinary job is patient.
const ATTEMPTS_MAX: u32 = 1_000;

/// Where the store is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    /// A data directory.
    Dir(PathBuf),
    /// A database.
    Url(String),
}

/// What a worker does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) store: Place,
    pub(crate) site: String,
    pub(crate) token: String,
    /// Guests that are marked: node and VMID.
    pub(crate) guests: Vec<(String, u64)>,
    /// Begins the name of every mark; differs from run to run.
    pub(crate) tag: String,
    /// Jobs to submit, and how many a second (0: as many as it can).
    pub(crate) jobs: usize,
    pub(crate) rate: usize,
    pub(crate) jobs_per_operation: usize,
    /// One idempotency key for every operation.
    pub(crate) key: Option<String>,
    /// Jobs that only wait, submitted first, and how long each waits.
    pub(crate) waiting: usize,
    pub(crate) waits_ms: u64,
    /// Time a job goes on after its mark.
    pub(crate) hold_ms: u64,
    /// Longest call, and the lease, which must outlast it.
    pub(crate) call_ms: u64,
    pub(crate) lease_ms: u64,
    /// The pattern of a schedule, which makes up for missed times once. Set up when the worker starts, or replaced.
    pub(crate) schedule: Option<String>,
    /// Ends by itself when everything is finished.
    pub(crate) until_idle: bool,
    /// Newest version of a mark that it knows, and the version it submits.
    pub(crate) knows: u32,
    pub(crate) version: u32,
    /// Whether it runs jobs, or only submits.
    pub(crate) runs: bool,
}

impl Settings {
    /// A worker on a store that submits nothing.
    pub(crate) fn new(world: &World, store: Place, guests: &[(String, u64)]) -> Self {
        Self {
            store,
            site: world.sim.url(),
            token: world.sim.token().to_owned(),
            guests: guests.to_vec(),
            tag: "mark".to_owned(),
            jobs: 0,
            rate: 0,
            jobs_per_operation: 10,
            key: None,
            waiting: 0,
            waits_ms: 0,
            hold_ms: 0,
            schedule: None,
            call_ms: 1_000,
            lease_ms: 30_000,
            until_idle: false,
            knows: 1,
            version: 1,
            runs: true,
        }
    }

    /// The command that runs such a worker.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "worker::worker", "--nocapture", "--test-threads=1"]);
        command.env(VARIABLE, serde_json::to_string(self).unwrap());
        command
    }

    /// Starts such a worker, ready.
    pub(crate) fn start(&self) -> Process {
        let mut process = self.start_only();
        process.wait_line("ready", READY);
        process
    }

    /// Starts such a worker.
    pub(crate) fn start_only(&self) -> Process {
        Process::start("worker", self.command())
    }
}

/// Guests to be marked.
pub(crate) fn guests(world: &World, count: u64) -> Vec<(String, u64)> {
    for vmid in 0..count {
        let config = json!({ "hostname": format!("g{vmid}"), "memory": "64" });
        world.put_guest(
            json!({ "vmid": 9000 + vmid, "type": "lxc", "config": config, "running": true, "replace": false }),
        );
    }
    let state = world.state();
    let node = |vmid: u64| state["guests"][vmid.to_string()]["node"].as_str().unwrap().to_owned();
    (9000..9000 + count).map(|vmid| (node(vmid), vmid)).collect()
}

/// What the outside has seen acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    /// Operations.
    pub(crate) operations: BTreeSet<String>,
    /// Marks.
    pub(crate) marks: BTreeSet<String>,
    /// Refusals, with their reason.
    pub(crate) refused: Vec<String>,
}

impl Acknowledged {
    /// Takes note of what a worker has said.
    pub(crate) fn hear(&mut self, worker: &Process) {
        for line in worker.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["ack", operation, marks @ ..] => {
                    self.operations.insert((*operation).to_owned());
                    self.marks.extend(marks.iter().filter(|mark| !mark.is_empty()).map(|mark| (*mark).to_owned()));
                }
                ["refused", rest @ ..] => self.refused.push(rest.join(" ")),
                _ => {}
            }
        }
    }

    /// Every acknowledged mark was made exactly once, and no other more than once; by the site's own ledger.
    #[track_caller]
    pub(crate) fn check(&self, world: &World, tag: &str) {
        let ledger = world.sim.ledger();
        let made = |mark: &str| {
            ledger.by_description_line.get(mark).and_then(|kinds| kinds.get("config")).copied().unwrap_or(0)
        };
        let lost: Vec<&String> = self.marks.iter().filter(|mark| made(mark) == 0).collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged marks were never made: {:?}",
            lost.len(),
            self.marks.len(),
            &lost[..lost.len().min(5)]
        );
        let double: Vec<(&String, u64)> = ledger
            .by_description_line
            .iter()
            .filter(|(line, _)| line.starts_with(tag))
            .map(|(line, kinds)| (line, kinds.get("config").copied().unwrap_or(0)))
            .filter(|(_, times)| *times > 1)
            .collect();
        assert!(double.is_empty(), "made more than once: {:?}", &double[..double.len().min(5)]);
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The outside: guests of the simulated site.
struct Outside {
    http: reqwest::Client,
    settings: Settings,
    /// Times of durable writes by running jobs, in microseconds.
    writes: Mutex<Vec<u32>>,
    /// Jobs that wait, now and at most.
    waiting: (AtomicU64, AtomicU64),
}

struct Mark {
    name: String,
    guest: usize,
}

/// What became of a call.
enum Fault {
    Lost(String),
    Refused(String),
}

impl Outside {
    fn url(&self, guest: usize) -> String {
        let (node, vmid) = &self.settings.guests[guest];
        format!("{}/api2/json/nodes/{node}/lxc/{vmid}/config", self.settings.site.trim_end_matches('/'))
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value, Fault> {
        let request = request
            .header("Authorization", format!("PVEAPIToken={}", self.settings.token))
            .timeout(Duration::from_millis(self.settings.call_ms));
        let answer = request.send().await.map_err(|error| Fault::Lost(error.to_string()))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| Fault::Lost(error.to_string()))?;
        // 595 and 596 are pveproxy's own: the daemon behind it may have worked.
        match status.as_u16() {
            200 => serde_json::from_str(&text).map_err(|error| Fault::Lost(error.to_string())),
            595..=599 => Err(Fault::Lost(format!("{status} {text}"))),
            _ => Err(Fault::Refused(format!("{status} {text}"))),
        }
    }
}

fn later(fault: Fault) -> StepError {
    let (Fault::Lost(text) | Fault::Refused(text)) = fault;
    StepError::retry(Duration::from_millis(20), text)
}

#[async_trait]
impl Step for Mark {
    fn name(&self) -> &str {
        "mark"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let outside = cx.context::<Outside>();
        let limit = Duration::from_millis(outside.settings.call_ms);
        let receipt = Envelope::new("marked", 1, json!(self.name));
        let config = outside.answer(outside.http.get(outside.url(self.guest))).await.map_err(later)?;
        let lines = config["data"]["description"].as_str().unwrap_or_default();
        if lines.lines().any(|line| line == self.name) {
            return Ok(receipt);
        }
        let digest = config["data"]["digest"].as_str().unwrap_or_default();
        cx.may_call(limit)?;
        let began = Instant::now();
        cx.intent(Envelope::new("mark", 1, json!(self.name))).await?;
        outside.writes.lock().unwrap().push(began.elapsed().as_micros() as u32);
        cx.may_call(limit)?;
        let put =
            outside.http.put(outside.url(self.guest)).form(&[("description", self.name.as_str()), ("digest", digest)]);
        match outside.answer(put).await {
            Ok(_) => {}
            Err(Fault::Refused(text)) => {
                cx.withdraw().await?;
                return Err(later(Fault::Refused(text)));
            }
            Err(lost) => return Err(later(lost)),
        }
        cx.clock().sleep(Duration::from_millis(outside.settings.hold_ms)).await;
        Ok(receipt)
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

/// A job that follows something outside for a while: announced, submitted, waited for.
struct Waits;

#[async_trait]
impl Step for Waits {
    fn name(&self) -> &str {
        "waits"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let outside = cx.context::<Outside>();
        let (now, most) = &outside.waiting;
        cx.intent(Envelope::new("wait", 1, json!(null))).await?;
        cx.submitted("somewhere").await?;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        cx.clock().sleep(Duration::from_millis(outside.settings.waits_ms)).await;
        now.fetch_sub(1, Ordering::SeqCst);
        Ok(Envelope::new("waited", 1, json!(null)))
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

/// A job that panics.
struct Panics;

#[async_trait]
impl Step for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, _cx: &StepCx) -> Result<Receipt, StepError> {
        panic!("this job panics whenever it runs");
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

/// What the jobs of a mark carry, in each of its versions: the second names the guest by another key.
fn read_mark(payload: &Envelope) -> Result<Mark, PayloadError> {
    let body = payload.body.value();
    let name = body["mark"].as_str().ok_or_else(|| PayloadError("a mark without a name".to_owned()))?;
    let guest = body[if payload.version == 1 { "guest" } else { "place" }].as_u64();
    let guest = guest.ok_or_else(|| PayloadError("a mark without a guest".to_owned()))?;
    Ok(Mark { name: name.to_owned(), guest: guest as usize })
}

fn registry(knows: u32) -> Registry {
    let lift = move |payload: Envelope| match (payload.version, knows) {
        (1, 2..) => {
            let body = json!({ "mark": payload.body.value()["mark"], "place": payload.body.value()["guest"] });
            Ok(Envelope::new("mark", 2, body))
        }
        _ => Ok(payload),
    };
    Registry::new()
        .with(JobKind::new("mark", 1..=knows, lift, |payload| Ok(vec![Arc::new(read_mark(payload)?)])))
        .with(JobKind::first("waits", |_| Ok(vec![Arc::new(Waits)])))
        .with(JobKind::first("panics", |_| Ok(vec![Arc::new(Panics)])))
}

/// A job that marks a guest.
pub(crate) fn mark_job(ids: &Ids, name: &str, guest: usize, version: u32) -> JobSpec {
    let place = if version == 1 { "guest" } else { "place" };
    let body = json!({ "mark": name, place: guest });
    let mut job = JobSpec::new(ids.job(), name, Envelope::new("mark", version, body));
    job.locks = vec![LockDomain::exclusive(format!("guest:{guest}"))];
    job.max_attempts = ATTEMPTS_MAX;
    job.on_failure = OnFailure::Keep;
    job
}

/// An operation of such jobs.
pub(crate) fn operation(ids: &Ids, subject: &str, key: Option<String>, jobs: Vec<JobSpec>) -> OperationSpec {
    OperationSpec {
        id: ids.operation(),
        kind: "mark".to_owned(),
        subject: subject.to_owned(),
        actor: "tester".to_owned(),
        summary: subject.to_owned(),
        payload: Envelope::new("marks", 1, json!({})),
        idempotency_key: key,
        exclusive: false,
        jobs,
    }
}

/// Opens the journal of a place, however long it takes the database to answer. What is beside it stays open while it is held.
async fn open(place: &Place) -> Result<(Arc<dyn Journal>, Option<Store>), rl_store::StoreError> {
    match place {
        Place::Dir(dir) => {
            let store = Store::open(dir, Arc::new(SystemClock::new())).await?;
            Ok((store.journal(), Some(store)))
        }
        Place::Url(url) => {
            let target = rl_store::Target::parse(url).unwrap();
            let opened = tokio::task::spawn_blocking(move || rl_store::Postgres::open(&target)).await.unwrap()?;
            Ok((Arc::new(opened), None))
        }
    }
}

/// Sets up a schedule, whose operation marks the first guest.
async fn schedule(journal: &dyn Journal, pattern: &str) {
    let clock = Arc::new(SystemClock::new());
    let ids = Ids::from_os(clock.clone());
    let spec = ScheduleSpec {
        name: "tick".parse().unwrap(),
        at: Timetable::new(pattern, "Europe/Berlin").unwrap(),
        missed: MissedPolicy::Coalesce,
        catch_up_max: 1,
        operation: operation(&ids, "tick", None, vec![mark_job(&ids, "tick", 0, 1)]),
    };
    journal.put_schedule(spec, clock.now()).await.unwrap();
}

/// Submits what is due, as fast as asked, and says what is acknowledged.
async fn submit(store: &dyn Journal, settings: &Settings) {
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let began = Instant::now();
    let (mut sent, mut under_way) = (0, FuturesUnordered::new());
    while sent < settings.jobs {
        let due = match settings.rate {
            0 => settings.jobs,
            rate => ((began.elapsed().as_secs_f64() * rate as f64) as usize).min(settings.jobs),
        };
        while sent < due && under_way.len() < SUBMITS_MAX {
            let count = settings.jobs_per_operation.min(settings.jobs - sent);
            let names: Vec<String> = (sent..sent + count).map(|at| format!("{}-{at}", settings.tag)).collect();
            let guest = |at: usize| (sent + at) % settings.guests.len();
            let jobs =
                names.iter().enumerate().map(|(at, name)| mark_job(&ids, name, guest(at), settings.version)).collect();
            let spec = operation(&ids, &settings.tag, settings.key.clone(), jobs);
            sent += count;
            under_way.push(submit_one(store, spec, names));
        }
        tokio::select! {
            Some(()) = under_way.next() => {}
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
    while under_way.next().await.is_some() {}
}

/// Submits the jobs that only wait, as fast as they are taken.
async fn storm(store: &dyn Journal, settings: &Settings) {
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let mut under_way = FuturesUnordered::new();
    for at in (0..settings.waiting).step_by(STORM_JOBS) {
        let jobs = (at..(at + STORM_JOBS).min(settings.waiting))
            .map(|job| JobSpec::new(ids.job(), format!("wait {job}"), Envelope::new("waits", 1, json!({ "job": job }))))
            .collect();
        under_way.push(submit_one(store, operation(&ids, "storm", None, jobs), Vec::new()));
        if under_way.len() >= SUBMITS_MAX {
            under_way.next().await;
        }
    }
    while under_way.next().await.is_some() {}
}

async fn submit_one(store: &dyn Journal, spec: OperationSpec, names: Vec<String>) {
    let began = Instant::now();
    match store.submit(spec, SystemClock::new().now()).await {
        Ok(started) => say(&format!("ack {} {}", started.id, names.join(" "))),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            say(&format!("refused after {} ms: {error}: {cause}", began.elapsed().as_millis()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Waits until no operation is unfinished.
async fn idle(journal: &dyn Journal) {
    let query = || OperationQuery {
        states: vec![OperationState::Running, OperationState::Blocked],
        limit: 1,
        ..Default::default()
    };
    while !journal.operations(query()).await.is_ok_and(|open| open.is_empty()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn config(settings: &Settings) -> EngineConfig {
    let lease = Duration::from_millis(settings.lease_ms);
    EngineConfig {
        lease_ttl: lease,
        heartbeat: lease / 6,
        takeover_grace: Duration::from_millis(settings.call_ms),
        backoff_base: Duration::from_millis(20),
        backoff_cap: Duration::from_millis(500),
        drain: Duration::from_secs(2),
        ..EngineConfig::standard()
    }
}

/// Ends the process at once: this worker is a test function of a binary whose main is not ours.
#[expect(clippy::disallowed_methods, reason = "the harness owns main, and its own ending would hide the exit code")]
fn die(code: i32) -> ! {
    std::process::exit(code)
}

async fn work(settings: Settings) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (journal, beside) = match open(&settings.store).await {
        Ok(opened) => opened,
        Err(error) => {
            say(&format!("not opened: {error}"));
            die(3);
        }
    };
    let http = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
    let outside =
        Arc::new(Outside { http, settings: settings.clone(), writes: Mutex::default(), waiting: Default::default() });
    let context = Arc::clone(&outside);
    let engine = Engine::new(
        Arc::clone(&journal),
        registry(settings.knows),
        context,
        Arc::new(SystemClock::new()),
        config(&settings),
    );
    let stats = engine.stats();
    let shutdown = CancellationToken::new();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let run = async {
        if settings.runs {
            return engine.run(shutdown.clone()).await;
        }
        shutdown.cancelled().await;
        Ok(())
    };
    let load = async {
        if let Some(pattern) = &settings.schedule {
            schedule(&*journal, pattern).await;
        }
        if settings.runs {
            engine.registered().await;
        }
        say("ready");
        tokio::join!(storm(&*journal, &settings), submit(&*journal, &settings));
        say("submitted");
        if settings.until_idle {
            idle(&*journal).await;
            say("idle");
        } else {
            std::future::pending::<()>().await;
        }
    };
    let ended = async {
        tokio::select! {
            () = load => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
    };
    tokio::pin!(ended);
    tokio::pin!(run);
    let result = tokio::select! {
        result = &mut run => result,
        () = &mut ended => run.await,
    };
    let mut writes = std::mem::take(&mut *outside.writes.lock().unwrap());
    writes.sort_unstable();
    let p99 = writes.get(writes.len() * 99 / 100).copied().unwrap_or(0);
    let figures = json!({ "claimed": stats.claimed(), "leases_lost": stats.leases_lost(), "panics": stats.panics(),
        "write_p99_ms": f64::from(p99) / 1000.0,
        "most_waiting": outside.waiting.1.load(Ordering::SeqCst), "poisoned": beside.as_ref().is_some_and(Store::is_poisoned) });
    say(&format!("stats {figures}"));
    if let Err(error) = result {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        say(&format!("engine ended: {error}: {cause}"));
        die(1);
    }
    die(0);
}

/// The process under test; by itself it shows that settings which cannot be read are refused, so that no row runs on half of them.
#[test]
fn worker() {
    let Ok(text) = std::env::var(VARIABLE) else {
        assert!(serde_json::from_str::<Settings>("{\"jobs\": 1}").is_err());
        return;
    };
    let settings: Settings = serde_json::from_str(&text).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work(settings));
}
