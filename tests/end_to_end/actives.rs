//! Daily active users: distinct, by the event's day in the billing zone, one number for all sidecars.

use imquota::grpc::proto::{RecordActiveRequest, RecordActiveResponse};
use jiff::{SignedDuration, Timestamp};
use tonic::{Code, Status};

use crate::client::Client;
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

const PRO: u64 = 1;
const OTHER: u64 = 2;
const NOBODY: u64 = 99;

/// In the billing zone of the product, for tests that name their times.
const BEIJING: &str = "
billing: { zone: \"+08:00\" }
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro }
";
/// In a zone where it is noon, for tests that look at today.
const TODAY: &str = "
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro }
";

async fn start(store: &Store, settings: &str) -> (Sidecar, Client) {
    let sidecar = Sidecar::start(&store.url(), settings).await;
    let client = sidecar.client().await;
    (sidecar, client)
}

fn users(ids: &[&str]) -> RecordActiveRequest {
    RecordActiveRequest {
        app_id: PRO,
        user_ids: ids.iter().map(ToString::to_string).collect(),
        ..Default::default()
    }
}

fn increment(app_id: u64, increment: u64) -> RecordActiveRequest {
    RecordActiveRequest {
        app_id,
        increment,
        ..Default::default()
    }
}

fn at(record: RecordActiveRequest, at: Timestamp) -> RecordActiveRequest {
    RecordActiveRequest {
        at: Some(prost_types::Timestamp {
            seconds: at.as_second(),
            nanos: at.subsec_nanosecond(),
        }),
        ..record
    }
}

async fn record(client: &Client, record: RecordActiveRequest) -> RecordActiveResponse {
    client.try_record(record).await.expect("it is answered")
}

async fn refused(client: &Client, record: RecordActiveRequest) -> Status {
    client.try_record(record).await.expect_err("it is refused")
}

fn counts(answer: &RecordActiveResponse) -> (u64, u64) {
    (answer.newly_active, answer.daily_active)
}

/// The day of `at` in Beijing, which has no summer time.
fn beijing_day(at: Timestamp) -> String {
    let offset = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    at.to_zoned(offset).date().to_string()
}

async fn users_are_distinct(store: Store) {
    let (_sidecar, client) = start(&store, TODAY).await;
    let first = record(&client, users(&["ann", "bob", "ann"])).await;
    assert_eq!((counts(&first), first.source()), ((2, 2), store.source()));
    let again = record(&client, users(&["bob", "ann"])).await;
    assert_eq!(counts(&again), (0, 2));
    let more = record(&client, users(&["ann", "Ann", "ann "])).await;
    assert_eq!(counts(&more), (2, 4), "ids are compared byte by byte");
    // Each app has its own.
    let elsewhere = client.record(OTHER, ["ann"]).await;
    assert_eq!(counts(&elsewhere), (1, 1));

    let usage = client.usage(PRO).await;
    assert_eq!((usage.daily_active, usage.month_peak_daily_active), (4, 4));
}

async fn many_calls_at_once_count_each_user_once(store: Store) {
    let (_sidecar, client) = start(&store, TODAY).await;
    let calls = (0..500).map(|call| client.record(PRO, [format!("user-{}", call % 100)]));
    let answers = futures_util::future::join_all(calls).await;
    let new: u64 = answers.iter().map(|answer| answer.newly_active).sum();
    assert_eq!((new, client.usage(PRO).await.daily_active), (100, 100));
}

async fn a_thousand_users_in_one_call(store: Store) {
    let (mut sidecar, client) = start(&store, TODAY).await;
    for batch in 0..12 {
        let ids = (0..1000).map(|user| format!("{:032}", batch * 900 + user));
        client.record(PRO, ids).await;
    }
    assert_eq!(client.usage(PRO).await.daily_active, 11 * 900 + 1000);
    sidecar.stop().await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    let again = client
        .record(PRO, (0..1000).map(|user| format!("{:032}", 2000 + user)))
        .await;
    assert_eq!(counts(&again), (0, 10_900));
}

async fn gateways_may_count_themselves(store: Store) {
    let (_sidecar, client) = start(&store, TODAY).await;
    assert_eq!(
        counts(&record(&client, increment(PRO, 1000)).await),
        (1000, 1000)
    );
    assert_eq!(counts(&record(&client, users(&["ann"])).await), (1, 1001));
    assert_eq!(counts(&record(&client, increment(PRO, 7)).await), (7, 1008));
    let usage = client.usage(PRO).await;
    assert_eq!(
        (usage.daily_active, usage.month_peak_daily_active),
        (1008, 1008)
    );
}

