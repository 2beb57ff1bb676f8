//! A disk that fills up at a random moment: new work is refused, running work is recorded, and all goes on when there is room.
//!
//! The process under test is this binary, started again in a mount namespace of its own with a small file system in it: a file
//! system in a file where that may be mounted, else one in memory.
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rl_engine::{
    ClaimRequest, Claimed, Clock, Envelope, Finish, Ids, JobState, Journal, JournalError, RegisterRequest, StepKey,
    SystemClock, UnixMs,
};
use rl_store::{Deed, KeptAnswer, NewAudit, Store};
use serde_json::json;

use crate::eio::operation;

const CHILD_DIR: &str = "RL_STORE_FULL_DIR";
/// Size of the small file system in MiB: the reserve, what the rounds record, and a little.
const MIB: u32 = 220;
/// Exit status of the script when nothing can be mounted.
const CANNOT: i32 = 77;
/// Jobs under way while the disk fills up.
const JOBS: usize = 40;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(180);

const SCRIPT: &str = r#"
dir="$1"; size="$2"; shift 2
mkdir "$dir/disk"
{ truncate -s "${size}M" "$dir/image" && mkfs.ext4 -q -F -m 0 "$dir/image" && mount -o loop "$dir/image" "$dir/disk"; } 2>/dev/null ||
  mount -t tmpfs -o "size=${size}m" none "$dir/disk" 2>/dev/null || exit 77
exec "$@"
"#;

#[test]
fn full_disk_refuses_new_work_and_records_what_runs() {
    let dir = tempfile::tempdir().unwrap();
    let user = if is_root() { "-m" } else { "-rm" };
    let ran = Command::new("unshare")
        .args([user, "sh", "-c", SCRIPT, "sh"])
        .arg(dir.path())
        .arg(MIB.to_string())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full::workload", "--nocapture"])
        .env(CHILD_DIR, dir.path().join("disk"))
        .output();
    match ran {
        Ok(ran) if ran.status.success() => {}
        Ok(ran) if ran.status.code() != Some(CANNOT) => {
            panic!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
        }
        _ => skip("no small file system can be mounted here"),
    }
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// Takes the room that is there now, down to a random rest; what the reserve gives up meanwhile is left alone.
fn fill(at: &Path) {
    let disk = rustix::fs::statvfs(at.parent().unwrap()).unwrap();
    let rest = StdRng::from_os_rng().random_range(0..200_000);
    let mut left = (disk.f_bavail * disk.f_frsize).saturating_sub(rest);
    let mut file = std::fs::File::create(at).unwrap();
    let chunk = vec![7; 1 << 16];
    while left > 0 {
        let next = left.min(chunk.len() as u64);
        if file.write_all(&chunk[..next as usize]).is_err() {
            return;
        }
        left -= next;
    }
}

/// The process under test; does nothing unless it is started as such.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workload() {
    let Some(disk) = std::env::var_os(CHILD_DIR) else { return };
    let disk = PathBuf::from(disk);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    for _ in 0..3 {
        round(&disk, &clock).await;
    }
}

