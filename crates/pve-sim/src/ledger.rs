//! The ledger: what was truly done, in order, and which calls were made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

/// The list of effects stops growing here; the counts go on.
const LISTED_EFFECTS: usize = 500_000;

/// Something that was truly done to a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Counts from 1 over the whole site.
    pub seq: u64,
    /// Seconds since 1970.
    pub time: i64,
    /// create, start, stop, shutdown, reboot, destroy, config, clone, migrate, resize, snapshot, rollback, template ...
    pub kind: String,
    /// The guest it was done to; for a clone the new one.
    pub vmid: u32,
    /// Where.
    pub node: String,
    /// The lines of the guest's description at that moment, for stamps.
    pub description: Vec<String>,
    /// Who asked: `user@realm` or `user@realm!token`.
    pub user: String,
}

/// The whole ledger.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Effects in the order they happened.
    pub effects: Vec<Effect>,
    /// Effects by kind.
    pub by_kind: BTreeMap<String, u64>,
    /// Effects by guest, then by kind.
    pub by_vmid: BTreeMap<u32, BTreeMap<String, u64>>,
    /// Effects by line of the description, then by kind.
    pub by_description_line: BTreeMap<String, BTreeMap<String, u64>>,
    /// API calls by method and path template.
    pub calls: BTreeMap<String, u64>,
    /// All API calls.
    pub calls_total: u64,
}

/// Hears of every effect.
type Listener = Arc<dyn Fn(&Effect) + Send + Sync>;

#[derive(Default)]
pub(crate) struct LedgerBook {
    book: Mutex<Book>,
    listener: OnceLock<Listener>,
}

#[derive(Debug, Default)]
struct Book {
    ledger: Ledger,
    seq: u64,
}

impl LedgerBook {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets somebody hear of every effect from now on; only the first who asks does. It is called where the effect happens
    /// and must not wait.
    pub(crate) fn listen(&self, listener: Listener) {
        let _ = self.listener.set(listener);
    }

    pub(crate) fn effect(&self, mut effect: Effect) {
        self.write(&mut effect);
        if let Some(listener) = self.listener.get() {
            listener(&effect);
        }
    }

    fn write(&self, effect: &mut Effect) {
        let mut book = self.book();
        book.seq += 1;
        effect.seq = book.seq;
        let Book { ledger, .. } = &mut *book;
        *ledger.by_kind.entry(effect.kind.clone()).or_default() += 1;
        *ledger.by_vmid.entry(effect.vmid).or_default().entry(effect.kind.clone()).or_default() += 1;
        for line in &effect.description {
            *ledger.by_description_line.entry(line.clone()).or_default().entry(effect.kind.clone()).or_default() += 1;
        }
        if ledger.effects.len() < LISTED_EFFECTS {
            ledger.effects.push(effect.clone());
        }
    }

    pub(crate) fn call(&self, method: &str, template: &str) {
        let mut book = self.book();
        book.ledger.calls_total += 1;
        *book.ledger.calls.entry(format!("{method} {template}")).or_default() += 1;
    }

    pub(crate) fn snapshot(&self) -> Ledger {
        self.book().ledger.clone()
    }

    pub(crate) fn clear(&self) {
        *self.book() = Book::default();
    }
}
