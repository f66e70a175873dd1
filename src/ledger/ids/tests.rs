//! Ids against a plain list of what was done, and their bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const POLICY: IdPolicy = IdPolicy {
    window: Duration::from_mins(10),
    floor: Duration::from_secs(30),
    max_memory: 1 << 20,
};

fn request(number: u64, print: u64) -> Once {
    let app = AppId::new(1).unwrap();
    let id = RequestId::parse(&format!("request-{number}")).unwrap();
    Once::new(app, &id, Fingerprint(print))
}

fn at(seconds: i64) -> Millis {
    Millis(1_790_000_000_000 + seconds * 1000)
}

fn find(ids: &Ids, once: &Once, now: Millis) -> Found {
    ids.found(&ids.windows()[place(once.key)], once, now)
}

fn known(number: u64, print: u64, effect: Effect, seconds: i64) -> Known {
    let (once, at) = (request(number, print), at(seconds));
    Known { once, effect, at }
}

#[derive(Debug, Clone)]
enum Step {
    /// So many seconds pass.
    Wait(i64),
    /// A request is made, of this number and for this.
    Make(u64, u64),
    /// A checkpoint takes over what is not saved.
    Save,
    /// The process ends, and another begins with what was saved and what the log has.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_i64..400).prop_map(Step::Wait),
        12 => (0_u64..12, 0_u64..2).prop_map(|(number, print)| Step::Make(number, print)),
        2 => Just(Step::Save),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever is done, an id is known by its last effect for as long as the window is, and no longer.
    #[test]
    fn an_id_is_known_for_the_window(steps in prop::collection::vec(step(), 1..200)) {
        let mut ids = Ids::new(POLICY, &[], &[], at(0));
        let (mut saved, mut log) = (Vec::new(), Vec::new());
        let mut model: BTreeMap<u64, (u64, u32, i64)> = BTreeMap::new();
        let (mut now, mut count) = (0, 0_u32);
        for step in steps {
            match step {
                Step::Wait(seconds) => now += seconds,
                Step::Make(number, print) => {
                    let once = request(number, print);
                    let meant = match model.get(&number) {
                        Some((_, _, made)) if now - made > 600 => Found::New,
                        Some((of, effect, _)) if *of == print => Found::Known(Effect::Here(*effect)),
                        Some(_) => Found::Other,
                        None => Found::New,
                    };
                    prop_assert_eq!(find(&ids, &once, at(now)), meant);
                    if meant == Found::New {
                        count += 1;
                        ids.look(&once, at(now), |_| true).unwrap();
                        ids.remember(once, Effect::Here(count), at(now));
                        log.push(known(number, print, Effect::Here(count), now));
                        model.insert(number, (print, count, now));
                    }
                }
                Step::Save => {
                    let (unsaved, to) = ids.unsaved();
                    saved.extend(unsaved);
                    ids.saved(&to);
                    log.clear();
                }
                Step::Restart => ids = Ids::new(POLICY, &saved, &log, at(now)),
            }
        }
    }
}

#[test]
fn what_is_saved_once_is_not_saved_again() {
    let ids = Ids::new(POLICY, &[known(1, 1, Effect::Asked, 0)], &[], at(0));
    assert!(ids.unsaved().0.is_empty());
    ids.remember(request(2, 1), Effect::Here(7), at(1));
    let (unsaved, to) = ids.unsaved();
    assert_eq!(unsaved, [known(2, 1, Effect::Here(7), 1)]);
    // What comes while the checkpoint is written belongs to the next one.
    ids.remember(request(3, 1), Effect::Here(8), at(2));
    ids.saved(&to);
    assert_eq!(ids.unsaved().0, [known(3, 1, Effect::Here(8), 2)]);
}

