//! Deliveries that wait: put there with the webhook's place in the logs, claimed for a while, ended once.
use std::time::Duration;

use rl_engine::{Lane, UnixMs};
use rl_model::WebhookId;

use super::{WebhookDelivery, WebhookRecord, delivery, find};
use crate::domain::audit::{self, NewAudit, Via};
use crate::domain::rows::{all, first};
use crate::error::StoreError;
use crate::sql::{Sql, values};
use crate::store::Store;

/// Deliveries of a webhook that may wait: beyond them its place in the logs stands still, and the logs keep what is to come.
pub const PENDING_MAX: u64 = 1_000;

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhookDelivery {
    /// What it tells of: `event/NUMBER`, `change/NUMBER` or `resync`.
    pub event: String,
    /// The kind of that.
    pub kind: String,
    /// What is sent.
    pub body: String,
}

/// A delivery that is to be tried now, by whoever claimed it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Its webhook.
    pub webhook: WebhookRecord,
    /// The delivery, with this try counted.
    pub delivery: WebhookDelivery,
    /// Until when nobody else tries it.
    pub until: UnixMs,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered {
        /// The answer's status.
        status: u16,
    },
    /// It is tried again.
    Retry {
        /// After so long.
        after: Duration,
        /// The answer's status, where there was one.
        status: Option<u16>,
        /// Why it failed.
        error: String,
    },
    /// It is given up.
    Failed {
        /// The answer's status, where there was one.
        status: Option<u16>,
        /// Why it failed.
        error: String,
    },
}

impl Store {
    /// Moves a webhook on in the logs, from one place (engine events, audit entries) to another, together with the deliveries of
    /// what lies between. `false` when it is not at that place any more, or is switched off: another server was quicker.
    pub async fn feed_webhook(
        &self,
        id: &WebhookId,
        from: (u64, u64),
        to: (u64, u64),
        made: Vec<NewWebhookDelivery>,
    ) -> Result<bool, StoreError> {
        let (id, now) = (id.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                feed(db, &id, from, to, &made, now)
            })
            .await
    }

    /// Claims deliveries whose time has come, at most `limit`, one a webhook: the first that waits. Until `lease` is over nobody else
    /// gets them.
    pub async fn claim_deliveries(&self, by: &str, lease: Duration, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let (by, now) = (by.to_owned(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                claim(db, &by, now, now + lease, limit)
            })
            .await
    }

    /// When the next delivery is due; `None` while nothing waits. Nothing is written for the answer.
    pub async fn next_delivery_at(&self) -> Result<Option<UnixMs>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select min(d.next_at) {HEADS}");
                Ok(first(db, &sql, &[], "looking for deliveries", |row| row.ms_opt(0))?.flatten())
            })
            .await
    }

    /// Lets go of everything that was claimed: by processes that cannot be there any more.
    pub async fn release_deliveries(&self) -> Result<(), StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let sql = "update webhook_delivery set claimed_by = null, next_at = ?1
                           where state = 'pending' and claimed_by is not null";
                db.execute(sql, values![tx.at(now).now()], "letting go of deliveries").map(drop)
            })
            .await
    }

    /// Writes down what came of a try. A webhook of which nothing could be delivered for `patience` is switched off; the answer says
    /// whether it was. What somebody else has claimed meanwhile is left alone.
    pub async fn end_delivery(
        &self,
        claimed: &Claimed,
        by: &str,
        outcome: Outcome,
        patience: Duration,
    ) -> Result<bool, StoreError> {
        let (id, n, until) = (claimed.webhook.id.clone(), claimed.delivery.n, claimed.until);
        let (by, now) = (by.to_owned(), self.now());
        let ended = self
            .db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                end(db, (&id, n), (&by, until), &outcome, now)?;
                let seq = pause(db, &id, now, patience)?;
                Ok::<_, StoreError>((seq > 0, seq))
            })
            .await;
        self.told(ended).map(|(paused, _)| paused)
    }
}

/// The first waiting delivery of each webhook that is on: the others come after it.
const HEADS: &str = "from webhook_delivery d join webhook w on w.id = d.webhook and w.enabled = 1
    where d.state = 'pending' and not exists
      (select 1 from webhook_delivery e where e.webhook = d.webhook and e.state = 'pending' and e.n < d.n)";