async fn a_day_is_the_billing_zones(store: Store) {
    let (_sidecar, client) = start(&store, BEIJING).await;
    // The last midnight in Beijing, which is 16:00:00 UTC.
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)));
    let midnight = today.start_of_day().expect("it has one").timestamp();
    let before = midnight - SignedDuration::from_secs(1);
    assert!(midnight.to_string().ends_with("T16:00:00Z"), "{midnight}");

    let late = record(&client, at(users(&["ann", "bob"]), before)).await;
    assert_eq!((counts(&late), late.day), ((2, 2), beijing_day(before)));
    let early = record(&client, at(users(&["ann"]), midnight)).await;
    assert_eq!((counts(&early), early.day), ((1, 1), beijing_day(midnight)));
    assert_eq!(beijing_day(midnight), today.date().to_string());

    // Nanoseconds before midnight are still yesterday.
    let last = midnight - SignedDuration::from_nanos(1);
    let last = record(&client, at(users(&["bob", "cid"]), last)).await;
    assert_eq!((counts(&last), last.day), ((1, 3), beijing_day(before)));

    for (instant, expected) in [(before, 13), (midnight, 11)] {
        let more = record(&client, at(increment(PRO, 10), instant)).await;
        assert_eq!((more.newly_active, more.daily_active), (10, expected));
    }
}

async fn yesterdays_users_are_yesterdays(store: Store) {
    let (_sidecar, client) = start(&store, TODAY).await;
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    client.record(PRO, ["ann"]).await;
    let late = record(&client, at(users(&["ann", "bob"]), yesterday)).await;
    assert_eq!(counts(&late), (2, 2));
    let again = record(&client, at(users(&["ann", "bob"]), yesterday)).await;
    assert_eq!((counts(&again), again.day), ((0, 2), late.day));
    assert_eq!(client.usage(PRO).await.daily_active, 1);
}

async fn a_day_that_is_sealed_or_not_begun_takes_nobody(store: Store) {
    let (_sidecar, client) = start(&store, BEIJING).await;
    let now = Timestamp::now();
    let offset = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    let midnight = now
        .to_zoned(offset)
        .start_of_day()
        .expect("it has one")
        .timestamp();
    // A day is sealed 48 hours after its end: the day before the day before yesterday is.
    let open = midnight - SignedDuration::from_hours(24) * 2;
    let sealed = open - SignedDuration::from_secs(1);
    for who in [users(&["ann"]), increment(PRO, 5)] {
        assert_eq!(
            record(&client, at(who.clone(), open)).await.day,
            beijing_day(open)
        );
        let status = refused(&client, at(who.clone(), sealed)).await;
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        assert!(
            status.message().contains(&beijing_day(sealed)),
            "{status:?}"
        );

        let ahead = now + SignedDuration::from_mins(4);
        assert_eq!(
            record(&client, at(who.clone(), ahead)).await.day,
            beijing_day(ahead)
        );
        for minutes in [7, 60 * 24 * 365] {
            let future = now + SignedDuration::from_mins(minutes);
            let status = refused(&client, at(who.clone(), future)).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        }
    }
}

async fn nobody_logs_in_to_an_unknown_app(store: Store) {
    let (_sidecar, client) = start(&store, TODAY).await;
    let ann = RecordActiveRequest {
        app_id: NOBODY,
        ..users(&["ann"])
    };
    for record in [ann, increment(NOBODY, 5)] {
        let status = refused(&client, record).await;
        assert_eq!(status.code(), Code::NotFound, "{status:?}");
    }
}

on_both_stores!(
    users_are_distinct,
    many_calls_at_once_count_each_user_once,
    a_thousand_users_in_one_call,
    gateways_may_count_themselves,
    a_day_is_the_billing_zones,
    yesterdays_users_are_yesterdays,
    a_day_that_is_sealed_or_not_begun_takes_nobody,
    nobody_logs_in_to_an_unknown_app,
);

#[tokio::test]
async fn a_user_of_two_sidecars_is_one() {
    let redis = RedisServer::start();
    let first = Sidecar::start(&redis.url(), TODAY).await;
    let second = Sidecar::start(&redis.url(), TODAY).await;
    let (one, other) = (first.client().await, second.client().await);
    assert_eq!(counts(&one.record(PRO, ["ann", "bob"]).await), (2, 2));
    assert_eq!(counts(&other.record(PRO, ["ann", "cid"]).await), (1, 3));
    assert_eq!(counts(&one.record(PRO, ["cid"]).await), (0, 3));
    for client in [&one, &other] {
        assert_eq!(client.usage(PRO).await.daily_active, 3);
    }

    // At the same moment, too: one of the two is told that the user is new.
    let ids = || (0..200).map(|user| format!("user-{user}"));
    let (a, b) = tokio::join!(
        futures_util::future::join_all(ids().map(|id| one.record(PRO, [id]))),
        futures_util::future::join_all(ids().map(|id| other.record(PRO, [id]))),
    );
    let new: u64 = a.iter().chain(&b).map(|answer| answer.newly_active).sum();
    assert_eq!((new, one.usage(PRO).await.daily_active), (200, 203));
}

#[tokio::test]
async fn what_two_gateways_count_themselves_adds_up() {
    let redis = RedisServer::start();
    let first = Sidecar::start(&redis.url(), TODAY).await;
    let second = Sidecar::start(&redis.url(), TODAY).await;
    let clients = [first.client().await, second.client().await];
    for client in &clients {
        for _ in 0..10 {
            record(client, increment(PRO, 5)).await;
        }
        client.record(PRO, ["ann"]).await;
    }
    for client in &clients {
        until("both have settled", async || {
            match client.usage(PRO).await {
                usage if usage.daily_active == 101 && usage.month_peak_daily_active == 101 => {
                    Ok(())
                }
                usage => Err(usage),
            }
        })
        .await;
    }
}
