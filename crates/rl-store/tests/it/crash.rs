//! A process that dies by SIGKILL at every fail-point and is started again: what it acknowledged is there, what it did it did once.
//!
//! The process under test is this test binary itself, started again with only [`workload`] selected and the directory in an
//! environment variable. The outside it acts on is a folder: a guest is a file, a ledger remembers every effect.
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{
    Clock, Engine, EngineConfig, Envelope, Ids, JobKind, JobSpec, LockDomain, OpClass, OperationQuery, OperationSpec,
    OperationState, PayloadError, PriorAttempt, Receipt, Registry, Step, StepCx, StepError, SystemClock, UnixMs,
    failpoints, settled,
};
use rl_store::Store;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const CHILD_DIR: &str = "RL_STORE_CRASH_DIR";
const SIGKILL: i32 = 9;
/// The jobs of the large operation.
const JOBS: usize = 8;
/// Most restarts until everything must have ended.
const RESTARTS_MAX: u32 = 5;

struct Outside(PathBuf);

impl Outside {
    fn note(&self, line: &str) {
        let mut ledger = OpenOptions::new().append(true).create(true).open(self.0.join("ledger")).unwrap();
        ledger.write_all(format!("{line}\n").as_bytes()).unwrap();
        ledger.sync_data().unwrap();
    }

    fn things(&self) -> Vec<String> {
        let entries =
            std::fs::read_dir(&self.0).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        let mut things: Vec<String> = entries.filter(|name| name.starts_with("thing-")).collect();
        things.sort();
        things
    }

    /// How often each thing was made and not taken away.
    fn ledger(&self) -> BTreeMap<String, i32> {
        let mut made = BTreeMap::new();
        for line in std::fs::read_to_string(self.0.join("ledger")).unwrap_or_default().lines() {
            match line.split_once(' ') {
                Some(("made", thing)) => *made.entry(thing.to_owned()).or_default() += 1,
                Some(("removed", thing)) => *made.entry(thing.to_owned()).or_default() -= 1,
                _ => panic!("a line of the ledger is torn: {line}"),
            }
        }
        made
    }
}

/// Makes a file that bears the job's id; a file of that name can be made only once.
struct Make;

#[async_trait]
impl Step for Make {
    fn name(&self) -> &'static str {
        "make"
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let outside: &Outside = cx.context();
        let thing: String = cx.payload()?;
        let path = outside.0.join(&thing);
        let owner = cx.job().id.to_string();
        if std::fs::read_to_string(&path).is_ok_and(|found| found == owner) {
            if *cx.prior() == PriorAttempt::None {
                return Err(StepError::fatal(format!("{thing} is there, but nothing was announced")));
            }
            return Ok(Envelope::new("made", 1, json!({ "thing": thing })));
        }
        cx.intent(Envelope::new("make", 1, json!({ "thing": thing }))).await?;
        if thing.ends_with("-0") && cx.attempt() == 1 {
            cx.withdraw().await?;
            return Err(StepError::retry(Duration::from_millis(1), "refused the first time"));
        }
        // Appears with its content or not at all; linking fails when the name is taken.
        let draft = outside.0.join(format!("draft-{owner}"));
        std::fs::write(&draft, &owner).unwrap();
        std::fs::hard_link(&draft, &path)
            .map_err(|error| StepError::fatal(format!("{thing} was made twice: {error}")))?;
        outside.note(&format!("made {thing}"));
        cx.submitted(format!("UPID:{thing}")).await?;
        Ok(Envelope::new("made", 1, json!({ "thing": thing })))
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        let outside: &Outside = cx.context();
        let thing: String = cx.payload()?;
        let path = outside.0.join(&thing);
        if path.exists() {
            cx.intent(Envelope::new("remove", 1, json!({}))).await?;
            std::fs::remove_file(&path).unwrap();
            outside.note(&format!("removed {thing}"));
        }
        Ok(())
    }
}

/// Fails where the thing's name says so, and waits for a cancellation where it says that.
struct Check;

#[async_trait]
impl Step for Check {
    fn name(&self) -> &'static str {
        "check"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let thing: String = cx.payload()?;
        if thing.contains("bad") {
            return Err(StepError::fatal("it is bad"));
        }
        if thing.contains("cancel") {
            cx.cancelled().await;
            return Err(StepError::Cancelled);
        }
        Ok(Envelope::new("checked", 1, json!({})))
    }

    async fn undo(&self, _: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}

fn registry() -> Registry {
    Registry::new().with(JobKind::first("make", |payload| {
        payload.read::<String>().map_err(|error| PayloadError(error.to_string()))?;
        Ok(vec![Arc::new(Make), Arc::new(Check)])
    }))
}

/// An operation that is the same on every start: its ids come from a seed and a fixed time.
fn operation(name: &str, seed: u64, things: &[String]) -> OperationSpec {
    let ids = Ids::from_seed(Arc::new(rl_engine::SimClock::manual(UnixMs(1_700_000_000_000))), seed);
    let jobs = things.iter().map(|thing| {
        let mut job = JobSpec::new(ids.job(), thing, Envelope::new("make", 1, json!(thing)));
        job.locks = vec![LockDomain::limited("node", 3)];
        job
    });
    let jobs = jobs.collect();
    OperationSpec {
        id: ids.operation(),
        kind: "apply".to_owned(),
        subject: name.to_owned(),
        actor: "tester".to_owned(),
        summary: name.to_owned(),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: Some(name.to_owned()),
        exclusive: true,
        jobs,
    }
}

