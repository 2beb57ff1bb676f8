//! Releases side by side and one after the other: stored payloads of every release are read, and each job is run by a release that
//! knows it.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{
    Body, Clock, Engine, EngineConfig, Envelope, Event, Ids, JobCounts, JobKind, JobSpec, JobState, JobStatus, Journal,
    LockDomain, MemoryJournal, OpClass, OperationId, OperationInfo, OperationSpec, OperationState, PayloadError,
    Receipt, Registry, ScheduleSpec, ScheduleState, SimClock, Step, StepCx, StepError, StepRecord, UnixMs, settled,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Releases whose payloads lie in `tests/golden`, oldest first. The last is this one.
const RELEASES: [&str; 2] = ["launch", "engine"];

fn golden(release: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(release);
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Reads a payload and writes it again: every field of the old one must be there, with its value.
fn read_again<T: Serialize + DeserializeOwned>(old: &Value, path: &Path) {
    let read: T = serde_json::from_value(old.clone())
        .unwrap_or_else(|error| panic!("{} cannot be read any more: {error}", path.display()));
    let new = serde_json::to_value(&read).unwrap();
    assert_kept(old, &new, path);
    let again: T = serde_json::from_value(new.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), new, "{}", path.display());
}

fn assert_kept(old: &Value, new: &Value, path: &Path) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let kept = new.get(key).unwrap_or_else(|| panic!("{}: `{key}` is lost", path.display()));
                assert_kept(value, kept, path);
            }
        }
        (old, new) => assert_eq!(old, new, "{}", path.display()),
    }
}

#[test]
fn stored_payloads_of_every_release_are_read() {
    for release in RELEASES {
        let files = golden(release);
        assert!(!files.is_empty());
        for path in files {
            let old: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            match path.file_stem().and_then(|name| name.to_str()).unwrap() {
                "operation_info" => read_again::<OperationInfo>(&old, &path),
                "job_spec" => read_again::<JobSpec>(&old, &path),
                "job_status" => read_again::<JobStatus>(&old, &path),
                "locks" => read_again::<Vec<LockDomain>>(&old, &path),
                "counts" => read_again::<JobCounts>(&old, &path),
                "envelope" => read_again::<Envelope>(&old, &path),
                "step_record" => read_again::<StepRecord>(&old, &path),
                "event" => read_again::<Event>(&old, &path),
                "schedule_spec" => read_again::<ScheduleSpec>(&old, &path),
                "schedule_state" => read_again::<ScheduleState>(&old, &path),
                other => panic!("nothing reads `{other}` of {}", path.display()),
            }
        }
    }
}

/// Which release ran which job with which version of its payload.
#[derive(Default)]
struct Book(Mutex<BTreeMap<String, Vec<(&'static str, u64)>>>);

/// Writes into the book; takes a second, so that both releases get some.
struct Note {
    release: &'static str,
    lifted: u64,
}

#[async_trait]
impl Step for Note {
    fn name(&self) -> &'static str {
        "note"
    }
    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }
    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        cx.clock().sleep(Duration::from_secs(1)).await;
        let book: &Book = cx.context();
        book.0.lock().unwrap().entry(cx.job().key.clone()).or_default().push((self.release, self.lifted));
        Ok(Envelope::new("noted", 1, json!({})))
    }
    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

fn table(release: &'static str, lifted: u64) -> Vec<Arc<dyn Step>> {
    vec![Arc::new(Note { release, lifted })]
}

fn old_release() -> Registry {
    Registry::new().with(JobKind::first("toy", |payload| Ok(table("old", u64::from(payload.version)))))
}

/// Knows `toy` in two versions, lifting the old one, and a kind that is new.
fn new_release() -> Registry {
    let lift = |payload: Envelope| match payload.version {
        1 => {
            let body = Body::from(&json!({ "size": payload.body.value()["size"], "unit": "GiB" }));
            Ok(Envelope { version: 2, body, ..payload })
        }
        2 => Ok(payload),
        other => Err(PayloadError(format!("version {other}"))),
    };
    Registry::new()
        .with(JobKind::new("toy", 1..=2, lift, |payload| {
            assert_eq!(payload.body.value()["unit"], "GiB", "steps see the newest version only");
            Ok(table("new", u64::from(payload.version)))
        }))
        .with(JobKind::first("novel", |_| Ok(table("new", 1))))
}

struct Fleet {
    journal: MemoryJournal,
    clock: SimClock,
    ids: Ids,
    book: Arc<Book>,
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

impl Fleet {
    fn new() -> Fleet {
        let clock = SimClock::auto(UnixMs(1_700_000_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let journal = MemoryJournal::shared_with_clock(Arc::clone(&shared));
        Fleet { journal, ids: Ids::from_seed(shared, 1), clock, book: Arc::default() }
    }

    fn start(&self, seed: u64, registry: Registry) -> Running {
        let (context, clock) = (Arc::clone(&self.book) as _, Arc::new(self.clock.clone()));
        let config = EngineConfig { running_max: 8, ..EngineConfig::quick(seed) };
        let engine = Engine::new(Arc::new(self.journal.clone()), registry, context, clock, config);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { engine.run(shutdown).await.unwrap() }
        });
        Running { shutdown, task }
    }