fn feed(
    db: &dyn Sql,
    id: &WebhookId,
    from: (u64, u64),
    to: (u64, u64),
    made: &[NewWebhookDelivery],
    now: UnixMs,
) -> Result<bool, StoreError> {
    let doing = "making deliveries";
    let sql = "update webhook set events_seen = ?4, audit_seen = ?5, next_n = next_n + ?6
               where id = ?1 and events_seen = ?2 and audit_seen = ?3 and enabled = 1";
    let given = values![id.as_str(), from.0, from.1, to.0, to.1, made.len() as u64];
    if db.execute(sql, given, doing)? == 0 {
        return Ok(false);
    }
    let sql = "select next_n from webhook where id = ?1";
    let next = first(db, sql, values![id.as_str()], doing, |row| row.count(0))?.unwrap_or(0);
    for (n, new) in (next - made.len() as u64..).zip(made) {
        let sql = "insert into webhook_delivery
                     (webhook, n, event, kind, body, state, attempts, next_at, created_at, updated_at)
                   values (?1, ?2, ?3, ?4, ?5, 'pending', 0, ?6, ?6, ?6)";
        db.execute(sql, values![id.as_str(), n, &new.event, &new.kind, &new.body, now], doing)?;
    }
    let sql = "delete from webhook_delivery where webhook = ?1 and n < ?2 and state <> 'pending'";
    db.execute(sql, values![id.as_str(), next.saturating_sub(delivery::KEPT_MAX)], doing)?;
    Ok(true)
}

fn claim(db: &dyn Sql, by: &str, now: UnixMs, until: UnixMs, limit: usize) -> Result<Vec<Claimed>, StoreError> {
    let doing = "claiming deliveries";
    let sql = format!("select d.webhook, d.n {HEADS} and d.next_at <= ?1 order by d.next_at limit ?2");
    let heads: Vec<(WebhookId, u64)> =
        all(db, &sql, values![now, limit as u64], doing, |row| Ok((row.parsed(0)?, row.count(1)?)))?;
    let mut claimed = Vec::with_capacity(heads.len());
    for (id, n) in heads {
        let sql = "update webhook_delivery set claimed_by = ?3, next_at = ?4, attempts = attempts + 1, updated_at = ?5
                   where webhook = ?1 and n = ?2";
        db.execute(sql, values![id.as_str(), n, by, until, now], doing)?;
        if let (Some(webhook), Some(delivery)) = (find(db, &id)?, delivery::one(db, &id, n)?) {
            claimed.push(Claimed { webhook, delivery, until });
        }
    }
    Ok(claimed)
}

fn end(
    db: &dyn Sql,
    (id, n): (&WebhookId, u64),
    (by, until): (&str, UnixMs),
    outcome: &Outcome,
    now: UnixMs,
) -> Result<(), StoreError> {
    let doing = "ending a delivery";
    let (state, next, status, error) = match outcome {
        Outcome::Delivered { status } => ("delivered", None, Some(*status), None),
        Outcome::Retry { after, status, error } => ("pending", Some(now + *after), *status, Some(error.as_str())),
        Outcome::Failed { status, error } => ("failed", None, *status, Some(error.as_str())),
    };
    let sql = "update webhook_delivery set state = ?5, next_at = ?6, status = ?7, error = ?8, claimed_by = null,
                 updated_at = ?9
               where webhook = ?1 and n = ?2 and state = 'pending' and claimed_by = ?3 and next_at = ?4";
    let given = values![id.as_str(), n, by, until, state, next, status.map(u32::from), error, now];
    if db.execute(sql, given, doing)? == 0 {
        return Ok(());
    }
    let sql = match outcome {
        Outcome::Delivered { .. } => "update webhook set failing_since = null where id = ?1 and cast(?2 as bigint) > 0",
        _ => "update webhook set failing_since = coalesce(failing_since, ?2) where id = ?1",
    };
    db.execute(sql, values![id.as_str(), now], doing).map(drop)
}

/// Switches a webhook off that has failed for too long; answers the number of the audit entry, or 0.
fn pause(db: &dyn Sql, id: &WebhookId, now: UnixMs, patience: Duration) -> Result<u64, StoreError> {
    let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let since = UnixMs(now.0.saturating_sub(patience));
    let sql = "update webhook set enabled = 0, version = version + 1, updated_at = ?3
               where id = ?1 and enabled = 1 and failing_since <= ?2";
    if db.execute(sql, values![id.as_str(), since, now], "switching a webhook off")? == 0 {
        return Ok(0);
    }
    let entry =
        NewAudit { via: Via::Schedule, ..NewAudit::local("rapidlaunch", "webhook.pause", format!("/webhooks/{id}")) };
    audit::append(db, &entry, now)
}
