//! What agents do.

use std::sync::atomic::Ordering;

use rl_agent::node::pct::Task;
use rl_agent::seal::sha256;
use rl_agent::{
    Answer, CallError, Courier, DeliverFile, Ended, FileMode, Given, Refusal, Stream, Work, deliver_sealed,
};

use crate::lab::{LONG, Lab, order, shell};

#[tokio::test]
async fn a_command_gives_output_and_code() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    let (mut given, mut output) = Given::listening();
    given.input.extend_from_slice(b"from outside");
    let answer = server.agents().call(&lab.post, order("a", shell("cat; exit 3")), given, LONG, LONG).await.unwrap();
    assert_eq!(answer, Answer::Ended(Ended { code: Some(3), ..Ended::default() }));
    assert_eq!(output.recv().await, Some((Stream::Out, b"from outside".to_vec())));
    // Large input and output go in pieces.
    let (mut given, mut output) = Given::listening();
    given.input.extend(std::iter::repeat_n(b'x', 900_000));
    server.agents().call(&lab.post, order("b", shell("cat")), given, LONG, LONG).await.unwrap();
    let mut bytes = 0;
    while let Some((_, piece)) = output.recv().await {
        bytes += piece.len();
    }
    assert_eq!(bytes, 900_000);
    agent.end().await.unwrap();
}

#[tokio::test]
async fn limits_of_time_and_output_hold() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    let limited = |text: &str, time: u32, output: u64| match shell(text) {
        Work::Exec(exec) => Work::Exec(rl_agent::Exec { time_limit_s: time, output_max: output, ..exec }),
        other => other,
    };
    let answer = lab.ask(&server, order("slow", limited("sleep 600", 1, 10))).await.unwrap();
    assert!(matches!(answer, Answer::Ended(Ended { timed_out: true, .. })), "{answer:?}");
    let answer = lab.ask(&server, order("loud", limited("head -c 100000 /dev/zero", 60, 1_000))).await.unwrap();
    assert!(matches!(answer, Answer::Ended(Ended { cut: true, code: Some(0), .. })), "{answer:?}");
    let error = lab.ask(&server, order("long", limited("true", 1_000_000, 1))).await.unwrap_err();
    assert!(matches!(error, CallError::Malformed { .. }), "{error}");
    agent.end().await.unwrap();
}

#[tokio::test]
async fn files_go_in_and_out() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    let path = lab.inside("etc/a b/app.conf");
    let push = |content: &[u8], mode: u32| {
        let file = DeliverFile {
            path: path.clone(),
            mode: FileMode::new(mode).unwrap(),
            owner: lab.owner(),
            sha256: Some(sha256(content)),
        };
        let (agents, post, given) = (server.agents(), lab.post.clone(), Given::input(content));
        async move { agents.call(&post, order("push", Work::Push(file)), given, LONG, LONG).await }
    };
    assert_eq!(push(b"one", 0o640).await.unwrap(), Answer::Written { sha256: sha256(b"one") });
    assert_eq!(push(b"two", 0o400).await.unwrap(), Answer::Written { sha256: sha256(b"two") });
    let Answer::File { found: Some(facts) } =
        lab.ask(&server, order("digest", Work::Digest { path: path.clone() })).await.unwrap()
    else {
        panic!("it is there");
    };
    assert_eq!(
        (facts.sha256.as_str(), facts.mode, facts.ids.as_str()),
        (sha256(b"two").as_str(), 0o400, lab.owner().as_str())
    );
    let (given, mut output) = Given::listening();
    let pull = order("pull", Work::Pull { path: path.clone() });
    let answer = server.agents().call(&lab.post, pull, given, LONG, LONG).await.unwrap();
    assert_eq!(answer, Answer::Content { bytes: 3, sha256: sha256(b"two") });
    assert_eq!(output.recv().await, Some((Stream::Out, b"two".to_vec())));
    // Nothing but the file itself is left behind.
    let list = order("list", Work::List { folder: lab.inside("etc") });
    assert_eq!(lab.ask(&server, list).await.unwrap(), Answer::Files { paths: vec![path.to_string()] });
    for was_there in [true, false] {
        let remove = order("remove", Work::Remove { path: path.clone() });
        assert_eq!(lab.ask(&server, remove).await.unwrap(), Answer::Removed { was_there });
    }
    let digest = order("digest", Work::Digest { path });
    assert_eq!(lab.ask(&server, digest).await.unwrap(), Answer::File { found: None });
    let list = order("list", Work::List { folder: lab.inside("nowhere") });
    assert_eq!(lab.ask(&server, list).await.unwrap(), Answer::Files { paths: Vec::new() });
    agent.end().await.unwrap();
}