    /// Jobs of both versions and of the new kind, mixed, on a few lock domains.
    async fn submit(&self) -> OperationId {
        let shapes = [("toy", 1), ("toy", 2), ("novel", 1)];
        let job = |number: usize| {
            let (kind, version) = shapes[number % 3];
            let body = if version == 1 { json!({ "size": 1 }) } else { json!({ "size": 1, "unit": "GiB" }) };
            let payload = Envelope::new(kind, version, body);
            let mut job = JobSpec::new(self.ids.job(), format!("{kind}-{version} {number}"), payload);
            job.locks = vec![LockDomain::limited(format!("node:{}", number % 4), 3)];
            job
        };
        let spec = OperationSpec {
            id: self.ids.operation(),
            kind: "test".to_owned(),
            subject: "shop".to_owned(),
            actor: "tester".to_owned(),
            summary: "test".to_owned(),
            payload: Envelope::new("plan", 1, json!({})),
            idempotency_key: None,
            exclusive: false,
            jobs: (0..90).map(job).collect(),
        };
        self.journal.submit(spec, self.clock.now()).await.unwrap().id
    }

    async fn settled(&self, id: OperationId) -> OperationState {
        settled(&self.journal, id).await.unwrap().status.state
    }

    async fn reasons(&self, id: OperationId) -> Vec<String> {
        let jobs = self.journal.jobs(id, 0, 100).await.unwrap();
        let parked = jobs.into_iter().filter(|job| job.status.state == JobState::Parked);
        let mut reasons: Vec<String> = parked.filter_map(|job| job.status.reason).collect();
        reasons.dedup();
        reasons.sort();
        reasons.dedup();
        reasons
    }

    /// Every job ran once, newer ones with the new release, and payloads were lifted there.
    fn check(&self) {
        let book = self.book.0.lock().unwrap();
        assert_eq!(book.len(), 90);
        for (key, runs) in book.iter() {
            assert_eq!(runs.len(), 1, "{key}: {runs:?}");
            let (release, version) = runs[0];
            match release {
                "old" => assert!(key.starts_with("toy-1 ") && version == 1, "{key} was run by the old release"),
                _ => assert!(key.starts_with("novel-1 ") || version == 2, "{key}: {runs:?}"),
            }
        }
    }

    fn runs_of(&self, release: &str) -> usize {
        let book = self.book.0.lock().unwrap();
        book.values().flatten().filter(|(by, _)| *by == release).count()
    }
}

#[tokio::test(start_paused = true)]
async fn two_releases_share_the_work() {
    let fleet = Fleet::new();
    let (old, new) = (fleet.start(1, old_release()), fleet.start(2, new_release()));
    fleet.clock.sleep(Duration::from_secs(1)).await;
    let id = fleet.submit().await;
    assert_eq!(fleet.settled(id).await, OperationState::Done);
    fleet.check();
    assert!(fleet.runs_of("old") > 5, "the old release takes what it knows: {}", fleet.runs_of("old"));
    old.stop().await;
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn newer_jobs_wait_for_the_new_release_and_old_ones_run_on_both() {
    let fleet = Fleet::new();
    let old = fleet.start(1, old_release());
    let id = fleet.submit().await;
    assert_eq!(fleet.settled(id).await, OperationState::Blocked);
    assert_eq!(fleet.runs_of("old"), 30, "what the old release knows is done");
    insta::assert_snapshot!(fleet.reasons(id).await.join("\n"), @r"
    needs at least a release that knows `novel`; this one does not
    needs at least a release that knows `toy` version 2; this one knows up to 1
    ");
    // Upgrade while the old one still runs.
    let new = fleet.start(2, new_release());
    fleet.clock.sleep(Duration::from_secs(120)).await;
    assert_eq!(fleet.settled(id).await, OperationState::Done);
    fleet.check();
    old.stop().await;
    new.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_old_release_that_comes_back_leaves_newer_jobs_alone() {
    let fleet = Fleet::new();
    let new = fleet.start(2, new_release());
    fleet.clock.sleep(Duration::from_secs(1)).await;
    let id = fleet.submit().await;
    fleet.clock.sleep(Duration::from_secs(2)).await;
    let old = fleet.start(1, old_release());
    // The new one is rolled back in the middle of it: what it had started of the newer jobs waits.
    new.stop().await;
    assert_eq!(fleet.settled(id).await, OperationState::Blocked);
    assert!(fleet.reasons(id).await.iter().all(|reason| reason.starts_with("needs at least")));
    let new = fleet.start(3, new_release());
    fleet.clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(fleet.settled(id).await, OperationState::Done);
    fleet.check();
    old.stop().await;
    new.stop().await;
}
