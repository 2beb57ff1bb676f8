//! What goes wrong in the middle of a step, and what it comes to.

use std::sync::Arc;
use std::time::Duration;

use pve_sim::{Action as Fault, Loss};
use rl_engine::{Journal, OperationId, OperationState, UnixMs};
use rl_model::{ActionKind, Consequence, Memory};
use serde_json::json;

use crate::lab::{self, Lab, create, guest, job, p, update};
use crate::scripted::{CASES, Case, Left, interrupted, snapshot, verb, volumes};

const CREATE: &str = "/nodes/*/lxc";
const CONFIG: &str = "/nodes/*/lxc/*/config";

#[tokio::test(flavor = "multi_thread")]
async fn announced_but_never_called() {
    for name in CASES {
        let case = Case::of(name).await;
        let came = case.lab.run_with(case.jobs.clone(), &interrupted(Left::Intent), |_, _| async {}).await;
        came.must_be(OperationState::Done);
        // A snapshot that was announced and is not there is made; a guest likewise.
        case.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn task_forgotten_by_proxmox() {
    for name in CASES {
        let case = Case::of(name).await;
        let came = case.lab.run_with(case.jobs.clone(), &interrupted(Left::ForgottenTask), |_, _| async {}).await;
        came.must_be(OperationState::Done);
        case.check().await;
    }
}

/// Runs every case with this fault at the first call of each method, and wants it done all the same.
async fn every_case_survives(fault: impl Fn() -> Fault) {
    for name in CASES {
        let case = Case::of(name).await;
        for method in ["POST", "PUT", "DELETE"] {
            case.lab.fault(method, "/nodes/*/lxc**", 1, fault());
        }
        case.lab.run(case.jobs.clone()).await.must_be(OperationState::Done);
        assert!(case.lab.struck().await > 0 || name == "forget", "{name}: nothing was disturbed");
        case.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_lost_after_the_work() {
    every_case_survives(|| Fault::LoseAnswer { how: Loss::Close }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_lost_in_the_proxy() {
    every_case_survives(|| Fault::LoseAnswer { how: Loss::Timeout }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_lost_before_the_work() {
    every_case_survives(|| Fault::LoseRequest { how: Loss::Close }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_lost_in_the_proxy() {
    every_case_survives(|| Fault::LoseRequest { how: Loss::Timeout }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_fails_late_of_something_that_passes() {
    let text = "unable to do it - got lock request timeout".to_owned();
    every_case_survives(|| Fault::FailTask { text: text.clone(), done: false }).await;
}

/// A task that says it failed is not believed where the world shows that the work is done.
#[tokio::test(flavor = "multi_thread")]
async fn task_fails_after_its_work() {
    every_case_survives(|| Fault::FailTask { text: "something odd at the very end".to_owned(), done: true }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_because_of_a_busy_lock() {
    let message = "can't lock file '/run/lock/lxc/pve-config-2001.lock' - got timeout".to_owned();
    every_case_survives(|| Fault::Refuse { status: 500, message: message.clone() }).await;
}

/// The first call comes late: after the look that follows its lost answer, before the next call, which is then refused.
/// What the first one did is still known to be ours.
#[tokio::test(flavor = "multi_thread")]
async fn refused_because_a_lost_call_came_late() {
    // The client itself sends a change that names a digest up to five times.
    for (name, method, path, sent) in [("drop", "PUT", CONFIG, 5), ("snapshot", "POST", "/nodes/*/lxc/*/snapshot", 1)] {
        let case = Case::of(name).await;
        for nth in 1..=sent {
            case.lab.fault(method, path, nth, Fault::LoseRequest { how: Loss::Timeout });
        }
        let message = "detected modified configuration - file changed by other user? Try again.".to_owned();
        case.lab.fault(method, path, sent + 1, Fault::Overtake { status: 500, message });
        let came = case.lab.run(case.jobs.clone()).await;
        came.must_be(OperationState::Done);
        assert_eq!(case.lab.struck().await, sent + 1, "{name}: nothing was disturbed");
        case.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quorum_lost_for_a_while() {
    every_case_survives(|| Fault::Refuse { status: 500, message: "cluster not ready - no quorum?".to_owned() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_in_the_middle() {
    for name in CASES.into_iter().filter(|name| !matches!(*name, "create" | "replace" | "move" | "snapshot")) {
        let case = Case::of(name).await;
        for method in ["POST", "PUT", "DELETE"] {
            case.lab.fault(method, "/nodes/*/lxc**", 1, Fault::KillTask {});
        }
        case.lab.run(case.jobs.clone()).await.must_be(OperationState::Done);
        case.check().await;
    }
}

/// A killed move or snapshot leaves its lock, which no API call takes off: told, and nothing is done by force.
#[tokio::test(flavor = "multi_thread")]
async fn lock_left_by_a_killed_worker_is_named() {
    for (name, lock) in [("move", "migrate"), ("snapshot", "snapshot")] {
        let mut case = Case::of(name).await;
        case.jobs[0].max_attempts = 4;
        case.lab.fault("POST", "/nodes/*/lxc/*/*", 1, Fault::KillTask {});
        let came = case.lab.run(case.jobs.clone()).await;
        came.must_be(OperationState::Failed);
        assert!(came.text().contains(&format!("locked ({lock})")), "{}", came.text());
    }
}

/// `lock: create` without a task that would take it off: a person must, and is told how.
#[tokio::test(flavor = "multi_thread")]
async fn create_whose_worker_was_killed_is_blocked() {
    let (lab, guest) = (Lab::new().await, guest(1, true));
    lab.book.reserve(&guest);
    lab.fault("POST", CREATE, 1, Fault::KillTask {});
    let came = lab.run(job(&lab, &guest, create(&guest))).await;
    came.must_be(OperationState::Blocked);
    insta::assert_snapshot!(came.text(), @"create web-1 is blocked: create container: container 2001 on node pve1 has the lock `create`, and no task runs that would take it off (when nobody else needs it, run `pct unlock 2001` and `pct destroy 2001` on node pve1, then retry: the API cannot do it)");
    assert_eq!(lab.guest(guest.vmid).await.unwrap()["config"]["lock"], "create");
    assert_eq!(lab.done(guest.vmid, "destroy"), 0);
}

/// The same while the job is taken back: nothing is forgotten silently.
#[tokio::test(flavor = "multi_thread")]
async fn undo_of_a_create_whose_worker_was_killed_is_blocked() {
    let (lab, guest) = (Lab::new().await, guest(1, true));
    lab.book.reserve(&guest);
    lab.fault("POST", CREATE, 1, Fault::KillTask {});
    let cancel = |journal: Arc<dyn Journal>, id| async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        journal.request_cancel(id, "test".to_owned(), UnixMs(0)).await.unwrap();
    };
    let came = lab.run_with(job(&lab, &guest, create(&guest)), &rl_ops::registry(), cancel).await;
    came.must_be(OperationState::Blocked);
    assert!(
        came.text().contains("undoing create container") && came.text().contains("pct unlock 2001"),
        "{}",
        came.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_create_leaves_nothing() {
    let (lab, guest) = (Lab::new().await, guest(1, true));
    lab.book.reserve(&guest);
    lab.fault("POST", CREATE, 1, Fault::FailTask { text: "tar: no space left on device".to_owned(), done: false });
    let came = lab.run(job(&lab, &guest, create(&guest))).await;
    came.must_be(OperationState::Failed);
    assert!(came.text().contains("no space left on device"), "{}", came.text());
    assert_eq!((lab.guest(guest.vmid).await, volumes(&lab).await), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn create_whose_guest_cannot_start_is_taken_back() {
    let (lab, mut guest) = (Lab::new().await, guest(1, true));
    guest.nics[0].bridge = p("vmbr7");
    lab.book.reserve(&guest);
    let came = lab.run(job(&lab, &guest, create(&guest))).await;
    came.must_be(OperationState::Failed);
    assert!(came.text().contains("bridge 'vmbr7' does not exist"), "{}", came.text());
    assert_eq!((lab.guest(guest.vmid).await, volumes(&lab).await), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_held_by_somebody_is_waited_out() {
    for name in ["update", "drop", "move", "stop", "remove", "replace", "restart", "snapshot"] {
        let case = Case::of(name).await;
        let held = json!({ "do": "hold-lock", "vmid": 2001, "lock": "backup", "seconds": 0.25 });
        case.lab.control("POST", "/act", held).await;
        case.lab.run(case.jobs.clone()).await.must_be(OperationState::Done);
        case.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_lost_and_back() {
    for name in ["update", "stop", "start", "remove", "restart"] {
        let case = Case::of(name).await;
        let lost = || Fault::DropNode { node: "pve1".to_owned(), seconds: 0.6 };
        for method in ["POST", "PUT", "DELETE"] {
            case.lab.fault(method, "/nodes/pve1/lxc/**", 1, lost());
        }
        case.lab.run(case.jobs.clone()).await.must_be(OperationState::Done);
        assert!(case.lab.struck().await > 0, "{name}");
        if name == "remove" || name == "stop" || name == "start" || name == "restart" {
            case.check().await;
        }
    }
}

/// Changes a guest past the API while the first configuration write of a job is on its way.
async fn changed_meanwhile(
    lab: &Lab,
    old: &rl_model::ResolvedGuest,
    kind: ActionKind,
    config: serde_json::Value,
) -> crate::lab::Came {
    lab.fault("PUT", CONFIG, 1, Fault::Delay { seconds: 0.4 });
    let change = async |_: Arc<dyn Journal>, _: OperationId| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        lab.control("POST", "/guests", json!({ "vmid": 2001, "config": config })).await;
    };
    lab.run_with(job(lab, old, kind), &rl_ops::registry(), change).await
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_changed_underneath_is_read_again() {
    let (lab, old) = (Lab::new().await, guest(1, true));
    lab.make(&old).await;
    let new = rl_model::ResolvedGuest { cores: 3, ..old.clone() };
    let came = changed_meanwhile(&lab, &old, update(&old, &new, Consequence::Keep), json!({ "cpuunits": "77" })).await;
    came.must_be(OperationState::Done);
    assert_eq!(
        (lab.config(old.vmid, "cores").await.as_str(), lab.config(old.vmid, "cpuunits").await.as_str()),
        ("3", "77")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn value_changed_underneath_is_not_overwritten() {
    let (lab, old) = (Lab::new().await, guest(1, true));
    lab.make(&old).await;
    let new = rl_model::ResolvedGuest { memory: Memory::from_mib(512), cores: 3, ..old.clone() };
    let came = changed_meanwhile(&lab, &old, update(&old, &new, Consequence::Keep), json!({ "memory": "2048" })).await;
    came.must_be(OperationState::Blocked);
    insta::assert_snapshot!(came.text(), @"update web-1 is blocked: change configuration: web-1 (VMID 2001): `memory` is `2048` now; the plan saw `256` and wants `512`. Somebody changed it in between, so it was not written (cancel this operation and plan again, to see the difference and decide)");
    assert_eq!(
        (lab.config(old.vmid, "memory").await.as_str(), lab.config(old.vmid, "cores").await.as_str()),
        ("2048", "1")
    );
}

/// Cancels as soon as the simulated site has a task of this type under way.
async fn cancel_during(lab: &Lab, jobs: Vec<rl_engine::JobSpec>, task: &str) -> crate::lab::Came {
    let cancel = async |journal: Arc<dyn Journal>, id: OperationId| {
        for _ in 0..2_000 {
            if running_tasks(lab).await.iter().any(|kind| kind == task) {
                return journal.request_cancel(id, "test".to_owned(), UnixMs(0)).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("no task {task} was ever under way");
    };
    lab.run_with(jobs, &rl_ops::registry(), cancel).await
}

async fn running_tasks(lab: &Lab) -> Vec<String> {
    use rl_pve::api::tasks::{TaskQuery, TaskSource, list};
    let mut kinds = Vec::new();
    for node in ["pve1", "pve2"] {
        let query = TaskQuery { source: TaskSource::Active, since: None, limit: 100, about: None };
        let rows = lab.api.pve().send(list(&p(node), &query)).await.unwrap();
        kinds.extend(rows.0.into_iter().map(|row| row.kind));
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_create_stops_its_task_and_leaves_nothing() {
    let (lab, guest) = (Lab::new().await, guest(1, true));
    lab.book.reserve(&guest);
    lab.fault("POST", CREATE, 1, Fault::HangTask {});
    let came = cancel_during(&lab, job(&lab, &guest, create(&guest)), "vzcreate").await;
    came.must_be(OperationState::Cancelled);
    assert_eq!((lab.guest(guest.vmid).await, volumes(&lab).await), (None, 0));
    assert!(running_tasks(&lab).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn create_cancelled_while_it_starts_leaves_nothing() {
    let (lab, guest) = (Lab::new().await, guest(1, true));
    lab.book.reserve(&guest);
    let came = cancel_during(&lab, job(&lab, &guest, create(&guest)), "vzstart").await;
    // A cancellation that comes after the last step finds the work done.
    if came.state == OperationState::Done {
        return assert_eq!(lab.done(guest.vmid, "create"), 1);
    }
    came.must_be(OperationState::Cancelled);
    assert_eq!((lab.guest(guest.vmid).await, volumes(&lab).await), (None, 0));
    assert!(running_tasks(&lab).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_tasks_of_other_steps_are_stopped() {
    for (name, task, path) in [
        ("start", "vzstart", "/nodes/*/lxc/*/status/start"),
        ("stop", "vzshutdown", "/nodes/*/lxc/*/status/shutdown"),
        ("move", "vzmigrate", "/nodes/*/lxc/*/migrate"),
        ("snapshot", "vzsnapshot", "/nodes/*/lxc/*/snapshot"),
    ] {
        let case = Case::of(name).await;
        case.lab.fault("POST", path, 1, Fault::HangTask {});
        let came = cancel_during(&case.lab, case.jobs.clone(), task).await;
        came.must_be(OperationState::Cancelled);
        assert!(running_tasks(&case.lab).await.is_empty(), "{name}");
        assert_eq!(case.lab.config(case.guest.vmid, "lock").await, "", "{name}");
    }
}

/// A create whose answer was lost, and which begins only after the operation was cancelled: it is waited for and taken back.
#[tokio::test(flavor = "multi_thread")]
async fn late_create_is_not_left_behind() {
    let (lab, guest) = (Lab::new().await, guest(1, false));
    lab.book.reserve(&guest);
    lab.fault("POST", CREATE, 1, Fault::LoseRequest { how: Loss::Timeout });
    let late = async |journal: Arc<dyn Journal>, id| {
        while lab.struck().await == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        journal.request_cancel(id, "test".to_owned(), UnixMs(0)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(120)).await;
        let send = rl_pve::api::lxc::create(&guest.node, &guest, &lab::stamp(&guest), false);
        lab.api.pve().send(send).await.unwrap();
    };
    // The world's clock: how long a lost call may still begin is reckoned in the site's time by ours.
    let clock = Arc::new(rl_engine::SystemClock::new());
    let came = lab.run_by(clock, job(&lab, &guest, create(&guest)), &rl_ops::registry(), late).await;
    came.must_be(OperationState::Cancelled);
    assert_eq!((lab.guest(guest.vmid).await, volumes(&lab).await), (None, 0));
    assert_eq!((lab.done(guest.vmid, "create"), lab.done(guest.vmid, "destroy")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_of_a_taken_name_is_refused() {
    let (lab, guest) = (Lab::new().await, guest(1, true));
    lab.make(&guest).await;
    lab.run(vec![verb(&guest, snapshot("before"))]).await.must_be(OperationState::Done);
    let came = lab.run(vec![verb(&guest, snapshot("before"))]).await;
    came.must_be(OperationState::Failed);
    assert!(came.text().contains("has a snapshot `before` already"), "{}", came.text());
    assert_eq!(lab.done(guest.vmid, "snapshot"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn guest_that_went_is_told() {
    for name in ["update", "stop", "start", "restart", "snapshot"] {
        let case = Case::of(name).await;
        case.lab.control("DELETE", "/guests/2001", serde_json::Value::Null).await;
        let came = case.lab.run(case.jobs.clone()).await;
        came.must_be(OperationState::Blocked);
        assert!(came.text().contains("no guest has VMID 2001 on site fra1 any more"), "{name}: {}", came.text());
        assert_eq!(case.lab.guest(p("2001")).await, None);
    }
}

/// Creates whose lock domains and gates are shared are all made, each once.
#[tokio::test(flavor = "multi_thread")]
async fn many_creates_with_lost_answers_make_each_once() {
    let lab = Lab::new().await;
    let guests: Vec<_> = (1..=12)
        .map(|number| {
            let mut one = guest(number, true);
            one.node = p(["pve1", "pve2", "pve3"][usize::from(number) % 3]);
            one
        })
        .collect();
    guests.iter().for_each(|guest| lab.book.reserve(guest));
    let when = pve_sim::When { method: Some("POST".to_owned()), probability: Some(0.5), ..pve_sim::When::default() };
    let action = Fault::LoseAnswer { how: Loss::Close };
    lab.sim.add_faults(vec![pve_sim::Fault { name: None, when, action }]);
    let actions = (0..).zip(&guests).map(|(id, guest)| lab::action(id, guest, create(guest))).collect();
    lab.run(lab::jobs(&lab, actions)).await.must_be(OperationState::Done);
    assert!(lab.struck().await > 0);
    lab.sim.clear_faults();
    for guest in &guests {
        assert_eq!((lab.done(guest.vmid, "create"), lab.done(guest.vmid, "destroy")), (1, 0), "{}", guest.name);
    }
    assert!(rl_ops::prove(&lab.sites(), &lab::stack(&guests), 0).await.ok);
}
