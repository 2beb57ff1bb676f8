//! Nodes that are away, privileges that lack, things that are not there, and everything at once.

use std::collections::BTreeMap;

use pve_sim::{Action as Fault, Loss, When};
use rl_engine::{JobState, OperationState};
use rl_model::{ActionKind, ResolvedGuest};
use rl_ops::prove;
use serde_json::{Value, json};

use crate::lab::{FACTOR, Lab, action, create, guest, job, jobs, p, stack};
use crate::scripted::{Case, volumes};

/// Whether a guest is gone is known from the cluster; the node it lay on need not answer.
#[tokio::test(flavor = "multi_thread")]
async fn guest_is_forgotten_while_its_node_is_down() {
    let (lab, mut gone) = (Lab::new().await, guest(1, true));
    gone.node = p("pve3");
    lab.book.reserve(&gone);
    lab.control("POST", "/nodes/pve3/down", Value::Null).await;
    lab.run(job(&lab, &gone, ActionKind::Forget)).await.must_be(OperationState::Done);
    assert!(lab.book.page(&gone.id).unwrap().released);
}

/// What came back under its stamp is not given up.
#[tokio::test(flavor = "multi_thread")]
async fn guest_that_came_back_is_not_forgotten() {
    let (lab, there) = (Lab::new().await, guest(1, true));
    lab.make(&there).await;
    let came = lab.run(job(&lab, &there, ActionKind::Forget)).await;
    came.must_be(OperationState::Blocked);
    assert!(came.text().contains("web-1 is still there, as container 2001 on node pve1"), "{}", came.text());
    assert!(!lab.book.page(&there.id).unwrap().released);
}

/// Somebody moved a guest off a node that is down: it is found where the cluster says it is.
#[tokio::test(flavor = "multi_thread")]
async fn guest_is_followed_off_a_node_that_is_down() {
    let (lab, mut old) = (Lab::new().await, guest(1, false));
    old.node = p("pve3");
    lab.make(&old).await;
    lab.control("POST", "/guests", json!({ "vmid": 2001, "node": "pve2" })).await;
    lab.control("POST", "/nodes/pve3/down", Value::Null).await;
    let new = ResolvedGuest { cores: 2, ..old.clone() };
    let kind = crate::lab::update(&old, &new, rl_model::Consequence::Keep);
    lab.run(job(&lab, &old, kind)).await.must_be(OperationState::Done);
    assert_eq!(lab.config(old.vmid, "cores").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn lacking_privilege_is_for_a_person() {
    let message = "Permission check failed (/vms/2001, VM.PowerMgmt)".to_owned();
    let case = Case::of("stop").await;
    case.lab.fault("POST", "/nodes/*/lxc/*/status/shutdown", 0, Fault::Refuse { status: 403, message });
    let came = case.lab.run(case.jobs.clone()).await;
    came.must_be(OperationState::Blocked);
    assert!(came.text().contains("VM.PowerMgmt") && came.text().contains("site check"), "{}", came.text());
}

/// What is not there does not come by waiting: told at once, and nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn missing_template_and_storage_are_told_at_once() {
    for (image, storage) in [
        ("local:vztmpl/nosuch.tar.zst", "local-zfs"),
        ("local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz", "nosuch"),
    ] {
        let (lab, mut one) = (Lab::new().await, guest(1, true));
        (one.image, one.storage) = (p(image), p(storage));
        lab.book.reserve(&one);
        let came = lab.run(job(&lab, &one, create(&one))).await;
        came.must_be(OperationState::Failed);
        assert!(came.text().contains("nosuch") && came.text().contains("does not exist"), "{}", came.text());
        assert!(!came.text().contains("given up after"), "{}", came.text());
        assert_eq!((lab.guest(one.vmid).await, volumes(&lab).await), (None, 0));
    }
}

/// Everything that can go wrong, each with a small chance, from a seed.
fn storm(lab: &Lab) {
    let fault = |method: &str, path: &str, probability: f64, action| pve_sim::Fault {
        name: None,
        when: When {
            method: Some(method.to_owned()),
            path: Some(path.to_owned()),
            probability: Some(probability),
            ..When::default()
        },
        action,
    };
    let refuse = |message: &str| Fault::Refuse { status: 500, message: message.to_owned() };
    let all = "/nodes/*/lxc**";
    lab.sim.add_faults(vec![
        fault("POST", all, 0.15, Fault::LoseAnswer { how: Loss::Close }),
        fault("POST", all, 0.1, Fault::LoseRequest { how: Loss::Timeout }),
        fault("POST", all, 0.1, Fault::FailTask { text: "got lock request timeout".to_owned(), done: false }),
        fault("POST", all, 0.05, Fault::FailTask { text: "tar: broken pipe".to_owned(), done: false }),
        fault("POST", all, 0.1, refuse("cluster not ready - no quorum?")),
        fault("DELETE", all, 0.2, Fault::LoseAnswer { how: Loss::Timeout }),
        fault("GET", "/**", 0.03, refuse("got timeout")),
        fault("GET", "/**", 0.01, Fault::RestartProxy {}),
        fault("GET", "/**", 0.02, Fault::Delay { seconds: 0.02 }),
    ]);
}

/// Whatever happens: no guest is there twice, a job that is done has its guest, one that failed has left nothing.
#[tokio::test(flavor = "multi_thread")]
async fn storm_of_faults_neither_doubles_nor_leaves_behind() {
    for seed in 1..=4 {
        let lab = Lab::seeded(3, FACTOR, seed).await;
        let guests: Vec<ResolvedGuest> = (1..=15)
            .map(|number| ResolvedGuest {
                node: p(["pve1", "pve2", "pve3"][usize::from(number) % 3]),
                ..guest(number, true)
            })
            .collect();
        guests.iter().for_each(|guest| lab.book.reserve(guest));
        storm(&lab);
        let actions = (0..).zip(&guests).map(|(id, guest)| action(id, guest, create(guest))).collect();
        let came = lab.run(jobs(&lab, actions)).await;
        lab.sim.clear_faults();
        let mut alive: BTreeMap<u32, i64> = BTreeMap::new();
        for effect in lab.ledger().effects {
            let change = i64::from(effect.kind == "create") - i64::from(effect.kind == "destroy");
            *alive.entry(effect.vmid).or_default() += change;
            assert!((0..=1).contains(&alive[&effect.vmid]), "guest {} was made twice", effect.vmid);
        }
        let done = came.jobs.iter().filter(|job| job.status.state == JobState::Done).count();
        assert!(done > guests.len() / 2, "seed {seed}: most get through: {}", came.text());
        for (guest, job) in guests.iter().zip(&came.jobs) {
            assert_eq!(job.spec.key, format!("create {}", guest.name));
            match job.status.state {
                JobState::Done => {
                    let proof = prove(&lab.sites(), &stack(std::slice::from_ref(guest)), 0).await;
                    assert!(proof.ok, "{proof:#?}");
                }
                JobState::Failed => assert_eq!(lab.guest(guest.vmid).await, None, "{}", came.text()),
                other => panic!("{} is {}: {}", guest.name, other.as_str(), came.text()),
            }
        }
    }
}
