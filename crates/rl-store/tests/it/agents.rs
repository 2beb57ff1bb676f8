//! Agents and join tokens, on either database.
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Clock, SimClock, UnixMs};
use rl_model::{NodeName, SiteName};
use rl_store::{AgentRecord, AgentToken, Joining, Store};

use crate::home::Home;

const START: u64 = 1_700_000_000_000;

struct Bench {
    store: Store,
    clock: SimClock,
    _home: Home,
}

impl Bench {
    async fn new(home: Home) -> Self {
        let clock = SimClock::manual(UnixMs(START));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        Self { store: home.open(shared).await.unwrap(), clock, _home: home }
    }

    async fn token(&self, id: &str, node: &str) {
        let token = AgentToken {
            id: id.to_owned(),
            digest: format!("digest of {id}"),
            site: site(),
            node: self::node(node),
            actor: "maria".to_owned(),
            expires_at: UnixMs(START + 60_000),
        };
        self.store.add_agent_token(token, None).await.unwrap();
    }

    async fn join(&self, id: &str, digest: &str, node: &str, fingerprint: &str) -> Joining {
        self.store.join_agent(id.to_owned(), digest.to_owned(), agent(node, fingerprint)).await.unwrap()
    }

    async fn who(&self, fingerprint: &str) -> Option<NodeName> {
        self.store.identify_agent(fingerprint.to_owned()).await.unwrap().map(|agent| agent.node)
    }
}

fn site() -> SiteName {
    "fra1".parse().unwrap()
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn agent(name: &str, fingerprint: &str) -> AgentRecord {
    AgentRecord {
        site: site(),
        node: node(name),
        fingerprint: fingerprint.to_owned(),
        next_fingerprint: None,
        recipient: format!("age1 of {name}"),
        release: "1.0".to_owned(),
        ends_at: UnixMs(START + 1_000_000),
        joined_at: UnixMs(0),
        seen_at: None,
        revoked_at: None,
    }
}

crate::home::cases! {
    a_token_is_used_once,
    certificates_take_turns,
    the_revoked_are_nobody,
}

async fn a_token_is_used_once(home: Home) {
    let bench = Bench::new(home).await;
    bench.token("t1", "pve1").await;
    bench.token("t2", "pve1").await;
    let post = bench.store.agent_token_post("t1".to_owned()).await.unwrap();
    assert_eq!(post, Some((site(), node("pve1"))));
    assert_eq!(bench.store.agent_token_post("t9".to_owned()).await.unwrap(), None);
    assert_eq!(bench.join("t1", "another digest", "pve1", "f0").await, Joining::NoToken);
    // A token is for its own node.
    assert_eq!(bench.join("t1", "digest of t1", "pve2", "f0").await, Joining::NoToken);
    assert_eq!(bench.who("f0").await, None);
    let (one, other) =
        tokio::join!(bench.join("t1", "digest of t1", "pve1", "f1"), bench.join("t1", "digest of t1", "pve1", "f2"));
    let mut both = [format!("{one:?}"), format!("{other:?}")];
    both.sort();
    assert_eq!(both, ["Joined", "Used"]);
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(bench.join("t2", "digest of t2", "pve1", "f3").await, Joining::Expired);
    assert_eq!(bench.store.agents().await.unwrap().len(), 1);
}

async fn certificates_take_turns(home: Home) {
    let bench = Bench::new(home).await;
    bench.token("t1", "pve1").await;
    bench.join("t1", "digest of t1", "pve1", "old").await;
    let store = &bench.store;
    assert!(store.renew_agent("old".to_owned(), "new".to_owned(), UnixMs(START + 9_000_000)).await.unwrap());
    // Both are good until the new one is shown: it may never arrive.
    assert_eq!(bench.who("old").await, Some(node("pve1")));
    assert_eq!(bench.who("new").await, Some(node("pve1")));
    assert_eq!(bench.who("old").await, None);
    bench.clock.advance(Duration::from_secs(5));
    assert!(store.agent_seen("new".to_owned(), "1.1".to_owned()).await.unwrap());
    let record = store.agent(&site(), &node("pve1")).await.unwrap().unwrap();
    assert_eq!((record.release.as_str(), record.seen_at), ("1.1", Some(UnixMs(START + 5_000))));
    assert_eq!((record.ends_at, record.next_fingerprint), (UnixMs(START + 9_000_000), None));
}

async fn the_revoked_are_nobody(home: Home) {
    let bench = Bench::new(home).await;
    let store = &bench.store;
    assert!(!store.revoke_agent(&site(), &node("pve1")).await.unwrap());
    bench.token("t1", "pve1").await;
    bench.token("t2", "pve1").await;
    bench.join("t1", "digest of t1", "pve1", "f1").await;
    store.renew_agent("f1".to_owned(), "f2".to_owned(), UnixMs(START + 9_000_000)).await.unwrap();
    assert!(store.revoke_agent(&site(), &node("pve1")).await.unwrap());
    assert_eq!((bench.who("f1").await, bench.who("f2").await), (None, None));
    assert!(!store.agent_seen("f1".to_owned(), "1.0".to_owned()).await.unwrap());
    assert!(!store.renew_agent("f1".to_owned(), "f3".to_owned(), UnixMs(START)).await.unwrap());
    // A token that lay ready for it is no way back; a new one is.
    assert_eq!(bench.join("t2", "digest of t2", "pve1", "f4").await, Joining::NoToken);
    bench.token("t3", "pve1").await;
    assert_eq!(bench.join("t3", "digest of t3", "pve1", "f5").await, Joining::Joined);
    assert_eq!(bench.who("f5").await, Some(node("pve1")));
}
