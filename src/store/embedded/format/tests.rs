//! Whatever is written is read as it was; whatever else is read is no value, and no panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::quota::Resource;

fn day() -> impl Strategy<Value = Day> {
    (-4_000_000..2_900_000).prop_map(|number| Day::from_number(number).unwrap())
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        proptest::sample::select(&RESOURCES[..]).prop_map(Cell::Live),
        day().prop_map(Cell::Gained),
        day().prop_map(Cell::Increment),
    ]
}

fn counts() -> impl Strategy<Value = DayCounts> {
    let (gained, users) = (any::<(i64, i64)>(), any::<(u64, u64)>());
    (day(), gained, users, any::<Option<(u64, u64)>>()).prop_map(
        |(day, (gained, reserved), (actives, increment), groups)| DayCounts {
            day,
            gained,
            reserved,
            actives,
            increment,
            groups,
        },
    )
}

fn told() -> impl Strategy<Value = Told> {
    (any::<u64>(), cell(), any::<u64>(), any::<u64>()).prop_map(
        |(member, cell, consumed, released)| Told {
            member,
            cell,
            totals: Totals { consumed, released },
        },
    )
}

fn month() -> impl Strategy<Value = MonthPeaks> {
    let maybe = || proptest::option::of(day());
    let groups = (any::<(u64, u64, u64)>(), maybe());
    let groups = groups.prop_map(|((carried_in, highest, last), day)| MonthGroups {
        carried_in,
        highest,
        day,
        last,
    });
    let groups = proptest::option::of(groups);
    (any::<i32>(), groups, any::<u64>(), maybe()).prop_map(
        |(month, groups, actives, actives_day)| MonthPeaks {
            month,
            groups,
            actives,
            actives_day,
        },
    )
}

fn app() -> impl Strategy<Value = App> {
    let parts = || any::<[i64; 3]>();
    let parts = (parts(), parts(), parts(), parts());
    (
        parts,
        any::<(u32, u64)>(),
        vec(counts(), 0..5),
        vec(told(), 0..5),
        vec(month(), 0..4),
        (proptest::option::of(day()), vec(plan(), 0..4)),
    )
        .prop_map(|(parts, (tombs, buried), days, told, months, past)| App {
            live: parts.0,
            held: parts.1,
            reserved: parts.2,
            named: parts.3,
            tombs,
            buried,
            days,
            told,
            months,
            changed_on: past.0,
            plans: past.1,
        })
}

fn plan() -> impl Strategy<Value = (Day, PlanName)> {
    (day(), "[a-z0-9_-]{1,32}").prop_map(|(from, name)| (from, PlanName::parse(&name).unwrap()))
}

fn claim() -> impl Strategy<Value = Claim> {
    (any::<u64>(), any::<u64>()).prop_map(|(member, attempt)| Claim {
        member,
        attempt: Attempt(attempt),
    })
}

fn claims() -> impl Strategy<Value = Vec<Claim>> {
    vec(claim(), 0..CLAIMS_MAX)
}

fn state() -> impl Strategy<Value = State> {
    let fell = (any::<(u8, u8)>(), proptest::sample::select(&RESOURCES[..]));
    let heard = prop_oneof![
        Just(Heard::No),
        Just(Heard::Yes),
        claim().prop_map(Heard::Met)
    ];
    let note =
        (any::<(u128, bool, bool)>(), heard).prop_map(|((object, first, stays), heard)| Note {
            object: ObjectNumber(object),
            first,
            stays,
            heard,
        });
    prop_oneof![
        claims().prop_map(State::Held),
        Just(State::Reserved),
        claims().prop_map(State::Confirming),
        Just(State::Counted),
        proptest::sample::select(&COUNTERS[..]).prop_map(State::Denied),
        fell.prop_map(|((own, groups), resource)| State::Released(Fell {
            own,
            groups,
            resource
        })),
        Just(State::Cancelled),
        Just(State::Lapsed),
        claims().prop_map(State::Gone),
        note.prop_map(State::Note),
        Just(State::Done),
    ]
}

