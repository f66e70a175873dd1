//! A request that is told again under its id, where no limit stands in its way: done once, whatever
//! happens to the sidecar in between.

use imquota::grpc::proto::{
    CancelRequest, CheckMode, CheckRequest, ConfirmRequest, Decision, DenyReason,
    RecordActiveRequest, ReleaseRequest, Resource, Source,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::client::{
    ALLOW, Client, DISABLED, UNAVAILABLE, UNKNOWN, creation, deletion, held, used, verdict,
};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::until;

const PRO: u64 = 1;
const SHARING: u64 = 2;
const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro, share_ids: true }
";

use Resource::{Account, AvRoom, Group};

fn named(id: &str) -> CheckRequest {
    CheckRequest {
        request_id: id.into(),
        ..creation(PRO, Account)
    }
}

fn gone(id: &str) -> ReleaseRequest {
    ReleaseRequest {
        request_id: id.into(),
        ..deletion(PRO, Account, 2)
    }
}

fn many(id: &str) -> RecordActiveRequest {
    RecordActiveRequest {
        app_id: PRO,
        increment: 7,
        request_id: id.into(),
        ..Default::default()
    }
}

/// Five accounts, two of them deleted, and seven users: each told so many times, and `replayed` if so.
async fn tell(client: &Client, replayed: bool) {
    for id in 0..5 {
        let answer = client.check(named(&format!("create-{id}"))).await;
        assert_eq!(verdict(&answer), ALLOW);
        assert_eq!(answer.replayed, replayed, "{answer:?}");
    }
    let answer = client.release(gone("delete")).await;
    assert_eq!((answer.released, answer.replayed), (2, replayed));
    let answer = client.try_record(many("login")).await.expect("it goes on");
    assert_eq!((answer.newly_active, answer.replayed), (7, replayed));
}

async fn is_counted_once(client: &Client) {
    let usage = client.usage(PRO).await;
    assert_eq!((usage.resources[0].used, usage.daily_active), (3, 7));
}

async fn what_is_told_again_is_done_once(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    tell(&client, false).await;
    tell(&client, true).await;
    is_counted_once(&client).await;

    sidecar.kill().await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    tell(&client, true).await;
    is_counted_once(&client).await;

    sidecar.stop().await;
    sidecar.start_again().await;
    let client = sidecar.client().await;
    tell(&client, true).await;
    is_counted_once(&client).await;
}

async fn an_id_stands_for_one_request(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    tell(&client, false).await;
    let two = CheckRequest {
        amount: 2,
        ..named("create-0")
    };
    let statuses = [
        client.try_check(two).await.expect_err("another amount"),
        client
            .try_check(named("delete"))
            .await
            .expect_err("a release"),
        client
            .try_check(named("login"))
            .await
            .expect_err("a record"),
        client
            .try_release(gone("create-0"))
            .await
            .expect_err("a check"),
        client
            .try_record(many("create-0"))
            .await
            .expect_err("a check"),
    ];
    for status in statuses {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let details = status.get_error_details();
        let info = details.error_info().expect("it says why");
        assert_eq!(info.reason, "REQUEST_ID_REUSED");
    }
    is_counted_once(&client).await;
}

/// All at once, over two connections and so over two threads: one of them counts.
async fn many_at_once_are_one(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let clients = [sidecar.client().await, sidecar.client().await];
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..200 {
        let client = clients[number % 2].clone();
        let id = format!("create-{}", number % 10);
        asked.spawn(async move { client.check(named(&id)).await });
    }
    let answers = asked.join_all().await;
    let first = answers.iter().filter(|answer| !answer.replayed).count();
    assert_eq!(first, 10);
    assert!(answers.iter().all(|answer| verdict(answer) == ALLOW));
    assert_eq!(clients[0].used(PRO, Account).await, 10);
}

