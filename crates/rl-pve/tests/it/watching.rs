//! Following tasks: few requests, no end missed, nothing lost when the follower goes away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rl_model::{NodeName, Upid};
use rl_pve::{ErrorKind, Pve, TaskEnd};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Seen, ok, refuse};
use crate::samples::p;

/// A task of the made-up node.
#[derive(Clone)]
struct Task {
    began: Instant,
    takes: Duration,
    end: &'static str,
    /// How long it is unknown to lists and status.
    hidden: Duration,
    /// Whether lists leave it out altogether.
    unlisted: bool,
}

impl Task {
    fn new(takes_ms: u64, end: &'static str) -> Self {
        let takes = Duration::from_millis(takes_ms);
        Self { began: Instant::now(), takes, end, hidden: Duration::ZERO, unlisted: false }
    }
}

#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<HashMap<String, Task>>>);

impl Tasks {
    fn add(&self, node: &str, number: u32, task: Task) -> Upid {
        let upid = format!("UPID:{node}:{number:08X}:000331FD:6B0329D9:vzcreate:{number}:deploy@pve!full:");
        self.0.lock().unwrap().insert(upid.clone(), task);
        p(&upid)
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let path = seen.target.split('?').next().unwrap().replace("%3A", ":").replace("%40", "@").replace("%21", "!");
        let parts: Vec<&str> = path.split('/').collect();
        let tasks = self.0.lock().unwrap();
        if parts.len() == 4 {
            let node = format!("UPID:{}:", parts[2]);
            let shown = |(upid, task): (&String, &Task)| {
                let running = task.began.elapsed() < task.takes;
                let status = if running { "RUNNING" } else { task.end };
                json!({"upid": upid, "type": "vzcreate", "starttime": 1_795_372_505, "status": status, "saved": "0"})
            };
            let visible = |(upid, task): &(&String, &Task)| {
                upid.starts_with(&node) && !task.unlisted && task.began.elapsed() >= task.hidden
            };
            return ok(tasks.iter().filter(visible).map(shown).collect::<Vec<Value>>());
        }
        match tasks.get(parts[4]).filter(|task| task.began.elapsed() >= task.hidden) {
            None => Reply::Answer {
                status: 400,
                reason: "Parameter verification failed.".into(),
                body: json!({"data": null, "errors": {"upid": "no such task"}}).to_string(),
            },
            Some(task) if task.began.elapsed() < task.takes => ok(json!({"status": "running"})),
            Some(task) => ok(json!({"status": "stopped", "exitstatus": task.end})),
        }
    }

    async fn serve(&self) -> Fake {
        let tasks = self.clone();
        Fake::start(move |seen| tasks.answer(seen)).await
    }
}

#[tokio::test]
async fn every_kind_of_end_is_told() {
    let tasks = Tasks::default();
    let fake = tasks.serve().await;
    let pve = fake.client();
    let upids = [
        tasks.add("pve1", 1, Task::new(20, "OK")),
        tasks.add("pve1", 2, Task::new(20, "WARNINGS: 3")),
        tasks.add("pve1", 3, Task::new(20, "unable to create CT 3 - disk full")),
        tasks.add("pve1", 4, Task::new(20, "unexpected status")),
    ];
    let ends = futures::future::join_all(upids.iter().map(|upid| pve.watch(upid))).await;
    let ends: Vec<TaskEnd> = ends.into_iter().map(Result::unwrap).collect();
    assert_eq!(ends[0], TaskEnd::Ok);
    assert_eq!(ends[1], TaskEnd::Warnings(3));
    assert_eq!(ends[2], TaskEnd::Failed("unable to create CT 3 - disk full".into()));
    assert_eq!(ends[3], TaskEnd::Failed("unexpected status".into()));
    assert!(ends[1].is_success() && !ends[3].is_success());
    assert_eq!(fake.seen().len(), 1, "one list answers for all of them");
    assert!(fake.seen()[0].target.contains("source=all&since=1795369433&limit="), "{}", fake.seen()[0].target);
}

#[tokio::test]
async fn a_task_that_lists_do_not_show_is_asked_for_itself() {
    let tasks = Tasks::default();
    let fake = tasks.serve().await;
    let hidden = tasks.add("pve1", 1, Task { unlisted: true, ..Task::new(150, "OK") });
    assert_eq!(fake.client().watch(&hidden).await.unwrap(), TaskEnd::Ok);
    assert!(fake.seen().iter().any(|seen| seen.target.ends_with("/status")));
}