#[test]
fn the_last_effect_is_what_is_known() {
    let ids = Ids::new(POLICY, &[], &[], at(0));
    let once = request(1, 1);
    ids.remember(once, Effect::Asked, at(0));
    ids.remember(once, Effect::Here(5), at(500));
    // The first of its two entries goes.
    ids.look(&once, at(700), |_| false).unwrap();
    let found = Found::Known(Effect::Here(5));
    assert_eq!(find(&ids, &once, at(700)), found);
    assert_eq!(find(&ids, &once, at(1101)), Found::New);
}

#[test]
fn the_window_shrinks_to_its_floor_and_no_further() {
    let ids = Ids::new(POLICY, &[], &[], at(0));
    let fill = |number: &mut u64, seconds| loop {
        let once = request(*number, 1);
        if let Err(full) = ids.look(&once, at(seconds), |_| true) {
            break full;
        }
        ids.remember(once, Effect::Here(0), at(seconds));
        *number += 1;
        assert!(*number < 100_000, "there is no end to it");
    };
    let mut number = 0;
    let full = fill(&mut number, 0);
    assert!(full.to_string().contains("30s"), "{full}");
    let most = POLICY.max_memory / ID_BYTES_MAX;
    // Ids are spread over windows by their hashes, and one of these was full first.
    assert!((most * 6 / 10..=most).contains(&number), "{number}");
    let first = number;
    fill(&mut number, 30);
    assert!(
        number - first < most / 2,
        "none is forgotten before its floor"
    );
    fill(&mut number, 31);
    assert_eq!(
        find(&ids, &request(0, 1), at(31)),
        Found::New,
        "the oldest went"
    );
    let last = number - 1;
    let found = Found::Known(Effect::Here(0));
    assert_eq!(find(&ids, &request(last, 1), at(31)), found);
}

#[test]
fn an_entry_takes_no_more_than_is_said() {
    let window = Window::bytes_of(10_000);
    assert!(window <= 10_000 * ID_BYTES_MAX, "{window}");
}

#[test]
fn only_dated_ids_expire() {
    let ids = Ids::new(POLICY, &[], &[], at(0));
    // 2026-09-21T13:33:20Z is at(0).
    let expired = |text: &str, seconds| {
        let id = RequestId::parse(text).unwrap();
        ids.is_expired(&id, at(seconds))
    };
    let uuid = |ms: i64| {
        let hex = format!("{ms:012x}");
        format!("{}-{}-7abc-8def-0123456789ab", &hex[..8], &hex[8..])
    };
    let ulid = |ms: i64| {
        let digit = |at: i64| usize::try_from(ms >> (5 * at) & 31).unwrap();
        let digits = (0..10)
            .rev()
            .map(|at| &b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[digit(at)]);
        let time: String = digits.map(|digit| char::from(*digit)).collect();
        time + "TSV4RRFFQ69G5FAV"
    };
    let made = uuid(at(0).0);
    for made in [&made, &ulid(at(0).0)] {
        assert!(!expired(made, 600), "{made}");
        assert!(expired(made, 601), "{made}");
        assert!(!expired(made, -1000), "a future date says nothing: {made}");
    }
    assert!(
        !expired(&made.replace("-7abc", "-4abc"), 601),
        "of version 4"
    );
    assert!(!expired("create-1", 100_000));
}

proptest! {
    /// Keys of an earlier version are in journals, and are known by every later one.
    #[test]
    fn a_key_is_that_of_the_app_and_the_id_one_after_the_other(app in 1_u64.., id in "[ -~]{1,64}") {
        use siphasher::sip128::Hasher128 as _;
        use std::hash::Hasher as _;
        let (app, id) = (AppId::new(app).unwrap(), RequestId::parse(&id).unwrap());
        let mut hasher = SipHasher24::new();
        hasher.write(&app.get().to_le_bytes());
        hasher.write(id.as_str().as_bytes());
        let key = hasher.finish128().as_u128();
        prop_assert_eq!(Once::new(app, &id, Fingerprint(0)).key, key);
    }
}
