//! Rows 10 to 12 and 14: PostgreSQL restarts, loses connections, fails over, and dies in the moment of a commit.

use std::time::{Duration, Instant};

use pg_lab::{Options, PgServer};

use crate::lab::{Lab, acks, until};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::report::{Outcome, row, size};
use crate::worker::{Place, Settings};

/// Connections of a database that is to run out of them.
const CONNECTIONS: usize = 14;
/// Guests where each job has its own: more than are submitted while the row lasts.
const OWN_GUESTS: u64 = 1_500;
/// How long a server may take to be at work again.
const BACK: Duration = Duration::from_secs(30);

/// Waits until a worker acknowledges again.
#[track_caller]
fn at_work(worker: &Process) -> Duration {
    let before = acks(worker);
    until("it acknowledges again", BACK, || acks(worker) > before + 3)
}

/// Acknowledgements in a second.
fn rate(worker: &Process) -> usize {
    let before = acks(worker);
    std::thread::sleep(Duration::from_secs(1));
    acks(worker) - before
}

#[test]
fn row_10_the_database_restarts() {
    let how = "under load PostgreSQL is ended with `immediate` and started again, every backend is ended with pg_terminate_backend, and its connections are all taken";
    row("10", "PostgreSQL restart, backend kill, no connection left", how, || {
        let few = Options { settings: vec![format!("max_connections = {CONNECTIONS}")], ..Options::default() };
        let mut lab = match Lab::open(&few) {
            Ok(lab) => lab,
            Err(why) => return Outcome::Skipped(why),
        };
        let settings = Settings { rate: 200, jobs: 1_000_000, ..lab.settings("d") };
        let mut worker = settings.start();
        std::thread::sleep(Duration::from_secs(1));
        let usual = rate(&worker);
        let (mut slowest, rounds) = (Duration::ZERO, size(1, 20));
        for _ in 0..rounds {
            lab.pg.stop("immediate").unwrap();
            lab.pg.boot().unwrap();
            slowest = slowest.max(at_work(&worker));
            lab.pg
                .psql(
                    "postgres",
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'rapidlaunch'",
                )
                .unwrap();
            slowest = slowest.max(at_work(&worker));
            slowest = slowest.max(no_connection_left(&lab, &worker));
        }
        std::thread::sleep(Duration::from_secs(3));
        let later = rate(&worker);
        assert!(later * 100 >= usual * 80, "{usual} submits a second before, {later} after");
        worker.end(Duration::from_secs(60));
        lab.settle(&[&worker], "d", &settings);
        let (jobs, refused) = (lab.heard.marks.len(), lab.heard.refused.len());
        lab.close();
        Outcome::Pass(format!(
            "{rounds} rounds of 3 faults: at work again within {:.1} s, {usual} submits/s before and {later} after; {jobs} jobs acknowledged, {refused} submits refused, 0 lost, 0 doubled",
            slowest.as_secs_f64()
        ))
    });
}

