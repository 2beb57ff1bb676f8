//! Agents on nodes and their join tokens.
use rl_engine::{Lane, UnixMs};
use rl_model::{NodeName, SiteName};

use super::deed::Deed;
use super::rows::{all, first};
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

const COLUMNS: &str =
    "site, node, fingerprint, next_fingerprint, recipient, release, ends_at, joined_at, seen_at, revoked_at";

/// An agent that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRecord {
    /// Its site.
    pub site: SiteName,
    /// Its node.
    pub node: NodeName,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// SHA-256 of the certificate that replaces it with its next connection.
    pub next_fingerprint: Option<String>,
    /// The age recipient that values for it are encrypted to.
    pub recipient: String,
    /// Its release when it was seen last.
    pub release: String,
    /// When its newest certificate ends.
    pub ends_at: UnixMs,
    /// When it joined.
    pub joined_at: UnixMs,
    /// When it was connected last.
    pub seen_at: Option<UnixMs>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
}

/// A one-time token with which the agent of a node joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentToken {
    /// Its name, which may be shown.
    pub id: String,
    /// Digest of the token.
    pub digest: String,
    /// The site.
    pub site: SiteName,
    /// The node.
    pub node: NodeName,
    /// Who made it.
    pub actor: String,
    /// When it ends.
    pub expires_at: UnixMs,
}

/// What came of an attempt to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joining {
    /// The agent is known now; the token is used up.
    Joined,
    /// No token has that id and digest.
    NoToken,
    /// It was used before.
    Used,
    /// It has ended.
    Expired,
}

