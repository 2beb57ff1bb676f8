//! Row 16: jobs that panic, are too large, or cannot be read.

use std::time::{Duration, Instant};

use rl_engine::{Envelope, Ids, JobSpec, SystemClock};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::harness::{Allow, World};
use crate::lab::TERMINAL;
use crate::report::{Outcome, row, size};
use crate::worker::{Acknowledged, Place, Settings, guests, operation};

#[test]
fn row_16_poison_jobs() {
    let how = "jobs that always panic, a payload above the limit, a kind nobody knows, and rows whose bytes were overwritten, among ordinary load";
    row("16", "poison jobs: panic, too large, undecodable", how, || {
        let world = World::with(|config| config.time_scale = 10_000.0);
        let guests = guests(&world, 16);
        let (panicking, unknown, garbled) = world.runtime.block_on(poison(&world));
        garble(&world, &garbled);
        let mut settings = Settings::new(&world, Place::Dir(world.data.clone()), &guests);
        (settings.jobs, settings.rate) = (size(200, 5_000), 500);
        let mut worker = settings.start();
        worker.wait_line("submitted", Duration::from_secs(120));
        let mut heard = Acknowledged::default();
        wait_all(&world, &worker, settings.jobs, &mut heard);
        let figures = worker.end(Duration::from_secs(20));
        heard.check(&world, "mark");
        assert_eq!(figures["panics"], 3, "{figures}");
        assert_eq!(world.shown(&panicking)["state"], "failed");
        let parked = world.shown(&unknown);
        assert!(parked.to_string().contains("needs at least a release"), "{parked:#}");
        assert_eq!(bytes(&world, &garbled), b"no JSON at all", "the bytes that cannot be read were changed");
        world.finish_with(Allow {
            copies: true,
            volumes: true,
            unfinished: true,
            unreadable: true,
            ..Allow::default()
        });
        Outcome::Pass(format!(
            "panicking job failed after 3 attempts; 1 MiB payload refused; unknown kind parked; garbled row kept as it was; {} other jobs done, 0 lost, 0 doubled",
            heard.marks.len()
        ))
    });
}

/// Waits until everything acknowledged was made.
#[track_caller]
pub(crate) fn wait_all(world: &World, worker: &crate::process::Process, jobs: usize, heard: &mut Acknowledged) {
    let began = Instant::now();
    loop {
        heard.hear(worker);
        let ledger = world.sim.ledger();
        let made = heard.marks.iter().filter(|mark| ledger.by_description_line.contains_key(*mark)).count();
        if made == jobs {
            return;
        }
        assert!(began.elapsed() < TERMINAL, "{made} of {jobs} marks are made: {:?}", worker.lines().last());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Submits the poison; the ids of the operations.
async fn poison(world: &World) -> (String, String, String) {
    let store = rl_store::Store::open(&world.data, Arc::new(SystemClock::new())).await.unwrap();
    let ids = Ids::from_os(Arc::new(SystemClock::new()));
    let job = |kind: &str, body: Value| {
        let mut job = JobSpec::new(ids.job(), kind, Envelope::new(kind, 1, body));
        job.max_attempts = 3;
        job
    };
    let mut started = Vec::new();
    for kind in ["panics", "from-the-future", "mark"] {
        let spec = operation(&ids, kind, None, vec![job(kind, json!({ "mark": "garbled", "guest": 0 }))]);
        started.push(store.start_operation(spec, None, None).await.unwrap().operation.to_string());
    }
    let large = operation(&ids, "large", None, vec![job("mark", json!("x".repeat(1 << 20)))]);
    let refused = store.start_operation(large, None, None).await.unwrap_err();
    let cause = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
    let text = format!("{refused}: {cause}");
    assert!(text.contains("1048576"), "the limit must be told: {text}");
    let [panicking, unknown, garbled] = started.try_into().unwrap();
    (panicking, unknown, garbled)
}

fn database(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap()
}

/// Overwrites what a job carries.
fn garble(world: &World, operation: &str) {
    let changed = database(world)
        .execute("update job_spec set spec = 'no JSON at all' where operation = ?1", [operation])
        .unwrap();
    assert_eq!(changed, 1);
}

fn bytes(world: &World, operation: &str) -> Vec<u8> {
    let sql = "select cast(spec as blob) from job_spec where operation = ?1";
    database(world).query_row(sql, [operation], |row| row.get(0)).unwrap()
}
