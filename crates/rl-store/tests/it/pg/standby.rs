//! A primary with a standby that is promoted.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_lab::Options;
use rl_engine::{Direction, Envelope, EventQuery, JobState, Journal, JournalError, StepKey, StepState};
use rl_store::{Postgres, Target};
use serde_json::json;

use super::lab::Lab;
use super::load::{Oracle, claim_request, ids, now, operation, register, submit_until};

fn both(lab: &Lab, standby: &pg_lab::PgServer) -> Target {
    let (first, second) = (lab.server.port(), standby.port());
    Target::parse(&format!("postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/rapidlaunch")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_has_everything_that_was_acknowledged() {
    let lab = Lab::start();
    let standby = lab.server.standby("second", &Options::default()).unwrap();
    lab.server.set("synchronous_standby_names = 'second'").unwrap();
    let store = Postgres::open(&both(&lab, &standby)).unwrap();
    let (oracle, stop) = (Arc::new(Oracle::default()), Arc::new(AtomicBool::new(false)));
    let load = tokio::spawn(submit_until(Arc::new(store.clone()), 16, Arc::clone(&oracle), Arc::clone(&stop)));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    lab.server.stop("immediate").unwrap();
    let before = oracle.kept.lock().unwrap().len();
    standby.promote().unwrap();
    tokio::time::timeout(Duration::from_secs(120), async {
        while oracle.kept.lock().unwrap().len() < before + 50 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("work goes on with the promoted standby");
    stop.store(true, Ordering::SeqCst);
    load.await.unwrap();
    let (kept, _) = oracle.check(&store).await;
    assert!(kept > 100 && before > 20, "{before} before, {kept} in all");
    let events = store.events(EventQuery { after: 0, operation: None, limit: 1_000 }).await.unwrap();
    assert!(
        events.iter().all(|event| event.kind != "store.rolled_back"),
        "nothing was lost, and nothing is said to be"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_was_behind_is_noticed_and_running_steps_are_kept() {
    let lab = Lab::start();
    let standby = lab.server.standby("second", &Options::default()).unwrap();
    let store = Postgres::open(&both(&lab, &standby)).unwrap();
    let ids = ids();
    let owner = register(&store, &ids, Duration::from_secs(120)).await;
    let operation_id = store.submit(operation(&ids, 1), now()).await.unwrap().id;
    let held = store.claim(claim_request(owner, 1), now()).await.unwrap().jobs.remove(0);
    // From here on the standby hears nothing more, once it has heard this.
    let key = || StepKey { name: "create".to_owned(), direction: Direction::Do, position: 0 };
    store.intent(held.holder, key(), Envelope::new("toy", 1, json!({})), now()).await.unwrap();
    until(|| standby.psql("rapidlaunch", "select count(*) from step").is_ok_and(|count| count.trim() == "1")).await;
    standby.psql("postgres", "alter system set primary_conninfo = 'host=127.0.0.1 port=1'").unwrap();
    standby.psql("postgres", "select pg_reload_conf()").unwrap();
    until(|| {
        standby
            .psql("postgres", "select count(*) from pg_stat_wal_receiver where status = 'streaming'")
            .is_ok_and(|count| count.trim() == "0")
    })
    .await;
    store.submitted(held.holder, key(), "UPID:pve1:0001".to_owned(), now()).await.unwrap();
    let lost = store.submit(operation(&ids, 1), now()).await.unwrap().id;
    lab.server.stop("immediate").unwrap();
    standby.promote().unwrap();
    let beat = async {
        loop {
            match store.heartbeat(owner, now() + Duration::from_secs(60), now()).await {
                Err(error) if error.is_unavailable() => tokio::time::sleep(Duration::from_millis(100)).await,
                answer => return answer,
            }
        }
    };
    let beat = tokio::time::timeout(Duration::from_secs(120), beat).await.unwrap();
    assert!(matches!(beat, Err(JournalError::OwnerLost { .. })), "every engine run was ended: {beat:?}");
    assert!(store.operation(lost).await.unwrap().is_none(), "the standby never had it");
    let events = store.events(EventQuery { after: 0, operation: Some(operation_id), limit: 100 }).await.unwrap();
    let said = events.iter().find(|event| event.kind == "store.rolled_back").expect("it is said");
    assert!(said.body["lost_versions"].as_u64().unwrap() >= 2, "{said:?}");
    let job = store.job(held.holder.job).await.unwrap().unwrap();
    assert_eq!(job.status.state, JobState::Ready, "the running job was taken back");
    let steps = store.steps(held.holder.job).await.unwrap();
    assert_eq!((steps[0].state, steps[0].ext_ref.as_deref()), (StepState::Submitted, Some("UPID:pve1:0001")));
    let again = register(&store, &ids, Duration::from_secs(120)).await;
    let taken = store.claim(claim_request(again, 5), now()).await.unwrap().jobs;
    assert_eq!(taken[0].steps[0].ext_ref.as_deref(), Some("UPID:pve1:0001"), "whoever goes on can follow the call");
    assert!(store.finish(held.holder, rl_engine::Finish::Done, now()).await.is_err_and(|error| error.is_lease_lost()));
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let since = std::time::Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(120), "it did not come to be");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