/// Every connection is taken by somebody else while ours are cut off.
fn no_connection_left(lab: &Lab, worker: &Process) -> Duration {
    let (pg, end) = (&lab.pg, Instant::now() + Duration::from_secs(3));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(move || {
                while Instant::now() < end {
                    // Refused while all connections are taken; then another try takes the next that is free.
                    let _ = pg.psql("postgres", "select pg_sleep(1)");
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        let _ =
            pg.psql("postgres", "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'rapidlaunch'");
    });
    at_work(worker)
}

#[test]
fn row_11_a_synchronous_standby_takes_over() {
    let how = "a primary with a synchronous standby dies (`immediate`) under load and the standby is promoted; the workers' URL names both";
    row("11", "fail-over to a synchronous standby", how, || {
        let rounds = size(1, 5);
        let mut seen = Vec::new();
        for _ in 0..rounds {
            match fail_over(true) {
                Ok(text) => seen.push(text),
                Err(why) => return Outcome::Skipped(why),
            }
        }
        Outcome::Pass(format!("{rounds} fail-overs: {}", seen.join("; ")))
    });
}

#[test]
fn row_12_an_asynchronous_standby_takes_over() {
    let how = "replay and receipt of an asynchronous standby are paused for a second of load, then the primary dies and the standby is promoted";
    row("12", "fail-over that lost commits", how, || match fail_over(false) {
        Ok(text) => Outcome::Pass(text),
        Err(why) => Outcome::Skipped(why),
    });
}

/// The primary dies, its standby takes over. What was seen.
fn fail_over(synchronous: bool) -> Result<String, String> {
    // Where commits may be lost a mark must be found by looking, whatever came after it: each job has a guest of its own.
    let mut lab =
        if synchronous { Lab::open(&Options::default())? } else { Lab::with_guests(&Options::default(), OWN_GUESTS)? };
    let standby = lab.pg.standby("second", &Options::default()).map_err(|error| error.to_string())?;
    if synchronous {
        lab.pg.set("synchronous_standby_names = 'second'").map_err(|error| error.to_string())?;
    }
    let url = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/rapidlaunch", lab.pg.port(), standby.port());
    let settings = Settings {
        rate: 100,
        jobs: if synchronous { 1_000_000 } else { lab.guests.len() },
        hold_ms: 200,
        store: Place::Url(url),
        ..lab.settings("f")
    };
    let mut worker = settings.start();
    std::thread::sleep(Duration::from_secs(2));
    let before = acks(&worker);
    assert!(before > 0, "nothing was acknowledged: {:?}", worker.lines());
    if !synchronous {
        lag(&standby);
        std::thread::sleep(Duration::from_secs(1));
    }
    lab.pg.stop("immediate").unwrap();
    standby.promote().unwrap();
    let back = at_work(&worker);
    std::thread::sleep(Duration::from_secs(1));
    worker.end(Duration::from_secs(60));
    lab.heard.hear(&worker);
    let acknowledged = lab.heard.marks.len();
    // From here on the standby is the database.
    lab.pg = standby;
    if synchronous {
        lab.settle(&[&worker], "f", &settings);
        lab.close();
        return Ok(format!(
            "{acknowledged} jobs acknowledged, 0 lost, 0 doubled, at work again after {:.1} s",
            back.as_secs_f64()
        ));
    }
    let told = lab.pg.psql("rapidlaunch", "select count(*) from event where kind = 'store.rolled_back'").unwrap();
    assert_ne!(told.trim(), "0", "commits were lost and nobody was told");
    // What the standby never got cannot be there; what was done for it outside may be, and only once.
    let kept = kept(&lab.pg);
    let lost = lab.heard.operations.iter().filter(|id| !kept.contains(*id)).count();
    // Marks of operations that are gone are owed to nobody any more; all others are.
    lab.heard.marks.clear();
    for line in worker.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["ack", operation, marks @ ..] = words.as_slice()
            && kept.contains(*operation)
        {
            lab.heard.marks.extend(marks.iter().map(|mark| (*mark).to_owned()));
        }
    }
    lab.settle(&[], "f", &settings);
    lab.close();
    assert!(lost > 0, "the standby had everything, so nothing was shown");
    Ok(format!(
        "{lost} operations, of {} jobs acknowledged, were not on the standby: told by an event; every running step looked at, 0 doubled; at work again after {:.1} s",
        acknowledged,
        back.as_secs_f64()
    ))
}

/// The standby gets nothing from now on.
fn lag(standby: &PgServer) {
    standby.psql("postgres", "alter system set primary_conninfo = ''").unwrap();
    standby.psql("postgres", "select pg_reload_conf()").unwrap();
    std::thread::sleep(Duration::from_millis(300));
}

/// The operations that a database has.
fn kept(pg: &PgServer) -> std::collections::BTreeSet<String> {
    pg.psql("rapidlaunch", "select id from operation").unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn row_14_the_connection_dies_at_commit() {
    let how = "a proxy before PostgreSQL cuts the connection at COMMIT: the server gets the commit, the worker never hears of it";
    row("14", "commit unknown", how, || {
        let mut lab = match Lab::open(&Options::default()) {
            Ok(lab) => lab,
            Err(why) => return Outcome::Skipped(why),
        };
        let proxy = Proxy::before(lab.address());
        let url = lab.url_at("127.0.0.1", proxy.port());
        let settings = Settings { rate: 100, jobs: 1_000_000, store: Place::Url(url), ..lab.settings("c") };
        let mut worker = settings.start();
        std::thread::sleep(Duration::from_secs(1));
        let rounds = size(5, 40);
        for _ in 0..rounds {
            let before = proxy.cuts();
            proxy.cut_commits(1);
            until("a commit is cut", BACK, || proxy.cuts() > before);
            at_work(&worker);
        }
        worker.end(Duration::from_secs(60));
        let refused = worker.lines().iter().filter(|line| line.starts_with("refused")).count();
        lab.settle(&[&worker], "c", &settings);
        let jobs = lab.heard.marks.len();
        lab.close();
        Outcome::Pass(format!(
            "{rounds} commits cut: {jobs} jobs acknowledged, {refused} submits refused, 0 lost, 0 doubled"
        ))
    });
}
