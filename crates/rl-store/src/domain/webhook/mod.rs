//! Webhooks: where what happens is sent to, and how far each has come in the logs.
mod delivery;
mod queue;

use rl_engine::{Lane, UnixMs};
use rl_model::{SealedValue, WebhookId};

use super::audit;
use super::deed::Deed;
use super::policy::next_version;
use super::rows::{all, first};
use crate::error::{Conflict, StoreError};
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;
pub use delivery::{DeliveryState, WebhookDelivery};
pub use queue::{Claimed, NewWebhookDelivery, Outcome, PENDING_MAX};

/// Most webhooks: each reads the logs for itself.
pub const WEBHOOKS_MAX: u64 = 100;

/// A stored webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRecord {
    /// Its id.
    pub id: WebhookId,
    /// Where to. It may hold what opens the receiver, and is for administrators alone.
    pub url: String,
    /// What deliveries are signed with, encrypted.
    pub secret: SealedValue,
    /// Beginnings of the kinds that are sent; all when empty.
    pub kinds: Vec<String>,
    /// Stacks that it is told of; all and everything else when empty.
    pub stacks: Vec<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Counts its changes by people.
    pub version: u64,
    /// Number of the last engine event that was looked at for it.
    pub events_seen: u64,
    /// Number of the last audit entry that was looked at for it.
    pub audit_seen: u64,
    /// Since when nothing could be delivered.
    pub failing_since: Option<UnixMs>,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was last changed.
    pub updated_at: UnixMs,
    /// Deliveries that wait.
    pub pending: u64,
}

/// A webhook to be made.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// Its id.
    pub id: WebhookId,
    /// Where to.
    pub url: String,
    /// What deliveries are signed with, encrypted.
    pub secret: SealedValue,
    /// Beginnings of the kinds that are sent.
    pub kinds: Vec<String>,
    /// Stacks that it is told of.
    pub stacks: Vec<String>,
}

/// What is to become of a webhook; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where to.
    pub url: Option<String>,
    /// What deliveries are signed with, encrypted.
    pub secret: Option<SealedValue>,
    /// Beginnings of the kinds that are sent.
    pub kinds: Option<Vec<String>>,
    /// Stacks that it is told of.
    pub stacks: Option<Vec<String>>,
    /// Whether anything is sent.
    pub enabled: Option<bool>,
}

const COLUMNS: &str = "w.id, w.url, w.secret, w.kinds, w.stacks, w.enabled, w.version, w.events_seen, w.audit_seen,
    w.failing_since, w.created_at, w.updated_at,
    (select count(*) from webhook_delivery d where d.webhook = w.id and d.state = 'pending')";

