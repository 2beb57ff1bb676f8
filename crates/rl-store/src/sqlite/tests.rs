//! The writer and the data directory, looked at from inside.
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rl_engine::{JournalError, Lane};
use rusqlite::Connection;
use tempfile::TempDir;

use super::Sqlite;
use crate::error::{Doing, StoreError};

fn open(dir: &TempDir) -> Sqlite {
    Sqlite::open(dir.path()).unwrap()
}

async fn put(sqlite: &Sqlite, lane: Lane, key: &str, size: usize) -> Result<(), StoreError> {
    let (key, value) = (key.to_owned(), "x".repeat(size));
    sqlite
        .write_with(lane, move |_, connection| {
            connection.execute("insert into meta (key, value) values (?1, ?2)", [key, value]).doing("a test")?;
            Ok(())
        })
        .await
}

async fn count(sqlite: &Sqlite) -> u32 {
    let count = sqlite.read_with(|connection| {
        connection.query_row("select count(*) from meta", (), |row| row.get(0)).doing("a test")
    });
    count.await.unwrap()
}

async fn limit_pages(sqlite: &Sqlite, pages: u32) {
    let set = sqlite.write_with(Lane::Progress, move |_, connection| {
        let sql = format!("pragma max_page_count = {pages}");
        connection.query_row(&sql, (), |_| Ok(())).doing("a test")
    });
    set.await.unwrap();
}

#[test]
fn directory_is_private_and_held_by_one() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let first = Sqlite::open(&dir).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["lock", "rapidlaunch.db", "rapidlaunch.db-wal", "rapidlaunch.db-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    let refused = Sqlite::open(&dir).err().unwrap();
    let own = std::process::id();
    assert!(matches!(&refused, StoreError::Held { pid: Some(pid), .. } if *pid == own), "{refused}");
    assert!(refused.to_string().contains(&format!("is in use by process {own}")), "{refused}");
    drop(first);
    Sqlite::open(&dir).unwrap();
}

#[test]
fn newer_and_changed_schemas_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir));
    let path = dir.path().join("rapidlaunch.db");
    let change = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    change("insert into migration values (999, 'later')");
    let refused = Sqlite::open(dir.path()).err().unwrap();
    assert!(matches!(refused, StoreError::Newer { found: 999, .. }), "{refused}");
    change("delete from migration where version = 999; update migration set hash = 'other' where version = 1");
    let refused = Sqlite::open(dir.path()).err().unwrap();
    assert!(matches!(refused, StoreError::ChangedMigration { version: 1 }), "{refused}");
}

#[tokio::test]
async fn failing_write_leaves_the_others_of_its_batch_alone() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(&dir);
    put(&sqlite, Lane::Intake, "taken", 1).await.unwrap();
    let writes = (0..200).map(|number| {
        let (sqlite, key) =
            (sqlite.clone(), if number % 10 == 0 { "taken".to_owned() } else { format!("key-{number}") });
        tokio::spawn(async move { put(&sqlite, Lane::Intake, &key, 10).await.is_ok() })
    });
    let mut kept = 0;
    for write in writes.collect::<Vec<_>>() {
        kept += u32::from(write.await.unwrap());
    }
    assert_eq!(kept, 180);
    assert_eq!(count(&sqlite).await, 181);
    drop(sqlite);
    assert_eq!(count(&open(&dir)).await, 181, "what was answered is there after a restart");
}

