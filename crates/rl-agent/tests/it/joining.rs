//! Who gets in, and who does not.

use std::time::Duration;

use rl_agent::node::NodeError;
use rl_agent::server::{Authority, JoinToken, Rolls};
use rl_agent::{CallError, Courier, Given, Work};

use crate::lab::{Lab, order, until};

#[tokio::test]
async fn a_token_is_good_for_one_agent() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    assert_eq!(agent.end().await.unwrap(), lab.post);
    // It comes again without a token: it is somebody now.
    let agent = lab.agent(&[server.address()], None);
    lab.connected(&server).await;
    agent.end().await.unwrap();
}

/// Whoever copied the token comes too late, and the agent that joined with it is not disturbed.
#[tokio::test]
async fn a_token_shown_again_is_refused() {
    let lab = Lab::new();
    let server = lab.server().await;
    let token = lab.token().await;
    let agent = lab.agent(&[server.address()], Some(token.clone()));
    lab.connected(&server).await;
    let fingerprint = lab.book.fingerprint(&lab.post);
    let thief = lab.agent_in("thief", &[server.address()], Some(token.clone()));
    let refused = thief.running.await.unwrap().unwrap_err();
    assert!(matches!(&refused, NodeError::Refused(why) if why.contains("used before")), "{refused}");
    assert_eq!(lab.book.fingerprint(&lab.post), fingerprint);
    lab.connected(&server).await;
    agent.end().await.unwrap();
}

#[tokio::test]
async fn tokens_that_ended_or_never_were_are_refused() {
    let lab = Lab::new();
    let server = lab.server().await;
    let token = lab.token().await;
    lab.book.expire(&token.id);
    let strange = JoinToken::generate(&lab.authority().fingerprint(), &mut rl_agent::random());
    for (token, said) in [(token, "has ended"), (strange, "not known here")] {
        let agent = lab.agent(&[server.address()], Some(token));
        let refused = agent.running.await.unwrap().unwrap_err();
        assert!(matches!(&refused, NodeError::Refused(why) if why.contains(said)), "{refused}");
    }
    let nobody = lab.agent(&[server.address()], None);
    assert!(matches!(nobody.running.await.unwrap(), Err(NodeError::NoToken)));
}

/// A server that another authority vouches for is told nothing: the token is still good afterwards.
#[tokio::test]
async fn a_false_server_learns_nothing() {
    let lab = Lab::new();
    let false_authority = std::sync::Arc::new(Authority::open(&lab.path("false")).unwrap());
    let false_server = lab.server_of(false_authority, "127.0.0.1:0".parse().unwrap()).await;
    let server = lab.server().await;
    let token = lab.token().await;
    // The false one is asked first.
    let agent = lab.agent(&[false_server.address(), server.address()], Some(token));
    lab.connected(&server).await;
    assert!(false_server.agents().connected().is_empty());
    agent.end().await.unwrap();
}

/// The other way round: who bears a certificate of another authority is not let in.
#[tokio::test]
async fn an_agent_of_another_authority_is_refused() {
    let lab = Lab::new();
    let other = Lab::new();
    let (their_server, agent) = other.joined().await;
    agent.end().await.unwrap();
    drop(their_server);
    std::fs::rename(other.path("agent"), lab.path("agent")).unwrap();
    let ours = lab.server().await;
    let agent = lab.agent(&[ours.address()], None);
    let order = order("k", Work::Config);
    let error =
        ours.agents().call(&lab.post, order, Given::default(), Duration::from_secs(2), Duration::from_secs(2)).await;
    assert!(matches!(error, Err(CallError::NoAgent { .. })), "{error:?}");
    assert!(ours.agents().connected().is_empty());
    agent.end().await.unwrap();
}

#[tokio::test]
async fn a_revoked_agent_is_put_out_and_stays_out() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    assert!(lab.book.revoke(&lab.post, None).await.unwrap());
    server.agents().disconnect(&lab.post);
    let error = server
        .agents()
        .call(&lab.post, order("k", Work::Config), Given::default(), Duration::from_secs(3), Duration::from_secs(3))
        .await;
    assert!(matches!(error, Err(CallError::NoAgent { .. })), "{error:?}");
    assert!(server.agents().connected().is_empty());
    // With a new token the node's agent is somebody again.
    agent.end().await.unwrap();
    let agent = lab.agent_in("anew", &[server.address()], Some(lab.token().await));
    lab.connected(&server).await;
    agent.end().await.unwrap();
}

/// Certificates end after seconds here: the agent gets a new one by itself, and comes in with it.
#[tokio::test]
async fn certificates_renew_themselves() {
    let mut lab = Lab::new();
    lab.life = Duration::from_secs(20);
    lab.heartbeat = Duration::from_millis(100);
    let (server, agent) = lab.joined().await;
    let before = lab.book.fingerprint(&lab.post);
    until("another certificate is in use", || lab.book.fingerprint(&lab.post) != before).await;
    lab.connected(&server).await;
    agent.end().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_is_away_is_waited_for_by_name() {
    let lab = Lab::new();
    let (server, agent) = lab.joined().await;
    agent.end().await.unwrap();
    let agents = server.agents();
    until("it is away", || agents.connected().is_empty()).await;
    let short = Duration::from_millis(10);
    let error = agents.call(&lab.post, order("k", Work::Config), Given::default(), short, short).await.unwrap_err();
    assert_eq!(error.to_string(), "waiting for the agent of lab/pve1, not seen since 2023-11-14T22:13:20Z");
    assert!(error.passes());
    // It comes back while an order waits for it.
    let waiting = lab.ask(&server, order("k", Work::Config));
    let agent = lab.agent(&[server.address()], None);
    assert!(waiting.await.is_ok());
    agent.end().await.unwrap();
}
