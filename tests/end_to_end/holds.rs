//! Reservations: a place is held until somebody says what it came to, by whichever sidecar.

use std::time::Duration;

use imquota::grpc::proto::{
    CancelRequest, CheckMode, CheckRequest, CheckResponse, ConfirmRequest, Resource, Source,
};
use tonic::Code;

use crate::client::{ALLOW, Client, ROOMS_FULL, UNAVAILABLE, creation, held, used, verdict};
use crate::process::Process;
use crate::recount::{json, operators};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

const ASK: u64 = 1;
const FREE: u64 = 2;
const CHARGE: u64 = 3;
const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro, limits: { av_rooms: 3 } }
  - { app_id: 2, plan: pro, limits: { av_rooms: 3 }, expired_holds: free }
  - { app_id: 3, plan: pro, limits: { av_rooms: 3 }, expired_holds: charge }
";
/// Over at once.
const SHORT: Duration = Duration::from_millis(1);
/// Longer than any test.
const LONG: Duration = Duration::from_mins(10);

use Resource::{Account, AvRoom, Group};

fn reservation(app: u64, resource: Resource, id: &str, hold: Duration) -> CheckRequest {
    CheckRequest {
        request_id: id.into(),
        mode: CheckMode::Reserve.into(),
        hold: Some(hold.try_into().expect("it is short")),
        ..creation(app, resource)
    }
}

async fn reserve(client: &Client, app: u64, id: &str) -> CheckResponse {
    client.check(reservation(app, AvRoom, id, LONG)).await
}

fn confirm(app_id: u64, id: &str) -> ConfirmRequest {
    ConfirmRequest {
        app_id,
        request_id: id.into(),
        ..Default::default()
    }
}

fn cancel(app_id: u64, id: &str) -> CancelRequest {
    CancelRequest {
        app_id,
        request_id: id.into(),
    }
}

/// How many rooms are used and held, as `client` sees it.
async fn rooms(client: &Client, app: u64) -> (u64, u64) {
    let usage = client.usage(app).await;
    (used(&usage, AvRoom), held(&usage, AvRoom))
}

/// Waits until it is so.
async fn becomes(client: &Client, app: u64, expected: (u64, u64)) {
    until("the counts", async || {
        let seen = rooms(client, app).await;
        if seen == expected { Ok(()) } else { Err(seen) }
    })
    .await;
}

async fn a_place_is_held_until_it_is_confirmed(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let answer = reserve(&client, ASK, "r1").await;
    assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
    assert_eq!((answer.used, answer.remaining), (0, Some(2)), "{answer:?}");
    assert_eq!(answer.source(), store.source());
    assert!(reserve(&client, ASK, "r1").await.replayed);
    assert_eq!(rooms(&client, ASK).await, (0, 1));
    for _ in 0..2 {
        assert_eq!(verdict(&client.create(ASK, AvRoom).await), ALLOW);
    }
    let refused = client.create(ASK, AvRoom).await;
    assert_eq!(verdict(&refused), ROOMS_FULL);
    assert_eq!((refused.used, refused.remaining), (2, Some(0)));
    let confirmed = client.confirm(confirm(ASK, "r1")).await;
    assert_eq!(
        (confirmed.used, confirmed.late, confirmed.replayed),
        (3, false, false)
    );
    let again = client.confirm(confirm(ASK, "r1")).await;
    assert_eq!((again.used, again.late, again.replayed), (3, false, true));
    let problem = client.try_cancel(cancel(ASK, "r1")).await.unwrap_err();
    assert_eq!(problem.code(), Code::FailedPrecondition, "{problem:?}");
    assert_eq!(rooms(&client, ASK).await, (3, 0));
    assert_eq!(verdict(&client.create(ASK, AvRoom).await), ROOMS_FULL);
    assert_eq!(client.used(ASK, Group).await, 3);
}

