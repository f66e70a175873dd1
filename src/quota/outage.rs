//! What is admitted while the ledger is away: the operator's rule for each resource.

use std::fmt;
use std::time::Duration;

use super::{Charge, Counter, Limit, Part};

/// What happens to creations of one kind while only the ledger could tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutageRule {
    /// They are refused.
    Deny,
    /// They are admitted for as long as it takes.
    Admit,
    /// They are admitted for so long from the first failure of the outage, and refused from then on.
    AdmitFor(Duration),
}

impl OutageRule {
    /// Whether it admits at `now` in an outage that began at `since`, both of one steady clock. Later
    /// failures have no part in it, so that none of them can prolong what the first began.
    #[must_use]
    pub fn admits(self, since: Duration, now: Duration) -> bool {
        match self {
            Self::Deny => false,
            Self::Admit => true,
            Self::AdmitFor(window) => now.saturating_sub(since) < window,
        }
    }
}

impl fmt::Display for OutageRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny => f.write_str("deny"),
            Self::Admit => f.write_str("admit"),
            Self::AdmitFor(window) => write!(f, "admit for {window:?}"),
        }
    }
}

/// That the ledger is missed, as far as one creation is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it failed first, by the steady clock.
    pub since: Duration,
    /// Whether hard limits may be lifted at all: not where the ledger is there and withholds its word (a
    /// recount is under way), nor where it will never take what is admitted here.
    pub may_lift: bool,
}

/// The rules of all resources. A part of a charge that has a limit goes by its counter's rule, one without
/// by `metered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutagePolicy {
    /// Accounts of apps that limit them.
    pub accounts: OutageRule,
    /// Groups of apps that limit them.
    pub groups: OutageRule,
    /// AV rooms of apps that limit them.
    pub av_rooms: OutageRule,
    /// The groups gained in a day: a guard of the platform's, not of the customer's purse.
    pub groups_gained_daily: OutageRule,
    /// What has no limit, and is counted for the bill.
    pub metered: OutageRule,
}

impl Default for OutagePolicy {
    fn default() -> Self {
        Self {
            accounts: OutageRule::Deny,
            groups: OutageRule::Deny,
            av_rooms: OutageRule::Deny,
            groups_gained_daily: OutageRule::Admit,
            metered: OutageRule::Admit,
        }
    }
}

impl OutagePolicy {
    /// The rule of a counter that has a limit.
    #[must_use]
    pub fn of(&self, counter: Counter) -> OutageRule {
        match counter {
            Counter::Accounts => self.accounts,
            Counter::Groups => self.groups,
            Counter::AvRooms => self.av_rooms,
            Counter::GroupsGained => self.groups_gained_daily,
        }
    }

    /// The first part of `charge` that stops it at `now`; `None`: it is admitted.
    #[must_use]
    pub fn refuses(&self, charge: &Charge, outage: Outage, now: Duration) -> Option<Part> {
        let stops = |part: &&Part| {
            let rule = match part.limit {
                Limit::AtMost(_) => self.of(part.counter),
                Limit::Unlimited => self.metered,
            };
            !rule.admits(outage.since, now) || (part.is_hard() && !outage.may_lift)
        };
        charge.parts().iter().find(stops).copied()
    }

    /// Whether no hard limit is ever lifted, and what is metered never stops.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        [self.accounts, self.groups, self.av_rooms] == [OutageRule::Deny; 3]
            && self.metered == OutageRule::Admit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quota::{Amount, Limits, RESOURCES, Resource};

    const TIGHT: Limits = Limits {
        accounts: Limit::AtMost(1),
        groups: Limit::AtMost(2),
        av_rooms: Limit::AtMost(3),
        groups_gained_daily: Limit::AtMost(4),
        av_rooms_are_groups: true,
    };

    fn charge(resource: Resource, limits: &Limits) -> Charge {
        Charge::new(
            resource,
            Amount::from_wire(1).expect("one is allowed"),
            limits,
        )
    }

