//! When a task of a type usually ends, learnt while watching.

use std::collections::HashMap;
use std::time::Duration;

use crate::client::Pace;

/// First guesses in the site's time, by task type; wrong ones are corrected within a few tasks.
const FIRST_GUESSES: &[(&str, u64)] = &[
    ("vzcreate", 5_000),
    ("vzclone", 5_000),
    ("vzstart", 2_000),
    ("vzstop", 2_000),
    ("vzshutdown", 4_000),
    ("vzreboot", 6_000),
    ("vzdestroy", 2_000),
    ("vzmigrate", 10_000),
];
/// First guess for every other type, in milliseconds of the site's time.
const OTHER_GUESS_MS: u64 = 3_000;
/// Share by which an estimate shrinks when the first look found the end: more than half of the first looks then do.
const HIT_SHRINK: f64 = 0.985;
/// Weight of one late or early end.
const WEIGHT: f64 = 0.25;
/// Bounds of an estimate in the site's time: never at once, and never so late that an end goes unnoticed for long.
const BOUNDS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));
/// Types that are remembered; Proxmox has some sixty.
const TYPES_MAX: usize = 256;

/// How a task's end was found, in our time since it was started.
pub(super) struct Ended {
    /// The look before, at which it still ran.
    pub(super) ran_at: Option<Duration>,
    /// The look that found it ended.
    pub(super) seen_at: Duration,
    /// How long it ran by the node's clock, rounded up. Clocks keep our time, also where work is quicker than theirs.
    pub(super) took: Option<Duration>,
}

pub(super) struct Estimates {
    pace: Pace,
    by_type: HashMap<String, Duration>,
}

impl Estimates {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, by_type: HashMap::new() }
    }

    /// When to look first, in our time since the start.
    pub(super) fn of(&self, kind: &str) -> Duration {
        self.by_type.get(kind).copied().unwrap_or_else(|| {
            let guess = FIRST_GUESSES.iter().find(|(name, _)| *name == kind).map_or(OTHER_GUESS_MS, |(_, ms)| *ms);
            self.pace.local(Duration::from_millis(guess))
        })
    }

    /// Learns from one end.
    pub(super) fn learn(&mut self, kind: &str, ended: &Ended) {
        let old = self.of(kind).as_secs_f64();
        let seen = ended.seen_at.as_secs_f64();
        let mut new = match ended.ran_at {
            // It ended somewhere between two looks.
            Some(ran) => old + WEIGHT * (ran.as_secs_f64().midpoint(seen) - old),
            // It ended before it was expected, and another task's look found it.
            None if seen < old => old + WEIGHT * (seen - old),
            None => old * HIT_SHRINK,
        };
        if let Some(took) = ended.took {
            new = new.min(took.as_secs_f64());
        }
        let bounds = (self.pace.local(BOUNDS.0), self.pace.local(BOUNDS.1));
        let new = Duration::from_secs_f64(new.max(0.0)).clamp(bounds.0, bounds.1);
        if self.by_type.len() < TYPES_MAX || self.by_type.contains_key(kind) {
            self.by_type.insert(kind.to_owned(), new);
        }
    }
}
