//! Reading the audit: pages, and following it.
use std::time::Duration;

use tokio::sync::watch;

use super::{AuditRecord, COLUMNS, read};
use crate::domain::rows::all;
use crate::error::StoreError;
use crate::sql::{Value, values};
use crate::store::Store;

/// Most entries of a page: a page is held in memory.
const PAGE_MAX: usize = 1_000;
/// Most entries looked at for one page: a filter that nothing passes must not keep a reader busy for long. The answer then says
/// where to go on.
const LOOKED_MAX: u64 = 20_000;
/// How often entries of other servers are looked for where nothing tells of them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A filter and page of the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only later than this number, oldest first. Without it the newest come first.
    pub after: Option<u64>,
    /// Only earlier than this number.
    pub before: Option<u64>,
    /// Only what this person did.
    pub actor: Option<String>,
    /// Only this action, or every action of a kind: `plan` finds `plan.create`.
    pub action: Option<String>,
    /// Only this path and those below it.
    pub path: Option<String>,
    /// At most this many; never more than 1,000.
    pub limit: usize,
}

/// A page of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditRecord>,
    /// Where to go on, as `after` or `before` of the next query; there may be more even if this page is short.
    pub next: Option<u64>,
}

impl Store {
    /// A page of the audit.
    pub async fn audit_page(&self, query: AuditQuery) -> Result<AuditPage, StoreError> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let newest = self.audit_head().await?.0;
        let (low, high) = match query.after {
            Some(after) => (after, query.before.unwrap_or(u64::MAX).min(after.saturating_add(LOOKED_MAX + 1))),
            None => {
                let high = query.before.unwrap_or(u64::MAX).min(newest.saturating_add(1));
                (high.saturating_sub(LOOKED_MAX + 1), high)
            }
        };
        let is_forward = query.after.is_some();
        let items = self.audit_between(low, high, query, limit).await?;
        let next = match items.last() {
            Some(last) if items.len() == limit => Some(last.seq),
            _ if is_forward => (high <= newest).then(|| high - 1),
            _ => (low > 0).then_some(low + 1),
        };
        Ok(AuditPage { items, next })
    }

    /// The entries between two numbers, both left out, that pass a filter.
    async fn audit_between(
        &self,
        low: u64,
        high: u64,
        query: AuditQuery,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let order = if query.after.is_some() { "asc" } else { "desc" };
                let mut given: Vec<Value<'_>> = values![low, high, limit as u64].to_vec();
                let mut wanted = String::new();
                let mut want = |text: Option<&String>, rule: &str| {
                    if let Some(text) = text {
                        given.push(text.trim_end_matches('/').to_owned().into());
                        wanted.push_str(&rule.replace('#', &format!("?{}", given.len())));
                    }
                };
                want(query.actor.as_ref(), " and actor = #");
                want(query.action.as_ref(), " and (action = # or substr(action, 1, length(#) + 1) = # || '.')");
                want(query.path.as_ref(), " and (path = # or substr(path, 1, length(#) + 1) = # || '/')");
                let sql = format!(
                    "select {COLUMNS} from audit where seq > ?1 and seq < ?2{wanted} order by seq {order} limit ?3"
                );
                all(db, &sql, &given, "reading the audit", read)
            })
            .await
    }

    /// Tells the number of the newest entry whenever it grows. Entries of other servers are told while [`Store::follow_audit`] runs.
    pub fn subscribe_audit(&self) -> watch::Receiver<u64> {
        self.audit_signal().subscribe()
    }

    /// Keeps followers up to date with entries that others write, until it is dropped.
    pub async fn follow_audit(&self) {
        let mut signal = self.journal().subscribe();
        loop {
            match self.audit_head().await {
                Ok((seq, _)) => self.announce_audit(seq),
                Err(error) => tracing::debug!(%error, "the newest audit entry cannot be read at the moment"),
            }
            // What starts an operation writes into the audit too, and is told of at once.
            let changed = async {
                if signal.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    pub(crate) fn announce_audit(&self, seq: u64) {
        self.audit_signal().send_if_modified(|known| {
            let grows = seq > *known;
            *known = seq.max(*known);
            grows
        });
    }
}