async fn dated_ids_expire(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    // Of February 2022 (RFC 9562, A.6), and of July 2016.
    for id in [
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ] {
        // Whatever is asked and whoever would decide it; what exists is not counted either.
        for resource in [Account, AvRoom] {
            for mode in [CheckMode::Count, CheckMode::Reserve, CheckMode::Record] {
                let check = CheckRequest {
                    resource: resource.into(),
                    mode: mode.into(),
                    ..named(id)
                };
                let answer = client.check(check).await;
                let heard = (answer.decision(), answer.reason());
                let expired = (Decision::Deny, DenyReason::RequestExpired);
                assert_eq!(heard, expired, "{resource:?}, {mode:?}");
            }
        }
        let confirm = ConfirmRequest {
            app_id: PRO,
            request_id: id.into(),
            ..Default::default()
        };
        let cancel = CancelRequest {
            app_id: PRO,
            request_id: id.into(),
        };
        for status in [
            client.try_release(gone(id)).await.expect_err("it is old"),
            client.try_record(many(id)).await.expect_err("it is old"),
            client.try_confirm(confirm).await.expect_err("it is old"),
            client.try_cancel(cancel).await.expect_err("it is old"),
        ] {
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            let details = status.get_error_details();
            let info = details.error_info().expect("it says why");
            assert_eq!(info.reason, "REQUEST_EXPIRED");
        }
    }
    let usage = client.usage(PRO).await;
    assert_eq!((usage.resources[0].used, usage.daily_active), (0, 0));
    assert_eq!((used(&usage, AvRoom), held(&usage, AvRoom)), (0, 0));
}

/// Ids that say that they were made at this time, of either kind.
fn dated(ms: u64) -> [String; 2] {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |at: u32| DIGITS[usize::try_from(ms >> (5 * at) & 31).expect("below 32")];
    let time = (0..10).rev().map(|at| char::from(digit(at)));
    let uuid = format!(
        "{:08x}-{:04x}-7abc-8def-0123456789ab",
        ms >> 16,
        ms & 0xffff
    );
    [uuid, time.chain("TSV4RRFFQ69G5FAV".chars()).collect()]
}

/// Behind the window an id is new; one that says when it was made is refused instead, and never counted again.
async fn ids_are_forgotten_behind_the_window(store: Store) {
    let settings = [SETTINGS, "request_ids: { window: 3s, floor: 1s }\n"].concat();
    let sidecar = Sidecar::start(&store.url(), &settings).await;
    let client = sidecar.client().await;
    let now = std::time::SystemTime::now();
    let now = now
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is later");
    let made = u64::try_from(now.as_millis()).expect("it is near");
    let [uuid, ulid] = dated(made);
    for id in ["plain", &uuid, &ulid] {
        let answer = client.check(named(id)).await;
        assert_eq!((verdict(&answer), answer.replayed), (ALLOW, false));
    }
    for dated in [&uuid, &ulid] {
        let expired = until("the dated id is too old", async || {
            let answer = client.check(named(dated)).await;
            match answer.reason() {
                DenyReason::RequestExpired => Ok(answer),
                _ => Err(answer),
            }
        })
        .await;
        assert_eq!(expired.used, 3, "{expired:?}");
    }
    until("the other one is new", async || {
        let answer = client.check(named("plain")).await;
        if answer.replayed { Err(answer) } else { Ok(()) }
    })
    .await;
    assert_eq!(client.used(PRO, Account).await, 4);
}

/// Calls in flight.
const AT_ONCE: usize = 64;

async fn memory_for_ids_is_bounded(store: Store) {
    let settings = [SETTINGS, "request_ids: { max_memory: 1MiB }\n"].concat();
    let sidecar = Sidecar::start(&store.url(), &settings).await;
    let client = sidecar.client().await;
    // Many at a time: before the floor of 30 s is over, behind which the oldest would make room.
    let mut accepted = 0;
    let mut refused = None;
    for first in (0..20_000_u64).step_by(AT_ONCE) {
        let asked = (first..).take(AT_ONCE).map(|number| {
            let client = client.clone();
            async move { client.try_check(named(&number.to_string())).await }
        });
        for answer in asked.collect::<tokio::task::JoinSet<_>>().join_all().await {
            match answer {
                Ok(_) => accepted += 1,
                Err(status) => refused = Some(status),
            }
        }
        if refused.is_some() {
            break;
        }
    }
    let status = refused.expect("there is an end to it");
    assert!(accepted > 5_000, "{accepted}");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(
        status.message().contains("request_ids.max_memory"),
        "{status:?}"
    );
    // Known ids are answered, and what has none.
    assert!(client.check(named("0")).await.replayed);
    assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
    assert_eq!(client.used(PRO, Account).await, accepted + 1);
}