    fn away(since: Duration) -> Outage {
        let may_lift = true;
        Outage { since, may_lift }
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// Which counter stops a creation that is asked 5 seconds into an outage.
    fn stops(policy: OutagePolicy, resource: Resource, limits: &Limits) -> Option<Counter> {
        let part = policy.refuses(&charge(resource, limits), away(secs(10)), secs(15));
        part.map(|part| part.counter)
    }

    #[test]
    fn by_default_hard_limits_alone_stop_a_creation() {
        let policy = OutagePolicy::default();
        let stops = |resource, limits| stops(policy, resource, limits);
        assert_eq!(stops(Resource::Account, &TIGHT), Some(Counter::Accounts));
        assert_eq!(stops(Resource::Group, &TIGHT), Some(Counter::Groups));
        assert_eq!(stops(Resource::AvRoom, &TIGHT), Some(Counter::AvRooms));
        let gain_alone = Limits {
            groups_gained_daily: Limit::AtMost(4),
            ..Limits::UNLIMITED
        };
        for resource in RESOURCES {
            assert_eq!(stops(resource, &gain_alone), None);
            assert_eq!(stops(resource, &Limits::UNLIMITED), None);
        }
    }

    #[test]
    fn each_part_goes_by_its_own_rule() {
        let lifted = OutagePolicy {
            av_rooms: OutageRule::Admit,
            ..OutagePolicy::default()
        };
        // The room is admitted; the group that it is, too, is not.
        assert_eq!(
            stops(lifted, Resource::AvRoom, &TIGHT),
            Some(Counter::Groups)
        );
        let no_gain = OutagePolicy {
            groups: OutageRule::AdmitFor(secs(6)),
            groups_gained_daily: OutageRule::AdmitFor(secs(5)),
            ..lifted
        };
        assert_eq!(
            stops(no_gain, Resource::Group, &TIGHT),
            Some(Counter::GroupsGained)
        );
        let unmetered = OutagePolicy {
            metered: OutageRule::Deny,
            ..lifted
        };
        for resource in RESOURCES {
            let own = Some(resource.counter());
            assert_eq!(stops(unmetered, resource, &Limits::UNLIMITED), own);
        }
        assert_eq!(
            stops(unmetered, Resource::Account, &TIGHT),
            Some(Counter::Accounts)
        );
    }

    #[test]
    fn a_window_ends_to_the_moment() {
        let rule = OutageRule::AdmitFor(secs(2));
        let just_before = Duration::from_nanos(11_999_999_999);
        assert!(rule.admits(secs(10), secs(10)));
        assert!(rule.admits(secs(10), just_before));
        assert!(!rule.admits(secs(10), secs(12)));
        assert!(!rule.admits(secs(10), Duration::MAX));
    }

    fn rule() -> impl Strategy<Value = OutageRule> {
        prop_oneof![
            Just(OutageRule::Deny),
            Just(OutageRule::Admit),
            (0..100_u64).prop_map(|s| OutageRule::AdmitFor(secs(s))),
        ]
    }

    fn limit() -> impl Strategy<Value = Limit> {
        prop_oneof![Just(Limit::Unlimited), (0..9_u64).prop_map(Limit::AtMost)]
    }

    prop_compose! {
        fn policy()(
            accounts in rule(), groups in rule(), av_rooms in rule(),
            groups_gained_daily in rule(), metered in rule(),
        ) -> OutagePolicy {
            OutagePolicy { accounts, groups, av_rooms, groups_gained_daily, metered }
        }
    }

    prop_compose! {
        fn charges()(
            resource in prop::sample::select(&RESOURCES[..]),
            accounts in limit(), groups in limit(), av_rooms in limit(),
            groups_gained_daily in limit(), av_rooms_are_groups in any::<bool>(),
        ) -> Charge {
            let limits = Limits {
                accounts, groups, av_rooms, groups_gained_daily, av_rooms_are_groups,
            };
            charge(resource, &limits)
        }
    }

    proptest! {
        /// Said for every part at once, and without a word of how it is found: a creation is admitted
        /// exactly if each of its parts is by itself.
        #[test]
        fn a_creation_is_admitted_if_each_of_its_parts_is(
            policy in policy(), charge in charges(),
            since in 0..50_u64, after in 0..150_u64, may_lift in any::<bool>(),
        ) {
            let (since, now) = (secs(since), secs(since + after));
            let outage = Outage { since, may_lift };
            let alone = |part: &Part| {
                let charge = Charge::from_parts(charge.amount(), &[*part]).expect("one part");
                policy.refuses(&charge, outage, now)
            };
            let refused = policy.refuses(&charge, outage, now);
            prop_assert_eq!(refused, charge.parts().iter().find_map(alone));
            if !may_lift {
                let hard = charge.parts().iter().any(Part::is_hard);
                prop_assert!(!hard || refused.is_some());
            }
        }

        /// What is refused once stays refused for the rest of the outage.
        #[test]
        fn no_window_opens_again_within_an_outage(
            policy in policy(), charge in charges(),
            since in 0..50_u64, times in prop::collection::vec(0..150_u64, 2..20),
        ) {
            let mut times = times;
            times.sort_unstable();
            let outage = away(secs(since));
            let admitted = times.iter().map(|after| {
                policy.refuses(&charge, outage, secs(since + after)).is_none()
            });
            let admitted: Vec<_> = admitted.collect();
            prop_assert!(admitted.is_sorted_by(|earlier, later| earlier >= later));
        }
    }
}
