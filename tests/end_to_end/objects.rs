//! Objects: a count belongs to its account, group or room, whoever asks and however often.

use futures_util::future::join_all;
use imquota::grpc::proto::{
    CheckMode, CheckRequest, CheckResponse, ConfirmRequest, ReleaseRequest, Resource, Source,
};
use rustix::process::Signal;

use crate::client::{ALLOW, Client, ROOMS_FULL, creation, deletion, held, used, verdict};
use crate::recount::{json, operators};
use crate::redis_server::{Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

const PRO: u64 = 1;
const OTHER: u64 = 2;
const BLIND: u64 = 3;
const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro, limits: { av_rooms: 5 } }
  - { app_id: 2, plan: pro }
  - { app_id: 3, plan: pro, track_objects: false }
";

use Resource::{Account, AvRoom, Group};

fn named(app: u64, resource: Resource, name: &str) -> CheckRequest {
    CheckRequest {
        resource_id: name.into(),
        ..creation(app, resource)
    }
}

fn under(id: &str, check: CheckRequest) -> CheckRequest {
    CheckRequest {
        request_id: id.into(),
        ..check
    }
}

fn exists(check: CheckRequest) -> CheckRequest {
    CheckRequest {
        mode: CheckMode::Record.into(),
        ..check
    }
}

fn delete(app: u64, resource: Resource, name: &str) -> ReleaseRequest {
    ReleaseRequest {
        resource_id: name.into(),
        ..deletion(app, resource, 1)
    }
}

/// Allowed, whether it was counted before, whether it was answered before.
fn told(answer: &CheckResponse) -> (bool, bool, bool) {
    let allowed = verdict(answer) == ALLOW;
    (allowed, answer.already_counted, answer.replayed)
}

const NEW: (bool, bool, bool) = (true, false, false);
const THERE: (bool, bool, bool) = (true, true, false);

async fn becomes(client: &Client, (app, resource): (u64, Resource), expected: u64) {
    until("the count", async || {
        let seen = client.used(app, resource).await;
        if seen == expected { Ok(()) } else { Err(seen) }
    })
    .await;
}

async fn an_object_is_counted_once(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let first = client.check(under("1", named(PRO, Account, "ann"))).await;
    assert_eq!((told(&first), first.used), (NEW, 1));
    assert_eq!(first.source(), store.source());
    let again = client.check(under("1", named(PRO, Account, "ann"))).await;
    assert_eq!((told(&again), again.used), ((true, false, true), 1));
    for id in ["2", ""] {
        let import = client.check(under(id, named(PRO, Account, "ann"))).await;
        assert_eq!((told(&import), import.used), (THERE, 1));
    }
    let import = client.check(under("2", named(PRO, Account, "ann"))).await;
    assert_eq!((told(&import), import.used), ((true, true, true), 1));
    // The id stands for that object.
    let other = under("1", named(PRO, Account, "bob"));
    let problem = client.try_check(other).await.unwrap_err();
    assert_eq!(problem.code(), tonic::Code::InvalidArgument, "{problem:?}");
    // A dry run knows it, and counts nothing.
    let dry = |name| CheckRequest {
        mode: CheckMode::DryRun.into(),
        ..named(PRO, Account, name)
    };
    assert_eq!(told(&client.check(dry("ann")).await), THERE);
    assert_eq!(told(&client.check(dry("bob")).await), NEW);
    // Another app's is another, and so is a group of that name.
    assert_eq!(told(&client.check(named(OTHER, Account, "ann")).await), NEW);
    assert_eq!(told(&client.check(named(PRO, Group, "ann")).await), NEW);
    assert_eq!(client.used(PRO, Account).await, 1);
    assert_eq!(client.used(OTHER, Account).await, 1);
}

async fn an_object_is_given_back_once(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for name in ["a", "b"] {
        assert_eq!(told(&client.check(named(PRO, AvRoom, name)).await), NEW);
    }
    let unknown = client.release(delete(PRO, AvRoom, "c")).await;
    assert_eq!((unknown.released, unknown.used), (0, 2));
    for (released, used) in [(1, 1), (0, 1), (0, 1)] {
        let freed = client.release(delete(PRO, AvRoom, "a")).await;
        assert_eq!((freed.released, freed.used), (released, used), "{freed:?}");
    }
    // It may be created anew, and go anew.
    for _ in 0..3 {
        assert_eq!(told(&client.check(named(PRO, AvRoom, "a")).await), NEW);
        assert_eq!(client.release(delete(PRO, AvRoom, "a")).await.released, 1);
    }
    assert_eq!(client.used(PRO, AvRoom).await, 1);
    assert_eq!(client.used(PRO, Group).await, 1);
}

