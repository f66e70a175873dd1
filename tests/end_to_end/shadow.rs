//! Shadow mode: everything is counted and judged, and nothing refused.

use imquota::grpc::proto::{
    CheckMode, CheckRequest, CheckResponse, ConfirmRequest, Decision, DenyReason, Resource,
};

use crate::client::{ACCOUNTS_FULL, Client, creation, used, verdict};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};

use Resource::{Account, Group};

/// Two accounts, and only watched.
const WATCHED: u64 = 1;
/// Two accounts, watched and switched off.
const OFF: u64 = 2;
/// Two accounts, and no more.
const STRICT: u64 = 3;
const NOBODY: u64 = 9;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro, limits: { accounts: 2, groups_gained_daily: 1 }, shadow: true }
  - { app_id: 2, plan: pro, limits: { accounts: 2 }, shadow: true, disabled: true }
  - { app_id: 3, plan: pro, limits: { accounts: 2 } }
";

on_both_stores!(
    a_watched_app_is_counted_and_judged_and_never_refused,
    a_reservation_of_a_watched_app_is_confirmed_beyond_the_limit,
    all_apps_can_be_watched,
);

async fn start(store: &Store, settings: &str) -> (Sidecar, Client) {
    let sidecar = Sidecar::start(&store.url(), settings).await;
    let client = sidecar.client().await;
    (sidecar, client)
}

/// What an answer lets pass, and what would have refused it.
fn seen(answer: &CheckResponse) -> (Decision, DenyReason, bool) {
    (answer.decision(), answer.reason(), answer.shadowed)
}

const PASSED: (Decision, DenyReason, bool) = (Decision::Allow, DenyReason::Unspecified, false);

fn instead_of(reason: DenyReason) -> (Decision, DenyReason, bool) {
    (Decision::Allow, reason, true)
}

async fn a_watched_app_is_counted_and_judged_and_never_refused(store: Store) {
    let (_sidecar, client) = start(&store, SETTINGS).await;
    for count in 1..=2 {
        let answer = client.create(WATCHED, Account).await;
        assert_eq!((seen(&answer), answer.used), (PASSED, count), "{answer:?}");
    }
    for count in 3..=5 {
        let answer = client.create(WATCHED, Account).await;
        let reached = instead_of(DenyReason::LimitReached);
        assert_eq!((seen(&answer), answer.used), (reached, count), "{answer:?}");
        assert_eq!((answer.limit, answer.remaining), (Some(2), Some(0)));
        assert_eq!(answer.im_error_code, 0, "nothing is refused");
    }
    // A dry run is judged alike, and counts nothing.
    let dry = CheckRequest {
        mode: CheckMode::DryRun.into(),
        ..creation(WATCHED, Account)
    };
    let answer = client.check(dry).await;
    assert_eq!(seen(&answer), instead_of(DenyReason::LimitReached));
    assert_eq!(used(&client.usage(WATCHED).await, Account), 5);

    assert_eq!(seen(&client.create(WATCHED, Group).await), PASSED);
    let gained = client.create(WATCHED, Group).await;
    assert_eq!(seen(&gained), instead_of(DenyReason::DailyGainReached));

    let off = client.create(OFF, Account).await;
    assert_eq!(seen(&off), instead_of(DenyReason::AppDisabled), "{off:?}");
    assert_eq!(used(&client.usage(OFF).await, Account), 1);

    // Its neighbour is guarded as ever.
    client.create(STRICT, Account).await;
    client.create(STRICT, Account).await;
    let refused = client.create(STRICT, Account).await;
    assert_eq!(
        (verdict(&refused), refused.shadowed),
        (ACCOUNTS_FULL, false)
    );
}

async fn a_reservation_of_a_watched_app_is_confirmed_beyond_the_limit(store: Store) {
    let (_sidecar, client) = start(&store, SETTINGS).await;
    for number in 1..=4 {
        let request_id = format!("r{number}");
        let reserve = CheckRequest {
            mode: CheckMode::Reserve.into(),
            request_id: request_id.clone(),
            ..creation(WATCHED, Account)
        };
        let answer = client.check(reserve).await;
        let expected = if number <= 2 {
            PASSED
        } else {
            instead_of(DenyReason::LimitReached)
        };
        assert_eq!(seen(&answer), expected, "{number}: {answer:?}");
        assert_eq!(answer.limit, Some(2));
        let confirm = ConfirmRequest {
            app_id: WATCHED,
            request_id,
            ..Default::default()
        };
        assert_eq!(client.confirm(confirm).await.used, number);
    }
}

async fn all_apps_can_be_watched(store: Store) {
    let settings = format!("shadow: true\nunknown_app_plan: null\n{SETTINGS}");
    let (_sidecar, client) = start(&store, &settings).await;
    for _ in 0..2 {
        assert_eq!(seen(&client.create(STRICT, Account).await), PASSED);
    }
    let beyond = client.create(STRICT, Account).await;
    assert_eq!(seen(&beyond), instead_of(DenyReason::LimitReached));
    let unknown = client.create(NOBODY, Account).await;
    assert_eq!(seen(&unknown), instead_of(DenyReason::AppUnknown));
}
