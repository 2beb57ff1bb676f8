//! Times of schedules against a calendar that is counted minute by minute.
use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use proptest::prelude::*;

use super::{ScheduleName, Timetable};
use crate::time::UnixMs;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Pacific/Chatham",
];

/// One field of a pattern as text and as the set of values it means.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    values: BTreeSet<i8>,
    /// One value, written as such.
    fixed: bool,
    any: bool,
}

fn any_field(from: i8, to: i8) -> Field {
    Field { text: "*".to_owned(), values: (from..=to).collect(), fixed: false, any: true }
}

fn field(from: i8, to: i8) -> impl Strategy<Value = Field> {
    prop_oneof![
        2 => Just(any_field(from, to)),
        4 => (from..=to).prop_map(|value| Field { text: value.to_string(), values: [value].into(), fixed: true, any: false }),
        2 => (2i8..=(to - from).max(2)).prop_map(move |step| Field {
            text: format!("*/{step}"),
            values: (from..=to).step_by(step as usize).collect(),
            fixed: false,
            any: false,
        }),
        2 => prop::collection::btree_set(from..=to, 2..4).prop_map(|values| Field {
            text: values.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            values,
            fixed: false,
            any: false,
        }),
    ]
}

#[derive(Debug, Clone)]
struct Pattern {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let day = prop_oneof![3 => Just(any_field(1, 31)), 1 => field(1, 31)];
    let month = prop_oneof![3 => Just(any_field(1, 12)), 1 => field(1, 12)];
    let weekday = prop_oneof![3 => Just(any_field(0, 6)), 1 => field(0, 6)];
    (field(0, 59), field(0, 23), day, month, weekday).prop_map(|(minute, hour, day, month, weekday)| Pattern {
        minute,
        hour,
        day,
        month,
        weekday,
    })
}

impl Pattern {
    fn text(&self) -> String {
        let fields = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        fields.map(|field| field.text.as_str()).join(" ")
    }

    /// Cron's rule for days: where both are given, either will do. Only a bare `*` counts as not given.
    fn is_on(&self, day: DateTime) -> bool {
        let of_month = self.day.values.contains(&day.day());
        let of_week = self.weekday.values.contains(&day.weekday().to_sunday_zero_offset());
        let right_day = match (self.day.any, self.weekday.any) {
            (false, false) => of_month || of_week,
            _ => of_month && of_week,
        };
        right_day && self.month.values.contains(&day.month())
    }

    fn is_fixed(&self) -> bool {
        self.minute.fixed && self.hour.fixed
    }

    /// Every time from `from` to `to`, found by looking at every day.
    fn all(&self, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let mut found = BTreeSet::new();
        let mut day = (from.to_zoned(zone.clone()).date()).yesterday().unwrap();
        let last = to.to_zoned(zone.clone()).date().tomorrow().unwrap();
        while day <= last {
            if self.is_on(day.at(0, 0, 0, 0)) {
                for &hour in &self.hour.values {
                    for &minute in &self.minute.values {
                        self.add(zone, day.at(hour, minute, 0, 0), &mut found);
                    }
                }
            }
            day = day.tomorrow().unwrap();
        }
        found.into_iter().filter(|at| *at > from && *at <= to).collect()
    }

    fn add(&self, zone: &TimeZone, clock: DateTime, found: &mut BTreeSet<Timestamp>) {
        let ambiguous = zone.to_ambiguous_timestamp(clock);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => {
                found.insert(ambiguous.unambiguous().unwrap());
            }
            AmbiguousOffset::Gap { .. } if self.is_fixed() => {
                // The first minute that exists after the gap, if it is still the right day.
                let mut after = clock;
                while zone.to_ambiguous_timestamp(after).is_ambiguous() {
                    after = after.checked_add(1.minute()).unwrap();
                }
                if self.is_on(after) {
                    found.insert(zone.to_timestamp(after).unwrap());
                }
            }
            AmbiguousOffset::Gap { .. } => {}
            AmbiguousOffset::Fold { .. } => {
                found.insert(ambiguous.earlier().unwrap());
                if !self.is_fixed() {
                    found.insert(ambiguous.later().unwrap());
                }
            }
        }
    }
}

fn walk(table: &Timetable, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let times = table.times_after(UnixMs(from.as_millisecond() as u64));
    let found: Vec<_> =
        times.map(|at| Timestamp::from_millisecond(at.0 as i64).unwrap()).take_while(|at| *at <= to).collect();
    assert!(found.is_sorted(), "time goes on");
    found
}

fn span_of(zone: &TimeZone, year: i16, days: i64) -> (Timestamp, Timestamp) {
    let from = zone.to_timestamp(jiff::civil::date(year, 1, 1).at(0, 0, 0, 0)).unwrap();
    (from, from + jiff::SignedDuration::from_hours(24 * days))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A whole year, with both changes of the clocks, in a zone and year of its choice.
    #[test]
    fn times_are_those_of_the_calendar(pattern in pattern(), zone in 0..ZONES.len(), year in 2015i16..2035) {
        let table = Timetable::new(pattern.text(), ZONES[zone]).unwrap();
        let zone = TimeZone::get(ZONES[zone]).unwrap();
        // A pattern with many times a day is walked for some weeks around each change only, which is where it could differ.
        let many = pattern.minute.values.len() * pattern.hour.values.len() > 24;
        let spans = match many {
            false => vec![span_of(&zone, year, 366)],
            true => changes(&zone, year).into_iter().map(|at| (at - 40.hours(), at + 40.hours())).collect(),
        };
        for (from, to) in spans {
            let (found, expected) = (walk(&table, from, to), pattern.all(&zone, from, to));
            let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
            prop_assert!(differs.is_none(), "{} in {:?}: found and expected: {:?}", pattern.text(), zone.iana_name(), differs);
            prop_assert_eq!(found.len(), expected.len(), "{} in {:?}", pattern.text(), zone.iana_name());
        }
    }
}

