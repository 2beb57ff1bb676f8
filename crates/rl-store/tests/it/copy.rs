//! A store copied to another place is the same store: every row, what cannot be read too, and what was under way goes on.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rl_engine::{
    ClaimRequest, Clock, Envelope, Ids, JobState, Journal, KnownKinds, OperationId, OperationQuery, RegisterRequest,
    StepKey, SystemClock,
};
use rl_store::{CopyError, CopyReport, GuestState, Store, StoreError, copy};
use serde_json::json;

use crate::home::{Home, TORN, server};
use crate::samples::{guest, name, operation, start};

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

async fn copied(from: &Home, to: &Home) -> Result<CopyReport, CopyError> {
    copy(from.place(), to.place(), clock(), |_, _| {}).await
}

/// A store with a stack, a running job that announced a call, a torn job and a wide payload.
pub(crate) async fn filled(home: &Home) -> OperationId {
    let store = home.open(clock()).await.unwrap();
    let ids = Ids::from_os(clock());
    let (mut wide, torn) = (operation(&ids, "shop", 3), operation(&ids, "torn", 2));
    wide.payload = Envelope::new("plan", 1, json!({ "text": "ü \u{1f600} rl-bytes:ff", "number": 7 }));
    wide.idempotency_key = Some("once".to_owned());
    let ends: Vec<String> = torn.jobs.iter().map(|job| job.id.to_string()).collect();
    let start = start(&store, "shop", 0, vec![guest("web-1", 1), guest("web-2", 2)]);
    let id = store.start_operation(wide, Some(start), None).await.unwrap().operation;
    store.start_operation(torn, None, None).await.unwrap();
    announce_a_call(&*store.journal(), &ids).await;
    drop(store);
    home.tear(&ends);
    id
}

/// Leaves a run as SIGKILL would: registered, one job running, one call announced.
async fn announce_a_call(journal: &dyn Journal, ids: &Ids) {
    let (owner, now) = (ids.owner(), clock().now());
    let known = KnownKinds::from([("toy".to_owned(), 1..=1)]);
    let lease_until = now + Duration::from_millis(1);
    let takeover_grace = Duration::ZERO;
    journal.register(owner, RegisterRequest { lease_until, known: known.clone(), takeover_grace }, now).await.unwrap();
    let request = ClaimRequest { limit: 1, ..crate::samples::claim(owner, known) };
    let claimed = journal.claim(request, now).await.unwrap().jobs.remove(0);
    let step = StepKey { name: "call".to_owned(), direction: rl_engine::Direction::Do, position: 0 };
    journal.intent(claimed.holder, step, Envelope::new("call", 1, json!({ "vmid": 2001 })), now).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
}

async fn assert_whole(store: &Store, id: OperationId) {
    let journal = store.journal();
    let operation = journal.operation(id).await.unwrap().unwrap();
    assert_eq!(operation.info.payload.body.value()["text"], "ü \u{1f600} rl-bytes:ff");
    let jobs = journal.jobs(id, 0, 10).await.unwrap();
    assert_eq!(jobs.len(), 3);
    assert!(jobs[0].status.open_step, "the announced call is still to be looked for");
    assert_eq!(jobs[0].status.owner, None, "nobody runs it any more");
    assert_eq!(journal.steps(jobs[0].spec.id).await.unwrap()[0].intent.as_ref().unwrap().body.value()["vmid"], 2001);
    let guests = store.guests(&name("shop")).await.unwrap();
    assert!(guests.len() == 2 && guests.iter().all(|guest| guest.state == GuestState::Reserved));
    assert_eq!(store.stack(&name("shop")).await.unwrap().unwrap().revision, 1);
    let all = OperationQuery { limit: 10, ..OperationQuery::default() };
    assert_eq!(journal.operations(all).await.unwrap().len(), 2);
}

async fn there_and_back(from: Home, there: Home, back: Home) {
    let id = filled(&from).await;
    let first = copied(&from, &there).await.unwrap();
    assert!(first.tables.iter().any(|table| table.table == "job" && table.rows == 5), "{first:?}");
    assert_whole(&there.open(clock()).await.unwrap(), id).await;
    let second = copied(&there, &back).await.unwrap();
    let same =
        |report: &CopyReport, name: &str| report.tables.iter().find(|table| table.table == name).cloned().unwrap();
    for table in ["job_spec", "step", "lease", "guest", "stack", "stack_revision", "operation_info", "meta"] {
        assert_eq!(same(&first, table), same(&second, table));
    }
    assert_whole(&back.open(clock()).await.unwrap(), id).await;
    if back.dir().is_some() {
        assert_eq!(back.specs("length(cast(spec as blob)) = 4"), TORN);
    }
    assert!(rl_store::check(back.place()).await.unwrap().is_sound());
}

#[tokio::test]
async fn a_copy_is_the_same_store_there_and_back() {
    there_and_back(Home::directory(), Home::directory(), Home::directory()).await;
}

#[tokio::test]
async fn a_copy_in_a_database_is_the_same_store() {
    let server = server();
    there_and_back(Home::directory(), Home::database(&server), Home::directory()).await;
    there_and_back(Home::database(&server), Home::directory(), Home::database(&server)).await;
    there_and_back(Home::database(&server), Home::database(&server), Home::directory()).await;
    events_go_on(Home::directory(), Home::database(&server)).await;
    events_go_on(Home::database(&server), Home::directory()).await;
    refused(Home::directory(), Home::database(&server), Home::database(&server)).await;
    unfinished(Home::directory(), Home::database(&server), Home::directory()).await;
    unfinished(Home::database(&server), Home::directory(), Home::database(&server)).await;
    in_use(Home::database(&server), Home::directory()).await;
    large(Home::directory(), Home::database(&server)).await;
}