impl Store {
    /// Keeps a new token.
    pub async fn add_agent_token(&self, token: AgentToken, deed: Option<Deed>) -> Result<(), StoreError> {
        let add = move |db: &dyn Sql, now| {
            let sql = "insert into agent_token (id, digest, site, node, actor, created_at, expires_at)
                       values (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let (site, node) = (token.site.as_str(), token.node.as_str());
            let given = values![&*token.id, &*token.digest, site, node, &*token.actor, now, token.expires_at];
            db.execute(sql, given, "storing a join token").map(|_| ())
        };
        self.change_for(deed, add).await.map(|((), _)| ())
    }

    /// The node a token is for, used or not.
    pub async fn agent_token_post(&self, id: String) -> Result<Option<(SiteName, NodeName)>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = "select site, node from agent_token where id = ?1";
                first(db, sql, values![&*id], "reading a join token", |row| Ok((row.parsed(0)?, row.parsed(1)?)))
            })
            .await
    }

    /// Uses a token up and takes the agent in, in one transaction: of two that come with the same token one is refused. An
    /// agent that joined for the node before is replaced.
    pub async fn join_agent(&self, id: String, digest: String, agent: AgentRecord) -> Result<Joining, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let found = first(
                    db,
                    "select used_at, expires_at from agent_token where id = ?1 and digest = ?2 and site = ?3 and node = ?4",
                    values![&*id, &*digest, agent.site.as_str(), agent.node.as_str()],
                    "reading a join token",
                    |row| Ok((row.ms_opt(0)?, row.ms(1)?)),
                )?;
                match found {
                    None => return Ok(Joining::NoToken),
                    Some((Some(_), _)) => return Ok(Joining::Used),
                    Some((None, expires_at)) if expires_at <= now => return Ok(Joining::Expired),
                    Some(_) => {}
                }
                let sql = "update agent_token set used_at = ?2 where id = ?1 and used_at is null";
                if db.execute(sql, values![&*id, now], "using a join token up")? == 0 {
                    return Ok(Joining::Used);
                }
                put(db, &agent, now)?;
                Ok(Joining::Joined)
            })
            .await
    }

    /// Every agent, by site and node.
    pub async fn agents(&self) -> Result<Vec<AgentRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from agent order by site, node");
                all(db, &sql, values![], "reading agents", read)
            })
            .await
    }

    /// The agent of a node.
    pub async fn agent(&self, site: &SiteName, node: &NodeName) -> Result<Option<AgentRecord>, StoreError> {
        let (site, node) = (site.clone(), node.clone());
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from agent where site = ?1 and node = ?2");
                first(db, &sql, values![site.as_str(), node.as_str()], "reading an agent", read)
            })
            .await
    }

    /// The agent whose certificate this is, if it was not revoked. The certificate that was to come becomes the present one
    /// when it is shown for the first time.
    pub async fn identify_agent(&self, fingerprint: String) -> Result<Option<AgentRecord>, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let sql = "update agent set fingerprint = next_fingerprint, next_fingerprint = null
                           where next_fingerprint = ?1 and revoked_at is null";
                db.execute(sql, values![&*fingerprint], "taking a renewed certificate")?;
                let sql = "update agent set seen_at = ?2 where fingerprint = ?1 and revoked_at is null";
                db.execute(sql, values![&*fingerprint, now], "noting that an agent came")?;
                let sql = format!("select {COLUMNS} from agent where fingerprint = ?1 and revoked_at is null");
                first(db, &sql, values![&*fingerprint], "looking for an agent", read)
            })
            .await
    }

    /// Notes that an agent is connected, with its release. Answers whether it still may be: it was not revoked.
    pub async fn agent_seen(&self, fingerprint: String, release: String) -> Result<bool, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let sql = "update agent set seen_at = ?2, release = ?3 where fingerprint = ?1 and revoked_at is null";
                let given = values![&*fingerprint, tx.at(now).now(), &*release];
                Ok(db.execute(sql, given, "noting that an agent is there")? > 0)
            })
            .await
    }

    /// Notes the certificate that an agent shall use from its next connection on.
    pub async fn renew_agent(&self, fingerprint: String, next: String, ends_at: UnixMs) -> Result<bool, StoreError> {
        self.db()
            .write_with(Lane::Intake, move |_, db| {
                let sql = "update agent set next_fingerprint = ?2, ends_at = ?3
                           where fingerprint = ?1 and revoked_at is null";
                Ok(db.execute(sql, values![&*fingerprint, &*next, ends_at], "renewing an agent's certificate")? > 0)
            })
            .await
    }

    /// Revokes the agent of a node; answers whether there was one. Tokens for the node that were not used go too.
    pub async fn revoke_agent(&self, site: &SiteName, node: &NodeName) -> Result<bool, StoreError> {
        let (site, node, now) = (site.clone(), node.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let sql = "update agent set revoked_at = ?3, next_fingerprint = null
                           where site = ?1 and node = ?2 and revoked_at is null";
                let revoked = db.execute(sql, values![site.as_str(), node.as_str(), now], "revoking an agent")?;
                let sql = "delete from agent_token where site = ?1 and node = ?2 and used_at is null";
                db.execute(sql, values![site.as_str(), node.as_str()], "revoking join tokens")?;
                Ok(revoked > 0)
            })
            .await
    }
}

fn put(db: &dyn Sql, agent: &AgentRecord, now: UnixMs) -> Result<(), StoreError> {
    let sql = "insert into agent (site, node, fingerprint, recipient, release, ends_at, joined_at)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               on conflict (site, node) do update set fingerprint = excluded.fingerprint, next_fingerprint = null,
                 recipient = excluded.recipient, release = excluded.release, ends_at = excluded.ends_at,
                 joined_at = excluded.joined_at, seen_at = null, revoked_at = null";
    let (site, node) = (agent.site.as_str(), agent.node.as_str());
    let given = values![site, node, &*agent.fingerprint, &*agent.recipient, &*agent.release, agent.ends_at, now];
    db.execute(sql, given, "storing an agent").map(|_| ())
}

fn read(row: &SqlRow) -> Result<AgentRecord, CellError> {
    Ok(AgentRecord {
        site: row.parsed(0)?,
        node: row.parsed(1)?,
        fingerprint: row.text(2)?.to_owned(),
        next_fingerprint: row.text_opt(3)?.map(str::to_owned),
        recipient: row.text(4)?.to_owned(),
        release: row.text(5)?.to_owned(),
        ends_at: row.ms(6)?,
        joined_at: row.ms(7)?,
        seen_at: row.ms_opt(8)?,
        revoked_at: row.ms_opt(9)?,
    })
}