async fn what_has_no_name_can_be_given_back_by_name(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for _ in 0..2 {
        assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    }
    assert_eq!(told(&client.check(named(PRO, Account, "ann")).await), NEW);
    for (name, released) in [
        ("old", 1),
        ("old", 0),
        ("older", 1),
        ("none", 0),
        ("ann", 1),
    ] {
        let freed = client.release(delete(PRO, Account, name)).await;
        assert_eq!(freed.released, released, "{name}: {freed:?}");
    }
    assert_eq!(client.used(PRO, Account).await, 0);
}

async fn a_room_and_a_group_of_one_name_are_one_object(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let counts = async || {
        let usage = client.usage(PRO).await;
        (used(&usage, AvRoom), used(&usage, Group))
    };
    assert_eq!(told(&client.check(named(PRO, AvRoom, "x")).await), NEW);
    assert_eq!(told(&client.check(named(PRO, Group, "x")).await), THERE);
    assert_eq!(counts().await, (1, 1));
    assert_eq!(client.release(delete(PRO, Group, "x")).await.released, 1);
    assert_eq!(counts().await, (0, 0));
    assert_eq!(told(&client.check(named(PRO, Group, "y")).await), NEW);
    assert_eq!(told(&client.check(named(PRO, AvRoom, "y")).await), THERE);
    assert_eq!(counts().await, (0, 1));
    assert_eq!(client.release(delete(PRO, AvRoom, "y")).await.released, 1);
    assert_eq!(counts().await, (0, 0));
    assert_eq!(client.usage(PRO).await.groups_gained_today, 0);
}

async fn what_exists_is_counted_once_above_the_limit(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for name in ["1", "2", "3", "4", "5"] {
        assert_eq!(told(&client.check(named(PRO, AvRoom, name)).await), NEW);
    }
    let refused = client.check(under("id", named(PRO, AvRoom, "6"))).await;
    assert_eq!(verdict(&refused), ROOMS_FULL);
    let over = client
        .check(exists(under("id", named(PRO, AvRoom, "6"))))
        .await;
    assert_eq!(over.decision(), imquota::grpc::proto::Decision::Allow);
    assert_eq!(
        over.reason(),
        imquota::grpc::proto::DenyReason::LimitReached,
        "{over:?}"
    );
    assert_eq!((over.used, over.already_counted), (6, false));
    let again = client
        .check(exists(under("id", named(PRO, AvRoom, "6"))))
        .await;
    assert!(again.replayed && again.used == 6, "{again:?}");
    let again = client.check(exists(named(PRO, AvRoom, "6"))).await;
    assert!(again.already_counted && again.used == 6, "{again:?}");
    assert_eq!(client.release(delete(PRO, AvRoom, "6")).await.released, 1);
    assert_eq!(client.used(PRO, AvRoom).await, 5);
}

async fn a_kill_forgets_no_object(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for number in 0..20 {
        let name = format!("u{number}");
        assert_eq!(told(&client.check(named(PRO, Account, &name)).await), NEW);
    }
    for number in 0..10 {
        let name = format!("u{number}");
        let freed = client.release(delete(PRO, Account, &name)).await;
        assert_eq!(freed.released, 1);
    }
    for _ in 0..2 {
        sidecar.kill().await;
        sidecar.start_again().await;
        let client = sidecar.client().await;
        becomes(&client, (PRO, Account), 10).await;
        for number in 10..20 {
            let name = format!("u{number}");
            assert_eq!(told(&client.check(named(PRO, Account, &name)).await), THERE);
        }
        for number in 0..10 {
            let name = format!("u{number}");
            let freed = client.release(delete(PRO, Account, &name)).await;
            assert_eq!(freed.released, 0, "{name}");
        }
    }
    let client = sidecar.client().await;
    for number in 10..20 {
        let freed = client
            .release(delete(PRO, Account, &format!("u{number}")))
            .await;
        assert_eq!(freed.released, 1);
    }
    assert_eq!(client.used(PRO, Account).await, 0);
}

