//! A disk that fails to write through: the store stops, nothing is acknowledged after it, and the sync is never tried again.
//!
//! The process under test is this binary, started again with a library preloaded (`eio.c`) that fails a chosen sync.
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rl_engine::{Clock, Envelope, Ids, JobSpec, Journal, JournalError, OperationSpec, SystemClock};
use rl_store::Store;
use serde_json::json;

const CHILD_DIR: &str = "RL_STORE_EIO_DIR";
/// Submits that the process under test tries, more than any failing sync comes after.
const SUBMITS: usize = 60;

pub(crate) fn operation(ids: &Ids) -> OperationSpec {
    let id = ids.operation();
    OperationSpec {
        id,
        kind: "apply".to_owned(),
        subject: id.to_string(),
        actor: "tester".to_owned(),
        summary: "a test".to_owned(),
        payload: Envelope::new("plan", 1, json!({})),
        idempotency_key: None,
        exclusive: false,
        jobs: vec![JobSpec::new(ids.job(), "job", Envelope::new("wait", 1, json!({})))],
    }
}

/// The process under test; does nothing unless it is started as such.
#[tokio::test]
async fn workload() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let dir = Path::new(&dir);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ids = Ids::from_os(Arc::clone(&clock));
    let Ok(store) = Store::open(&dir.join("data"), Arc::clone(&clock)).await else { return };
    let journal: Arc<dyn Journal> = store.journal();
    let mut said = std::fs::File::options().append(true).create(true).open(dir.join("acknowledged")).unwrap();
    for _ in 0..SUBMITS {
        let spec = operation(&ids);
        let id = spec.id;
        match journal.submit(spec, clock.now()).await {
            Ok(_) => writeln!(said, "{id}").unwrap(),
            Err(JournalError::Poisoned) => writeln!(said, "refused").unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(store.is_poisoned());
}

/// Runs the process under test with its `at`-th sync failing; answers how many submits it acknowledged.
async fn fails_at(library: &Path, at: usize, ever: bool) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "eio::workload", "--nocapture"]).env(CHILD_DIR, dir.path());
    command.env("LD_PRELOAD", library).env("RL_EIO_AT", at.to_string()).env("RL_EIO_LOG", &log);
    if ever {
        command.env("RL_EIO_EVER", "1");
    }
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "at {at}: {}", String::from_utf8_lossy(&ran.stderr));
    assert!(!log.exists(), "at {at}: a sync was tried again after one had failed: {:?}", std::fs::read(&log));
    let said = std::fs::read_to_string(dir.path().join("acknowledged")).unwrap_or_default();
    let acknowledged: Vec<&str> = said.lines().take_while(|line| *line != "refused").collect();
    let after = said.lines().skip(acknowledged.len()).filter(|line| *line != "refused").count();
    assert_eq!(after, 0, "at {at}: something was acknowledged after a failed sync");
    let store = Store::open(&dir.path().join("data"), Arc::new(SystemClock::new())).await.unwrap();
    for id in &acknowledged {
        let found = store.journal().operation(id.parse().unwrap()).await.unwrap();
        assert!(found.is_some(), "at {at}: {id} was acknowledged and is lost");
    }
    acknowledged.len()
}

#[tokio::test]
async fn failed_sync_stops_the_store_and_is_not_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("eio.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/eio.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    if !built.is_ok_and(|status| status.success()) {
        #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
        {
            eprintln!("skipped: there is no C compiler here");
        }
        return;
    }
    let mut acknowledged = Vec::new();
    for at in [12, 20, 40] {
        for ever in [false, true] {
            acknowledged.push(fails_at(&library, at, ever).await);
        }
    }
    assert!(acknowledged.iter().all(|count| *count < SUBMITS), "no sync failed: {acknowledged:?}");
    assert!(acknowledged.iter().any(|count| *count > 0), "every run failed before its first submit: {acknowledged:?}");
}