/// A database whose server lives is neither read nor filled.
async fn in_use(home: Home, other: Home) {
    filled(&home).await;
    let store = home.open(clock()).await.unwrap();
    let owner = Ids::from_os(clock()).owner();
    let lease = |ms| RegisterRequest {
        lease_until: clock().now() + Duration::from_millis(ms),
        known: KnownKinds::new(),
        takeover_grace: Duration::ZERO,
    };
    store.journal().register(owner, lease(60_000), clock().now()).await.unwrap();
    let refused = copied(&home, &other).await;
    assert!(matches!(&refused, Err(CopyError::InUse { owners: 1, .. })), "{refused:?}");
    store.journal().unregister(owner, clock().now()).await.unwrap();
    copied(&home, &other).await.unwrap();
}

#[tokio::test]
async fn events_are_never_numbered_twice() {
    events_go_on(Home::directory(), Home::directory()).await;
}

async fn events_go_on(from: Home, to: Home) {
    filled(&from).await;
    let store = from.open(clock()).await.unwrap();
    let last = store.journal().subscribe().borrow().events;
    drop(store);
    from.change_any("delete from event");
    copied(&from, &to).await.unwrap();
    let store = to.open(clock()).await.unwrap();
    store.start_operation(operation(&Ids::from_os(clock()), "more", 1), None, None).await.unwrap();
    let query = rl_engine::EventQuery { after: 0, operation: None, limit: 100 };
    let events = store.journal().events(query).await.unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event.seq > last), "{last}: {events:?}");
}

#[tokio::test]
async fn only_an_empty_target_is_filled_and_only_a_free_source_read() {
    refused(Home::directory(), Home::directory(), Home::directory()).await;
}

async fn refused(from: Home, to: Home, nowhere: Home) {
    filled(&from).await;
    let same = copied(&from, &from).await;
    assert!(matches!(same, Err(CopyError::Same { .. })), "{same:?}");
    // A store that was opened once and never used is empty.
    drop(to.open(clock()).await.unwrap());
    let held = from.open(clock()).await.unwrap();
    let refused = copied(&from, &to).await;
    assert!(matches!(refused, Err(CopyError::Store(StoreError::Held { .. }))), "{refused:?}");
    drop(held);
    copied(&from, &to).await.unwrap();
    let again = copied(&from, &to).await;
    assert!(matches!(&again, Err(CopyError::NotEmpty { .. })), "{again:?}");
    let missing = copied(&nowhere, &Home::directory()).await;
    let is_missing =
        matches!(&missing, Err(CopyError::Store(StoreError::Directory { .. } | StoreError::NoStore { .. })));
    assert!(is_missing, "{missing:?}");
}

#[tokio::test]
async fn an_unfinished_copy_opens_for_nobody_and_is_made_anew() {
    unfinished(Home::directory(), Home::directory(), Home::directory()).await;
}

async fn unfinished(from: Home, to: Home, third: Home) {
    let id = filled(&from).await;
    copied(&from, &to).await.unwrap();
    to.change_any("insert into meta (key, value) values ('copying', 'elsewhere')");
    to.change_any("delete from job_spec");
    let opened = to.open(clock()).await;
    assert!(matches!(&opened, Err(StoreError::UnfinishedCopy { from }) if from == "elsewhere"), "{opened:?}");
    let onward = copied(&to, &third).await;
    assert!(matches!(onward, Err(CopyError::Store(StoreError::UnfinishedCopy { .. }))), "{onward:?}");
    copied(&from, &to).await.unwrap();
    assert_whole(&to.open(clock()).await.unwrap(), id).await;
}

#[tokio::test]
async fn many_rows_and_large_ones_go_in_parts() {
    large(Home::directory(), Home::directory()).await;
}

async fn large(from: Home, to: Home) {
    let store = from.open(clock()).await.unwrap();
    let ids = Ids::from_os(clock());
    for number in 0..6 {
        let mut large = operation(&ids, &format!("large-{number}"), 400);
        large.payload = Envelope::new("plan", 1, json!({ "text": "x".repeat(900 << 10) }));
        store.start_operation(large, None, None).await.unwrap();
    }
    drop(store);
    let told = Arc::new(AtomicU64::new(0));
    let tell = {
        let told = Arc::clone(&told);
        move |table: &str, _: u64| {
            told.fetch_add(u64::from(table == "operation_info"), Ordering::Relaxed);
        }
    };
    let report = copy(from.place(), to.place(), clock(), tell).await.unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 2, "4 MiB at a time");
    assert!(report.tables.iter().any(|table| table.table == "job" && table.rows == 2_400), "{report:?}");
    let store = to.open(clock()).await.unwrap();
    let all = OperationQuery { limit: 10, ..OperationQuery::default() };
    let operations = store.journal().operations(all).await.unwrap();
    assert!(operations.len() == 6 && operations.iter().all(|record| record.info.payload.body.text().len() > 900 << 10));
    let jobs = store.journal().jobs(operations[0].info.id, 0, 1_000).await.unwrap();
    assert!(jobs.len() == 400 && jobs.iter().all(|job| job.status.state == JobState::Ready));
}
