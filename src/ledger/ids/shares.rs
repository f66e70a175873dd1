//! How much of the memory for ids each app takes just now: one that floods leaves room for the others.
//!
//! An id takes its place for as long as the policy's floor at least. Of those that are younger an app may have so many
//! times what is left for all: alone, four fifths of the memory, two that flood four ninths each, and so on. What is left
//! then is for those who ask little, to whom a flood is nothing but a smaller rest.

use super::{Once, millis};
use crate::clock::Millis;
use crate::quota::IdPolicy;

/// Apps are counted in so many slots, by two hashes of their ids: an app is counted with what others have only where
/// both of its slots are theirs, too.
pub(super) const SLOTS: u16 = 1024;
/// An app may have so many times what is left for all.
const TIMES_THE_REST: u64 = 4;

/// What is young, by apps.
#[derive(Debug)]
pub(super) struct Shares {
    all: Young,
    slots: [Box<[Young]>; 2],
}

/// Ids of this floor's time and of the one before.
#[derive(Debug, Clone, Copy, Default)]
struct Young {
    round: u64,
    now: u32,
    before: u32,
}

impl Young {
    /// As it is in a round.
    fn at(self, round: u64) -> Self {
        if self.round == round {
            return self;
        }
        let is_next = self.round + 1 == round;
        Self {
            round,
            now: 0,
            before: if is_next { self.now } else { 0 },
        }
    }

    /// No more than so many are younger than a floor, now or later, unless more come.
    fn most(self) -> u64 {
        u64::from(self.now) + u64::from(self.before)
    }

    /// About how many are younger than a floor: of the round before as many as would have come evenly.
    fn count(self, time: &Time) -> u64 {
        let of_before = u64::from(self.before) * time.left / time.floor;
        u64::from(self.now) + of_before
    }
}

/// A moment, in rounds of a floor each.
struct Time {
    round: u64,
    floor: u64,
    /// Milliseconds of the round that are to come.
    left: u64,
}

impl Time {
    fn of(policy: IdPolicy, now: Millis) -> Self {
        let floor = millis(policy.floor).max(1);
        let now = u64::try_from(now.0).unwrap_or(0);
        Self {
            round: now / floor,
            floor,
            left: floor - now % floor,
        }
    }
}

impl Shares {
    /// Nobody has anything.
    pub(super) fn new() -> Self {
        Self {
            all: Young::default(),
            slots: [(); 2].map(|()| vec![Young::default(); usize::from(SLOTS)].into()),
        }
    }

    /// Whether the app of a request may have one more of `most`.
    pub(super) fn has_room(&self, once: &Once, policy: IdPolicy, now: Millis, most: u64) -> bool {
        // Far from full, nobody has too much. So many are young at most.
        if self.all.most() <= most / 2 {
            return true;
        }
        let time = Time::of(policy, now);
        let all = self.all.at(time.round).count(&time);
        if all <= most / 2 {
            return true;
        }
        let its = self.slots.iter().zip(once.slots());
        let its = its.map(|(slots, slot)| slots[slot].at(time.round).count(&time));
        its.min().unwrap_or(0) < TIMES_THE_REST * most.saturating_sub(all)
    }

    /// One more was remembered.
    pub(super) fn add(&mut self, once: &Once, policy: IdPolicy, now: Millis) {
        let round = Time::of(policy, now).round;
        let [first, second] = once.slots();
        let [firsts, seconds] = &mut self.slots;
        for young in [&mut self.all, &mut firsts[first], &mut seconds[second]] {
            *young = young.at(round);
            young.now = young.now.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{AppId, RequestId};
    use crate::store::Fingerprint;

    const MOST: u64 = 9_000;

    fn policy() -> IdPolicy {
        IdPolicy::default()
    }

    fn of_app(app: u64) -> Once {
        let id = RequestId::parse("create-1").unwrap();
        Once::new(AppId::new(app).unwrap(), &id, Fingerprint(1))
    }

    fn at(seconds: i64) -> Millis {
        // A round begins.
        Millis(1_790_000_010_000 + seconds * 1000)
    }

    /// As many as `apps` get who take all they can, in turn.
    fn flood(shares: &mut Shares, apps: &[u64], now: Millis) -> Vec<u64> {
        let mut got = vec![0; apps.len()];
        loop {
            let before: u64 = got.iter().sum();
            for (got, app) in got.iter_mut().zip(apps) {
                let once = of_app(*app);
                if shares.has_room(&once, policy(), now, MOST) {
                    shares.add(&once, policy(), now);
                    *got += 1;
                }
            }
            if got.iter().sum::<u64>() == before {
                return got;
            }
        }
    }

    #[test]
    fn one_that_floods_leaves_a_fifth() {
        let mut shares = Shares::new();
        assert_eq!(flood(&mut shares, &[1], at(0)), [MOST * 4 / 5]);
        // Nor does it get any until they are older.
        assert_eq!(flood(&mut shares, &[1], at(29)), [0]);
        // Others get theirs meanwhile.
        for app in 2..1000 {
            let once = of_app(app);
            assert!(shares.has_room(&once, policy(), at(29), MOST), "{app}");
            shares.add(&once, policy(), at(29));
        }
        let [got] = flood(&mut shares, &[1], at(60))[..] else {
            panic!("it is one");
        };
        assert!(got > MOST / 2, "{got}");
    }

    #[test]
    fn many_that_flood_have_equal_parts_and_leave_one() {
        for count in 2..20 {
            let mut shares = Shares::new();
            let apps: Vec<u64> = (1..=count).collect();
            let got = flood(&mut shares, &apps, at(0));
            let part = MOST * TIMES_THE_REST / (TIMES_THE_REST * count + 1);
            assert!(
                got.iter().all(|got| got.abs_diff(part) <= 2),
                "{got:?}, and not {part} each"
            );
            let quiet = of_app(1_000_000);
            assert!(shares.has_room(&quiet, policy(), at(0), MOST));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_takes_nothing_away() {
        let mut shares = Shares::new();
        flood(&mut shares, &[1], at(3600));
        let [got] = flood(&mut shares, &[1], at(0))[..] else {
            panic!("it is one");
        };
        assert_eq!(got, MOST * 4 / 5);
    }
}
