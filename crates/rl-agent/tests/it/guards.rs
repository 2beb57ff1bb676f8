//! The world turns against us between an order and its act: nothing wrong is done.

use rl_agent::node::pct::ConfigKeys;
use rl_agent::seal::sha256;
use rl_agent::{CallError, Courier, DeliverFile, FileMode, Given, Order, Refusal, Work};
use rl_model::GuestId;

use crate::lab::{LONG, Lab, keys, order, shell, target};

fn refusal(error: CallError) -> Refusal {
    match error {
        CallError::Refused { refusal, .. } => refusal,
        other => panic!("{other}"),
    }
}

fn push(lab: &Lab, content: &[u8]) -> Order {
    let mode = FileMode::new(0o400).unwrap();
    let (path, owner) = (lab.inside("run/db"), lab.owner());
    order("push", Work::Push(DeliverFile { path, mode, owner, sha256: Some(sha256(content)) }))
}

/// Every way in which the guest under the VMID is not the one that is meant, for a command and for a file.
#[tokio::test]
async fn another_guest_is_not_touched() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    let (vmid, agents) = (target().vmid, server.agents());
    let mut recreated = target();
    recreated.stamp.guest = GuestId::from_bits(8);
    let with = |key: &str, value: &str| {
        let mut keys = keys(&target());
        keys.insert(key.to_owned(), value.to_owned());
        keys
    };
    let worlds: [(&str, Option<ConfigKeys>); 6] = [
        ("the guest went, and another has its VMID", Some(keys(&recreated))),
        ("a stranger without a stamp has it", Some(with("description", ""))),
        ("its stamp's tag was taken off", Some(with("tags", "web"))),
        ("a clone carries our stamp", Some(with("net0", "name=eth0,hwaddr=BC:24:11:00:00:99"))),
        ("net0 and net1 were swapped", Some(with("net0", "name=eth1,hwaddr=BC:24:11:00:00:02"))),
        ("it migrated, or this is the wrong node", None),
    ];
    for (world, config) in worlds {
        match config {
            Some(keys) => lab.machine.guests.lock().unwrap().insert(vmid, keys),
            None => lab.machine.guests.lock().unwrap().remove(&vmid),
        };
        for work in [order("exec", shell("true")), push(&lab, b"secret"), order("list", Work::Config)] {
            let input = Given::input(b"secret".to_vec());
            let input = if matches!(work.work, Work::Push(_)) { input } else { Given::default() };
            let refusal = refusal(agents.call(&lab.post, work, input, LONG, LONG).await.unwrap_err());
            assert!(matches!(refusal, Refusal::NotOurs { .. } | Refusal::NotHere { .. }), "{world}: {refusal}");
        }
        assert_eq!(lab.machine.runs.load(std::sync::atomic::Ordering::SeqCst), 0, "{world}");
    }
    agent.end().await.unwrap();
}

/// The guest is replaced after the check and before the file has its name: the other one keeps nothing of it.
#[tokio::test]
async fn a_guest_replaced_in_the_middle_gets_nothing() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    *lab.machine.before_run.lock().unwrap() = Some(Box::new(|guests| {
        let mut other = target();
        other.stamp.guest = GuestId::from_bits(8);
        guests.insert(target().vmid, keys(&other));
    }));
    let given = Given::input(b"secret".to_vec());
    let error = server.agents().call(&lab.post, push(&lab, b"secret"), given, LONG, LONG).await.unwrap_err();
    assert!(matches!(refusal(error), Refusal::NotOurs { .. }));
    let left: Vec<_> = std::fs::read_dir(lab.path("guest/run")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    agent.end().await.unwrap();
}

/// A holder that lost its job comes too late, also after the agent was started anew.
#[tokio::test]
async fn an_old_fence_is_refused() {
    let lab = Lab::new();
    let (server, mut agent) = lab.joined().await;
    let fenced = |key: &str, fence| Order { fence, ..order(key, shell("true")) };
    assert!(lab.ask(&server, fenced("new", 5)).await.is_ok());
    for round in 0..2 {
        let error = lab.ask(&server, fenced("old", 4)).await.unwrap_err();
        assert_eq!(refusal(error), Refusal::OldFence { given: 4, kept: 5 }, "round {round}");
        assert!(lab.ask(&server, fenced(&format!("same-{round}"), 5)).await.is_ok());
        // Another job has its own fences.
        let other = Order { job: "other".to_owned(), ..fenced(&format!("other-{round}"), 1) };
        assert!(lab.ask(&server, other).await.is_ok());
        agent.end().await.unwrap();
        agent = lab.agent(&[server.address()], None);
        lab.connected(&server).await;
    }
    agent.end().await.unwrap();
}