async fn a_kill_mixes_up_no_creation_with_an_older_one(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for _ in 0..3 {
        assert_eq!(told(&client.check(named(PRO, AvRoom, "x")).await), NEW);
        assert_eq!(client.release(delete(PRO, AvRoom, "x")).await.released, 1);
    }
    for name in ["x", "y"] {
        assert_eq!(told(&client.check(named(PRO, AvRoom, name)).await), NEW);
    }
    assert_eq!(client.release(delete(PRO, AvRoom, "y")).await.released, 1);
    for _ in 0..2 {
        sidecar.kill().await;
        sidecar.start_again().await;
        let client = sidecar.client().await;
        becomes(&client, (PRO, AvRoom), 1).await;
        assert_eq!(told(&client.check(named(PRO, AvRoom, "x")).await), THERE);
        assert_eq!(client.release(delete(PRO, AvRoom, "y")).await.released, 0);
    }
    let client = sidecar.client().await;
    assert_eq!(client.release(delete(PRO, AvRoom, "x")).await.released, 1);
    assert_eq!(client.used(PRO, Group).await, 0);
}

/// What was answered under an id is answered again, though its object is gone: also behind a kill.
async fn an_answer_outlives_its_object(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let room = |id: &str| under(id, named(PRO, AvRoom, "r"));
    assert_eq!(told(&client.check(room("first")).await), NEW);
    assert_eq!(told(&client.check(room("met")).await), THERE);
    assert_eq!(client.release(delete(PRO, AvRoom, "r")).await.released, 1);
    for _ in 0..2 {
        let client = sidecar.client().await;
        for (id, already) in [("first", false), ("met", true)] {
            for check in [room(id), exists(room(id))] {
                let answer = answered(&client, check).await;
                assert_eq!(told(&answer), (true, already, true), "{id}: {answer:?}");
                assert_eq!(answer.used, 0);
            }
        }
        sidecar.kill().await;
        sidecar.start_again().await;
    }
    let client = sidecar.client().await;
    becomes(&client, (PRO, AvRoom), 0).await;
    // Under another id it is another creation.
    assert_eq!(told(&answered(&client, room("anew")).await), NEW);
    assert!(client.check(room("first")).await.replayed);
    assert_eq!(client.used(PRO, AvRoom).await, 1);
}

/// What the ledger says; behind a kill it has to be met first.
async fn answered(client: &Client, check: CheckRequest) -> CheckResponse {
    until("the ledger decides", async || {
        let answer = client.check(check.clone()).await;
        if verdict(&answer) == ALLOW {
            Ok(answer)
        } else {
            Err(answer)
        }
    })
    .await
}

async fn names_are_not_looked_at_where_the_settings_say_so(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for _ in 0..2 {
        assert_eq!(told(&client.check(named(BLIND, Account, "ann")).await), NEW);
    }
    for left in [1, 0] {
        let freed = client.release(delete(BLIND, Account, "ann")).await;
        assert_eq!((freed.released, freed.used), (1, left));
    }
}

/// An app whose objects are older than its sidecars: some were counted without a name, some never, and the file may be
/// read twice.
async fn what_was_there_before_is_taken_in(store: Store) {
    let mut sidecar = Sidecar::new(&store.url(), SETTINGS);
    let socket = operators(&sidecar);
    sidecar.set(&format!("{SETTINGS}admin_listen: \"{socket}\"\n"));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    let names: Vec<_> = (0..1_200).map(|number| format!("u{number}")).collect();
    let file = sidecar.settings().with_file_name("ids");
    std::fs::write(&file, names.join("\n")).expect("the folder is ours");
    for _ in 0..3 {
        assert_eq!(verdict(&client.create(OTHER, Account).await), ALLOW);
    }
    assert_eq!(told(&client.check(named(OTHER, Account, "u7")).await), NEW);
    let import = format!(
        "objects import --app {OTHER} --resource account --file {}",
        file.display()
    );
    for (named, counted, known) in [(3, 1_196, 1), (0, 0, 1_200)] {
        let done = json(&sidecar, &import).await;
        let expected = serde_json::json!({ "named": named, "counted": counted, "known": known });
        assert_eq!(done, expected);
        assert_eq!(client.used(OTHER, Account).await, 1_200);
    }
    assert_eq!(
        told(&client.check(named(OTHER, Account, "u9")).await),
        THERE
    );
    for released in [1, 0] {
        let freed = client.release(delete(OTHER, Account, "u9")).await;
        assert_eq!(freed.released, released);
    }
    // One without names is set to its number.
    let set = format!("objects import --app {BLIND} --resource group --at-count 42");
    json(&sidecar, &set).await;
    assert_eq!(client.used(BLIND, Group).await, 42);
}