/// An app that is unknown or disabled is no outcome: asked again when it is not, the same id creates.
async fn what_is_no_outcome_is_not_remembered(store: Store) {
    let off = "\napps: [{ app_id: 1, plan: pro, disabled: true }]\n";
    let sidecar = Sidecar::start(&store.url(), off).await;
    let client = sidecar.client().await;
    let group = |id: &str, app| CheckRequest {
        request_id: id.into(),
        ..creation(app, Group)
    };
    let disabled = client.check(group("a", PRO)).await;
    assert_eq!(verdict(&disabled), DISABLED);
    assert_eq!(verdict(&client.check(group("a", SHARING)).await), UNKNOWN);
    sidecar.set(SETTINGS);
    sidecar.process().signal(rustix::process::Signal::HUP);
    for app in [PRO, SHARING] {
        until("the settings hold", async || {
            let answer = client.check(group("a", app)).await;
            if verdict(&answer) == ALLOW {
                Ok(())
            } else {
                Err(answer)
            }
        })
        .await;
        assert!(client.check(group("a", app)).await.replayed);
        assert_eq!(client.used(app, Group).await, 1);
    }
}

on_both_stores!(
    what_is_told_again_is_done_once,
    what_is_no_outcome_is_not_remembered,
    an_id_stands_for_one_request,
    many_at_once_are_one,
    dated_ids_expire,
    ids_are_forgotten_behind_the_window,
    memory_for_ids_is_bounded,
);

/// What is admitted while Redis is away is known when it is back.
#[tokio::test]
async fn what_was_admitted_without_redis_is_not_counted_again_with_it() {
    let mut redis = RedisServer::start();
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let group = |id: &str| CheckRequest {
        request_id: id.into(),
        ..creation(PRO, Group)
    };
    let answer = client.check(group("with")).await;
    assert_eq!(verdict(&answer), ALLOW);
    redis.suspend();
    let answer = client.check(group("with")).await;
    assert_eq!((verdict(&answer), answer.replayed), (ALLOW, true));
    for replayed in [false, true] {
        let answer = client.check(group("without")).await;
        assert_eq!((verdict(&answer), answer.replayed), (ALLOW, replayed));
    }
    redis.resume();
    until("the ledger is asked again", async || {
        let answer = client.check(group("later")).await;
        match answer.source() {
            Source::Degraded => Err(answer),
            _ => Ok(()),
        }
    })
    .await;
    for id in ["with", "without", "later"] {
        let answer = client.check(group(id)).await;
        assert_eq!((verdict(&answer), answer.replayed), (ALLOW, true), "{id}");
    }
    assert_eq!(client.used(PRO, Group).await, 3);
    redis.stop();
}

/// Places that were lent are spent under ids, too, and a killed process has not forgotten which.
#[tokio::test]
async fn what_was_lent_is_spent_once_under_an_id() {
    let redis = RedisServer::start();
    let mut sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let group = |id: u64| CheckRequest {
        request_id: format!("group-{id}"),
        ..creation(PRO, Group)
    };
    let client = sidecar.client().await;
    let mut given = 0;
    until("places are lent", async || {
        let answer = client.check(group(given)).await;
        assert_eq!((verdict(&answer), answer.replayed), (ALLOW, false));
        given += 1;
        match answer.source() {
            Source::Memory => Ok(()),
            _ => Err(answer),
        }
    })
    .await;
    for _ in 0..2 {
        let client = sidecar.client().await;
        // Behind a kill the ledger must be heard first: the id may be of before a recount.
        until("the ids are known", async || {
            let answer = client.check(group(given - 1)).await;
            if answer.replayed { Ok(()) } else { Err(answer) }
        })
        .await;
        for id in 0..given {
            let answer = client.check(group(id)).await;
            assert_eq!((verdict(&answer), answer.replayed), (ALLOW, true), "{id}");
        }
        assert_eq!(client.used(PRO, Group).await, given);
        sidecar.kill().await;
        sidecar.start_again().await;
    }
}

