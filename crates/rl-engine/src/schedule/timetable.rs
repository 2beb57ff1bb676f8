//! The times of a cron pattern in a time zone. Pure: the same pattern and moment give the same next time.
//!
//! Where clocks are put forward, a fixed time (one hour, one minute) that does not exist on that day comes at the first moment
//! after the gap; a repeated time (`*/5`, lists, ranges) leaves the gap out. Where they are put back, a fixed time comes once, the
//! first time the clock shows it; a repeated one comes in both hours. Where a day of the month and a day of the week are given,
//! either will do.
use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::time::UnixMs;

/// A cron pattern of five fields (minute, hour, day of month, month, day of week) in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Timetable {
    cron: String,
    tz: String,
}

#[derive(Serialize, Deserialize)]
struct Written {
    cron: String,
    tz: String,
}

/// A pattern or a zone that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// The pattern.
    #[error(
        "`{cron}` is no cron pattern: {why}. Five fields are expected: minute, hour, day of month, month, day of week"
    )]
    Cron {
        /// As given.
        cron: String,
        /// What is wrong.
        why: String,
    },
    /// The zone.
    #[error("`{tz}` is no time zone; use a name such as Europe/Berlin or UTC")]
    Zone {
        /// As given.
        tz: String,
    },
}

impl Timetable {
    /// Reads a pattern and a zone. A pattern without a moment after `now` in reach is refused by [`Timetable::next_after`] giving `None`.
    pub fn new(cron: impl Into<String>, tz: impl Into<String>) -> Result<Self, TimetableError> {
        let table = Self { cron: cron.into(), tz: tz.into() };
        table.pattern()?;
        table.zone()?;
        Ok(table)
    }

    /// The pattern as written.
    pub fn cron(&self) -> &str {
        &self.cron
    }

    /// The zone as written.
    pub fn tz(&self) -> &str {
        &self.tz
    }

    fn pattern(&self) -> Result<Cron, TimetableError> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        parser.parse(&self.cron).map_err(|why| TimetableError::Cron {
            cron: self.cron.clone(),
            why: why.to_string().trim_end_matches('.').to_owned(),
        })
    }

    fn zone(&self) -> Result<TimeZone, TimetableError> {
        TimeZone::get(&self.tz).map_err(|_| TimetableError::Zone { tz: self.tz.clone() })
    }

    /// The first time after `after`; `None` when there is none that can be told.
    pub fn next_after(&self, after: UnixMs) -> Option<UnixMs> {
        self.times_after(after).next()
    }

    /// All times after `after`, one by one.
    pub fn times_after(&self, after: UnixMs) -> impl Iterator<Item = UnixMs> + use<> {
        let read = self.pattern().ok().zip(self.zone().ok());
        let mut at = Some(after);
        std::iter::from_fn(move || {
            let (pattern, zone) = read.as_ref()?;
            at = next(pattern, zone, at?);
            at
        })
    }
}

fn next(pattern: &Cron, zone: &TimeZone, after: UnixMs) -> Option<UnixMs> {
    let start = Timestamp::from_millisecond(i64::try_from(after.0).ok()?).ok()?.to_zoned(zone.clone());
    let next = pattern.find_next_occurrence(&start, false).ok()?;
    let at = UnixMs(u64::try_from(next.timestamp().as_millisecond()).ok()?);
    // A time before the asked one would start the same operation for ever.
    (at > after).then_some(at)
}

impl TryFrom<Written> for Timetable {
    type Error = TimetableError;
    fn try_from(written: Written) -> Result<Self, TimetableError> {
        Self::new(written.cron, written.tz)
    }
}

impl From<Timetable> for Written {
    fn from(table: Timetable) -> Written {
        Written { cron: table.cron, tz: table.tz }
    }
}

impl FromStr for Timetable {
    type Err = TimetableError;
    /// A pattern, and after it a zone: `30 2 * * * Europe/Berlin`; without a zone in UTC.
    fn from_str(text: &str) -> Result<Self, TimetableError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        match fields.split_last() {
            Some((tz, cron)) if cron.len() == 5 => Self::new(cron.join(" "), *tz),
            _ => Self::new(text.trim(), "UTC"),
        }
    }
}
