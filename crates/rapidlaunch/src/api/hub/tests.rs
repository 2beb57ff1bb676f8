//! Goal: a follower misses nothing without being told, gets nothing twice and nothing it may not read. Method: a real store, a hub
//! with little room, followers that are read late.
#![allow(clippy::unwrap_used)]
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use axum::response::{IntoResponse, Sse};
use http_body_util::BodyExt;
use rl_engine::SystemClock;
use rl_model::{Access, AccessPath, Grant, Role};
use rl_store::NewAudit;

use super::*;
use crate::api::caller::Caller;
use crate::work::happenings::Wanted;

struct Lab {
    dir: tempfile::TempDir,
    store: Store,
    hub: Arc<Hub>,
    _end: tokio_util::sync::DropGuard,
}

impl Lab {
    /// A hub with room for so many batches.
    async fn new(room: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Arc::new(SystemClock::new())).await.unwrap();
        let end = CancellationToken::new();
        let hub = Hub::begin(store.clone(), end.clone(), room).await.unwrap();
        Self { dir, store, hub, _end: end.drop_guard() }
    }

    /// A change that the hub has handed on by itself.
    async fn change(&self, path: &str) {
        let seq = self.store.audit(NewAudit::local("maria", "plan.create", path)).await.unwrap();
        until("the hub has read it", || self.hub.newest().changes >= seq).await;
    }

    fn following(&self, role: Role, path: &str) -> Following {
        let caller = caller(role, path);
        let again = caller.clone();
        Following {
            caller,
            renew: Box::new(move || {
                let again = again.clone();
                Box::pin(async move { Some(again) })
            }),
            rights: Box::new(|| 0),
            wanted: Wanted::default(),
            after: None,
            reach: 100,
            _seat: None,
        }
    }

    fn follow(&self, with: Following) -> Heard {
        let response = Sse::new(stream(Follower::new(Arc::clone(&self.hub), with))).into_response();
        Heard { body: response.into_body(), text: String::new() }
    }
}

fn caller(role: Role, path: &str) -> Caller {
    let path: AccessPath = path.parse().unwrap();
    let access = Access::of(vec![Grant::new(role, path)]);
    Caller {
        name: "maria".to_owned(),
        via: "session".to_owned(),
        remote: [127, 0, 0, 1].into(),
        access,
        user: None,
        session: None,
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What a follower was sent.
struct Heard {
    body: axum::body::Body,
    text: String,
}

impl Heard {
    /// The next event as `NAME ID`; none at the end of the stream.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                let event = format!("{} {}", field("event: "), field("id: "));
                self.text = rest.to_owned();
                return Some(event);
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await.unwrap()?;
            self.text += std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap();
        }
    }

    async fn some(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.next().await.unwrap_or_else(|| "the end".to_owned()));
        }
        all
    }
}

#[tokio::test]
async fn a_slow_follower_reads_the_log_and_misses_nothing() {
    let lab = Lab::new(2).await;
    let mut heard = lab.follow(lab.following(Role::Viewer, "/"));
    for _ in 0..6 {
        lab.change("/stacks/shop").await;
    }
    let expected = ["ready 0-0", "change 0-1", "change 0-2", "change 0-3", "change 0-4", "change 0-5", "change 0-6"];
    assert_eq!(heard.some(7).await, expected);
    lab.change("/stacks/shop").await;
    assert_eq!(heard.next().await.unwrap(), "change 0-7");
}

#[tokio::test]
async fn what_nobody_follows_is_passed_over_and_still_there_for_who_comes_back() {
    let lab = Lab::new(2).await;
    for _ in 0..3 {
        lab.change("/stacks/shop").await;
    }
    // Beginning now and coming back both begin at the right place, and from here on everything comes by itself.
    let mut new = lab.follow(lab.following(Role::Viewer, "/"));
    let mut back = lab.follow(Following { after: "0-1".parse().ok(), ..lab.following(Role::Viewer, "/") });
    assert_eq!(new.next().await.unwrap(), "ready 0-3");
    assert_eq!(back.some(3).await, ["ready 0-1", "change 0-2", "change 0-3"]);
    lab.change("/stacks/shop").await;
    assert_eq!((new.next().await.unwrap(), back.next().await.unwrap()), ("change 0-4".into(), "change 0-4".into()));
}

