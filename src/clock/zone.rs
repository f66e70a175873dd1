//! The billing zone: what a day and a month are, and from which month on they are something else.
//!
//! A ledger counts in the zone that it was made with, and in another one from the first of a month on. How the two
//! join: the month begins when it has begun in both. Until then it is the last day of the month before, which may be
//! longer for it; the first day of the month may be shorter. So each instant is of one day, days follow each other,
//! and no hour is of two months.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Day, Millis, Month};

/// How long before a month begins a change of zone must be told to begin with it: members that cannot reach the
/// ledger go on by the days that they know.
const TOLD_AHEAD_MS: i64 = 24 * 3_600_000;
/// The most changes of zone.
const CHANGES_MAX: usize = 64;

/// The billing zone of settings, or of the ledger once it is known: all clones follow the ledger together.
#[derive(Debug, Clone)]
pub struct Zone(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    of_settings: Stretch,
    of_ledger: OnceLock<Stretch>,
}

/// A time in which days are counted in one zone.
#[derive(Debug)]
struct Stretch {
    name: Box<str>,
    zone: TimeZone,
    /// Set once, and never changed: nobody counts by what may be taken back.
    next: OnceLock<Box<Next>>,
}

/// What comes after a stretch.
#[derive(Debug)]
struct Next {
    /// Its first month.
    month: Month,
    /// When that begins.
    from: Millis,
    /// The day before.
    last: Day,
    then: Stretch,
}

/// What [`Zone::follow`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// What was known.
    Same,
    /// Changes that were not known, and are now.
    News,
    /// Less than is known here: the ledger has forgotten some of it.
    Ahead,
    /// Something else than is known here, or no schedule at all: nothing was changed.
    Other,
}

impl Stretch {
    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            name: text.into(),
            zone: time_zone(text)?,
            next: OnceLock::new(),
        })
    }

    /// The same zone, with nothing behind it.
    fn alone(&self) -> Self {
        Self {
            name: self.name.clone(),
            zone: self.zone.clone(),
            next: OnceLock::new(),
        }
    }

    fn next(&self) -> Option<&Next> {
        self.next.get().map(|next| &**next)
    }

    fn day(&self, at: Millis) -> Day {
        Day::of(self.zone.to_datetime(at.timestamp()).date())
    }

    fn start_of(&self, day: Day) -> Millis {
        let start = day.date().to_zoned(self.zone.clone());
        let start = start.map(|zoned| zoned.timestamp());
        Millis(start.map_or(i64::MAX, Timestamp::as_millisecond))
    }

    /// When a month begins that is counted in another zone.
    fn joint(&self, other: &Self, month: Month) -> Millis {
        let first = month.first_day();
        self.start_of(first).max(other.start_of(first))
    }

    /// Goes on with another zone. Whoever was faster has said the same.
    fn then(&self, month: Month, then: Self) {
        let first = month.first_day();
        let next = Next {
            month,
            from: self.joint(&then, month),
            last: Day::from_number(first.number() - 1).unwrap_or(first),
            then,
        };
        // It is the same if it is there: changes are told one after the other.
        let _ = self.next.set(Box::new(next));
    }
}

/// A fixed offset (`+08:00`) or a name of the zone database (`Asia/Shanghai`).
fn time_zone(text: &str) -> Option<TimeZone> {
    match text.as_bytes() {
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
        {
            let two = |a: &u8, b: &u8| i32::from(a - b'0') * 10 + i32::from(b - b'0');
            let (hours, minutes) = (two(h1, h2), two(m1, m2));
            if minutes > 59 || hours > 14 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60;
            let seconds = if *sign == b'-' { -seconds } else { seconds };
            Some(TimeZone::fixed(
                jiff::tz::Offset::from_seconds(seconds).ok()?,
            ))
        }
        _ => TimeZone::get(text).ok(),
    }
}