/// The moments in a year at which a zone's clocks are put forward or back.
fn changes(zone: &TimeZone, year: i16) -> Vec<Timestamp> {
    let (from, to) = span_of(zone, year, 366);
    zone.following(from).map(|change| change.timestamp()).take_while(|at| *at < to).collect()
}

/// Ten years of a nightly look at half past two, in every zone.
#[test]
fn ten_years_have_a_time_every_day() {
    for name in ZONES {
        let zone = TimeZone::get(name).unwrap();
        let table = Timetable::new("30 2 * * *", name).unwrap();
        let fixed = |value: i8| Field { text: value.to_string(), values: [value].into(), fixed: true, any: false };
        let pattern = Pattern {
            minute: fixed(30),
            hour: fixed(2),
            day: any_field(1, 31),
            month: any_field(1, 12),
            weekday: any_field(0, 6),
        };
        let (from, to) = span_of(&zone, 2020, 3653);
        let found = walk(&table, from, to);
        assert_eq!(found, pattern.all(&zone, from, to), "{name}");
        assert_eq!(found.len(), 3653, "once a day, also on days without half past two, or with two of them ({name})");
    }
}

fn next(table: &str, after: &str) -> String {
    let (table, after): (Timetable, Zoned) = (table.parse().unwrap(), after.parse().unwrap());
    let mut at = UnixMs(after.timestamp().as_millisecond() as u64);
    let times = (0..3).map(|_| {
        at = table.next_after(at).unwrap();
        Timestamp::from_millisecond(at.0 as i64)
            .unwrap()
            .to_zoned(after.time_zone().clone())
            .strftime("%d. %H:%M %z")
            .to_string()
    });
    times.collect::<Vec<_>>().join(", ")
}

#[test]
fn clocks_put_forward_and_back() {
    // Forward: 02:30 does not exist on the 29th.
    insta::assert_snapshot!(next("30 2 * * * Europe/Berlin", "2026-03-28T03:00[Europe/Berlin]"), @"29. 03:00 +0200, 30. 02:30 +0200, 31. 02:30 +0200");
    insta::assert_snapshot!(next("*/30 2 * * * Europe/Berlin", "2026-03-28T02:20[Europe/Berlin]"), @"28. 02:30 +0100, 30. 02:00 +0200, 30. 02:30 +0200");
    // Back: 02:30 comes twice on the 25th.
    insta::assert_snapshot!(next("30 2 * * * Europe/Berlin", "2026-10-24T03:00[Europe/Berlin]"), @"25. 02:30 +0200, 26. 02:30 +0100, 27. 02:30 +0100");
    insta::assert_snapshot!(next("30 * * * * Europe/Berlin", "2026-10-25T01:40[Europe/Berlin]"), @"25. 02:30 +0200, 25. 02:30 +0100, 25. 03:30 +0100");
    // Half an hour forward, on an island.
    insta::assert_snapshot!(next("15 2 * * * Australia/Lord_Howe", "2026-10-03T03:00[Australia/Lord_Howe]"), @"04. 02:30 +1100, 05. 02:15 +1100, 06. 02:15 +1100");
}

#[test]
fn patterns_that_never_come_have_no_next_time() {
    let began = std::time::Instant::now();
    assert_eq!(Timetable::new("0 0 30 2 *", "UTC").unwrap().next_after(UnixMs(1_700_000_000_000)), None);
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn wrong_tables_say_what_is_wrong() {
    let wrong = |text: &str| text.parse::<Timetable>().unwrap_err().to_string();
    insta::assert_snapshot!(wrong("* * * *"), @"`* * * *` is no cron pattern: Invalid pattern: Pattern must have 5 fields when seconds are disallowed. Five fields are expected: minute, hour, day of month, month, day of week");
    assert!(wrong("0 30 2 * * * *").contains("is no cron pattern"), "no seconds and no years");
    insta::assert_snapshot!(wrong("0 2 * * * Europe/Berlim"), @"`Europe/Berlim` is no time zone; use a name such as Europe/Berlin or UTC");
    insta::assert_snapshot!("Nightly".parse::<ScheduleName>().unwrap_err(), @"`Nightly` is no name for a schedule: use 1 to 63 lower-case letters, digits and dashes, such as nightly-drift");
    let table: Timetable = "@daily".parse().unwrap();
    assert_eq!((table.cron(), table.tz()), ("@daily", "UTC"));
    let stored = serde_json::to_string(&table).unwrap();
    assert_eq!(serde_json::from_str::<Timetable>(&stored).unwrap(), table);
    assert!(serde_json::from_str::<Timetable>(r#"{"cron":"nonsense","tz":"UTC"}"#).is_err(), "checked at the door");
}
