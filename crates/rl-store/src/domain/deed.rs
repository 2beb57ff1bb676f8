//! A deed: a change with its entry in the audit and, where the caller named a key, the answer that is given again.
use std::time::Duration;

use rl_engine::{Lane, UnixMs};
use serde_json::Value;

use super::audit::{self, NewAudit};
use super::rows::first;
use crate::error::{Conflict, StoreError};
use crate::sql::{Sql, values};
use crate::store::Store;

/// How long an answer is kept: a caller that lost it asks again within hours, not days.
pub const ANSWER_KEPT: Duration = Duration::from_secs(24 * 3600);

/// What is written in the same transaction as a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// The entry in the audit.
    pub audit: NewAudit,
    /// The answer that a repeated request is given.
    pub answer: Option<KeptAnswer>,
}

impl From<NewAudit> for Deed {
    fn from(audit: NewAudit) -> Self {
        Self { audit, answer: None }
    }
}

/// What a change came to that may turn out to change nothing. Then neither entry nor answer is kept.
pub(crate) enum Came<T> {
    /// Nothing was changed.
    Nothing(T),
    /// It was changed: what the audit tells of before and after.
    Changed {
        /// What is answered.
        value: T,
        /// What it was before.
        before: Option<Value>,
        /// What it is now.
        after: Option<Value>,
    },
}

/// The answer to a request, kept under the key that its caller named.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Whose key it is: keys of different callers never meet.
    pub principal: String,
    /// The key.
    pub key: String,
    /// Digest of the request, to tell a repeated one from another.
    pub request_digest: String,
    /// Status of the answer.
    pub status: u16,
    /// Its `Location`.
    pub location: Option<String>,
    /// Its body.
    pub body: String,
}

impl std::fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body may hold what is shown once.
        let (principal, key, status) = (&self.principal, &self.key, &self.status);
        f.debug_struct("KeptAnswer")
            .field("principal", principal)
            .field("key", key)
            .field("status", status)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The answer kept under a key, if it is not too old.
    pub async fn kept_answer(&self, principal: &str, key: &str) -> Result<Option<KeptAnswer>, StoreError> {
        let (principal, key, now) = (principal.to_owned(), key.to_owned(), self.now());
        let clock = self.db().clone();
        self.db()
            .read_with(move |db| {
                let sql =
                    "select request, status, location, body, at from kept_answer where principal = ?1 and key = ?2";
                let found = first(db, sql, values![&principal, &key], "looking for a kept answer", |row| {
                    let answer = KeptAnswer {
                        principal: principal.clone(),
                        key: key.clone(),
                        request_digest: row.text(0)?.to_owned(),
                        status: row.number(1)?,
                        location: row.text_opt(2)?.map(str::to_owned),
                        body: row.text(3)?.to_owned(),
                    };
                    Ok((answer, row.ms(4)?))
                })?;
                // Without an answer nobody needs to know the time.
                let Some((answer, at)) = found else { return Ok(None) };
                let is_fresh = at > oldest(clock.now(db, now)?);
                Ok(is_fresh.then_some(answer))
            })
            .await
    }

    /// Makes a change together with its deed, in one transaction. Answers with the number of the audit entry.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        deed: Deed,
        work: impl FnOnce(&dyn Sql, UnixMs) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, u64), StoreError> {
        self.change_for(Some(deed), work).await
    }

    /// The same for a change that may come without a deed: then the number is 0.
    pub(crate) async fn change_for<T: Send + 'static>(
        &self,
        deed: Option<Deed>,
        work: impl FnOnce(&dyn Sql, UnixMs) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(T, u64), StoreError> {
        let now = self.now();
        let done = self
            .db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                // The key first: whoever comes second with it has nothing else to hear.
                deed.iter().try_for_each(|deed| keep_answer(db, deed, now))?;
                let value = work(db, now)?;
                let seq = deed.map_or(Ok(0), |deed| audit::append(db, &deed.audit, now))?;
                Ok::<_, StoreError>((value, seq))
            })
            .await;
        self.told(done)
    }

    /// The same for a change that may turn out to change nothing, and that knows what was before and is after it.
    pub(crate) async fn try_change<T: Send + 'static>(
        &self,
        mut deed: Deed,
        work: impl FnOnce(&dyn Sql, UnixMs) -> Result<Came<T>, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let now = self.now();
        let done = self
            .db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                keep_answer(db, &deed, now)?;
                match work(db, now)? {
                    Came::Nothing(value) => {
                        forget_answer(db, &deed)?;
                        Ok((value, 0))
                    }
                    Came::Changed { value, before, after } => {
                        deed.audit.before = before.or(deed.audit.before);
                        deed.audit.after = after;
                        let seq = audit::append(db, &deed.audit, now)?;
                        Ok::<_, StoreError>((value, seq))
                    }
                }
            })
            .await;
        self.told(done).map(|(value, _)| value)
    }

    /// Tells followers of a deed's entry.
    pub(super) fn told<T>(&self, done: Result<(T, u64), StoreError>) -> Result<(T, u64), StoreError> {
        if let Ok((_, seq)) = &done {
            self.announce_audit(*seq);
        }
        done
    }

    /// Removes answers that are too old, at most `limit`; says how many.
    pub(super) async fn prune_answers(&self, limit: usize) -> Result<u64, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let sql = "delete from kept_answer where (principal, key) in
                             (select principal, key from kept_answer where at <= ?1 order by at limit ?2)";
                db.execute(sql, values![oldest(tx.at(now).now()), limit as u64], "removing old answers")
            })
            .await
    }
}

