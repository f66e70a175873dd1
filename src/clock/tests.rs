use jiff::Timestamp;
use proptest::prelude::*;

use super::{Day, Millis, Month, Zone};

/// Zones with whole, half and quarter hours, with shifts of an hour, of half an hour, at midnight, and of a day.
const ZONES: [&str; 9] = [
    "+08:00",
    "-03:30",
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
];

fn zone(name: &str) -> Zone {
    Zone::parse(name).expect(name)
}

fn day(text: &str) -> Day {
    Day::parse(text).expect(text)
}

fn at(utc: &str) -> Millis {
    let at: Timestamp = utc.parse().expect(utc);
    Millis(at.as_millisecond())
}

#[test]
fn days_begin_where_clocks_on_the_wall_say() {
    for (name, begins, utc) in [
        ("+08:00", "2026-12-01", "2026-11-30T16:00:00Z"),
        ("-03:30", "2027-01-01", "2027-01-01T03:30:00Z"),
        ("America/New_York", "2026-12-01", "2026-12-01T05:00:00Z"),
        ("America/New_York", "2026-07-01", "2026-07-01T04:00:00Z"),
        ("Europe/Berlin", "2027-01-01", "2026-12-31T23:00:00Z"),
        ("Asia/Kathmandu", "2028-02-29", "2028-02-28T18:15:00Z"),
        ("Asia/Kathmandu", "2028-03-01", "2028-02-29T18:15:00Z"),
        ("Australia/Lord_Howe", "2026-12-01", "2026-11-30T13:00:00Z"),
        ("Australia/Lord_Howe", "2026-07-01", "2026-06-30T13:30:00Z"),
        // There was no midnight: clocks went from it to one o'clock.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"),
        // There was no 30th of December.
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"),
    ] {
        let (zone, begins) = (zone(name), day(begins));
        let start = at(utc);
        assert_eq!(zone.start_of(begins), start, "{name} {begins}");
        assert_eq!(zone.day(start), begins, "{name} {begins}");
        assert!(zone.day(start.plus(-1)) < begins, "{name} {begins}");
    }
}

#[test]
fn a_day_is_as_long_as_its_zone_makes_it() {
    for (name, of, hours_2) in [
        ("+08:00", "2026-03-29", 48),
        ("America/New_York", "2026-03-08", 46),
        ("America/New_York", "2026-11-01", 50),
        ("Europe/Berlin", "2026-03-29", 46),
        ("Europe/Berlin", "2026-10-25", 50),
        ("Australia/Lord_Howe", "2026-04-05", 49),
        ("America/Sao_Paulo", "2018-11-04", 46),
    ] {
        let (zone, of) = (zone(name), day(of));
        let length = zone.start_of(of.next()).since(zone.start_of(of));
        assert_eq!(length, hours_2 * 1_800_000, "{name} {of}");
    }
}

#[test]
fn months_have_their_last_days() {
    for (month, last) in [
        ("2026-02", "2026-02-28"),
        ("2028-02", "2028-02-29"),
        ("2000-02", "2000-02-29"),
        ("2100-02", "2100-02-28"),
        ("2026-12", "2026-12-31"),
        ("2026-11", "2026-11-30"),
    ] {
        let month = Month::parse(month).expect(month);
        assert_eq!(month.last_day(), day(last));
        assert_eq!(month.last_day().next(), month.next().first_day());
        assert_eq!(month.last_day().month(), month);
        assert_eq!(Month::from_number(month.number()), Some(month));
        assert_eq!(month.day(32), None);
    }
    assert_eq!(
        Month::parse("9999-12").map(|last| last.next().number()),
        Some(9999 * 12 + 11)
    );
}

#[test]
fn what_is_no_day_month_or_zone_is_refused() {
    for text in [
        "",
        "2026-13",
        "2026-00",
        "0000-01",
        "2026-1",
        "26-01",
        "2026-01-01",
        "2026-+1",
        " 2026-01",
    ] {
        assert_eq!(Month::parse(text), None, "{text:?}");
    }
    for text in [
        "",
        "2026-02-29",
        "2026-1-01",
        "20260101",
        "2026-01-01T00:00",
        "2026-04-31",
    ] {
        assert_eq!(Day::parse(text), None, "{text:?}");
    }
    for text in [
        "",
        "08:00",
        "+8:00",
        "+08:60",
        "+15:00",
        "+0800",
        "Mars/Olympus",
        "+-8:00",
    ] {
        assert!(Zone::parse(text).is_none(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_instant_is_within_its_day(zone_at in 0..ZONES.len(), ms in 315_532_800_000i64..4_102_444_800_000) {
        let (zone, at) = (zone(ZONES[zone_at]), Millis(ms));
        let day = zone.day(at);
        prop_assert!(zone.start_of(day) <= at, "{} {at:?} {day}", zone.name());
        prop_assert!(at < zone.start_of(day.next()), "{} {at:?} {day}", zone.name());
        prop_assert_eq!(Day::from_number(day.number()), Some(day));
        prop_assert_eq!(Day::parse(&day.to_string()), Some(day));
        let month = day.month();
        prop_assert!(month.first_day() <= day && day <= month.last_day());
        prop_assert_eq!(Month::parse(&month.to_string()), Some(month));
    }
}
