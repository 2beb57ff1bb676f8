//! Sends deliveries that are due: of each webhook one at a time and in order, at least once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use rl_model::{SealedValue, WebhookId};
use rl_providers::reach::Reach;
use rl_providers::web;
use rl_store::{Claimed, Outcome, PENDING_MAX, StoreError, WebhookRecord};
use tokio::task::JoinSet;
use url::{Host, Url};

use super::{Bells, Keys, keys};
use crate::error::CommandError;
use crate::telemetry::names;
use crate::work::data::Data;
use crate::work::runner;

/// Deliveries at once, of all webhooks: a receiver that is slow holds one of them.
const AT_ONCE: usize = 16;
/// Longest time one try may take.
const TRY_LIMIT: Duration = Duration::from_secs(15);
/// How long nobody else tries what was claimed: a try with the transactions around it, and then some.
const LEASE: Duration = Duration::from_secs(60);
/// Wait after the first failure; it doubles with each.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// How long a delivery is tried before it is given up.
const GIVE_UP: Duration = Duration::from_secs(24 * 3600);
/// How long nothing may be delivered before a webhook is switched off: over a weekend nobody looks.
const PATIENCE: Duration = Duration::from_secs(3 * 24 * 3600);
/// Bytes of an answer that are read, so that the connection can be used again; more is not waited for.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Characters of a reason that are kept.
const ERROR_CHARS_MAX: usize = 300;
/// Wait where nothing could be claimed although something is due: another server has it, or another clock.
const CLAIM_PAUSE: Duration = Duration::from_millis(200);
/// Wait after the store could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Deliverer {
    data: Arc<Data>,
    client: reqwest::Client,
    reach: Reach,
    bells: Arc<Bells>,
    /// Who this is, among several servers.
    by: String,
    /// Keys that were decrypted, beside what they were decrypted from. As many as there are webhooks.
    keys: Mutex<HashMap<WebhookId, (SealedValue, Arc<Keys>)>>,
}

/// What a receiver answers, or why it did not.
type Tried = Result<u16, (Option<u16>, String)>;

impl Deliverer {
    pub(super) fn new(data: Arc<Data>, client: reqwest::Client, reach: Reach, bells: Arc<Bells>) -> Arc<Self> {
        let by = format!("{:016x}", rl_agent::random().random::<u64>());
        Arc::new(Self { data, client, reach, bells, by, keys: Mutex::default() })
    }