async fn a_reservation_becomes_an_object(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let reserve = |id: &str, name: &str| CheckRequest {
        mode: CheckMode::Reserve.into(),
        ..under(id, named(PRO, AvRoom, name))
    };
    let confirm = |id: &str, name: &str| ConfirmRequest {
        app_id: PRO,
        request_id: id.into(),
        resource_id: name.into(),
    };
    // Named with the reservation, or with its confirmation.
    assert_eq!(told(&client.check(reserve("1", "a")).await), NEW);
    assert_eq!(client.confirm(confirm("1", "")).await.used, 1);
    assert_eq!(told(&client.check(reserve("2", "")).await), NEW);
    assert_eq!(client.confirm(confirm("2", "b")).await.used, 2);
    for name in ["a", "b"] {
        assert_eq!(told(&client.check(named(PRO, AvRoom, name)).await), THERE);
    }
    // What exists is not counted twice, and the place is free.
    assert_eq!(told(&client.check(reserve("3", "")).await), NEW);
    let confirmed = client.confirm(confirm("3", "a")).await;
    assert!(
        confirmed.already_counted && confirmed.used == 2,
        "{confirmed:?}"
    );
    let usage = client.usage(PRO).await;
    assert_eq!((used(&usage, AvRoom), held(&usage, AvRoom)), (2, 0));
    assert_eq!(told(&client.check(reserve("4", "a")).await), THERE);
    assert!(client.confirm(confirm("4", "")).await.already_counted);
    // Another object than was reserved is another request.
    assert_eq!(told(&client.check(reserve("5", "c")).await), NEW);
    let problem = client.try_confirm(confirm("5", "d")).await.unwrap_err();
    assert_eq!(problem.code(), tonic::Code::InvalidArgument, "{problem:?}");
    assert_eq!(client.confirm(confirm("5", "c")).await.used, 3);
    for name in ["a", "b", "c"] {
        assert_eq!(client.release(delete(PRO, AvRoom, name)).await.released, 1);
    }
    assert_eq!(client.used(PRO, AvRoom).await, 0);
}

on_both_stores!(
    an_object_is_counted_once,
    an_object_is_given_back_once,
    an_answer_outlives_its_object,
    what_has_no_name_can_be_given_back_by_name,
    a_room_and_a_group_of_one_name_are_one_object,
    what_exists_is_counted_once_above_the_limit,
    a_kill_forgets_no_object,
    a_kill_mixes_up_no_creation_with_an_older_one,
    names_are_not_looked_at_where_the_settings_say_so,
    what_was_there_before_is_taken_in,
    a_reservation_becomes_an_object,
);

#[tokio::test]
async fn a_deletion_may_be_told_before_its_creation_is_settled() {
    let redis = RedisServer::start();
    let one = Sidecar::start(&redis.url(), SETTINGS).await;
    let two = Sidecar::start(&redis.url(), SETTINGS).await;
    let (a, b) = (one.client().await, two.client().await);
    for number in 0..40 {
        let name = format!("r{number}");
        assert_eq!(told(&a.check(named(PRO, AvRoom, &name)).await), NEW);
        let freed = b.release(delete(PRO, AvRoom, &name)).await;
        assert_eq!(freed.released, 1, "{name}: {freed:?}");
        let again = a.release(delete(PRO, AvRoom, &name)).await;
        assert_eq!(again.released, 0, "{name}: {again:?}");
    }
    for client in [&a, &b] {
        becomes(client, (PRO, AvRoom), 0).await;
        becomes(client, (PRO, Group), 0).await;
    }
    // All places are free again, and no more than these.
    let names: Vec<_> = (0..6).map(|number| format!("n{number}")).collect();
    for name in &names[..5] {
        assert_eq!(told(&b.check(named(PRO, AvRoom, name)).await), NEW);
    }
    assert_eq!(
        verdict(&a.check(named(PRO, AvRoom, &names[5])).await),
        ROOMS_FULL
    );
}

#[tokio::test]
async fn an_answer_outlives_its_object_through_every_sidecar() {
    let redis = RedisServer::start();
    let one = Sidecar::start(&redis.url(), SETTINGS).await;
    let two = Sidecar::start(&redis.url(), SETTINGS).await;
    let (a, b) = (one.client().await, two.client().await);
    for number in 0..20 {
        let name = format!("r{number}");
        let room = under(&name, named(PRO, AvRoom, &name));
        assert_eq!(told(&answered(&a, room.clone()).await), NEW);
        let freed = b.release(delete(PRO, AvRoom, &name)).await;
        assert_eq!(freed.released, 1, "{name}: {freed:?}");
        for client in [&b, &a] {
            let again = answered(client, room.clone()).await;
            assert_eq!(told(&again), (true, false, true), "{name}: {again:?}");
        }
    }
    for client in [&a, &b] {
        becomes(client, (PRO, AvRoom), 0).await;
        becomes(client, (PRO, Group), 0).await;
    }
}