impl Store {
    /// Makes a webhook. It is told of what happens from the store's present on; of its own making as the first thing.
    pub async fn add_webhook(&self, new: NewWebhook, deed: Deed) -> Result<WebhookRecord, StoreError> {
        let events = self.journal().subscribe().borrow().events;
        let add = move |db: &dyn Sql, now: UnixMs| {
            let doing = "making a webhook";
            let count = first(db, "select count(*) from webhook", &[], doing, |row| row.count(0))?.unwrap_or(0);
            if count >= WEBHOOKS_MAX {
                return Err(Conflict::Webhooks { max: WEBHOOKS_MAX }.into());
            }
            let sql = "insert into webhook (id, url, secret, kinds, stacks, enabled, version, events_seen, audit_seen,
                         next_n, created_at, updated_at) values (?1, ?2, ?3, ?4, ?5, 1, 1, ?6, ?7, 1, ?8, ?8)";
            let (kinds, stacks) = (json(&new.kinds), json(&new.stacks));
            let changes = audit::newest(db)?;
            let secret = new.secret.as_str();
            let given = values![new.id.as_str(), &new.url, secret, &kinds, &stacks, events, changes, now];
            db.execute(sql, given, doing)?;
            known(db, &new.id)
        };
        self.change(deed, add).await.map(|(webhook, _)| webhook)
    }

    /// All webhooks by id.
    pub async fn webhooks(&self) -> Result<Vec<WebhookRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from webhook w order by w.id");
                all(db, &sql, &[], "reading webhooks", read)
            })
            .await
    }

    /// A webhook.
    pub async fn webhook(&self, id: &WebhookId) -> Result<Option<WebhookRecord>, StoreError> {
        let id = id.clone();
        self.db().read_with(move |db| find(db, &id)).await
    }

    /// Changes a webhook, if it is at the version that was seen (`None`: whatever it is); `None` when there is no such webhook. One
    /// that is let go on tries at once what waits.
    pub async fn change_webhook(
        &self,
        id: &WebhookId,
        seen: Option<u64>,
        to: WebhookChange,
        deed: Deed,
    ) -> Result<Option<WebhookRecord>, StoreError> {
        let id = id.clone();
        let unknown = self.webhook(&id).await?.is_none();
        if unknown {
            return Ok(None);
        }
        let change = move |db: &dyn Sql, now: UnixMs| {
            let doing = "changing a webhook";
            let old = known(db, &id)?;
            let version = next_version("the webhook", old.version, seen)?;
            // Whoever switches it, either way, has seen that it failed.
            let failing = if to.enabled.is_some() { None } else { old.failing_since };
            let sql = "update webhook set url = ?2, secret = ?3, kinds = ?4, stacks = ?5, enabled = ?6, version = ?7,
                         failing_since = ?8, updated_at = ?9 where id = ?1";
            let (kinds, stacks) = (json(&to.kinds.unwrap_or(old.kinds)), json(&to.stacks.unwrap_or(old.stacks)));
            let (url, secret) = (to.url.unwrap_or(old.url), to.secret.unwrap_or(old.secret));
            let enabled = to.enabled.unwrap_or(old.enabled);
            let given = values![id.as_str(), &url, secret.as_str(), &kinds, &stacks, enabled, version, failing, now];
            db.execute(sql, given, doing)?;
            if to.enabled == Some(true) {
                let sql = "update webhook_delivery set next_at = ?2
                           where webhook = ?1 and state = 'pending' and claimed_by is null";
                db.execute(sql, values![id.as_str(), now], doing)?;
            }
            known(db, &id)
        };
        self.change(deed, change).await.map(|(webhook, _)| Some(webhook))
    }

    /// Removes a webhook with its deliveries, if it is at the version that was seen; answers whether there was one.
    pub async fn remove_webhook(&self, id: &WebhookId, seen: Option<u64>, deed: Deed) -> Result<bool, StoreError> {
        if self.webhook(id).await?.is_none() {
            return Ok(false);
        }
        let id = id.clone();
        let remove = move |db: &dyn Sql, _| {
            next_version("the webhook", known(db, &id)?.version, seen)?;
            db.execute("delete from webhook_delivery where webhook = ?1", values![id.as_str()], "removing a webhook")?;
            db.execute("delete from webhook where id = ?1", values![id.as_str()], "removing a webhook")
        };
        self.change(deed, remove).await.map(|(removed, _)| removed > 0)
    }

    /// Removes deliveries that ended long ago, at most `limit`; says how many.
    pub(super) async fn prune_deliveries(&self, limit: usize) -> Result<u64, StoreError> {
        let now = self.now();
        self.db().write_with(Lane::Intake, move |tx, db| delivery::prune(db, tx.at(now).now(), limit)).await
    }
}

fn json(texts: &[String]) -> String {
    serde_json::Value::from(texts.to_vec()).to_string()
}

fn find(db: &dyn Sql, id: &WebhookId) -> Result<Option<WebhookRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from webhook w where w.id = ?1");
    first(db, &sql, values![id.as_str()], "reading a webhook", read)
}

/// A webhook that was there a moment ago.
fn known(db: &dyn Sql, id: &WebhookId) -> Result<WebhookRecord, StoreError> {
    find(db, id)?.ok_or_else(|| Conflict::NoWebhook { id: id.clone() }.into())
}

fn texts(row: &SqlRow, column: usize) -> Result<Vec<String>, CellError> {
    serde_json::from_str(row.text(column)?).map_err(|error| CellError::new(column, error))
}

fn read(row: &SqlRow) -> Result<WebhookRecord, CellError> {
    Ok(WebhookRecord {
        id: row.parsed(0)?,
        url: row.text(1)?.to_owned(),
        secret: row.parsed(2)?,
        kinds: texts(row, 3)?,
        stacks: texts(row, 4)?,
        enabled: row.int(5)? != 0,
        version: row.count(6)?,
        events_seen: row.count(7)?,
        audit_seen: row.count(8)?,
        failing_since: row.ms_opt(9)?,
        created_at: row.ms(10)?,
        updated_at: row.ms(11)?,
        pending: row.count(12)?,
    })
}
