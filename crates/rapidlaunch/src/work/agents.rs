//! The way to the agents of nodes: served by this process, or by another one of the same installation.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rl_agent::server::{
    self, Agents, Authority, Config, JoinRefused, KnownAgent, Listening, NewAgent, Relay, Rolls, RollsError,
};
use rl_agent::{Courier, Post};
use rl_engine::UnixMs;
use rl_model::SiteName;
use rl_store::{AgentRecord, AgentToken, Joining, NewAudit, Store, StoreError};
use serde_json::{Value, json};

use crate::env;
use crate::error::CommandError;
use crate::work::data::{Data, store_error};

/// Folder of the certificate authority and of the door, in the data directory.
const FOLDER: &str = "agents";

/// The way to the agents, open while this lives.
pub(crate) struct Way {
    courier: Option<Arc<dyn Courier>>,
    listening: Option<(Listening, rl_agent::server::Door)>,
}

impl Way {
    /// What steps call, where there is a way.
    pub(crate) fn courier(&self) -> Option<Arc<dyn Courier>> {
        self.courier.clone()
    }

    /// Where agents connect to, if to this process.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listening.as_ref().map(|(listening, _)| listening.address())
    }
}

/// The folder of the installation's authority. A database has none of its own: there it is the user's, and every server needs
/// the same files in it.
pub(crate) fn folder(data: &Data) -> Result<PathBuf, CommandError> {
    let base = data.dir.clone().or_else(env::state_dir);
    base.map(|dir| dir.join(FOLDER)).ok_or_else(|| {
        CommandError::input("the certificate authority of the agents has no place")
            .hinted("set HOME or XDG_STATE_HOME, so that there is a folder for it")
    })
}

/// The authority, made when there is none.
pub(crate) fn authority(data: &Data) -> Result<Authority, CommandError> {
    let dir = folder(data)?;
    Authority::open(&dir).map_err(|error| {
        CommandError::failed(format!("the certificate authority in {} cannot be used", dir.display())).because(error)
    })
}

/// Opens the way: listens where the command was told to, else goes through the process that listens.
pub(crate) async fn way(data: &Data) -> Result<Way, CommandError> {
    let dir = folder(data)?;
    let Some(address) = data.agents else {
        let courier = Relay::find(&dir).await.map(|relay| Arc::new(relay) as Arc<dyn Courier>);
        return Ok(Way { courier, listening: None });
    };
    if let Some(relay) = Relay::find(&dir).await {
        // Another process of this installation serves them already.
        return Ok(Way { courier: Some(Arc::new(relay)), listening: None });
    }
    let authority = Arc::new(authority(data)?);
    let config = Config {
        authority: Arc::clone(&authority),
        rolls: Arc::new(StoreRolls(data.store.clone())),
        heartbeat: env::heartbeat().unwrap_or(server::HEARTBEAT),
        certificate_life: server::CERTIFICATE_LIFE,
        release: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let listening = server::listen(address, config).await.map_err(|error| {
        CommandError::failed(format!("agents cannot be served on {address}"))
            .because(error)
            .hinted("name another address with --agents")
    })?;
    let agents: Arc<Agents> = listening.agents();
    let door = server::open_door(&dir, Arc::clone(&agents), authority).map_err(|error| {
        CommandError::failed(format!("{} cannot be opened for other commands", dir.display())).because(error)
    })?;
    Ok(Way { courier: Some(agents), listening: Some((listening, door)) })
}

/// Longest time in hours until a join token must have been used: who sets a node up does it within days.
pub(crate) const TOKEN_HOURS_MAX: u32 = 720;
/// The same where none was asked for.
pub(crate) const TOKEN_HOURS: u32 = 24;

/// A join token to be stored.
pub(crate) fn invitation(post: &Post, id: String, digest: String, hours: u32, actor: &str) -> AgentToken {
    let until = crate::work::runner::now().0 + u64::from(hours) * 3_600_000;
    let (site, node) = (post.site.clone(), post.node.clone());
    AgentToken { id, digest, site, node, actor: actor.to_owned(), expires_at: UnixMs(until) }
}

/// What the audit says of a join token.
pub(crate) fn invited(post: &Post, hours: u32) -> Value {
    json!({ "node": post.node, "hours": hours })
}

/// What the audit says of an agent that is revoked.
fn revoked(deed: NewAudit, post: &Post) -> NewAudit {
    let (action, path) = ("agent.revoke".to_owned(), format!("/sites/{}", post.site));
    NewAudit { action, path, ..deed }.change(None, Some(json!({ "node": post.node })))
}

/// What whoever makes a join token should look at: agents may join before their site is declared, and names get misspelt.
pub(crate) async fn note(data: &Data, site: &SiteName) -> Result<Option<String>, CommandError> {
    let known = data.site(site).await?.is_some();
    Ok((!known).then(|| format!("no site `{site}` is known yet; `rapidlaunch site add -f FILE` declares one")))
}

/// Every agent that has joined, with its state in a word: `connected`, `away` or `revoked`.
pub(crate) async fn listed(data: &Data) -> Result<Vec<(AgentRecord, &'static str)>, CommandError> {
    let agents = data.store.agents().await.map_err(store_error)?;
    let connected: BTreeSet<Post> = match Relay::find(&folder(data)?).await {
        Some(relay) => relay.connected().await.map_err(relay_error)?.into_iter().collect(),
        None => BTreeSet::new(),
    };
    let state = |agent: &AgentRecord| {
        let post = Post { site: agent.site.clone(), node: agent.node.clone() };
        match (agent.revoked_at, connected.contains(&post)) {
            (Some(_), _) => "revoked",
            (None, true) => "connected",
            (None, false) => "away",
        }
    };
    Ok(agents.into_iter().map(|agent| (agent.clone(), state(&agent))).collect())
}

/// Revokes an agent, and ends its connection where a process of this installation has it; answers whether there was one. Tokens for
/// its node that were not used go in any case. `deed` is written first: nobody is put out whom the audit does not tell of. Where
/// this process cannot write, the one that has the agents does so.
pub(crate) async fn revoke(data: &Data, post: &Post, deed: NewAudit) -> Result<bool, CommandError> {
    let relay = Relay::find(&folder(data)?).await;
    if data.is_looking() {
        return relay.ok_or_else(closed)?.revoke(post, Some(&deed.actor)).await.map_err(relay_error);
    }
    let known = data.store.agent(&post.site, &post.node).await.map_err(store_error)?;
    if known.is_some_and(|agent| agent.revoked_at.is_none()) {
        data.store.audit(revoked(deed, post)).await.map_err(store_error)?;
    }
    match relay {
        Some(relay) => relay.revoke(post, None).await.map_err(relay_error),
        None => data.store.revoke_agent(&post.site, &post.node).await.map_err(store_error),
    }
}

/// The process that holds the data directory, which alone may write.
pub(crate) async fn relay(data: &Data) -> Result<Relay, CommandError> {
    Relay::find(&folder(data)?).await.ok_or_else(closed)
}

fn closed() -> CommandError {
    CommandError::failed("another process holds the data directory, and it does not serve agents")
        .hinted("start `rapidlaunch serve` with --agents ADDR, or run this when it has ended")
}

pub(crate) fn relay_error(error: server::RelayError) -> CommandError {
    CommandError::failed("the process that serves the agents did not do it").because(error)
}

/// Who has joined, kept in the store.
pub(crate) struct StoreRolls(pub(crate) Store);

fn failed(error: StoreError) -> RollsError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    RollsError(text)
}

