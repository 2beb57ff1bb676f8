//! Places of followers, so that one caller does not take them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Followers of one caller: many pages and programs of a person, and no more than a connection of HTTP/2 carries.
pub(crate) const SEATS_OF_CALLER: usize = 100;

/// Who follows how often.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<HashMap<String, usize>>);

/// A place, as long as it is kept.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    caller: String,
}

impl Seats {
    /// A place for a caller; none where they have all that they may have.
    pub(crate) fn take(self: &Arc<Self>, caller: &str) -> Option<Seat> {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seats.entry(caller.to_owned()).or_default();
        if *taken >= SEATS_OF_CALLER {
            return None;
        }
        *taken += 1;
        Some(Seat { seats: Arc::clone(self), caller: caller.to_owned() })
    }

    /// Whether nobody has a place.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.caller) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.caller);
            }
        }
    }
}
