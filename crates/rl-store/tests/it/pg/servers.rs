//! Several servers share one database.
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rl_engine::{Finish, JobId, Journal, JournalError, LockDomain, OperationState};
use rl_store::Postgres;

use super::lab::Lab;
use super::load::{claim_request, ids, now, operation, register};

const JOBS: usize = 240;

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_three_servers_never_collide() {
    let lab = Lab::start();
    let servers: Vec<Postgres> = (0..3).map(|_| lab.open()).collect();
    let ids = ids();
    let mut spec = operation(&ids, JOBS);
    for (at, job) in spec.jobs.iter_mut().enumerate() {
        job.locks = vec![LockDomain::limited(format!("node:{}", at % 4), 5)];
    }
    let id = servers[0].submit(spec, now()).await.unwrap().id;
    let claimed: Arc<Mutex<HashMap<JobId, usize>>> = Arc::default();
    let held: Arc<Mutex<HashMap<String, i32>>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    for (number, server) in servers.iter().cloned().enumerate() {
        let (claimed, held, ids) = (Arc::clone(&claimed), Arc::clone(&held), ids.clone());
        tasks.spawn(async move {
            let owner = register(&server, &ids, Duration::from_secs(120)).await;
            let mut done = 0;
            while claimed.lock().unwrap().len() < JOBS {
                let jobs = server.claim(claim_request(owner, 4), now()).await.unwrap().jobs;
                for job in &jobs {
                    let before = claimed.lock().unwrap().insert(job.holder.job, number);
                    assert!(before.is_none(), "servers {before:?} and {number} claimed the same job");
                    let mut held = held.lock().unwrap();
                    let count = held.entry(job.job.spec.locks[0].name.clone()).or_default();
                    *count += 1;
                    assert!(*count <= 5, "{count} hold a domain of 5");
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
                for job in jobs {
                    *held.lock().unwrap().entry(job.job.spec.locks[0].name.clone()).or_default() -= 1;
                    server.finish(job.holder, Finish::Done, now()).await.unwrap();
                    done += 1;
                }
            }
            done
        });
    }
    let mut shares = Vec::new();
    while let Some(done) = tasks.join_next().await {
        shares.push(done.unwrap());
    }
    assert_eq!(shares.iter().sum::<usize>(), JOBS);
    assert!(shares.iter().all(|share| *share > 0), "every server got work: {shares:?}");
    let record = servers[1].operation(id).await.unwrap().unwrap();
    assert_eq!((record.status.state, record.status.counts.total()), (OperationState::Done, JOBS as u32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_get_to_run_loses_its_jobs() {
    let lab = Lab::start();
    let (stopped, other) = (lab.open(), lab.open());
    let ids = ids();
    let first = register(&stopped, &ids, Duration::from_millis(800)).await;
    stopped.submit(operation(&ids, 3), now()).await.unwrap();
    let held = stopped.claim(claim_request(first, 10), now()).await.unwrap().jobs;
    assert_eq!(held.len(), 3);
    stopped.halt(true);
    let late = {
        let (stopped, holder) = (stopped.clone(), held[0].holder);
        tokio::spawn(async move { stopped.finish(holder, Finish::Done, now()).await })
    };
    let second = register(&other, &ids, Duration::from_secs(60)).await;
    assert!(other.claim(claim_request(second, 10), now()).await.unwrap().jobs.is_empty(), "the lease still holds");
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let taken = other.claim(claim_request(second, 10), now()).await.unwrap().jobs;
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|job| job.holder.fence == 2));
    stopped.halt(false);
    assert!(matches!(late.await.unwrap(), Err(JournalError::LeaseLost { .. })), "the late write changes nothing");
    let beat = stopped.heartbeat(first, now() + Duration::from_secs(60), now()).await;
    assert!(matches!(beat, Err(JournalError::OwnerLost { .. })));
    for job in taken {
        other.finish(job.holder, Finish::Done, now()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_hangs_elsewhere_ends_by_itself() {
    let lab = Lab::start();
    let store = lab.open();
    // Another server took its turn and was stopped in the middle of it. Every session of the store has this setting.
    let mut hanging = std::process::Command::new("psql");
    hanging.args(["--no-psqlrc", "--host=127.0.0.1", "--username=postgres", "--dbname=rapidlaunch"]);
    hanging.arg(format!("--port={}", lab.server.port())).stdin(std::process::Stdio::piped());
    hanging.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut hanging = hanging.spawn().unwrap();
    let sql = b"set idle_in_transaction_session_timeout = '4s'; begin; select * from head for update;\n";
    std::io::Write::write_all(hanging.stdin.as_mut().unwrap(), sql).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let since = std::time::Instant::now();
    store.submit(operation(&ids(), 1), now()).await.unwrap();
    let waited = since.elapsed();
    assert!(waited > Duration::from_secs(2) && waited < Duration::from_secs(60), "{waited:?}");
    hanging.kill().unwrap();
    hanging.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_make_one_schema() {
    let lab = Lab::start();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..4).map(|_| scope.spawn(|| lab.open())).collect();
        starting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let id = opened[0].submit(operation(&ids(), 1), now()).await.unwrap().id;
    assert!(opened[3].operation(id).await.unwrap().is_some());
    let found = lab.server.psql("rapidlaunch", "select count(*) = max(version) from migration").unwrap();
    assert_eq!(found.trim(), "t", "each migration ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_hear_of_other_servers() {
    let lab = Lab::start();
    let (here, there) = (lab.open(), lab.open());
    let mut signal = here.subscribe();
    signal.mark_unchanged();
    there.submit(operation(&ids(), 1), now()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), signal.changed())
        .await
        .expect("within a poll at the latest")
        .unwrap();
    assert!(signal.borrow().events > 0 && signal.borrow().work > 0);
}