fn reservation() -> impl Strategy<Value = Box<Reservation>> {
    let how = [Confirmed::InTime, Confirmed::Late, Confirmed::Charged];
    let how = proptest::option::of(proptest::sample::select(how.to_vec()));
    ("[ -~]{1,64}", any::<(Option<u128>, i64)>(), how).prop_map(
        |(id, (object, until), confirmed)| {
            Box::new(Reservation {
                id: RequestId::parse(&id).unwrap(),
                object: object.map(ObjectNumber),
                until: Millis(until),
                confirmed,
            })
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    let parts = (any::<u8>(), any::<u8>());
    (
        1..u64::MAX,
        any::<u64>(),
        day(),
        any::<u32>(),
        parts,
        state(),
        proptest::option::of(reservation()),
    )
        .prop_map(
            |(app, fingerprint, day, minute, (counters, amount), state, reservation)| Record {
                app: AppId::new(app).unwrap(),
                fingerprint: Fingerprint(fingerprint),
                day,
                minute: Minute(minute),
                parts: Parts { counters, amount },
                state,
                reservation,
            },
        )
}

fn audit() -> impl Strategy<Value = AuditEntry> {
    let text = || any::<String>().prop_map(Into::into);
    let who = (text(), text(), text(), text());
    let counts = (any::<Option<i64>>(), any::<Option<i64>>());
    (any::<i64>(), any::<u64>(), who, counts).prop_map(
        |(at, app, (who, what, subject, why), (from, to))| AuditEntry {
            at: Millis(at),
            who,
            what,
            app: AppId::new(app),
            subject,
            from,
            to,
            why,
        },
    )
}

proptest! {
    #[test]
    fn apps_come_back_as_they_were(app in app()) {
        let from = Day::from_number(-4_100_000).unwrap();
        prop_assert_eq!(read_app(&write_app(&app, from)), Some(app));
    }

    #[test]
    fn closed_days_stay_behind(app in app(), from in day()) {
        let open = read_app(&write_app(&app, from)).unwrap();
        let kept = |cell: &Cell| cell.day().is_none_or(|day| day >= from);
        prop_assert!(open.days.iter().all(|counts| counts.day >= from));
        prop_assert!(open.told.iter().all(|told| kept(&told.cell)));
        let count = app.told.iter().filter(|told| kept(&told.cell)).count();
        prop_assert_eq!(open.told.len(), count);
    }

    #[test]
    fn records_come_back_as_they_were(record in record()) {
        let value = write_record(&record).unwrap();
        prop_assert_eq!(stays(&value), record.stays());
        prop_assert!(may_be_open(&value) || !record.is_open());
        prop_assert_eq!(read_record(&value, record.minute), Some(record));
    }

    #[test]
    fn days_come_back_as_they_were(counts in counts()) {
        let kept = KeptDay {
            day: counts.day,
            daily_active: counts.daily_active(),
            groups: counts.groups,
        };
        prop_assert_eq!(read_day(&write_day(&counts), counts.day), Some(kept));
    }

    #[test]
    fn months_come_back_as_they_were(month in month()) {
        prop_assert_eq!(read_month(&write_month(&month)), Some(month));
    }

    #[test]
    fn audit_entries_come_back_as_they_were(entry in audit()) {
        let value = write_audit(&entry);
        prop_assert_eq!(read_audit(&value), Some(entry));
        prop_assert_eq!(read_audit(&value[..value.len() - 1]), None);
    }

    #[test]
    fn users_come_back_as_they_were(users: Vec<u128>) {
        let read: Vec<u128> = read_users(&write_users(&users)).unwrap().collect();
        prop_assert_eq!(read, users);
    }

    #[test]
    fn identities_come_back_as_they_were(id: u64, user_key: [u8; 16], zone: String) {
        let identity = Identity { installation: Installation { id, user_key }, zone };
        prop_assert_eq!(read_identity(&write_identity(&identity)), Some(identity));
    }

    #[test]
    fn whatever_is_read_is_no_panic(bytes: Vec<u8>, app in app(), cut in 0_usize..200) {
        let _ = (read_app(&bytes), read_month(&bytes), read_identity(&bytes));
        let _ = (read_record(&bytes, Minute(1)), read_audit(&bytes));
        let whole = write_app(&app, Day::from_number(-4_100_000).unwrap());
        let cut = &whole[..cut.min(whole.len() - 1)];
        prop_assert_eq!(read_app(cut), None);
    }
}

#[test]
fn an_app_of_accounts_takes_few_bytes() {
    let app = App {
        live: [1000, 0, 0],
        told: vec![Told {
            member: u64::MAX,
            cell: Cell::Live(Resource::Account),
            totals: Totals {
                consumed: 1500,
                released: 500,
            },
        }],
        ..App::default()
    };
    let from = Day::from_number(0).unwrap();
    assert!(write_app(&app, from).len() <= 30);
}