/// Keeps the answer. The key of an answer that is still kept is refused, so that of two requests at the same time one is carried
/// out and the other finds its answer.
pub(super) fn keep_answer(db: &dyn Sql, deed: &Deed, now: UnixMs) -> Result<(), StoreError> {
    let Some(answer) = &deed.answer else { return Ok(()) };
    if insert_answer(db, answer, now)? { Ok(()) } else { Err(answered(answer)) }
}

/// Why a key is refused.
pub(crate) fn answered(answer: &KeptAnswer) -> StoreError {
    Conflict::Answered { principal: answer.principal.clone(), key: answer.key.clone() }.into()
}

/// Whether the key of an answer is that of one that is still kept.
pub(crate) fn is_answered(db: &dyn Sql, answer: &KeptAnswer, now: UnixMs) -> Result<bool, StoreError> {
    let sql = "select 1 from kept_answer where principal = ?1 and key = ?2 and at > ?3";
    let given = values![&answer.principal, &answer.key, oldest(now)];
    Ok(first(db, sql, given, "looking for a kept answer", |_| Ok(()))?.is_some())
}

/// Keeps an answer; `false` where its key is that of one that is still kept.
pub(crate) fn insert_answer(db: &dyn Sql, answer: &KeptAnswer, now: UnixMs) -> Result<bool, StoreError> {
    let sql = "insert into kept_answer (principal, key, request, status, location, body, at)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               on conflict (principal, key) do update set request = excluded.request, status = excluded.status,
                 location = excluded.location, body = excluded.body, at = excluded.at
               where kept_answer.at <= ?8";
    let given = values![
        &answer.principal,
        &answer.key,
        &answer.request_digest,
        u32::from(answer.status),
        answer.location.as_deref(),
        &answer.body,
        now,
        oldest(now)
    ];
    Ok(db.execute(sql, given, "keeping an answer")? > 0)
}

/// Takes back what [`keep_answer`] kept in this transaction.
fn forget_answer(db: &dyn Sql, deed: &Deed) -> Result<(), StoreError> {
    let Some(answer) = &deed.answer else { return Ok(()) };
    let sql = "delete from kept_answer where principal = ?1 and key = ?2";
    db.execute(sql, values![&answer.principal, &answer.key], "taking an answer back").map(|_| ())
}

/// What was kept at this moment or before is forgotten.
fn oldest(now: UnixMs) -> UnixMs {
    UnixMs(now.0.saturating_sub(u64::try_from(ANSWER_KEPT.as_millis()).unwrap_or(u64::MAX)))
}
