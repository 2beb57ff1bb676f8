//! Who was looked up a moment ago, so that not every request asks the store.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rl_store::Digest;

use super::Bearer;

/// How long somebody is remembered: what another process changes is seen here after so long at the latest.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Most that are remembered; beyond them the store is asked.
const REMEMBERED_MAX: usize = 4_096;

/// See the module. Only those who came in are remembered: a stranger cannot fill it.
pub(super) struct Cache(Mutex<State>);

#[derive(Default)]
struct State {
    /// Goes up when everybody is forgotten, so that nobody who was looked up before is remembered after.
    round: u64,
    known: HashMap<Digest, (Instant, Arc<Bearer>)>,
}

/// The moment before a look-up.
pub(super) struct Round(u64);

impl Cache {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::default()))
    }

    /// Whoever came with this a moment ago; otherwise the moment to remember them from.
    pub(super) fn get(&self, digest: &Digest) -> Result<Arc<Bearer>, Round> {
        let state = self.lock();
        match state.known.get(digest) {
            Some((since, bearer)) if since.elapsed() < REMEMBERED => Ok(Arc::clone(bearer)),
            _ => Err(Round(state.round)),
        }
    }

    /// Remembers somebody who was looked up since, unless everybody was forgotten meanwhile.
    pub(super) fn put(&self, round: Round, digest: Digest, bearer: Arc<Bearer>) {
        let mut state = self.lock();
        if state.round != round.0 {
            return;
        }
        if state.known.len() >= REMEMBERED_MAX {
            state.known.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        }
        if state.known.len() < REMEMBERED_MAX {
            state.known.insert(digest, (Instant::now(), bearer));
        }
    }

    /// How often everybody was forgotten.
    pub(super) fn round(&self) -> u64 {
        self.lock().round
    }

    /// Forgets everybody.
    pub(super) fn forget(&self) {
        let mut state = self.lock();
        state.round += 1;
        state.known.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is remembered is whole after each statement, also where another thread has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
