//! A place in both logs: `E-A`.

use std::fmt;
use std::str::FromStr;

/// One of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The engine's events.
    Events,
    /// The entries of the audit.
    Changes,
}

impl Part {
    /// Both.
    pub(crate) const ALL: [Part; 2] = [Part::Events, Part::Changes];
}

/// The numbers of the last that was seen in each log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Position {
    /// In the engine's events.
    pub(crate) events: u64,
    /// In the audit.
    pub(crate) changes: u64,
}

/// A text that is no place in the logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must be two numbers with a `-` between them, as an id that was given out")]
pub(crate) struct PositionError;

impl Position {
    /// The number in one log.
    pub(crate) fn of(self, part: Part) -> u64 {
        match part {
            Part::Events => self.events,
            Part::Changes => self.changes,
        }
    }

    /// The same with another number in one log.
    #[must_use]
    pub(crate) fn with(mut self, part: Part, seq: u64) -> Self {
        match part {
            Part::Events => self.events = seq,
            Part::Changes => self.changes = seq,
        }
        self
    }

    /// The later of the two in each log.
    #[must_use]
    pub(crate) fn max(self, other: Self) -> Self {
        Self { events: self.events.max(other.events), changes: self.changes.max(other.changes) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.events, self.changes)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        // Signs and spaces are none of ours, and neither are numbers that no log reaches.
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<i64>().ok().map(i64::unsigned_abs).ok_or(PositionError),
            false => Err(PositionError),
        };
        let (events, changes) = text.split_once('-').ok_or(PositionError)?;
        Ok(Self { events: number(events)?, changes: number(changes)? })
    }
}
