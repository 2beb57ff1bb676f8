//! A check finds what contradicts itself, lists what cannot be read, and is content with a store as it is after a crash.
use rl_store::{Level, Raw, check, raw_row};

use crate::copy::{clock, filled};
use crate::home::Home;
use crate::samples::{guest, name};

/// Ways to break a store, each with what is said of it.
const BREAKS: [(&str, &str, &str); 15] = [
    (
        "delete from operation_info where id = (select min(id) from operation_info)",
        "operation",
        "its description is missing",
    ),
    ("delete from job_spec where seq = 2", "job", "its description is missing"),
    ("delete from job where seq = 2", "operation", "jobs as ready, and has 1"),
    ("update job set state = 'failed' where seq = 2", "operation", "jobs as ready, and has 1"),
    ("update operation set state = 'done'", "operation", "it is done, and its jobs make it running"),
    ("update operation set finished_at = 1", "operation", "it is running and its end is written down"),
    (
        "update job set waiting_for = 3, state = 'waiting' where seq = 2",
        "job",
        "it waits for 3 jobs, and 0 before it are not done",
    ),
    (
        "update job set state = 'running', owner = 'nobody' where seq = 2",
        "job",
        "it is running, and its engine run is not known",
    ),
    ("update job set open_step = 1 where seq = 2", "job", "a call of it is open, and no step says which"),
    ("delete from guest where name = 'web-1'", "lease", "is not known or removed"),
    ("update guest set removed_at = 5 where name = 'web-1'", "lease", "is not known or removed"),
    (
        "delete from lease where kind = 'vmid' and value = '2001'",
        "guest",
        "it does not hold its VMID 2001 on site fra1",
    ),
    ("update lease set state = 'quarantined' where kind = 'address'", "lease", "in quarantine without an end"),
    ("delete from stack_revision", "stack", "its revision 1 is missing"),
    ("update stack set applied_revision = 9", "stack", "revision 9 is applied, and the newest is 1"),
];

pub(crate) async fn a_store_after_a_crash_is_sound(home: Home) {
    filled(&home).await;
    let report = check(home.place()).await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.of(Level::Quarantined), report.of(Level::Newer)), (2, 0), "{:?}", report.findings);
    assert_eq!((report.tables["job"], report.tables["guest"], report.tables["lease"]), (5, 2, 6));
}

pub(crate) async fn unreadable_rows_are_listed_and_their_bytes_reachable(home: Home) {
    filled(&home).await;
    home.change_any(
        "update guest set resolved = '{\"kind\":\"resolved-guest\",\"version\":2,\"body\":{}}' where name = 'web-1'",
    );
    home.change_any("update operation_info set info = 'torn' where idempotency_key is null");
    let report = check(home.place()).await.unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let newer = report.findings.iter().find(|finding| finding.level == Level::Newer).unwrap();
    assert_eq!(newer.table, "guest");
    assert_eq!(newer.text, "resolved: needs a release that reads `resolved-guest` version 2; this one reads up to 1");
    let torn = report.findings.iter().find(|finding| finding.table == "operation_info").unwrap();
    assert_eq!(torn.level, Level::Quarantined);
    let row = raw_row(home.place(), &torn.table, &torn.key).await.unwrap().unwrap();
    assert!(row.columns.contains(&("info".to_owned(), Raw::Bytes(b"torn".to_vec()))), "{row:?}");
    let job = report.findings.iter().find(|finding| finding.text.contains("its bytes are no text")).unwrap();
    let row = raw_row(home.place(), &job.table, &job.key).await.unwrap().unwrap();
    let bytes = row.columns.iter().find(|column| column.0 == "spec").map(|column| column.1.clone());
    assert!(matches!(bytes, Some(Raw::Bytes(bytes)) if bytes.starts_with(b"{\"") && bytes.len() == 4));
    let leased = raw_row(home.place(), "lease", "fra1/vmid/2001").await.unwrap().unwrap();
    assert!(leased.columns.contains(&("state".to_owned(), Raw::Bytes(b"held".to_vec()))));
    assert_eq!(raw_row(home.place(), "lease", "fra1/vmid/1").await.unwrap(), None);
    assert_eq!(raw_row(home.place(), "lease", "fra1").await.unwrap(), None);
    assert_eq!(raw_row(home.place(), "nothing", "1").await.unwrap(), None);
}

pub(crate) async fn locks_of_one_domain_are_counted(home: Home) {
    filled(&home).await;
    home.change_any("update job set holds_locks = 1, state = 'backoff'");
    home.change_any(
        "update job_spec set locks = '[{\"name\":\"guest:fra1/2001\",\"limit\":1}]' where spec like '%job%'",
    );
    let report = check(home.place()).await.unwrap();
    let said = "3 jobs hold this lock domain, which allows 1";
    assert!(
        report.findings.iter().any(|finding| finding.key == "guest:fra1/2001" && finding.text == said),
        "{report:?}"
    );
}

#[tokio::test]
async fn every_contradiction_is_found() {
    for (broken, table, said) in BREAKS {
        contradicts(Home::directory(), broken, table, said).await;
    }
}

async fn contradicts(home: Home, broken: &str, table: &str, said: &str) {
    filled(&home).await;
    home.change_any(broken);
    let report = check(home.place()).await.unwrap();
    assert!(!report.is_sound(), "{broken}: {:?}", report.findings);
    let found = report.findings.iter().any(|finding| finding.table == table && finding.text.contains(said));
    assert!(found, "{broken}: {:?}", report.findings);
}

#[tokio::test]
async fn a_damaged_file_is_found() {
    let home = Home::directory();
    filled(&home).await;
    // The index no longer says what the table says.
    home.damage(
        "update sqlite_schema set sql = 'create index lease_guest on lease (value)' where name = 'lease_guest'",
    );
    let report = check(home.place()).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.table == "database"), "{report:?}");
    assert!(!report.is_sound());
}

#[tokio::test]
async fn a_check_works_beside_a_holder() {
    let home = Home::directory();
    filled(&home).await;
    let held = home.open(clock()).await.unwrap();
    assert!(check(home.place()).await.unwrap().is_sound());
    held.release_guest(&guest("web-1", 1).id).await.unwrap();
    assert!(check(home.place()).await.unwrap().is_sound());
    assert_eq!(held.guests(&name("shop")).await.unwrap().len(), 1);
}

mod directory {
    use crate::home::Home;

    #[tokio::test]
    async fn a_store_after_a_crash_is_sound() {
        super::a_store_after_a_crash_is_sound(Home::directory()).await;
    }

    #[tokio::test]
    async fn unreadable_rows_are_listed_and_their_bytes_reachable() {
        super::unreadable_rows_are_listed_and_their_bytes_reachable(Home::directory()).await;
    }

    #[tokio::test]
    async fn locks_of_one_domain_are_counted() {
        super::locks_of_one_domain_are_counted(Home::directory()).await;
    }
}

/// What SQLite's own tables hold, a database on a server holds and says the same.
#[tokio::test]
async fn a_database_is_checked_as_a_directory_is() {
    let server = crate::home::server();
    let database = || Home::database(&server);
    a_store_after_a_crash_is_sound(database()).await;
    unreadable_rows_are_listed_and_their_bytes_reachable(database()).await;
    locks_of_one_domain_are_counted(database()).await;
    for (broken, table, said) in BREAKS {
        contradicts(database(), broken, table, said).await;
    }
}