async fn what_is_cancelled_is_free(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for id in ["r1", "r2", "r3"] {
        assert_eq!(verdict(&reserve(&client, ASK, id).await), ALLOW);
    }
    assert_eq!(verdict(&reserve(&client, ASK, "r4").await), ROOMS_FULL);
    assert!(!client.cancel(cancel(ASK, "r2")).await.replayed);
    assert!(client.cancel(cancel(ASK, "r2")).await.replayed);
    assert_eq!(rooms(&client, ASK).await, (0, 2));
    assert_eq!(verdict(&reserve(&client, ASK, "r5").await), ALLOW);
    // The refusal is remembered under its id; an id that is over holds nothing again.
    assert!(reserve(&client, ASK, "r4").await.replayed);
    let code = |problem: tonic::Status| problem.code();
    let late = client.try_confirm(confirm(ASK, "r2")).await.map_err(code);
    assert_eq!(late, Err(Code::FailedPrecondition));
    let again = client.try_check(reservation(ASK, AvRoom, "r2", LONG)).await;
    assert_eq!(again.map_err(code), Err(Code::FailedPrecondition));
    // The same id for a plain creation, or for another time, is another request.
    let plain = CheckRequest {
        request_id: "r1".into(),
        ..creation(ASK, AvRoom)
    };
    for other in [plain, reservation(ASK, AvRoom, "r1", SHORT)] {
        let other = client.try_check(other).await.map_err(code);
        assert_eq!(other, Err(Code::InvalidArgument));
    }
    for unknown in ["r4", "never"] {
        let confirmed = client.try_confirm(confirm(ASK, unknown)).await;
        assert_eq!(confirmed.map_err(code), Err(Code::NotFound), "{unknown}");
        let cancelled = client.try_cancel(cancel(ASK, unknown)).await;
        assert_eq!(cancelled.map_err(code), Err(Code::NotFound), "{unknown}");
    }
    assert_eq!(rooms(&client, ASK).await, (0, 3));
}