    pub(super) async fn run(self: Arc<Self>) {
        let mut under_way = JoinSet::new();
        // A directory is held by one process: whoever claimed something in it before is gone.
        let mut fresh = !self.data.is_shared();
        loop {
            let wait = match self.claim(&mut under_way, &mut fresh).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "deliveries of webhooks cannot be claimed; trying again");
                    Some(STORE_PAUSE)
                }
            };
            let later = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.bells.due.notified() => {}
                Some(_) = under_way.join_next() => {}
                () = later => {}
            }
        }
    }

    /// Begins what is due; answers how long to wait for what comes next.
    async fn claim(
        self: &Arc<Self>,
        under_way: &mut JoinSet<()>,
        fresh: &mut bool,
    ) -> Result<Option<Duration>, StoreError> {
        let store = &self.data.store;
        if *fresh {
            store.release_deliveries().await?;
            *fresh = false;
        }
        let free = AT_ONCE.saturating_sub(under_way.len());
        // The end of one of them is waited for.
        if free == 0 {
            return Ok(None);
        }
        let Some(due) = store.next_delivery_at().await? else { return Ok(None) };
        let wait = Duration::from_millis(due.0.saturating_sub(runner::now().0));
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        let claimed = store.claim_deliveries(&self.by, LEASE, free).await?;
        let wait = if claimed.is_empty() { CLAIM_PAUSE } else { Duration::ZERO };
        for claimed in claimed {
            under_way.spawn(Arc::clone(self).deliver(claimed));
        }
        Ok(Some(wait))
    }

    /// Tries a delivery, and writes down what came of it.
    async fn deliver(self: Arc<Self>, claimed: Claimed) {
        let tried = self.send(&claimed).await;
        let age = runner::now().since(claimed.delivery.created_at);
        let outcome = outcome(tried, claimed.delivery.attempts, age, rl_agent::random().random_range(0.5..=1.0));
        let result = match &outcome {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Retry { .. } => "retried",
            Outcome::Failed { .. } => "failed",
        };
        metrics::counter!(names::WEBHOOKS, "result" => result).increment(1);
        let id = &claimed.webhook.id;
        if let Outcome::Retry { error, .. } | Outcome::Failed { error, .. } = &outcome {
            tracing::info!(webhook = %id, n = claimed.delivery.n, attempt = claimed.delivery.attempts, error, result, "not delivered");
        }
        match self.data.store.end_delivery(&claimed, &self.by, outcome, PATIENCE).await {
            Ok(true) => tracing::warn!(webhook = %id, "switched off: nothing could be delivered for days"),
            Ok(false) => {}
            // Its time runs out, and it is tried again.
            Err(error) => tracing::warn!(webhook = %id, %error, "what came of a delivery cannot be written down"),
        }
        if claimed.webhook.pending == PENDING_MAX / 2 {
            self.bells.room.notify_one();
        }
    }

    async fn send(&self, claimed: &Claimed) -> Tried {
        let Claimed { webhook, delivery, .. } = claimed;
        let keys = self.keys_of(webhook).await.map_err(|error| (None, error.text(false)))?;
        let url: Url = webhook.url.parse().map_err(|_| (None, "its URL is none".to_owned()))?;
        within(self.reach, &url).map_err(|error| (None, error.to_string()))?;
        let sent = self
            .client
            .post(url)
            .timeout(TRY_LIMIT)
            .header("content-type", "application/json")
            .header("rapidlaunch-delivery", delivery_id(&webhook.id, delivery.n))
            .header("rapidlaunch-signature", keys.signature(runner::now(), &delivery.body))
            .body(delivery.body.clone())
            .send()
            .await;
        // The URL may hold what opens the receiver.
        let mut answer = sent.map_err(|error| (None, web::chain(&error.without_url())))?;
        let status = answer.status();
        let mut read = 0;
        while let Ok(Some(chunk)) = answer.chunk().await {
            read += chunk.len();
            if read > ANSWER_BYTES_MAX {
                break;
            }
        }
        match status.is_success() {
            true => Ok(status.as_u16()),
            false => Err((Some(status.as_u16()), format!("it answered {}", status.as_u16()))),
        }
    }

    async fn keys_of(&self, webhook: &WebhookRecord) -> Result<Arc<Keys>, CommandError> {
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&webhook.id).cloned();
        if let Some((_, keys)) = known.filter(|(sealed, _)| *sealed == webhook.secret) {
            return Ok(keys);
        }
        let keys = Arc::new(keys::open(&self.data, webhook).await?);
        let mut all = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= rl_store::WEBHOOKS_MAX as usize {
            all.clear();
        }
        all.insert(webhook.id.clone(), (webhook.secret.clone(), Arc::clone(&keys)));
        Ok(keys)
    }
}

/// What a delivery is called: the same each time it is tried.
pub(crate) fn delivery_id(webhook: &WebhookId, n: u64) -> String {
    format!("{webhook}-{n}")
}

/// Refuses a URL that names an address out of reach; names are looked at when they are looked up.
pub(crate) fn within(reach: Reach, url: &Url) -> Result<(), rl_providers::reach::OutOfReach> {
    match url.host() {
        Some(Host::Ipv4(address)) => reach.check(address.into()),
        Some(Host::Ipv6(address)) => reach.check(address.into()),
        _ => Ok(()),
    }
}

/// What becomes of a delivery after a try; `jitter` is between 0.5 and 1.
pub(super) fn outcome(tried: Tried, attempts: u32, age: Duration, jitter: f64) -> Outcome {
    let (status, error) = match tried {
        Ok(status) => return Outcome::Delivered { status },
        Err((status, error)) => (status, error.chars().take(ERROR_CHARS_MAX).collect()),
    };
    if age >= GIVE_UP {
        return Outcome::Failed { status, error };
    }
    let doubled = RETRY_FIRST.saturating_mul(1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX));
    Outcome::Retry { after: doubled.min(RETRY_MAX).mul_f64(jitter), status, error }
}