#[tokio::test]
async fn a_task_may_be_unknown_at_first_and_is_given_up_later() {
    let tasks = Tasks::default();
    let fake = tasks.serve().await;
    let pve = fake.client();
    let late = Task { hidden: Duration::from_millis(60), ..Task::new(20, "OK") };
    let late = tasks.add("pve1", 1, late);
    assert_eq!(pve.watch_earlier(&late).await.unwrap(), TaskEnd::Ok);
    let never: Upid = p("UPID:pve1:00000009:000331FD:6B0329D9:vzcreate:9:deploy@pve!full:");
    let began = Instant::now();
    assert_eq!(pve.watch_earlier(&never).await.unwrap(), TaskEnd::Unknown);
    assert!(began.elapsed() > Duration::from_millis(450), "it is not given up too soon");
}

#[tokio::test]
async fn a_follower_that_goes_away_ends_the_questions() {
    let tasks = Tasks::default();
    let fake = tasks.serve().await;
    let pve = fake.client();
    let long = tasks.add("pve1", 1, Task::new(600_000, "OK"));
    let waiting = tokio::time::timeout(Duration::from_millis(400), pve.watch(&long)).await;
    assert!(waiting.is_err());
    tokio::time::sleep(Duration::from_millis(600)).await;
    let asked = fake.seen().len();
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(fake.seen().len(), asked, "nobody waits, nobody asks");
    tasks.0.lock().unwrap().get_mut(long.as_str()).unwrap().takes = Duration::ZERO;
    assert_eq!(pve.watch(&long).await.unwrap(), TaskEnd::Ok, "and it can be followed again");
}

#[tokio::test]
async fn two_followers_of_one_task_hear_the_same() {
    let tasks = Tasks::default();
    let fake = tasks.serve().await;
    let pve = fake.client();
    let upid = tasks.add("pve1", 1, Task::new(30, "OK"));
    let (one, two) = tokio::join!(pve.watch(&upid), pve.watch_earlier(&upid));
    assert_eq!((one.unwrap(), two.unwrap()), (TaskEnd::Ok, TaskEnd::Ok));
}

#[tokio::test]
async fn what_cannot_be_followed_is_told_at_once() {
    let fake = Fake::start(|_| refuse(401, "No ticket")).await;
    let upid = Tasks::default().add("pve1", 1, Task::new(1, "OK"));
    assert_eq!(*fake.client().watch(&upid).await.unwrap_err().kind(), ErrorKind::Unauthorized);
    let fake = Fake::start(|seen| {
        if seen.target.contains("/status") {
            refuse(403, "Permission check failed (/nodes/pve1, Sys.Audit)")
        } else {
            ok(json!([]))
        }
    })
    .await;
    assert!(matches!(fake.client().watch(&upid).await.unwrap_err().kind(), ErrorKind::Forbidden { .. }));
}

#[tokio::test]
async fn a_node_that_does_not_answer_for_a_while_is_waited_for() {
    let tasks = Tasks::default();
    let upid = tasks.add("pve1", 1, Task::new(30, "OK"));
    let count = std::sync::atomic::AtomicUsize::new(0);
    let fake = Fake::start(move |seen| {
        let early = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 7;
        if early { refuse(595, "No route to host") } else { tasks.answer(seen) }
    })
    .await;
    assert_eq!(fake.client().watch(&upid).await.unwrap(), TaskEnd::Ok);
}

/// Makes `count` containers on each node, `width` at once, as an apply does.
async fn create_many(pve: &Pve, tasks: &Tasks, nodes: u32, count: u32, width: u32, takes: impl Fn(u32) -> u64 + Copy) {
    let lane = |node: u32, lane: u32| async move {
        for n in (lane..count).step_by(width as usize) {
            let number = node * 1_000 + n;
            let upid = tasks.add(&format!("pve{node}"), number, Task::new(takes(number), "OK"));
            assert_eq!(pve.watch(&upid).await.unwrap(), TaskEnd::Ok);
        }
    };
    let lanes = (1..=nodes).flat_map(|node| (0..width).map(move |l| lane(node, l)));
    futures::future::join_all(lanes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_many_creates_costs_less_than_one_and_a_half_calls_each() {
    let tasks = Tasks::default();
    let fake = tasks.serve().await;
    let pve = fake.client();
    let _: NodeName = p("pve1");
    // 2 to 4 s of the site's time on its fifty times quicker clock: 40 to 80 ms.
    let takes = |number: u32| 40 + u64::from(number.wrapping_mul(2_654_435_761) >> 16) % 40;
    create_many(&pve, &tasks, 5, 60, 2, takes).await;
    let calls = pve.calls_total();
    assert!(calls < 450, "{calls} calls for 300 tasks");
}
