//! Deliveries of a webhook as they are listed: what was sent, what waits, what was given up.
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rl_engine::UnixMs;
use rl_model::WebhookId;

use crate::domain::deed::Deed;
use crate::domain::rows::{all, first};
use crate::error::{Conflict, StoreError};
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// How long a delivery that has ended is kept: people look after what went wrong within days.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Deliveries of a webhook that are kept at most, beside those that wait: bodies are some hundred bytes.
pub(super) const KEPT_MAX: u64 = 5_000;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits, or is under way.
    Pending,
    /// The receiver has it.
    Delivered,
    /// It was given up.
    Failed,
}

impl DeliveryState {
    const ALL: [DeliveryState; 3] = [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Failed];

    /// The name in the store and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeliveryState {
    type Err = std::io::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == name);
        found.ok_or_else(|| std::io::Error::other(format!("`{name}` is no state that this release knows")))
    }
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookDelivery {
    /// Its number within its webhook, from 1.
    pub n: u64,
    /// What it tells of: `event/NUMBER`, `change/NUMBER` or `resync`.
    pub event: String,
    /// The kind of that.
    pub kind: String,
    /// What is sent.
    pub body: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: Option<UnixMs>,
    /// The last answer's status.
    pub status: Option<u16>,
    /// Why the last try failed.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it last changed.
    pub updated_at: UnixMs,
}

const COLUMNS: &str =
    "d.n, d.event, d.kind, d.body, d.state, d.attempts, d.next_at, d.status, d.error, d.created_at, d.updated_at";

impl Store {
    /// A page of a webhook's deliveries, newest first, those before number `before`.
    pub async fn webhook_deliveries(
        &self,
        id: &WebhookId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<WebhookDelivery>, StoreError> {
        let id = id.clone();
        self.db()
            .read_with(move |db| {
                let sql = format!(
                    "select {COLUMNS} from webhook_delivery d where d.webhook = ?1 and d.n < ?2 order by d.n desc limit ?3"
                );
                let before = before.unwrap_or(u64::MAX);
                all(db, &sql, values![id.as_str(), before, limit as u64], "reading deliveries", read)
            })
            .await
    }

    /// Sends a delivery again: a new one with the same body, behind what waits. `None` when there is no such delivery any more.
    pub async fn replay_delivery(
        &self,
        id: &WebhookId,
        n: u64,
        deed: Deed,
    ) -> Result<Option<WebhookDelivery>, StoreError> {
        let Some(old) = self.delivery(id, n).await? else { return Ok(None) };
        let id = id.clone();
        let replay = move |db: &dyn Sql, now: UnixMs| {
            let doing = "sending a delivery again";
            let sql =
                "update webhook set next_n = next_n + 1 where id = ?1 and (select count(*) from webhook_delivery d
                         where d.webhook = ?1 and d.state = 'pending') < ?2";
            if db.execute(sql, values![id.as_str(), super::PENDING_MAX], doing)? == 0 {
                return Err(Conflict::DeliveriesWait { id: id.clone(), count: super::PENDING_MAX }.into());
            }
            let sql = "insert into webhook_delivery
                         (webhook, n, event, kind, body, state, attempts, next_at, created_at, updated_at)
                       select w.id, w.next_n - 1, cast(?2 as text), cast(?3 as text), cast(?4 as text), 'pending', 0,
                         cast(?5 as bigint), cast(?5 as bigint), cast(?5 as bigint) from webhook w where w.id = ?1";
            db.execute(sql, values![id.as_str(), &old.event, &old.kind, &old.body, now], doing)?;
            let sql =
                format!("select {COLUMNS} from webhook_delivery d where d.webhook = ?1 order by d.n desc limit 1");
            first(db, &sql, values![id.as_str()], doing, read)
        };
        self.change(deed, replay).await.map(|(made, _)| made)
    }

    async fn delivery(&self, id: &WebhookId, n: u64) -> Result<Option<WebhookDelivery>, StoreError> {
        let id = id.clone();
        self.db().read_with(move |db| one(db, &id, n)).await
    }

    /// Deliveries that wait, of all webhooks.
    pub async fn webhook_backlog(&self) -> Result<u64, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = "select count(*) from webhook_delivery where state = 'pending'";
                Ok(first(db, sql, &[], "counting deliveries", |row| row.count(0))?.unwrap_or(0))
            })
            .await
    }
}

pub(super) fn one(db: &dyn Sql, id: &WebhookId, n: u64) -> Result<Option<WebhookDelivery>, StoreError> {
    let sql = format!("select {COLUMNS} from webhook_delivery d where d.webhook = ?1 and d.n = ?2");
    first(db, &sql, values![id.as_str(), n], "reading a delivery", read)
}

/// Removes what ended long ago.
pub(super) fn prune(db: &dyn Sql, now: UnixMs, limit: usize) -> Result<u64, StoreError> {
    let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
    let sql = "delete from webhook_delivery where (webhook, n) in
                 (select webhook, n from webhook_delivery where state <> 'pending' and updated_at <= ?1 limit ?2)";
    let before = UnixMs(now.0.saturating_sub(kept));
    db.execute(sql, values![before, limit as u64], "removing old deliveries")
}

fn read(row: &SqlRow) -> Result<WebhookDelivery, CellError> {
    Ok(WebhookDelivery {
        n: row.count(0)?,
        event: row.text(1)?.to_owned(),
        kind: row.text(2)?.to_owned(),
        body: row.text(3)?.to_owned(),
        state: row.parsed(4)?,
        attempts: row.number(5)?,
        next_at: row.ms_opt(6)?,
        status: row.int_opt(7)?.and_then(|status| u16::try_from(status).ok()),
        error: row.text_opt(8)?.map(str::to_owned),
        created_at: row.ms(9)?,
        updated_at: row.ms(10)?,
    })
}