#[tokio::test]
async fn shared_ids_are_known_to_every_sidecar() {
    let redis = RedisServer::start();
    let sidecars = [
        Sidecar::start(&redis.url(), SETTINGS).await,
        Sidecar::start(&redis.url(), SETTINGS).await,
    ];
    let clients = [sidecars[0].client().await, sidecars[1].client().await];
    for client in &clients {
        let named = CheckRequest {
            request_id: "first".into(),
            ..creation(SHARING, AvRoom)
        };
        until("it may ask the ledger", async || {
            let answer = client.check(named.clone()).await;
            match answer.source() {
                Source::Ledger => Ok(()),
                _ => Err(answer),
            }
        })
        .await;
    }
    for number in 0..50 {
        for resource in [Account, Group] {
            for at in [number % 2, 1 - number % 2, number % 2] {
                let check = CheckRequest {
                    request_id: format!("{resource:?}-{number}"),
                    ..creation(SHARING, resource)
                };
                let answer = clients[at].check(check).await;
                assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
                assert_eq!(answer.source(), Source::Ledger);
            }
        }
        let deleted = ReleaseRequest {
            request_id: format!("delete-{number}"),
            ..deletion(SHARING, Account, 1)
        };
        if number % 5 == 0 {
            for client in &clients {
                assert_eq!(client.release(deleted.clone()).await.released, 1);
            }
        }
    }
    for client in &clients {
        assert_eq!(client.used(SHARING, Account).await, 40);
        assert_eq!(client.used(SHARING, Group).await, 51);
    }
}

/// Both sidecars say that there are so many, and have told the ledger all.
async fn all_count(clients: &[Client], resource: Resource, expected: u64) {
    for client in clients {
        until("each is counted once", async || {
            let usage = client.usage(SHARING).await;
            if used(&usage, resource) == expected && !usage.degraded {
                Ok(())
            } else {
                Err(usage)
            }
        })
        .await;
    }
}

/// What two sidecars count under one id while neither reaches the ledger is counted twice until it is back, and once then:
/// also where one of them was killed meanwhile.
#[tokio::test]
async fn what_two_memories_counted_under_a_shared_id_is_taken_back() {
    let mut redis = RedisServer::start();
    let mut sidecars = [
        Sidecar::start(&redis.url(), SETTINGS).await,
        Sidecar::start(&redis.url(), SETTINGS).await,
    ];
    let clients = [sidecars[0].client().await, sidecars[1].client().await];
    let account = |id: u64| CheckRequest {
        request_id: format!("account-{id}"),
        ..creation(SHARING, Account)
    };
    // The first two are known to the ledger, by one of the sidecars.
    for (id, client) in (0..).zip(&clients) {
        let answer = until("the ledger decides", async || {
            let answer = client.check(account(id)).await;
            match answer.source() {
                Source::Ledger => Ok(answer),
                _ => Err(answer),
            }
        })
        .await;
        assert_eq!(verdict(&answer), ALLOW);
    }
    redis.suspend();
    for id in 0..20 {
        // Some are told to one alone.
        let told = if id % 5 == 4 {
            &clients[..1]
        } else {
            &clients[..]
        };
        for client in told {
            let first = client.check(account(id)).await;
            assert_eq!((verdict(&first), first.source()), (ALLOW, Source::Degraded));
            let again = client.check(account(id)).await;
            assert_eq!((verdict(&again), again.replayed), (ALLOW, true), "{id}");
        }
    }
    sidecars[0].kill().await;
    redis.resume();
    sidecars[0].start_again().await;
    let clients = [sidecars[0].client().await, sidecars[1].client().await];
    all_count(&clients, Account, 20).await;
    for client in &clients {
        for id in 0..20 {
            let again = client.check(account(id)).await;
            assert_eq!(
                (verdict(&again), again.replayed),
                (ALLOW, true),
                "{again:?}"
            );
        }
    }
    all_count(&clients, Account, 20).await;
    redis.stop();
}