#[tokio::test]
async fn many_who_create_one_object_at_once_create_it_once() {
    let redis = RedisServer::start();
    let one = Sidecar::start(&redis.url(), SETTINGS).await;
    let two = Sidecar::start(&redis.url(), SETTINGS).await;
    let clients = [one.client().await, two.client().await];
    for number in 0..10 {
        let name = format!("g{number}");
        let asked = (0..16).map(|at| {
            let check = under(&format!("{number}-{at}"), named(OTHER, Group, &name));
            let client = clients[at % 2].clone();
            async move { client.check(check).await }
        });
        let answers = join_all(asked).await;
        let new = answers.iter().filter(|answer| told(answer) == NEW).count();
        let there = answers.iter().filter(|answer| told(answer) == THERE);
        assert_eq!((new, there.count()), (1, 15), "{answers:?}");
    }
    for client in &clients {
        becomes(client, (OTHER, Group), 10).await;
    }
}

#[tokio::test]
async fn a_ledger_that_forgot_is_told_of_the_newest_objects() {
    let redis = RedisServer::start();
    let one = Sidecar::start(&redis.url(), SETTINGS).await;
    let two = Sidecar::start(&redis.url(), SETTINGS).await;
    let (a, b) = (one.client().await, two.client().await);
    for name in ["x", "y", "z"] {
        assert_eq!(told(&a.check(named(PRO, AvRoom, name)).await), NEW);
    }
    assert_eq!(b.release(delete(PRO, AvRoom, "y")).await.released, 1);
    becomes(&b, (PRO, AvRoom), 2).await;
    redis.flush_all();
    for client in [&a, &b] {
        until("the ledger knows again", async || {
            let answer = client.check(named(PRO, AvRoom, "x")).await;
            if told(&answer) == THERE {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await;
    }
    assert_eq!(b.release(delete(PRO, AvRoom, "z")).await.released, 1);
    assert_eq!(a.release(delete(PRO, AvRoom, "y")).await.released, 0);
    assert_eq!(told(&a.check(named(PRO, AvRoom, "y")).await), NEW);
    becomes(&b, (PRO, AvRoom), 2).await;
}

#[tokio::test]
async fn what_was_created_while_the_ledger_was_away_has_no_name() {
    let mut redis = RedisServer::with(Persistence::AppendOnly, &[]);
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    assert_eq!(told(&client.check(named(PRO, Account, "ann")).await), NEW);
    redis.kill();
    let answer = client.check(under("1", named(PRO, Account, "bob"))).await;
    assert_eq!(
        (verdict(&answer), answer.source()),
        (ALLOW, Source::Degraded)
    );
    // Deleted meanwhile: kept, and told when the ledger is back.
    assert_eq!(
        client.release(delete(PRO, Account, "ann")).await.released,
        1
    );
    redis.start_again();
    becomes(&client, (PRO, Account), 1).await;
    until("it is as it was", async || {
        let answer = client.check(under("1", named(PRO, Account, "bob"))).await;
        let same = answer.replayed && verdict(&answer) == ALLOW;
        if same { Ok(()) } else { Err(answer) }
    })
    .await;
    until("the ledger is asked again", async || {
        let freed = client.release(delete(PRO, Account, "bob")).await;
        if freed.used == 0 { Ok(()) } else { Err(freed) }
    })
    .await;
    becomes(&client, (PRO, Account), 0).await;
}

#[tokio::test]
async fn a_stalled_sidecar_hears_that_its_object_is_gone() {
    let redis = RedisServer::start();
    let one = Sidecar::start(&redis.url(), SETTINGS).await;
    let two = Sidecar::start(&redis.url(), SETTINGS).await;
    let (a, b) = (one.client().await, two.client().await);
    assert_eq!(told(&a.check(named(OTHER, Group, "g")).await), NEW);
    one.process().signal(Signal::STOP);
    assert_eq!(b.release(delete(OTHER, Group, "g")).await.released, 1);
    assert_eq!(b.release(delete(OTHER, Group, "g")).await.released, 0);
    one.process().signal(Signal::CONT);
    for client in [&b, &a] {
        becomes(client, (OTHER, Group), 0).await;
    }
    assert_eq!(told(&a.check(named(OTHER, Group, "g")).await), NEW);
    becomes(&b, (OTHER, Group), 1).await;
}
