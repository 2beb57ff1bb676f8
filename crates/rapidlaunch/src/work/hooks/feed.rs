//! Makes deliveries out of the logs, for each webhook from its own place on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rl_model::WebhookId;
use rl_store::{NewWebhookDelivery, PENDING_MAX, Store, WebhookRecord};

use super::Bells;
use crate::work::data::Data;
use crate::work::happenings::{Happenings, Part, Position, ReadError, Told, Wanted};

/// What is read from a log at once.
const PAGE: usize = 200;
/// How far a webhook may be ahead of its stored place without anything to send: after a restart so much is read again.
const AHEAD_MAX: u64 = 500;
/// Shortest time between two rounds: under load many are read at once.
const PAUSE: Duration = Duration::from_millis(50);
/// Wait after the store could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Feeder {
    store: Store,
    happenings: Happenings,
    bells: Arc<Bells>,
    /// How far was read for a webhook beyond its stored place, where nothing of it is sent.
    ahead: HashMap<WebhookId, Position>,
}

/// Pages that were read in one round: most webhooks are at the same place.
type Pages = HashMap<(bool, u64), Arc<[Told]>>;

impl Feeder {
    pub(super) fn new(data: &Data, bells: Arc<Bells>) -> Self {
        let (store, happenings) = (data.store.clone(), Happenings::of(data.store.clone()));
        Self { store, happenings, bells, ahead: HashMap::new() }
    }

    pub(super) async fn run(mut self) {
        let mut signals = self.happenings.signals();
        loop {
            match self.round().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "webhooks cannot be fed; trying again");
                    tokio::time::sleep(STORE_PAUSE).await;
                    continue;
                }
            }
            tokio::select! {
                more = signals.more() => if !more { return },
                () = self.bells.room.notified() => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Moves every webhook on by a page; answers whether there may be more.
    async fn round(&mut self) -> Result<bool, ReadError> {
        let webhooks = self.store.webhooks().await?;
        self.ahead.retain(|id, _| webhooks.iter().any(|webhook| webhook.id == *id));
        // What waits may have been put there, or let go on, by a person or by another server.
        if webhooks.iter().any(|webhook| webhook.enabled && webhook.pending > 0) {
            self.bells.due.notify_one();
        }
        let (mut pages, mut more) = (Pages::new(), false);
        for webhook in webhooks.iter().filter(|webhook| webhook.enabled) {
            more |= self.feed(webhook, &mut pages).await?;
        }
        Ok(more)
    }

    async fn feed(&mut self, webhook: &WebhookRecord, pages: &mut Pages) -> Result<bool, ReadError> {
        let stored = Position { events: webhook.events_seen, changes: webhook.audit_seen };
        let room = PENDING_MAX.saturating_sub(webhook.pending);
        let wanted = Wanted { kinds: webhook.kinds.clone(), stacks: webhook.stacks.clone(), operation: None };
        let mut place = self.ahead.get(&webhook.id).map_or(stored, |ahead| ahead.max(stored));
        let (mut made, mut more) = (Vec::new(), false);
        for part in Part::ALL {
            // It stands still where it has no room: the logs keep what is to come.
            let has_room = |made: &Vec<NewWebhookDelivery>| (made.len() as u64) < room;
            if !has_room(&made) {
                break;
            }
            match self.page(part, place.of(part), pages).await {
                Ok(page) => {
                    for told in page.iter() {
                        if !has_room(&made) {
                            break;
                        }
                        place = place.with(part, told.seq);
                        made.extend(wanted.fits(told).then(|| delivery_of(told)));
                    }
                    more |= page.len() == PAGE && has_room(&made);
                }
                Err(ReadError::Gone { complete_after }) => {
                    made.push(resync(place));
                    place = place.with(part, complete_after);
                    more = true;
                }
                Err(error) => return Err(error),
            }
        }
        let ahead = (place.events - stored.events).max(place.changes - stored.changes);
        if made.is_empty() && ahead < AHEAD_MAX {
            self.ahead.insert(webhook.id.clone(), place);
            return Ok(more);
        }
        let (from, to) = ((stored.events, stored.changes), (place.events, place.changes));
        let moved = self.store.feed_webhook(&webhook.id, from, to, made).await?;
        self.ahead.remove(&webhook.id);
        self.bells.due.notify_one();
        // Another server was quicker: its place is read anew.
        Ok(more || !moved)
    }

    async fn page(&self, part: Part, after: u64, pages: &mut Pages) -> Result<Arc<[Told]>, ReadError> {
        let key = (part == Part::Events, after);
        if let Some(page) = pages.get(&key) {
            return Ok(Arc::clone(page));
        }
        let page: Arc<[Told]> = self.happenings.page(part, after, PAGE).await?.into();
        pages.insert(key, Arc::clone(&page));
        Ok(page)
    }
}

/// A delivery of something that happened: its name and data as in the stream of events.
pub(super) fn delivery_of(told: &Told) -> NewWebhookDelivery {
    let body = format!("{{\"event\":{},\"data\":{}}}", serde_json::Value::from(told.name()), told.text);
    let log = match told.part {
        Part::Events => "event",
        Part::Changes => "change",
    };
    NewWebhookDelivery { event: format!("{log}/{}", told.seq), kind: told.kind.clone(), body }
}

/// Says that something after this place is not kept any more.
pub(super) fn resync(place: Position) -> NewWebhookDelivery {
    let body = serde_json::json!({ "event": "resync", "data": { "after": place.to_string() } }).to_string();
    NewWebhookDelivery { event: "resync".to_owned(), kind: "resync".to_owned(), body }
}