/// What exists above a limit is told to two sidecars under one id: neither asks the other.
#[tokio::test]
async fn what_exists_above_a_limit_is_counted_once_by_two() {
    let redis = RedisServer::start();
    let sidecars = [
        Sidecar::start(&redis.url(), SETTINGS).await,
        Sidecar::start(&redis.url(), SETTINGS).await,
    ];
    let clients = [sidecars[0].client().await, sidecars[1].client().await];
    let rooms = CheckRequest {
        amount: 50,
        ..creation(SHARING, AvRoom)
    };
    for client in &clients {
        until("the ledger has fifty", async || {
            let answer = client.check(rooms.clone()).await;
            match answer.source() {
                Source::Ledger => Ok(()),
                _ => Err(answer),
            }
        })
        .await;
    }
    let exists = |id: u64| CheckRequest {
        request_id: format!("room-{id}"),
        mode: CheckMode::Record.into(),
        ..creation(SHARING, AvRoom)
    };
    for id in 0..10 {
        // At once, so that neither knows of the other's.
        let both = clients.iter().map(|client| client.check(exists(id)));
        for answer in futures_util::future::join_all(both).await {
            // One that the ledger has heard of by then is only repeated.
            let exceeds = answer.reason() == DenyReason::LimitReached;
            let is_late = answer.replayed || answer.source() == Source::Degraded;
            assert_eq!(answer.decision(), Decision::Allow, "{answer:?}");
            assert!(exceeds || is_late, "{answer:?}");
        }
    }
    all_count(&clients, AvRoom, 60).await;
    for id in 0..10 {
        for client in &clients {
            assert!(client.check(exists(id)).await.replayed);
        }
    }
    all_count(&clients, AvRoom, 60).await;
}

/// One id at once through two sidecars, while the ledger decides it: both hear what it comes to, and one of them counts.
/// Where nobody hears anything, that is no outcome.
#[tokio::test]
async fn a_repetition_waits_for_what_the_first_comes_to() {
    let redis = RedisServer::start();
    let sidecars = [
        Sidecar::start(&redis.url(), SETTINGS).await,
        Sidecar::start(&redis.url(), SETTINGS).await,
    ];
    let clients = [sidecars[0].client().await, sidecars[1].client().await];
    let room = |id: u64| CheckRequest {
        request_id: format!("room-{id}"),
        ..creation(PRO, AvRoom)
    };
    let decided = async |id| {
        until("the ledger decides", async || {
            let answers = [clients[0].check(room(id)), clients[1].check(room(id))];
            let [one, two] = <[_; 2]>::try_from(futures_util::future::join_all(answers).await)
                .expect("two answers");
            if verdict(&one) == ALLOW && verdict(&two) == ALLOW {
                Ok([one, two])
            } else {
                Err([one, two])
            }
        })
        .await
    };
    decided(0).await;
    for id in 1..=20 {
        redis.suspend();
        let asked = decided(id);
        let resume = async {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            redis.resume();
        };
        let (answers, ()) = futures_util::future::join(asked, resume).await;
        assert!(answers.iter().any(|answer| answer.replayed), "{answers:?}");
        assert_eq!(clients[0].used(PRO, AvRoom).await, id + 1);
    }
    redis.suspend();
    let unheard = clients[0].check(room(21)).await;
    assert_eq!(verdict(&unheard), UNAVAILABLE);
    redis.resume();
    decided(21).await;
    assert_eq!(clients[1].used(PRO, AvRoom).await, 22);
}
