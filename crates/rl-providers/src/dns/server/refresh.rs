//! Keeps the zones that are answered from as the book has them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::notify::notify;
use super::{ServedZone, Shelf, ZoneSource, ZoneView, Zones};
use crate::dns::builtin::{BookError, ZoneBook};

/// How often the book is looked at. A change is answered that much later at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Notices to secondaries under way at once; a zone that changes faster is told again by the next change.
const NOTICES_MAX: usize = 64;

/// Looks until the task is dropped.
pub(super) async fn run(source: Arc<dyn ZoneSource>, book: Arc<dyn ZoneBook>, shelf: Arc<Shelf>) {
    let mut notices = JoinSet::new();
    let mut failing = false;
    loop {
        while notices.try_join_next().is_some() {}
        match look(&*source, &*book, &shelf, &mut notices).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                tracing::warn!(%error, "the zones could not be read; the last known ones are answered");
                failing = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn look(
    source: &dyn ZoneSource,
    book: &dyn ZoneBook,
    shelf: &Shelf,
    notices: &mut JoinSet<()>,
) -> Result<(), BookError> {
    let served = source.zones().await?;
    let old = shelf.zones();
    let mut zones = Zones::new();
    let mut changed = old.len() != served.len();
    let names: BTreeMap<_, &ServedZone> = served.iter().map(|zone| (&zone.name, zone)).collect();
    for (name, zone) in names {
        let serial = book.serial(name).await?;
        let key = rl_model::dns::DnsName::of_zone(name);
        if let Some(view) = old.get(&key).filter(|view| view.serial() == serial && view.serves(zone)) {
            zones.insert(key, Arc::clone(view));
            continue;
        }
        let (serial, records) = book.zone(name).await?;
        let view = Arc::new(ZoneView::new(zone, serial, &records));
        for secondary in zone.secondaries.iter().take(NOTICES_MAX.saturating_sub(notices.len())) {
            notices.spawn(notify(key.clone(), secondary.clone()));
        }
        zones.insert(key, view);
        changed = true;
    }
    if changed {
        shelf.replace(zones);
    }
    Ok(())
}
