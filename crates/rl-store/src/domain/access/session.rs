//! Sessions of people who signed in: random cookies of which only a digest is kept.
use std::time::Duration;

use rl_engine::{Lane, UnixMs};
use rl_model::UserName;
use serde_json::json;

use super::super::deed::{Came, Deed};
use super::super::rows::{all, first};
use super::{Digest, Holder, NOTE_EVERY, holder, later};
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// How long a session lasts that nobody uses.
pub const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);
/// How long a session lasts at most.
pub const SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most sessions of one user: the oldest makes room for another.
pub const SESSIONS_PER_USER_MAX: u64 = 50;
/// Longest name of a program that is kept of a session.
const AGENT_CHARS_MAX: usize = 200;

/// Characters of a digest that a session is called by: enough to tell those of one user apart, and nothing to come in with.
const ID_CHARS: usize = 16;

const COLUMNS: &str = "owner, way, remote, agent, created_at, seen_at, expires_at, digest";

/// A session, without anything to come in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// What it is called where it is ended.
    pub id: String,
    /// Who signed in.
    pub owner: UserName,
    /// How: `password` or `oidc`.
    pub way: String,
    /// From which address.
    pub remote: String,
    /// With which program, as it calls itself.
    pub agent: String,
    /// When.
    pub created_at: UnixMs,
    /// When it was used last, to the minute.
    pub seen_at: UnixMs,
    /// When it ends at the latest.
    pub expires_at: UnixMs,
}

/// A session to be kept.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Digest of the cookie.
    pub digest: Digest,
    /// Digest of the text that every change must show beside the cookie.
    pub csrf: Digest,
    /// Who signs in.
    pub owner: UserName,
    /// How: `password` or `oidc`.
    pub way: &'static str,
    /// From which address.
    pub remote: String,
    /// With which program.
    pub agent: String,
}

/// A session whose cookie was shown, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionBearer {
    /// The session.
    pub session: SessionRecord,
    /// Digest of the text that every change must show beside the cookie.
    pub csrf: Digest,
    /// Who signed in.
    pub holder: Holder,
}

impl Store {
    /// Keeps a new session; answers whether the user is there and may come in. Sessions that ended are forgotten.
    pub async fn add_session(&self, new: NewSession, deed: Deed) -> Result<bool, StoreError> {
        self.try_change(deed, move |db, now| match add(db, &new, now)? {
            true => Ok(Came::Changed { value: true, before: None, after: Some(json!({ "way": new.way })) }),
            false => Ok(Came::Nothing(false)),
        })
        .await
    }

    /// The session whose cookie this is the digest of, if it has not ended and its owner may come in.
    pub async fn session_bearer(&self, digest: &Digest) -> Result<Option<SessionBearer>, StoreError> {
        let (digest, now, clock) = (digest.clone(), self.now(), self.db().clone());
        self.db()
            .read_with(move |db| {
                let now = clock.now(db, now)?;
                let sql = format!("select {COLUMNS}, csrf from access_session where digest = ?1");
                let found = first(db, &sql, values![digest.as_str()], "reading a session", |row| {
                    Ok((read(row)?, row.parsed::<Digest>(8)?))
                })?;
                let live =
                    |session: &SessionRecord| now < session.expires_at && now < later(session.seen_at, SESSION_IDLE);
                let Some((session, csrf)) = found.filter(|(session, _)| live(session)) else { return Ok(None) };
                let holder = holder::read(db, &session.owner)?.filter(|holder| holder.user.disabled_at.is_none());
                Ok(holder.map(|holder| SessionBearer { session, csrf, holder }))
            })
            .await
    }

