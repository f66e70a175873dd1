//! A billing zone that changes: told by a member with new settings, heard by all.

use imquota::clock::{Clock, Zone};
use imquota::store::Store;
use imquota::store::redis::RedisOptions;

use crate::fixture::{NOW, Sidecar, app, options};
use crate::redis_server::RedisServer;

/// A member whose settings name a zone, and what it knows of zones.
fn member(number: u64, server: &RedisServer, name: &str) -> (Sidecar, Zone) {
    let zone = Zone::parse(name).unwrap();
    let options = RedisOptions {
        zone: zone.clone(),
        ..options(&server.url())
    };
    (Sidecar::with(number, options), zone)
}

#[tokio::test]
async fn a_change_is_told_once_and_heard_with_the_next_beat() {
    let server = RedisServer::start();
    let (one, of_one) = member(1, &server, "+08:00");
    let known = one.hello(None).await.unwrap();
    one.beats().await;
    assert_eq!(of_one.schedule(), "+08:00");
    let (two, of_two) = member(2, &server, "Europe/Berlin");
    two.hello(Some(known)).await.unwrap();
    let schedule = of_two.schedule();
    assert!(schedule.starts_with("+08:00 2"), "{schedule}");
    assert!(schedule.ends_with(" Europe/Berlin"), "{schedule}");
    let (from, _) = of_two.changed().next().unwrap();
    assert!(from > of_two.day(Clock::system()).month());
    // Until then its days are those of the others.
    let today = of_one.day(Clock::system());
    assert_eq!(of_two.day(Clock::system()), today);
    assert_eq!(of_one.schedule(), "+08:00");
    one.beats().await;
    assert_eq!(of_one.schedule(), schedule);
    // Old settings follow, and change nothing; a third zone comes after.
    let (old, of_old) = member(3, &server, "+08:00");
    old.hello(Some(known)).await.unwrap();
    assert_eq!(of_old.schedule(), schedule);
    let (third, of_third) = member(4, &server, "UTC");
    third.hello(Some(known)).await.unwrap();
    let after = of_third.schedule();
    assert_eq!(after, format!("{schedule} {} UTC", from.next()));
    for (member, zone) in [(&one, &of_one), (&two, &of_two), (&old, &of_old)] {
        member.beats().await;
        assert_eq!(zone.schedule(), after);
    }
    one.store
        .month(app(1), today.month(), today, NOW)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_ledger_that_forgot_a_change_is_told_it_again() {
    let server = RedisServer::start();
    let (one, _) = member(1, &server, "+08:00");
    let known = one.hello(None).await.unwrap();
    let meta = server.command::<Vec<String>>(&["KEYS", "*:meta"]).remove(0);
    let (two, of_two) = member(2, &server, "UTC");
    two.hello(Some(known)).await.unwrap();
    let schedule = of_two.schedule();
    server.command::<()>(&["HSET", &meta, "zone", "+08:00"]);
    two.beats().await;
    let kept: String = server.command(&["HGET", &meta, "zone"]);
    assert_eq!(kept, schedule);
    // Also if all is gone.
    server.flush_all();
    two.beats().await;
    let kept: String = server.command(&["HGET", &meta, "zone"]);
    assert_eq!(kept, schedule);
}
