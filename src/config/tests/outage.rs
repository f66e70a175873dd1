//! What is admitted while the ledger is away: what is understood, what is refused and where.

use std::time::Duration;

use super::{faults, read};
use crate::quota::{OutagePolicy, OutageRule};

use OutageRule::{Admit, AdmitFor, Deny};

fn policy(text: &str) -> OutagePolicy {
    read(text)
        .unwrap_or_else(|faults| panic!("{faults}"))
        .outage
}

#[test]
fn limits_are_kept_and_what_is_metered_goes_on_if_nobody_says() {
    let by_default = OutagePolicy {
        accounts: Deny,
        groups: Deny,
        av_rooms: Deny,
        groups_gained_daily: Admit,
        metered: Admit,
    };
    for text in [
        "",
        "outage:\n",
        "outage: {}\n",
        "outage: { accounts: , metered: ~ }\n",
    ] {
        assert_eq!(policy(text), by_default, "{text}");
    }
}

#[test]
fn the_file_wins_over_the_default_key_by_key() {
    assert_eq!(
        policy("outage: { accounts: admit, metered: 'deny' }\n"),
        OutagePolicy {
            accounts: Admit,
            metered: Deny,
            ..OutagePolicy::default()
        }
    );
    let window = |seconds| AdmitFor(Duration::from_secs(seconds));
    assert_eq!(
        policy(
            "outage:\n  accounts: 30s\n  groups: 1s\n  av_rooms: 5m\n  groups_gained_daily: 24h\n  \
             metered: 1500ms\n"
        ),
        OutagePolicy {
            accounts: window(30),
            groups: window(1),
            av_rooms: window(300),
            groups_gained_daily: window(86_400),
            metered: AdmitFor(Duration::from_millis(1_500)),
        }
    );
}

#[test]
fn what_is_no_policy_is_refused_where_it_stands() {
    let text = "outage:
  accounts: allow
  groups: 30
  av_rooms: 0s
  groups_gained_daily: [admit]
  metered: denny
  daily_active: admit
  account: admit
";
    let known = "known here are accounts, groups, av_rooms, groups_gained_daily, metered";
    assert_eq!(
        faults(text),
        [
            "f.yaml:2: outage.accounts: must be deny, admit or a duration such as 30s, not \"allow\"",
            "f.yaml:3: outage.groups: must be a duration with its unit, such as 500ms, 30s, 10m or 1h, not \"30\"",
            "f.yaml:4: outage.av_rooms: must be from 1s to 86400s, not \"0s\"",
            "f.yaml:5: outage.groups_gained_daily: must be deny, admit or a duration, not a list",
            "f.yaml:6: outage.metered: must be deny, admit or a duration such as 30s, not \"denny\"; did you mean \"deny\"?",
            &format!("f.yaml:7: outage.daily_active: unknown key; {known}"),
            "f.yaml:8: outage.account: unknown key; did you mean \"accounts\"?",
        ]
    );
    assert_eq!(
        faults("outage: admit\n"),
        ["f.yaml:1: outage: must be a mapping, not \"admit\""]
    );
    assert_eq!(
        faults("outages: {}\n"),
        ["f.yaml:1: outages: unknown key; did you mean \"outage\"?"]
    );
}
