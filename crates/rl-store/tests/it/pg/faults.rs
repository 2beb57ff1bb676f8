//! Trouble between the store and one server: nothing acknowledged is lost, nothing refused is there.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rl_engine::Journal;
use rl_store::{Postgres, Target};

use super::lab::Lab;
use super::load::{Oracle, finish_all, ids, now, operation, register, submit_until};
use super::proxy::{Cut, Proxy};

/// Runs the load while `trouble` happens, and a little longer; answers what was acknowledged and refused.
async fn under_load(lab: &Lab, trouble: impl Future<Output = ()>) -> (usize, usize) {
    let store = lab.open();
    let (oracle, stop) = (Arc::new(Oracle::default()), Arc::new(AtomicBool::new(false)));
    let load = tokio::spawn(submit_until(Arc::new(store.clone()), 16, Arc::clone(&oracle), Arc::clone(&stop)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    trouble.await;
    let before = oracle.kept.lock().unwrap().len();
    tokio::time::timeout(Duration::from_secs(120), async {
        while oracle.kept.lock().unwrap().len() < before + 20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("work goes on by itself after the trouble");
    stop.store(true, Ordering::SeqCst);
    load.await.unwrap();
    let seen = oracle.check(&lab.open()).await;
    // The server's index is still right: every accepted job is handed out once.
    let owner = register(&store, &ids(), Duration::from_secs(60)).await;
    assert_eq!(finish_all(&store, owner).await, seen.0);
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_crashes_under_load() {
    let lab = Lab::start();
    let (kept, refused) = under_load(&lab, async {
        for _ in 0..2 {
            lab.server.stop("immediate").unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            lab.server.boot().unwrap();
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    })
    .await;
    assert!(kept > 20 && refused > 0, "{kept} kept, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_ended_under_load() {
    let lab = Lab::start();
    let (kept, _) = under_load(&lab, async {
        for _ in 0..15 {
            let sql =
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'rapidlaunch'";
            lab.server.psql("rapidlaunch", sql).unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    })
    .await;
    assert!(kept > 50, "{kept} kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fifth_statement_is_to_be_run_again() {
    let lab = Lab::start();
    drop(lab.open());
    // The database takes one transaction in five back, at a random place, as a distributed one does.
    let again = "create function again() returns trigger language plpgsql as $$ begin
           if random() < 0.2 then raise exception 'run it again' using errcode = '40001'; end if; return null; end $$";
    lab.server.psql("rapidlaunch", again).unwrap();
    for table in ["change", "operation", "event"] {
        let sql = format!("create trigger again after insert on {table} for each statement execute function again()");
        lab.server.psql("rapidlaunch", &sql).unwrap();
    }
    let (kept, refused) = under_load(&lab, tokio::time::sleep(Duration::from_secs(2))).await;
    assert!(kept > 50 && refused < kept / 10, "{kept} kept, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let lab = Lab::start();
    let proxy = Proxy::start(lab.server.port(), "operation.submitted").await;
    let target = Target::parse(&format!("postgres://postgres@127.0.0.1:{}/rapidlaunch", proxy.port)).unwrap();
    let store = Postgres::open(&target).unwrap();
    let ids = ids();
    for round in 0..6 {
        let cut = if round % 2 == 0 { Cut::Answer } else { Cut::Request };
        let first = operation(&ids, 2);
        let id = first.id;
        store.submit(operation(&ids, 1), now()).await.unwrap();
        proxy.cut_next(cut);
        let answer = store.submit(first, now()).await;
        assert!(proxy.is_cut());
        let stored = lab.server.psql("rapidlaunch", &format!("select count(*) from operation where id = '{id}'"));
        let is_stored = stored.unwrap().trim() == "1";
        match cut {
            Cut::Answer => assert!(answer.is_ok() && is_stored, "{answer:?}, stored: {is_stored}"),
            _ => assert!(answer.is_err_and(|error| error.is_unavailable()) && !is_stored),
        }
    }
    let owner = register(&store, &ids, Duration::from_secs(60)).await;
    assert_eq!(finish_all(&store, owner).await, 3 * 2 + 6, "every accepted job, each once");
}
