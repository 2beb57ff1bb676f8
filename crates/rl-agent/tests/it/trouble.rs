//! Lost connections, servers that come and go: nothing is run twice.

use rl_agent::{Answer, CallError, Courier, DeliverFile, Ended, FileMode, Given, Stream, Work};

use crate::lab::{LONG, Lab, order, shell, until};
use crate::proxy::Proxy;

/// A command that leaves a mark each time it runs, says something, and ends when it is let.
fn slow(lab: &Lab) -> String {
    let (marks, go) = (lab.path("marks"), lab.path("go"));
    format!("echo mark >> {}; echo said; while [ ! -e {} ]; do sleep 0.05; done", marks.display(), go.display())
}

fn marks(lab: &Lab) -> usize {
    std::fs::read_to_string(lab.path("marks")).unwrap_or_default().lines().count()
}

/// The line is cut while a command runs. Asked again under its name it is not run again, and its output comes whole.
#[tokio::test]
async fn a_cut_line_repeats_nothing() {
    let lab = Lab::new();
    let server = lab.server().await;
    let proxy = Proxy::to(server.address()).await;
    let agent = lab.agent(&[proxy.address], Some(lab.token().await));
    lab.connected(&server).await;
    let agents = server.agents();
    let first = tokio::spawn({
        let (agents, post, order) = (server.agents(), lab.post.clone(), order("once", shell(&slow(&lab))));
        async move { agents.call(&post, order, Given::default(), LONG, LONG).await }
    });
    until("it runs", || marks(&lab) == 1).await;
    proxy.cut();
    assert!(matches!(first.await.unwrap(), Err(CallError::Lost { .. })));
    lab.connected(&server).await;
    std::fs::write(lab.path("go"), "").unwrap();
    for _ in 0..2 {
        let (given, mut output) = Given::listening();
        let again = order("once", shell(&slow(&lab)));
        let answer = agents.call(&lab.post, again, given, LONG, LONG).await.unwrap();
        assert_eq!(answer, Answer::Ended(Ended { code: Some(0), repeated: true, ..Ended::default() }));
        assert_eq!(output.recv().await, Some((Stream::Out, b"said\n".to_vec())));
    }
    assert_eq!(marks(&lab), 1);
    agent.end().await.unwrap();
}

/// Two ask for the same order at the same time: it runs once, and both get its answer.
#[tokio::test]
async fn the_same_order_twice_at_once_runs_once() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    std::fs::write(lab.path("go"), "").unwrap();
    let ask = || lab.ask(&server, order("once", shell(&slow(&lab))));
    let answers = tokio::join!(ask(), ask());
    for answer in [answers.0, answers.1] {
        let fine = match &answer {
            Ok(Answer::Ended(ended)) => ended.code == Some(0),
            Err(CallError::Refused { refusal, .. }) => *refusal == rl_agent::Refusal::UnderWay,
            _ => false,
        };
        assert!(fine, "{answer:?}");
    }
    assert_eq!(marks(&lab), 1);
    agent.end().await.unwrap();
}

/// A server ends and comes back on its port; an agent with two servers is at both, and stays at the one that lives.
#[tokio::test]
async fn servers_come_and_go() {
    let lab = Lab::new();
    let (one, other) = (lab.server().await, lab.server().await);
    let agent = lab.agent(&[one.address(), other.address()], Some(lab.token().await));
    lab.connected(&one).await;
    lab.connected(&other).await;
    drop(one);
    for key in ["a", "b"] {
        assert!(lab.ask(&other, order(key, shell("true"))).await.is_ok());
    }
    // What one server had done, the other does not do again.
    let third = lab.server().await;
    let proxy = Proxy::to(third.address()).await;
    agent.end().await.unwrap();
    let agent = lab.agent(&[proxy.address, other.address()], None);
    lab.connected(&third).await;
    let again = lab.ask(&third, order("a", shell("true"))).await.unwrap();
    let expected = Ended { code: Some(0), repeated: true, output_lost: true, ..Ended::default() };
    assert_eq!(again, Answer::Ended(expected));
    agent.end().await.unwrap();
}

/// A script that was killed together with its guest leaves what it had written; the next one for that file removes it, and nothing
/// that somebody else put there.
#[tokio::test]
async fn what_a_killed_script_left_is_removed() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    let run = lab.path("guest/run");
    std::fs::create_dir(&run).unwrap();
    let left = || ["a file.0123456789abcdef", "a file.fedcba9876543210"].map(|name| run.join(format!(".{name}")));
    let theirs = [".a file.conf", ".a file.0123456789ABCDEF", "a file.0123456789abcdef", ".other.0123456789abcdef"];
    let path = lab.inside("run/a file");
    let file = DeliverFile {
        path: path.clone(),
        mode: FileMode::new(0o400).unwrap(),
        owner: lab.owner(),
        sha256: Some(rl_agent::seal::sha256(b"whole")),
    };
    theirs.iter().for_each(|name| std::fs::write(run.join(name), "x").unwrap());
    for work in [Work::Push(file), Work::Remove { path }] {
        left().iter().for_each(|part| std::fs::write(part, "half").unwrap());
        let given = if matches!(work, Work::Push(_)) { Given::input(*b"whole") } else { Given::default() };
        server.agents().call(&lab.post, order("write", work), given, LONG, LONG).await.unwrap();
        assert!(left().iter().all(|part| !part.exists()));
        assert!(theirs.iter().all(|name| run.join(name).exists()));
    }
    assert!(!run.join("a file").exists());
    agent.end().await.unwrap();
}