async fn what_expires_is_in_doubt_and_stays_charged(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for id in ["r1", "r2", "r3"] {
        let answer = client.check(reservation(ASK, AvRoom, id, SHORT)).await;
        assert_eq!(verdict(&answer), ALLOW);
    }
    // Longer than what the settings of another app would need to end them.
    until("another app's hold is over", async || {
        let other = reservation(FREE, AvRoom, "other", SHORT);
        client.try_check(other).await.ok();
        let seen = rooms(&client, FREE).await;
        if seen == (0, 0) { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(rooms(&client, ASK).await, (0, 3));
    assert_eq!(verdict(&client.create(ASK, AvRoom).await), ROOMS_FULL);
    let confirmed = client.confirm(confirm(ASK, "r1")).await;
    assert_eq!((confirmed.used, confirmed.late), (1, true));
    assert!(client.confirm(confirm(ASK, "r1")).await.late);
    client.cancel(cancel(ASK, "r2")).await;
    assert_eq!(rooms(&client, ASK).await, (1, 1));
    assert_eq!(verdict(&client.create(ASK, AvRoom).await), ALLOW);
}

async fn the_settings_end_what_expires(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for app in [FREE, CHARGE] {
        for id in ["r1", "r2", "r3"] {
            let answer = client.check(reservation(app, AvRoom, id, SHORT)).await;
            assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
        }
    }
    becomes(&client, FREE, (0, 0)).await;
    for _ in 0..3 {
        assert_eq!(verdict(&client.create(FREE, AvRoom).await), ALLOW);
    }
    // Its object exists: it is counted above the limit.
    let confirmed = client.confirm(confirm(FREE, "r1")).await;
    assert_eq!((confirmed.used, confirmed.late), (4, true));
    becomes(&client, CHARGE, (3, 0)).await;
    let problem = client.try_cancel(cancel(CHARGE, "r1")).await.unwrap_err();
    assert_eq!(problem.code(), Code::FailedPrecondition, "{problem:?}");
    let confirmed = client.confirm(confirm(CHARGE, "r1")).await;
    assert_eq!((confirmed.used, confirmed.late), (3, true));
    assert!(client.confirm(confirm(CHARGE, "r1")).await.replayed);
    // What no limit guards is held by nobody for longer than was asked.
    let metered = reservation(ASK, Account, "a1", SHORT);
    assert_eq!(verdict(&client.check(metered).await), ALLOW);
    until("it is freed", async || {
        let usage = client.usage(ASK).await;
        match (used(&usage, Account), held(&usage, Account)) {
            (0, 0) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let confirmed = client.confirm(confirm(ASK, "a1")).await;
    assert_eq!((confirmed.used, confirmed.late), (1, true));
}

/// An operator sees what nobody ended, and ends it.
async fn what_is_in_doubt_is_listed_and_ended_by_an_operator(store: Store) {
    let mut sidecar = Sidecar::new(&store.url(), SETTINGS);
    let socket = operators(&sidecar);
    sidecar.set(&format!("{SETTINGS}admin_listen: \"{socket}\"\n"));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&reserve(&client, ASK, "held").await), ALLOW);
    for id in ["made", "lost"] {
        let answer = client.check(reservation(ASK, AvRoom, id, SHORT)).await;
        assert_eq!(verdict(&answer), ALLOW);
    }
    let listed = async || {
        let list = json(&sidecar, "holds --app 1").await;
        let holds = list["holds"].as_array().expect("a list").clone();
        let of = |hold: &serde_json::Value| {
            let id = hold["request_id"].as_str().expect("text").to_owned();
            (id, hold["in_doubt"].as_bool().expect("yes or no"))
        };
        holds.iter().map(of).collect::<Vec<_>>()
    };
    let is = |id: &str, in_doubt| (id.to_owned(), in_doubt);
    until("they are in doubt", async || {
        let seen = listed().await;
        let doubted = seen.iter().filter(|(_, in_doubt)| *in_doubt).count();
        if doubted == 2 { Ok(()) } else { Err(seen) }
    })
    .await;
    let seen = listed().await;
    assert_eq!(seen.last(), Some(&is("held", false)), "the last to expire");
    assert_eq!(seen.len(), 3);
    let at = format!("http://{}", sidecar.address());
    for (verb, id) in [("confirm", "made"), ("cancel", "lost")] {
        let words = [verb, "--app", "1", "--request-id", id, "--endpoint", &at];
        let ended = Process::imquota(words).ended().await;
        assert_eq!(ended.code(), 0, "{ended:?}");
    }
    assert_eq!(listed().await, [is("held", false)]);
    assert_eq!(rooms(&client, ASK).await, (1, 1));
}

async fn a_kill_forgets_no_reservation(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for id in ["r1", "r2", "r3"] {
        assert_eq!(verdict(&reserve(&client, ASK, id).await), ALLOW);
    }
    client.confirm(confirm(ASK, "r1")).await;
    client.cancel(cancel(ASK, "r2")).await;
    for _ in 0..2 {
        sidecar.kill().await;
        sidecar.start_again().await;
        let client = sidecar.client().await;
        assert_eq!(rooms(&client, ASK).await, (1, 1));
        assert!(client.confirm(confirm(ASK, "r1")).await.replayed);
        assert!(client.cancel(cancel(ASK, "r2")).await.replayed);
        assert!(reserve(&client, ASK, "r3").await.replayed);
    }
    let client = sidecar.client().await;
    assert_eq!(client.confirm(confirm(ASK, "r3")).await.used, 2);
    assert_eq!(verdict(&client.create(ASK, AvRoom).await), ALLOW);
    assert_eq!(verdict(&client.create(ASK, AvRoom).await), ROOMS_FULL);
}

on_both_stores!(
    a_place_is_held_until_it_is_confirmed,
    what_is_cancelled_is_free,
    what_expires_is_in_doubt_and_stays_charged,
    the_settings_end_what_expires,
    what_is_in_doubt_is_listed_and_ended_by_an_operator,
    a_kill_forgets_no_reservation,
);

#[tokio::test]
async fn any_sidecar_ends_a_reservation() {
    let redis = RedisServer::start();
    let mut one = Sidecar::start(&redis.url(), SETTINGS).await;
    let two = Sidecar::start(&redis.url(), SETTINGS).await;
    let clients = [one.client().await, two.client().await];
    let [a, b] = &clients;
    for id in ["r1", "r2", "r3"] {
        assert_eq!(verdict(&reserve(a, ASK, id).await), ALLOW);
        assert!(reserve(b, ASK, id).await.replayed);
    }
    assert_eq!(verdict(&reserve(b, ASK, "r4").await), ROOMS_FULL);
    assert_eq!(b.confirm(confirm(ASK, "r1")).await.used, 1);
    assert!(a.confirm(confirm(ASK, "r1")).await.replayed);
    b.cancel(cancel(ASK, "r2")).await;
    assert!(a.cancel(cancel(ASK, "r2")).await.replayed);
    // Both at once: one of them does it, and neither is told otherwise.
    let confirms = [confirm(ASK, "r3"), confirm(ASK, "r3")];
    let [first, second] = confirms;
    let (first, second) = tokio::join!(a.confirm(first), b.confirm(second));
    assert_eq!((first.used, second.used), (2, 2));
    assert!(first.replayed != second.replayed);
    for client in &clients {
        becomes(client, ASK, (2, 0)).await;
    }
    // Who reserved may be gone.
    assert_eq!(verdict(&reserve(a, ASK, "r5").await), ALLOW);
    one.kill().await;
    assert_eq!(b.confirm(confirm(ASK, "r5")).await.used, 3);
    assert_eq!(verdict(&b.create(ASK, AvRoom).await), ROOMS_FULL);
}

#[tokio::test]
async fn a_ledger_that_forgot_is_told_of_reservations() {
    let redis = RedisServer::start();
    let one = Sidecar::start(&redis.url(), SETTINGS).await;
    let two = Sidecar::start(&redis.url(), SETTINGS).await;
    let (a, b) = (one.client().await, two.client().await);
    for id in ["open", "done", "over"] {
        assert_eq!(verdict(&reserve(&a, ASK, id).await), ALLOW);
    }
    b.confirm(confirm(ASK, "done")).await;
    b.cancel(cancel(ASK, "over")).await;
    becomes(&a, ASK, (1, 1)).await;
    redis.flush_all();
    until("the ledger knows again", async || {
        let answer = b.check(reservation(ASK, AvRoom, "new", LONG)).await;
        if verdict(&answer) == ALLOW {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    becomes(&a, ASK, (1, 2)).await;
    assert_eq!(verdict(&b.create(ASK, AvRoom).await), ROOMS_FULL);
    assert!(b.confirm(confirm(ASK, "done")).await.replayed);
    let problem = a.try_confirm(confirm(ASK, "over")).await.unwrap_err();
    assert_eq!(problem.code(), Code::FailedPrecondition, "{problem:?}");
    assert_eq!(b.confirm(confirm(ASK, "open")).await.used, 2);
    becomes(&a, ASK, (2, 1)).await;
}

#[tokio::test]
async fn nothing_is_reserved_while_the_ledger_is_away() {
    let mut redis = RedisServer::start();
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&reserve(&client, ASK, "r1").await), ALLOW);
    redis.kill();
    for resource in [AvRoom, Group, Account] {
        let answer = client.check(reservation(ASK, resource, "r2", LONG)).await;
        assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
        assert_eq!(answer.source(), Source::Degraded);
    }
    let problem = client.try_confirm(confirm(ASK, "r1")).await.unwrap_err();
    assert_eq!(problem.code(), Code::Unavailable, "{problem:?}");
    let problem = client.try_cancel(cancel(ASK, "r1")).await.unwrap_err();
    assert_eq!(problem.code(), Code::Unavailable, "{problem:?}");
}