#[tokio::test]
async fn one_that_falls_too_far_behind_is_told_to_fetch_anew() {
    let lab = Lab::new(2).await;
    let mut heard = lab.follow(Following { reach: 3, ..lab.following(Role::Viewer, "/") });
    for _ in 0..6 {
        lab.change("/stacks/shop").await;
    }
    assert_eq!(heard.some(2).await, ["ready 0-0", "resync 0-6"]);
    lab.change("/stacks/shop").await;
    assert_eq!(heard.next().await.unwrap(), "change 0-7");
    let place = |text: &str| Some(text.parse().unwrap());
    for (after, expected) in
        [("0-3", "resync 0-7"), ("0-4", "change 0-5"), ("0-8", "resync 0-7"), ("1-7", "resync 0-7")]
    {
        let with = Following { reach: 3, after: place(after), ..lab.following(Role::Viewer, "/") };
        assert_eq!(lab.follow(with).some(2).await, [format!("ready {after}"), expected.to_owned()]);
    }
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_not_skipped_silently() {
    let lab = Lab::new(2).await;
    let mut live = lab.follow(lab.following(Role::Viewer, "/"));
    for _ in 0..4 {
        lab.change("/stacks/shop").await;
    }
    delete(lab.dir.path(), "delete from audit where seq <= 2");
    let after = Some("0-1".parse().unwrap());
    let mut late = lab.follow(Following { after, ..lab.following(Role::Viewer, "/") });
    assert_eq!(late.some(2).await, ["ready 0-1", "resync 0-4"]);
    // It was never read, and lost its batches too.
    assert_eq!(live.some(2).await, ["ready 0-0", "resync 0-4"]);
    let after = Some("0-2".parse().unwrap());
    let mut whole = lab.follow(Following { after, ..lab.following(Role::Viewer, "/") });
    assert_eq!(whole.some(3).await, ["ready 0-2", "change 0-3", "change 0-4"]);
}

/// Runs a statement on the database beside the store.
fn delete(dir: &Path, sql: &str) {
    let connection = rusqlite::Connection::open(dir.join("rapidlaunch.db")).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection.execute(sql, []).unwrap();
}

#[tokio::test]
async fn everybody_is_told_of_what_they_may_read_and_want() {
    let lab = Lab::new(64).await;
    let mut shop = lab.follow(lab.following(Role::Viewer, "/stacks/shop"));
    let mut everything = lab.follow(lab.following(Role::Viewer, "/"));
    let mut admin = lab.follow(lab.following(Role::Admin, "/"));
    let wanted = Wanted { stacks: vec!["blog".to_owned()], ..Wanted::default() };
    let mut blog = lab.follow(Following { wanted, ..lab.following(Role::Admin, "/") });
    for path in ["/stacks/blog", "/users/otto", "/sites/fra1", "/stacks/shop"] {
        lab.change(path).await;
    }
    assert_eq!(shop.some(2).await, ["ready 0-0", "change 0-4"]);
    assert_eq!(everything.some(4).await, ["ready 0-0", "change 0-1", "change 0-3", "change 0-4"]);
    assert_eq!(admin.some(5).await[1..], ["change 0-1", "change 0-2", "change 0-3", "change 0-4"]);
    assert_eq!(blog.some(2).await, ["ready 0-0", "change 0-1"]);
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_what_may_no_longer_be_read() {
    let lab = Lab::new(64).await;
    let (round, now) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Some(caller(Role::Viewer, "/")))));
    let asked = Arc::new(AtomicBool::new(false));
    let (rights, again, noted) = (Arc::clone(&round), Arc::clone(&now), Arc::clone(&asked));
    let with = Following {
        rights: Box::new(move || rights.load(Ordering::Acquire)),
        renew: Box::new(move || {
            noted.store(true, Ordering::Release);
            let caller = again.lock().unwrap().clone();
            Box::pin(async move { caller })
        }),
        ..lab.following(Role::Viewer, "/")
    };
    let mut heard = lab.follow(with);
    lab.change("/stacks/blog").await;
    assert_eq!(heard.some(2).await, ["ready 0-0", "change 0-1"]);
    *now.lock().unwrap() = Some(caller(Role::Viewer, "/stacks/shop"));
    round.fetch_add(1, Ordering::AcqRel);
    lab.change("/stacks/blog").await;
    lab.change("/stacks/shop").await;
    assert_eq!(heard.some(2).await, ["resync 0-1", "change 0-3"]);
    assert!(asked.load(Ordering::Acquire));
    *now.lock().unwrap() = None;
    round.fetch_add(1, Ordering::AcqRel);
    lab.change("/stacks/shop").await;
    assert_eq!(heard.next().await, None);
}

#[test]
fn a_caller_has_so_many_places_and_gives_them_back() {
    let seats = Arc::new(Seats::default());
    let mut taken: Vec<Seat> = (0..SEATS_OF_CALLER).map(|_| seats.take("maria").unwrap()).collect();
    assert!(seats.take("maria").is_none() && seats.take("otto").is_some());
    taken.pop();
    taken.push(seats.take("maria").unwrap());
    assert!(seats.take("maria").is_none());
    drop(taken);
    assert!(seats.is_empty(), "nobody is remembered who does not follow");
}