#[tokio::test]
async fn a_sealed_value_arrives_and_a_changed_one_does_not() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    let file = DeliverFile {
        path: lab.inside("run/secrets/db"),
        mode: FileMode::new(0o400).unwrap(),
        owner: lab.owner(),
        sha256: None,
    };
    let agents = server.agents();
    let order = order("deliver", Work::Config);
    let digest = deliver_sealed(&*agents, &lab.post, order.clone(), file.clone(), b"hunter2 hunter2", LONG, LONG).await;
    assert_eq!(digest.unwrap(), sha256(b"hunter2 hunter2"));
    assert_eq!(std::fs::read(lab.path("guest/run/secrets/db")).unwrap(), b"hunter2 hunter2");
    // Sealed for another guest: the agent opens it and leaves it.
    let recipient = agents.recipient(&lab.post).await.unwrap();
    let other = rl_model::GuestId::from_bits(99);
    let sealed = rl_agent::seal::seal(&recipient, &other, &file.path, b"not for it").unwrap();
    let order = rl_agent::Order { work: Work::Deliver(file), ..order };
    let error = agents.call(&lab.post, order, Given::input(sealed), LONG, LONG).await.unwrap_err();
    assert!(error.to_string().contains("for another guest"), "{error}");
    assert_eq!(std::fs::read(lab.path("guest/run/secrets/db")).unwrap(), b"hunter2 hunter2");
    agent.end().await.unwrap();
}

#[tokio::test]
async fn a_lock_is_taken_away_when_no_task_holds_it() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    let vmid = crate::lab::target().vmid;
    let lock =
        || lab.machine.guests.lock().unwrap().get_mut(&vmid).unwrap().insert("lock".to_owned(), "backup".to_owned());
    lock();
    let task = |kind: &str, id: &str| Task {
        upid: format!("UPID:pve1:{kind}:{id}:"),
        kind: kind.to_owned(),
        id: id.to_owned(),
        status: None,
    };
    for held in [task("vzdump", "101"), task("vzdump", ""), task("vzclone", "200")] {
        *lab.machine.tasks.lock().unwrap() = vec![held];
        let error = lab.ask(&server, order("u", Work::Unlock)).await.unwrap_err();
        assert!(matches!(error, CallError::Refused { refusal: Refusal::InUse { .. }, .. }), "{error}");
    }
    *lab.machine.tasks.lock().unwrap() = vec![task("vzstart", "102")];
    let unlocked = lab.ask(&server, order("u", Work::Unlock)).await.unwrap();
    assert_eq!(unlocked, Answer::Unlocked { was: Some("backup".to_owned()) });
    assert_eq!(lab.ask(&server, order("u", Work::Unlock)).await.unwrap(), Answer::Unlocked { was: None });
    agent.end().await.unwrap();
}

#[tokio::test]
async fn a_guest_that_does_not_run_is_said_so() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    lab.machine.stopped.store(true, Ordering::SeqCst);
    let error = lab.ask(&server, order("a", shell("true"))).await.unwrap_err();
    assert!(matches!(error, CallError::Refused { refusal: Refusal::NotRunning { vmid: 101 }, .. }), "{error}");
    // It was not begun: once the guest runs, the same order is carried out.
    lab.machine.stopped.store(false, Ordering::SeqCst);
    assert!(lab.ask(&server, order("a", shell("true"))).await.is_ok());
    agent.end().await.unwrap();
}