    /// Notes that a session was used, at most once a minute.
    pub async fn note_session(&self, digest: &Digest) -> Result<bool, StoreError> {
        let (digest, now) = (digest.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let before = UnixMs(now.0.saturating_sub(u64::try_from(NOTE_EVERY.as_millis()).unwrap_or(0)));
                let sql = "update access_session set seen_at = ?2 where digest = ?1 and seen_at <= ?3";
                Ok(db.execute(sql, values![digest.as_str(), now, before], "noting that a session was used")? > 0)
            })
            .await
    }

    /// The sessions of a user, the newest first.
    pub async fn sessions(&self, owner: &UserName) -> Result<Vec<SessionRecord>, StoreError> {
        let owner = owner.clone();
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from access_session where owner = ?1 order by created_at desc");
                all(db, &sql, values![owner.as_str()], "reading sessions", read)
            })
            .await
    }

    /// Ends a session of a user by what it is called; answers whether there was one.
    pub async fn end_session_of(&self, owner: &UserName, id: &str, deed: Deed) -> Result<bool, StoreError> {
        let (owner, id) = (owner.clone(), id.to_owned());
        self.try_change(deed, move |db, _| {
            let sql = format!("select {COLUMNS} from access_session where owner = ?1");
            let all = all(db, &sql, values![owner.as_str()], "reading sessions", |row| {
                Ok((read(row)?, row.parsed::<Digest>(7)?))
            })?;
            match all.into_iter().find(|(session, _)| session.id == id) {
                Some((session, digest)) => end(db, &session, &digest),
                None => Ok(Came::Nothing(false)),
            }
        })
        .await
    }

    /// Ends a session; answers whether there was one.
    pub async fn end_session(&self, digest: &Digest, deed: Deed) -> Result<bool, StoreError> {
        let digest = digest.clone();
        self.try_change(deed, move |db, _| {
            let sql = format!("select {COLUMNS} from access_session where digest = ?1");
            let found = first(db, &sql, values![digest.as_str()], "reading a session", read)?;
            found.map_or(Ok(Came::Nothing(false)), |found| end(db, &found, &digest))
        })
        .await
    }
}

/// What a session is called, by the digest of its cookie.
pub fn session_id(digest: &Digest) -> String {
    digest.as_str().chars().take(ID_CHARS).collect()
}

fn end(db: &dyn Sql, session: &SessionRecord, digest: &Digest) -> Result<Came<bool>, StoreError> {
    db.execute("delete from access_session where digest = ?1", values![digest.as_str()], "ending a session")?;
    let before = json!({ "way": session.way, "created_at_ms": session.created_at, "remote": session.remote });
    Ok(Came::Changed { value: true, before: Some(before), after: None })
}

fn add(db: &dyn Sql, new: &NewSession, now: UnixMs) -> Result<bool, StoreError> {
    let owner = new.owner.as_str();
    let idle = UnixMs(now.0.saturating_sub(later(UnixMs(0), SESSION_IDLE).0));
    let sql = "delete from access_session where expires_at <= ?1 or seen_at <= ?2";
    db.execute(sql, values![now, idle], "forgetting sessions that ended")?;
    let sql = "update access_user set signed_in_at = ?2 where name = ?1 and disabled_at is null";
    if db.execute(sql, values![owner, now], "signing a user in")? == 0 {
        return Ok(false);
    }
    let sql = "delete from access_session where owner = ?1 and digest not in
                 (select digest from access_session where owner = ?1 order by created_at desc, digest limit ?2)";
    db.execute(sql, values![owner, SESSIONS_PER_USER_MAX - 1], "making room for a session")?;
    let agent: String = new.agent.chars().filter(|c| !c.is_control()).take(AGENT_CHARS_MAX).collect();
    let sql = "insert into access_session (digest, owner, csrf, way, remote, agent, created_at, seen_at, expires_at)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)";
    let (digest, csrf) = (new.digest.as_str(), new.csrf.as_str());
    let given = values![digest, owner, csrf, new.way, &*new.remote, agent, now, later(now, SESSION_LIFE)];
    db.execute(sql, given, "keeping a session")?;
    Ok(true)
}

fn read(row: &SqlRow) -> Result<SessionRecord, CellError> {
    Ok(SessionRecord {
        id: session_id(&row.parsed(7)?),
        owner: row.parsed(0)?,
        way: row.text(1)?.to_owned(),
        remote: row.text(2)?.to_owned(),
        agent: row.text(3)?.to_owned(),
        created_at: row.ms(4)?,
        seen_at: row.ms(5)?,
        expires_at: row.ms(6)?,
    })
}