fn operations() -> Vec<OperationSpec> {
    let many: Vec<String> = (0..JOBS).map(|number| format!("thing-{number}")).collect();
    let one = |name: &str| vec![format!("thing-{name}")];
    vec![operation("many", 1, &many), operation("bad", 2, &one("bad")), operation("cancel", 3, &one("cancel"))]
}

/// Starts what is not started, says on standard error what is acknowledged, and works until everything has ended.
async fn work(dir: &Path) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(&dir.join("data"), Arc::clone(&clock)).await.unwrap();
    let journal = store.journal();
    let outside = Arc::new(Outside(dir.to_owned()));
    let engine = Engine::new(
        Arc::clone(&journal),
        registry(),
        outside,
        Arc::clone(&clock),
        EngineConfig { seed: None, ..EngineConfig::quick(0) },
    );
    let shutdown = CancellationToken::new();
    let submit = async {
        for spec in operations() {
            let name = spec.subject.clone();
            let started = store.start_operation(spec, None, None).await.unwrap();
            writeln!(
                File::options().append(true).create(true).open(dir.join("acknowledged")).unwrap(),
                "{}",
                started.operation
            )
            .unwrap();
            if name == "cancel" {
                let _ = journal.request_cancel(started.operation, "tester".to_owned(), clock.now()).await;
            }
            settled(&*journal, started.operation).await.unwrap();
        }
        shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(engine.run(shutdown.clone()), submit);
    ran.unwrap();
}

/// What must hold at the end, whatever happened before.
async fn check(dir: &Path) {
    let store = Store::open(&dir.join("data"), Arc::new(SystemClock::new())).await.unwrap();
    let journal = store.journal();
    let all = OperationQuery { limit: 100, ..Default::default() };
    let states: BTreeMap<String, OperationState> = journal
        .operations(all)
        .await
        .unwrap()
        .into_iter()
        .map(|operation| (operation.info.subject, operation.status.state))
        .collect();
    let expected =
        [("bad", OperationState::Failed), ("cancel", OperationState::Cancelled), ("many", OperationState::Done)];
    assert_eq!(states, expected.into_iter().map(|(name, state)| (name.to_owned(), state)).collect());
    for line in std::fs::read_to_string(dir.join("acknowledged")).unwrap().lines() {
        assert!(
            journal.operation(line.parse().unwrap()).await.unwrap().is_some(),
            "{line} was acknowledged and is gone"
        );
    }
    let outside = Outside(dir.to_owned());
    let things: Vec<String> = (0..JOBS).map(|number| format!("thing-{number}")).collect();
    assert_eq!(outside.things(), things, "what failed or was cancelled left nothing, the rest is there");
    drop(store);
    let database = rusqlite::Connection::open(dir.join("data/rapidlaunch.db")).unwrap();
    let intact: String = database.query_row("pragma integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(intact, "ok");
}

/// The process under test; by itself it shows that the work ends as it should when nobody is killed.
#[tokio::test]
async fn workload() {
    if let Some(dir) = std::env::var_os(CHILD_DIR) {
        return work(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    work(dir.path()).await;
    check(dir.path()).await;
    assert!(Outside(dir.path().to_owned()).ledger().values().all(|made| (0..=1).contains(made)));
}

fn start(dir: &Path, failpoint: Option<&str>) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::workload", "--nocapture"]).env(CHILD_DIR, dir).env_remove(failpoints::VARIABLE);
    if let Some(failpoint) = failpoint {
        command.env(failpoints::VARIABLE, failpoint);
    }
    command.stdout(Stdio::null()).status().unwrap()
}

/// Kills at the given pass of a fail-point, starts again until all has ended, checks. Answers whether it was reached.
async fn kill_and_go_on(failpoint: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path(), Some(failpoint));
    let killed = first.signal() == Some(SIGKILL);
    assert!(killed || first.success(), "{failpoint}: {first}");
    let mut ended = first.success();
    for _ in 0..RESTARTS_MAX {
        if ended {
            break;
        }
        let next = start(dir.path(), None);
        assert!(next.success(), "{failpoint}: the run after the kill ended with {next}");
        ended = true;
    }
    assert!(ended, "{failpoint}: the work did not end");
    check(dir.path()).await;
    killed
}

fn named(prefixes: &[&str]) -> impl Iterator<Item = &'static str> {
    let prefixes: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    failpoints::ALL.iter().copied().filter(move |name| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())))
}

#[tokio::test]
async fn killed_at_every_fail_point_of_engine_and_store() {
    // Operations of a store are submitted by `start_operation`, which has points of its own; the workload has no schedule.
    let elsewhere = |name: &&str| name.starts_with("engine.submit.") || name.starts_with("engine.schedule.");
    let names: Vec<&str> = named(&["engine.", "store."]).filter(|name| !elsewhere(name)).collect();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        assert!(kill_and_go_on(name).await, "{name} was never passed");
    }
}

#[tokio::test]
async fn killed_at_later_passes() {
    for name in [
        "engine.intent.after",
        "engine.submitted.before",
        "engine.outcome.before",
        "store.commit.before",
        "store.commit.after",
    ] {
        for pass in [2, 5, 9] {
            kill_and_go_on(&format!("{name}:{pass}")).await;
        }
    }
}