impl Zone {
    /// Reads a fixed offset (`+08:00`) or a name of the zone database (`Asia/Shanghai`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(Arc::new(Shared {
            of_settings: Stretch::parse(text)?,
            of_ledger: OnceLock::new(),
        })))
    }

    /// The name that the settings give.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.of_settings.name
    }

    /// The day that `at` falls on.
    #[must_use]
    pub fn day(&self, at: Millis) -> Day {
        let mut stretch = self.first();
        while let Some(next) = stretch.next() {
            if at < next.from {
                return stretch.day(at).min(next.last);
            }
            stretch = &next.then;
        }
        stretch.day(at)
    }

    /// The first instant of `day`.
    #[must_use]
    pub fn start_of(&self, day: Day) -> Millis {
        let (mut stretch, mut from) = (self.first(), Millis(i64::MIN));
        while let Some(next) = stretch.next().filter(|next| next.last < day) {
            (stretch, from) = (&next.then, next.from);
        }
        stretch.start_of(day).max(from)
    }

    /// The changes of zone, oldest first: the first month, and the zone from then on.
    pub fn changed(&self) -> impl Iterator<Item = (Month, &str)> {
        self.changes().map(|next| (next.month, &*next.then.name))
    }

    /// All of it as text: a zone, and for each change a month and a zone.
    #[must_use]
    pub fn schedule(&self) -> String {
        let changes = self.changed();
        let changes = changes.map(|(month, name)| format!(" {month} {name}"));
        let changes: String = changes.collect();
        format!("{}{changes}", self.first().name)
    }

    /// Takes the ledger's word for what it counts in.
    pub fn follow(&self, schedule: &str) -> Followed {
        let mut words = schedule.split(' ');
        let Some(first) = words.next().and_then(Stretch::parse) else {
            return Followed::Other;
        };
        let mut changes = Vec::new();
        while let Some(month) = words.next() {
            let (Some(month), Some(then)) =
                (Month::parse(month), words.next().and_then(Stretch::parse))
            else {
                return Followed::Other;
            };
            changes.push((month, then));
        }
        let in_order = changes.is_sorted_by(|(a, _), (b, _)| a < b);
        if !in_order || changes.len() > CHANGES_MAX {
            return Followed::Other;
        }
        let met = self.0.of_ledger.get().is_some();
        let known = self.0.of_ledger.get_or_init(|| first.alone());
        if known.name != first.name {
            return Followed::Other;
        }
        let mut last = known;
        let mut news = false;
        for (month, then) in changes {
            match last.next() {
                Some(next) if next.month == month && next.then.name == then.name => {}
                Some(_) => return Followed::Other,
                None => {
                    last.then(month, then);
                    news = true;
                }
            }
            let Some(next) = last.next() else { break };
            last = &next.then;
        }
        match (news, last.next().is_some()) {
            (true, _) => Followed::News,
            (false, true) => Followed::Ahead,
            (false, false) if !met && known.name != self.0.of_settings.name => Followed::News,
            (false, false) => Followed::Same,
        }
    }

    /// The schedule that the settings ask for, if they name a zone that the ledger does not know: from the next month
    /// on, or from the one after that if that begins too soon. A zone that it once counted in is that of settings
    /// which are older than the change.
    #[must_use]
    pub fn wished(&self, now: Millis) -> Option<String> {
        let own = &self.0.of_settings;
        let known = self.0.of_ledger.get()?;
        let is_known = known.name == own.name || self.changed().any(|(_, name)| name == &*own.name);
        if is_known || self.changes().count() >= CHANGES_MAX {
            return None;
        }
        let last = self.changes().last();
        let (stretch, changed) = last.map_or((known, None), |next| (&next.then, Some(next.month)));
        let mut month = self.day(now).month().next();
        if let Some(changed) = changed.filter(|changed| *changed >= month) {
            month = changed.next();
        }
        if stretch.joint(own, month) < now.plus(TOLD_AHEAD_MS) {
            month = month.next();
        }
        Some(format!("{} {month} {}", self.schedule(), own.name))
    }

    fn first(&self) -> &Stretch {
        self.0.of_ledger.get().unwrap_or(&self.0.of_settings)
    }

    fn changes(&self) -> impl Iterator<Item = &Next> {
        std::iter::successors(self.first().next(), |before| before.then.next())
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.schedule() == other.schedule()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;

    fn day(text: &str) -> Day {
        Day::parse(text).expect(text)
    }

    fn at(utc: &str) -> Millis {
        let at: Timestamp = utc.parse().expect(utc);
        Millis(at.as_millisecond())
    }

    /// A zone that changes to another one.
    fn changing(from: &str, month: &str, to: &str) -> Zone {
        let zone = Zone::parse(from).expect(from);
        let followed = zone.follow(&format!("{from} {month} {to}"));
        assert_eq!(followed, Followed::News);
        zone
    }

    #[test]
    fn the_month_begins_when_it_has_begun_in_both_zones() {
        // To the west: the last day of the old month is as much longer as the new zone is behind.
        let west = changing("+08:00", "2027-01", "America/New_York");
        let begins = at("2027-01-01T05:00:00Z");
        assert_eq!(west.start_of(day("2027-01-01")), begins);
        assert_eq!(west.day(begins), day("2027-01-01"));
        assert_eq!(west.day(begins.plus(-1)), day("2026-12-31"));
        assert_eq!(west.start_of(day("2026-12-31")), at("2026-12-30T16:00:00Z"));
        assert_eq!(
            begins.since(west.start_of(day("2026-12-31"))),
            37 * 3_600_000
        );
        assert_eq!(west.start_of(day("2027-01-02")), begins.plus(24 * HOUR));
        // To the east: the first day is shorter.
        let east = changing("America/New_York", "2027-01", "+08:00");
        assert_eq!(east.start_of(day("2027-01-01")), begins);
        assert_eq!(east.start_of(day("2027-01-02")), at("2027-01-01T16:00:00Z"));
        // As far as it goes: there is no first of January at all, and nothing is lost for it.
        let far = changing("-12:00", "2027-01", "+14:00");
        let begins = at("2027-01-01T12:00:00Z");
        assert_eq!(far.day(begins), day("2027-01-02"));
        assert_eq!(far.day(begins.plus(-1)), day("2026-12-31"));
        assert_eq!(far.start_of(day("2027-01-01")), begins);
        assert_eq!(far.start_of(day("2027-01-02")), begins);
    }

    #[test]
    fn the_ledgers_word_counts_and_clones_share_it() {
        let zone = Zone::parse("UTC").expect("a zone");
        let clone = zone.clone();
        assert_eq!(zone.wished(at("2026-11-10T00:00:00Z")), None, "not met yet");
        assert_eq!(zone.follow("+08:00"), Followed::News);
        assert_eq!(zone.follow("+08:00"), Followed::Same);
        assert_eq!((clone.name(), &*clone.schedule()), ("UTC", "+08:00"));
        let wished = clone
            .wished(at("2026-11-10T00:00:00Z"))
            .expect("it is another");
        assert_eq!(wished, "+08:00 2026-12 UTC");
        assert_eq!(zone.follow(&wished), Followed::News);
        assert_eq!(clone.wished(at("2026-11-11T00:00:00Z")), None, "it is told");
        assert_eq!(zone.follow("+08:00"), Followed::Ahead);
        for wrong in [
            "",
            "+09:00",
            "+08:00 2026-12",
            "+08:00 2026-12 Mars/Olympus",
            "+08:00 2027-01 UTC",
            "+08:00 2026-12 UTC 2026-12 +09:00",
        ] {
            assert_eq!(zone.follow(wrong), Followed::Other, "{wrong}");
        }
        assert_eq!(clone.schedule(), "+08:00 2026-12 UTC");
    }

    #[test]
    fn settings_ask_for_a_month_that_is_a_day_away_and_free() {
        let known = |schedule: &str| {
            let zone = Zone::parse("Europe/Berlin").expect("a zone");
            zone.follow(schedule);
            zone
        };
        let wished = |schedule: &str, now: &str| known(schedule).wished(at(now));
        // December begins with the 30th's 23:00 UTC in Berlin, seven hours after +08:00.
        let soon = "+08:00 2026-12 Europe/Berlin";
        assert_eq!(
            wished("+08:00", "2026-11-29T23:00:00Z").as_deref(),
            Some(soon)
        );
        let later = "+08:00 2027-01 Europe/Berlin";
        assert_eq!(
            wished("+08:00", "2026-11-29T23:00:01Z").as_deref(),
            Some(later)
        );
        // Another change comes first.
        let third = "+08:00 2026-12 UTC 2027-01 Europe/Berlin";
        assert_eq!(
            wished("+08:00 2026-12 UTC", "2026-11-10T00:00:00Z").as_deref(),
            Some(third)
        );
        // One that the ledger left is that of old settings.
        let left = wished("Europe/Berlin 2026-12 UTC", "2027-03-10T00:00:00Z");
        assert_eq!(left, None);
    }

    const ZONES: [&str; 7] = [
        "+08:00",
        "UTC",
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "-12:00",
        "+14:00",
    ];

    proptest! {
        #[test]
        fn every_instant_is_of_one_day_and_days_follow_each_other(
            zones in (0..7_usize, 0..7_usize, 0..7_usize), months in (1..12_i32, 1..12_i32),
            ms in 0_i64..900 * 24 * HOUR,
        ) {
            let number = |month: &str| Month::parse(month).expect(month).number();
            let first = Month::from_number(number("2026-01") + months.0).expect("a month");
            let second = Month::from_number(first.number() + months.1).expect("a month");
            let names = [zones.0, zones.1, zones.2].map(|at| ZONES[at]);
            let zone = Zone::parse(names[0]).expect("a zone");
            zone.follow(&format!("{} {first} {} {second} {}", names[0], names[1], names[2]));
            let at = Millis(at("2026-01-01T00:00:00Z").0 + ms);
            let day = zone.day(at);
            prop_assert!(zone.start_of(day) <= at, "{at:?} {day}");
            prop_assert!(at < zone.start_of(day.next()), "{at:?} {day}");
            prop_assert!(zone.day(at.plus(-1)) <= day);
            // No day is longer than the two zones make it, and none has a negative length.
            let length = zone.start_of(day.next()).since(zone.start_of(day));
            prop_assert!((1..=51 * 3_600_000).contains(&length), "{day} {length}");
        }
    }
}