#[tokio::test]
async fn full_disk_refuses_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(&dir);
    put(&sqlite, Lane::Intake, "before", 100).await.unwrap();
    limit_pages(&sqlite, 120).await;
    let refused = put(&sqlite, Lane::Intake, "large", 2_000_000).await.err().unwrap();
    assert!(matches!(refused, StoreError::Full), "{refused}");
    let journal_sees = JournalError::from(StoreError::Full);
    assert!(matches!(journal_sees, JournalError::Full { .. }), "{journal_sees}");
    put(&sqlite, Lane::Progress, "small", 100).await.unwrap();
    limit_pages(&sqlite, 1_000_000).await;
    put(&sqlite, Lane::Intake, "large", 2_000_000).await.unwrap();
    assert_eq!(count(&sqlite).await, 3);
    assert!(!sqlite.is_poisoned());
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_failed_commit() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(&dir);
    put(&sqlite, Lane::Intake, "before", 1).await.unwrap();
    let hooked = sqlite.write_with(Lane::Intake, |_, connection| {
        // Fails only when the transaction as a whole is committed.
        let sql = "create table child (parent text references meta (key) deferrable initially deferred);
                   insert into child values ('nobody');
                   insert into meta (key, value) values ('lost', '')";
        connection.execute_batch(sql).doing("a test")
    });
    let refused = hooked.await.err().unwrap();
    assert!(matches!(refused, StoreError::Poisoned), "{refused}");
    assert!(sqlite.is_poisoned());
    for lane in [Lane::Progress, Lane::Intake] {
        let refused = put(&sqlite, lane, "after", 1).await.err().unwrap();
        assert!(matches!(refused, StoreError::Poisoned), "{refused}");
    }
    drop(sqlite);
    assert_eq!(count(&open(&dir)).await, 1, "only what was acknowledged is there");
}

#[tokio::test]
async fn readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(&dir);
    let written = sqlite.read_with(|connection| {
        connection.execute("insert into meta (key, value) values ('a', 'b')", ()).doing("a test")
    });
    assert!(written.await.is_err());
}

/// Writes that arrive while a commit is on its way to the disk share the next one.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(&dir);
    let before = sqlite.commit_times().unwrap().count();
    let writes: Vec<_> = (0..2_000)
        .map(|number| {
            let sqlite = sqlite.clone();
            tokio::spawn(async move { put(&sqlite, Lane::Intake, &format!("key-{number}"), 100).await.unwrap() })
        })
        .collect();
    for write in writes {
        write.await.unwrap();
    }
    assert_eq!(count(&sqlite).await, 2_000);
    let commits = sqlite.commit_times().unwrap().count() - before;
    assert!(commits < 1_000, "2,000 concurrent writes took {commits} commits");
}

#[test]
fn old_sqlite_is_refused() {
    for number in [3_007_000, 3_050_004, 3_051_002] {
        let refused = super::check_version(number, "3.51.2").err().unwrap();
        assert!(refused.to_string().contains("before 3.51.3"), "{number}: {refused}");
    }
    for number in [3_051_003, 3_054_001, 4_000_000] {
        super::check_version(number, "new").unwrap();
    }
}

/// However much new work waits, a write of running work is in the commit after the one that is under way.
#[tokio::test(flavor = "multi_thread")]
async fn new_work_never_holds_up_running_work() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(&dir);
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..20_000 {
        let (sqlite, over) = (sqlite.clone(), Arc::clone(&over));
        flood.spawn(async move {
            let mut round = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                put(&sqlite, Lane::Intake, &format!("flood-{number}-{round}"), 50).await.unwrap();
                round += 1;
            }
        });
    }
    let mut waited = Vec::new();
    while waited.len() < 21 {
        let before = sqlite.commit_times().unwrap().count();
        put(&sqlite, Lane::Progress, &format!("running-{}", waited.len()), 50).await.unwrap();
        waited.push(sqlite.commit_times().unwrap().count() - before);
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    // Commits that end while this task waits for a processor count too, so a few may be more.
    waited.sort_unstable();
    assert!(waited[waited.len() / 2] <= 2, "commits until an answer: {waited:?}");
    flood.join_all().await;
}

#[tokio::test]
async fn log_is_moved_when_idle_and_never_by_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = open(&dir);
    let database = || std::fs::metadata(dir.path().join("rapidlaunch.db")).unwrap().len();
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    let before = database();
    for number in 0..20 {
        put(&sqlite, Lane::Intake, &format!("key-{number}"), 500_000).await.unwrap();
    }
    assert_eq!(database(), before, "10 MB were committed, and the database file was left alone");
    tokio::time::sleep(std::time::Duration::from_millis(2_000)).await;
    assert!(database() > before + 9_000_000, "an idle moment moves the log");
    for number in 20..100 {
        put(&sqlite, Lane::Intake, &format!("key-{number}"), 500_000).await.unwrap();
    }
    assert!(database() > before + 30_000_000, "a log beyond 32 MiB is moved without an idle moment");
}