async fn round(disk: &Path, clock: &Arc<dyn Clock>) {
    let ids = Ids::from_os(Arc::clone(clock));
    let (data, filling) = (disk.join("data"), disk.join("fill"));
    let reserve = data.join("reserve");
    let store = Store::open(&data, Arc::clone(clock)).await.unwrap();
    assert!(reserve.exists(), "there is room for the reserve");
    let journal = store.journal();
    let held = claim(&*journal, &ids, clock).await;
    let filler = tokio::task::spawn_blocking({
        let (filling, pause) = (filling.clone(), StdRng::from_os_rng().random_range(0..60));
        move || {
            std::thread::sleep(Duration::from_millis(pause));
            fill(&filling);
        }
    });
    let before = store.audit_head().await.unwrap().0;
    let stop = Arc::new(AtomicBool::new(false));
    let mut starters = tokio::task::JoinSet::new();
    for _ in 0..4 {
        starters.spawn(start_on(store.clone(), Ids::from_os(Arc::clone(clock)), Arc::clone(&stop)));
    }
    // Running jobs record far more than the room that is left, and every write of theirs must succeed.
    let text = "x".repeat(4_000);
    let mut jobs = tokio::task::JoinSet::new();
    for claimed in held {
        let (journal, clock, text) = (Arc::clone(&journal), Arc::clone(clock), text.clone());
        jobs.spawn(async move {
            for _ in 0..100 {
                journal.note(claimed.holder, None, text.clone(), clock.now()).await.unwrap();
            }
            claimed
        });
    }
    let held = tokio::time::timeout(PATIENCE, jobs.join_all()).await.expect("running work waits for ever");
    filler.await.unwrap();
    stop.store(true, Ordering::Relaxed);
    let started: u64 = starters.join_all().await.into_iter().sum();
    let refused = journal.submit(operation(&ids), clock.now()).await;
    assert!(matches!(refused, Err(JournalError::Full { .. })), "new work on a full disk: {refused:?}");
    for claimed in &held {
        let key = StepKey { name: "wait".to_owned(), direction: rl_engine::Direction::Do, position: 0 };
        let receipt = Envelope::new("waited", 1, json!({}));
        journal.outcome(claimed.holder, key, receipt, Some(Finish::Done), clock.now()).await.unwrap();
    }
    assert!(!reserve.exists(), "the reserve was given up");
    std::fs::remove_file(&filling).unwrap();
    let began = Instant::now();
    while let Err(error) = journal.submit(operation(&ids), clock.now()).await {
        assert!(matches!(error, JournalError::Full { .. }), "{error}");
        assert!(began.elapsed() < PATIENCE, "work does not go on by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(reserve.exists(), "the reserve is made again");
    assert!(!store.is_poisoned());
    drop((journal, store));
    let store = Store::open(&data, Arc::clone(clock)).await.unwrap();
    for claimed in held {
        let job = store.journal().job(claimed.holder.job).await.unwrap().unwrap();
        assert_eq!(job.status.state, JobState::Done, "what was acknowledged is there");
    }
    let verdict = store.verify_audit(None).await.unwrap();
    assert_eq!((verdict.count - before, verdict.broken), (started, None), "every start that was told, and no other");
}

/// Starts operations, each with its deed; answers how many were not refused.
async fn start_on(store: Store, ids: Ids, stop: Arc<AtomicBool>) -> u64 {
    let mut started = 0;
    while !stop.load(Ordering::Relaxed) {
        let spec = operation(&ids);
        let answer = KeptAnswer {
            principal: "maria".to_owned(),
            key: spec.id.to_string(),
            request_digest: String::new(),
            status: 202,
            location: None,
            body: "x".repeat(2_000),
        };
        let deed = Deed { audit: NewAudit::local("maria", "guest.start", "/stacks/shop"), answer: Some(answer) };
        match store.start_operation(spec, None, Some(deed)).await.map_err(JournalError::from) {
            Ok(_) => started += 1,
            Err(JournalError::Full { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => panic!("{error}"),
        }
    }
    started
}

async fn claim(journal: &dyn Journal, ids: &Ids, clock: &Arc<dyn Clock>) -> Vec<Claimed> {
    for _ in 0..JOBS {
        journal.submit(operation(ids), clock.now()).await.unwrap();
    }
    let owner = ids.owner();
    let known = std::collections::BTreeMap::from([("wait".to_owned(), 1..=1)]);
    let lease_until = UnixMs(clock.now().0 + 3_600_000);
    let request = RegisterRequest { lease_until, known: known.clone(), takeover_grace: PATIENCE };
    journal.register(owner, request, clock.now()).await.unwrap();
    let claim = ClaimRequest::new(owner, JOBS, known);
    let held = journal.claim(claim, clock.now()).await.unwrap().jobs;
    assert_eq!(held.len(), JOBS);
    held
}
