//! How ends are read and when looks are due.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::board::Board;
use super::estimate::{Ended, Estimates};
use super::*;

fn upid(number: u32) -> Upid {
    format!("UPID:pve1:{number:08X}:000331FD:6B0329D9:vzcreate:{number}:a@pve:").parse().unwrap()
}

fn node() -> NodeName {
    "pve1".parse().unwrap()
}

fn ended(ran_ms: Option<u64>, seen_ms: u64, took_s: Option<u64>) -> Ended {
    Ended {
        ran_at: ran_ms.map(Duration::from_millis),
        seen_at: Duration::from_millis(seen_ms),
        took: took_s.map(Duration::from_secs),
    }
}

#[test]
fn exit_statuses_are_read_as_proxmox_means_them() {
    assert_eq!(TaskEnd::of_status("OK"), TaskEnd::Ok);
    assert_eq!(TaskEnd::of_status("WARNINGS: 12"), TaskEnd::Warnings(12));
    assert_eq!(TaskEnd::of_status("WARNINGS: many"), TaskEnd::Failed("WARNINGS: many".into()));
    assert_eq!(TaskEnd::of_status("OK\u{1b}[0m"), TaskEnd::Failed("OK[0m".into()));
    assert_eq!(TaskEnd::of_status(""), TaskEnd::Failed(String::new()));
}

#[test]
fn estimates_follow_what_is_seen() {
    let mut estimates = Estimates::new(Pace::REAL);
    for _ in 0..60 {
        let now = estimates.of("vzcreate");
        let late = (now < Duration::from_secs(9)).then_some(now);
        let seen = if late.is_some() { 9_500 } else { now.as_millis() as u64 };
        estimates.learn("vzcreate", &ended(late.map(|l| l.as_millis() as u64), seen, None));
    }
    let learnt = estimates.of("vzcreate");
    assert!((8..=10).contains(&learnt.as_secs()), "{learnt:?}");
    estimates.learn("vzcreate", &ended(None, 9_000, Some(2)));
    assert_eq!(estimates.of("vzcreate"), Duration::from_secs(2), "the node's clock knows better");
    assert_eq!(Estimates::new(Pace::times(10.0)).of("vzstart"), Duration::from_millis(200));
}

proptest! {
    #[test]
    fn estimates_stay_within_bounds(ends in prop::collection::vec((any::<bool>(), 0u64..10_000_000, 0u64..10_000), 1..50)) {
        let mut estimates = Estimates::new(Pace::REAL);
        for (late, seen, took) in ends {
            estimates.learn("vzcreate", &ended(late.then_some(seen / 2), seen, Some(took)));
            let now = estimates.of("vzcreate");
            prop_assert!(now >= Duration::from_millis(200) && now <= Duration::from_secs(60));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_look_is_when_the_task_usually_ends() {
    let mut board = Board::new(Pace::REAL);
    let began = Instant::now();
    let (_end, first) = board.join(&upid(1), false, 10).unwrap();
    assert!(first);
    let (next, _) = board.next_look(&node()).unwrap();
    assert!(next - began >= Duration::from_secs(5) && next - began < Duration::from_secs(6));
    let (_earlier, first) = board.join(&upid(2), true, 10).unwrap();
    assert!(!first, "the node has a watcher already");
    let (next, _) = board.next_look(&node()).unwrap();
    assert!(next - began < Duration::from_secs(1), "one started earlier is looked at at once");
}

#[tokio::test(start_paused = true)]
async fn looks_at_a_long_task_grow_rarer() {
    let mut board = Board::new(Pace::REAL);
    let (_end, _) = board.join(&upid(1), false, 10).unwrap();
    let mut looks = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3_600) {
        let (next, _) = board.next_look(&node()).unwrap();
        advance(next - Instant::now()).await;
        looks += 1;
        board.still_runs(&upid(1), Duration::from_millis(500), Duration::from_secs(15));
    }
    assert!((200..350).contains(&looks), "{looks} looks in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_node_without_followers_leaves_the_board() {
    let mut board = Board::new(Pace::REAL);
    let (end, _) = board.join(&upid(1), false, 10).unwrap();
    drop(end);
    assert!(board.next_look(&node()).is_none());
    let (_end, first) = board.join(&upid(1), false, 10).unwrap();
    assert!(first, "and needs a new watcher");
    assert!(board.join(&upid(2), false, 1).is_none(), "no more than allowed are followed");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stays_silent_is_given_up() {
    let error = PveError::new(&api::tasks::status(&upid(1)).call(), ErrorKind::Unreachable, "silence");
    let mut board = Board::new(Pace::REAL);
    let (mut end, _) = board.join(&upid(1), false, 10).unwrap();
    let patience = Duration::from_secs(180);
    board.failing(&node(), &error, Duration::from_secs(3), patience);
    advance(Duration::from_secs(100)).await;
    board.answered(&node());
    board.failing(&node(), &error, Duration::from_secs(3), patience);
    advance(Duration::from_secs(100)).await;
    board.failing(&node(), &error, Duration::from_secs(3), patience);
    assert!(end.try_recv().is_err(), "an answer in between starts the patience anew");
    advance(patience).await;
    board.failing(&node(), &error, Duration::from_secs(3), patience);
    assert_eq!(*end.try_recv().unwrap().unwrap_err().kind(), ErrorKind::Unreachable);
}