fn known(record: AgentRecord) -> KnownAgent {
    KnownAgent {
        post: Post { site: record.site, node: record.node },
        recipient: record.recipient,
        last_seen_ms: record.seen_at.map(|at| at.0),
    }
}

#[async_trait]
impl Rolls for StoreRolls {
    async fn token_post(&self, id: &str) -> Result<Option<Post>, RollsError> {
        let post = self.0.agent_token_post(id.to_owned()).await.map_err(failed)?;
        Ok(post.map(|(site, node)| Post { site, node }))
    }

    async fn join(&self, id: &str, digest: &str, agent: NewAgent) -> Result<Result<(), JoinRefused>, RollsError> {
        let record = AgentRecord {
            site: agent.post.site,
            node: agent.post.node,
            fingerprint: agent.fingerprint,
            next_fingerprint: None,
            recipient: agent.recipient,
            release: agent.release,
            ends_at: UnixMs(agent.ends_at_ms),
            joined_at: UnixMs(0),
            seen_at: None,
            revoked_at: None,
        };
        let joined = self.0.join_agent(id.to_owned(), digest.to_owned(), record).await.map_err(failed)?;
        Ok(match joined {
            Joining::Joined => Ok(()),
            Joining::NoToken => Err(JoinRefused::NoToken),
            Joining::Used => Err(JoinRefused::Used),
            Joining::Expired => Err(JoinRefused::Expired),
        })
    }

    async fn identify(&self, fingerprint: &str) -> Result<Option<KnownAgent>, RollsError> {
        Ok(self.0.identify_agent(fingerprint.to_owned()).await.map_err(failed)?.map(known))
    }

    async fn seen(&self, fingerprint: &str, release: &str) -> Result<bool, RollsError> {
        self.0.agent_seen(fingerprint.to_owned(), release.to_owned()).await.map_err(failed)
    }

    async fn renew(&self, fingerprint: &str, next: &str, ends_at_ms: u64) -> Result<bool, RollsError> {
        self.0.renew_agent(fingerprint.to_owned(), next.to_owned(), UnixMs(ends_at_ms)).await.map_err(failed)
    }

    async fn known(&self, post: &Post) -> Result<Option<KnownAgent>, RollsError> {
        let found = self.0.agent(&post.site, &post.node).await.map_err(failed)?;
        Ok(found.filter(|record| record.revoked_at.is_none()).map(known))
    }

    async fn add_token(&self, post: &Post, id: &str, digest: &str, hours: u32, actor: &str) -> Result<(), RollsError> {
        let token = invitation(post, id.to_owned(), digest.to_owned(), hours, actor);
        // Whoever asks here is on this machine: a command with the store, or one at the door of the process that has it.
        let entry = NewAudit::local(actor, "agent.invite", format!("/sites/{}", post.site));
        let deed = entry.change(None, Some(invited(post, hours))).into();
        self.0.add_agent_token(token, Some(deed)).await.map_err(failed)
    }

    async fn revoke(&self, post: &Post, by: Option<&str>) -> Result<bool, RollsError> {
        if let (Some(actor), Some(_)) = (by, self.known(post).await?) {
            self.0.audit(revoked(NewAudit::local(actor, "", ""), post)).await.map_err(failed)?;
        }
        self.0.revoke_agent(&post.site, &post.node).await.map_err(failed)
    }
}
