//! Several sidecars on one Redis: one quota for all of them.

use futures_util::future::join_all;
use imquota::grpc::proto::{CheckRequest, CheckResponse, Resource};
use rustix::process::Signal;
use tonic::Code;

use crate::client::{
    ACCOUNTS_FULL, ALLOW, Client, ROOMS_FULL, UNAVAILABLE, creation, deletion, used, verdict,
};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::wait::until;

const TRIAL: u64 = 1;
const PRO: u64 = 2;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
  - { app_id: 2, plan: pro }
";

use Resource::{Account, AvRoom, Group};

async fn start<const N: usize>(redis: &RedisServer) -> ([Sidecar; N], [Client; N]) {
    let mut sidecars = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..N {
        let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
        clients.push(sidecar.client().await);
        sidecars.push(sidecar);
    }
    let sidecars = sidecars.try_into().ok().expect("there are N");
    (sidecars, clients.try_into().ok().expect("there are N"))
}

/// Asks all at once, each in a task of its own, in turn through each client. What a busy machine's
/// ledger does not answer in time is asked again, as gateways do.
async fn all_at_once(clients: &[Client], checks: Vec<CheckRequest>) -> Vec<CheckResponse> {
    let turns = clients.iter().cycle().cloned();
    let asked = checks.into_iter().zip(turns).map(|(check, client)| {
        tokio::spawn(async move {
            loop {
                let answer = client.check(check.clone()).await;
                if verdict(&answer) != UNAVAILABLE {
                    return answer;
                }
            }
        })
    });
    let answers = join_all(asked.collect::<Vec<_>>()).await;
    answers
        .into_iter()
        .map(|answer| answer.expect("no task panics"))
        .collect()
}

fn allowed(answers: &[CheckResponse]) -> u64 {
    answers
        .iter()
        .filter(|answer| verdict(answer) == ALLOW)
        .count() as u64
}

/// Of `given` places all that are left of `limit` can be had, and not one more. None is left, unless
/// the ledger did not answer in time: such a place is free again once that was settled.
async fn fill_up(clients: &[Client], (app, resource): (u64, Resource), mut given: u64, limit: u64) {
    assert!(given <= limit, "{given} of {limit} places were given");
    until("all places are given", async || {
        let answer = clients[0].create(app, resource).await;
        match verdict(&answer) {
            ALLOW => given += 1,
            _ if given == limit => return Ok(()),
            _ => {}
        }
        Err((given, answer))
    })
    .await;
    for client in clients {
        assert_ne!(verdict(&client.create(app, resource).await), ALLOW);
        assert_eq!(client.used(app, resource).await, limit);
    }
}

#[tokio::test]
async fn two_sidecars_admit_exactly_100_accounts() {
    let redis = RedisServer::start();
    let (_sidecars, clients) = start::<2>(&redis).await;
    let answers = all_at_once(&clients, vec![creation(TRIAL, Account); 2000]).await;
    for answer in answers.iter().filter(|answer| verdict(answer) != ALLOW) {
        // The last places may be lent to the other at that moment.
        assert_eq!(verdict(answer), ACCOUNTS_FULL, "{answer:?}");
        assert!(answer.used <= 100, "{answer:?}");
    }
    fill_up(&clients, (TRIAL, Account), allowed(&answers), 100).await;
}

#[tokio::test]
async fn three_sidecars_admit_exactly_50_rooms() {
    let redis = RedisServer::start();
    let (_sidecars, clients) = start::<3>(&redis).await;
    let answers = all_at_once(&clients, vec![creation(PRO, AvRoom); 900]).await;
    fill_up(&clients, (PRO, AvRoom), allowed(&answers), 50).await;
    let freed = clients[0].release(deletion(PRO, AvRoom, 20)).await;
    assert_eq!((freed.released, freed.used), (20, 30));
    let answers = all_at_once(&clients, vec![creation(PRO, AvRoom); 300]).await;
    let refusal = answers.iter().find(|answer| verdict(answer) != ALLOW);
    let refusal = refusal.expect("280 are refused");
    assert_eq!((verdict(refusal), refusal.used), (ROOMS_FULL, 50));
    fill_up(&clients, (PRO, AvRoom), 30 + allowed(&answers), 50).await;
    for client in &clients {
        let usage = client.usage(PRO).await;
        assert_eq!((used(&usage, AvRoom), used(&usage, Group)), (50, 50));
        assert_eq!(usage.groups_gained_today, 50);
    }
}

fn with_id(id: usize) -> CheckRequest {
    CheckRequest {
        request_id: format!("create-{id}"),
        ..creation(TRIAL, Account)
    }
}

/// Each id through both sidecars at the same time; answers the pairs.
async fn in_pairs(clients: &[Client; 2], ids: std::ops::Range<usize>) -> Vec<[CheckResponse; 2]> {
    let twice = ids.flat_map(|id| [with_id(id), with_id(id)]).collect();
    let answers = all_at_once(clients, twice).await;
    let (pairs, _) = answers.as_chunks::<2>();
    pairs.to_vec()
}

#[tokio::test]
async fn one_id_through_two_sidecars_counts_once() {
    let redis = RedisServer::start();
    let (_sidecars, clients) = start::<2>(&redis).await;
    for [one, other] in in_pairs(&clients, 0..60).await {
        assert_eq!([verdict(&one), verdict(&other)], [ALLOW, ALLOW]);
        assert!(one.replayed != other.replayed, "{one:?} {other:?}");
    }
    assert_eq!(clients[0].used(TRIAL, Account).await, 60);

    // At the limit, too: each id is refused twice or counted once.
    let mut counted = 60;
    for [one, other] in in_pairs(&clients, 60..160).await {
        assert_eq!(verdict(&one), verdict(&other));
        assert!(one.replayed != other.replayed, "{one:?} {other:?}");
        counted += u64::from(verdict(&one) == ALLOW);
    }
    fill_up(&clients, (TRIAL, Account), counted, 100).await;
}

#[tokio::test]
async fn one_id_for_two_requests_is_refused_everywhere() {
    let redis = RedisServer::start();
    let (_sidecars, clients) = start::<2>(&redis).await;
    assert_eq!(verdict(&clients[0].check(with_id(1)).await), ALLOW);
    let other = CheckRequest {
        amount: 2,
        ..with_id(1)
    };
    let status = clients[1]
        .try_check(other)
        .await
        .expect_err("the id is taken");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(clients[1].used(TRIAL, Account).await, 1);
}

#[tokio::test]
async fn what_one_counts_in_memory_another_sees_and_releases() {
    let redis = RedisServer::start();
    let (_sidecars, [one, other]) = start::<2>(&redis).await;
    let seen = async |client: &Client, expected: u64| {
        until("both have settled", async || {
            match client.used(PRO, Account).await {
                found if found == expected => Ok(()),
                found => Err(found),
            }
        })
        .await;
    };
    for client in [&one, &other] {
        for _ in 0..30 {
            assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
        }
    }
    seen(&one, 60).await;
    seen(&other, 60).await;
    let freed = other.release(deletion(PRO, Account, 50)).await;
    assert_eq!((freed.released, freed.used), (50, 10));
    seen(&one, 10).await;
    let freed = one.release(deletion(PRO, Account, 50)).await;
    assert_eq!((freed.released, freed.used), (10, 0));
    seen(&other, 0).await;
}

#[tokio::test]
async fn a_sidecar_that_leaves_takes_nothing_with_it() {
    let redis = RedisServer::start();
    let ([mut leaving, _stays], [one, other]) = start::<2>(&redis).await;
    for resource in [Account, Group] {
        for _ in 0..7 {
            assert_eq!(verdict(&one.create(PRO, resource).await), ALLOW);
        }
    }
    leaving.stop().await;
    // It settled before it ended: there is nothing to wait for.
    let usage = other.usage(PRO).await;
    assert_eq!((used(&usage, Account), used(&usage, Group)), (7, 7));
    assert_eq!((usage.groups_gained_today, usage.month_peak_groups), (7, 7));
}

#[tokio::test]
async fn a_sidecar_that_hangs_for_a_while_counts_nothing_twice() {
    let redis = RedisServer::start();
    let (sidecars, clients) = start::<2>(&redis).await;
    let check = CheckRequest {
        amount: 2,
        ..creation(TRIAL, Account)
    };
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (client, check) = (clients[0].clone(), check.clone());
            tokio::spawn(async move { client.check(check).await })
        })
        .collect();
    // Some of them are under way when it stops.
    assert_eq!(verdict(&clients[0].create(TRIAL, Account).await), ALLOW);
    sidecars[0].process().signal(Signal::STOP);
    let meanwhile = all_at_once(&clients[1..], vec![creation(TRIAL, Account); 30]).await;
    assert_eq!(allowed(&meanwhile), 30);
    sidecars[0].process().signal(Signal::CONT);
    let answers = join_all(waiting).await;
    let answers: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.expect("no task panics"))
        .collect();
    let refused = answers
        .iter()
        .filter(|answer| verdict(answer) != ALLOW)
        .count();
    let expected = 1 + 30 + 2 * allowed(&answers);
    for client in &clients {
        until("the books agree", async || {
            match client.used(TRIAL, Account).await {
                found if found == expected => Ok(()),
                found => Err((found, expected, refused)),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn thousands_of_apps_settle() {
    const APPS: u64 = 3000;
    let redis = RedisServer::start();
    let settings = "unknown_app_plan: flagship\n";
    let mut first = Sidecar::start(&redis.url(), settings).await;
    let second = Sidecar::start(&redis.url(), settings).await;
    let (one, other) = (first.client().await, second.client().await);
    for some in (1..=APPS).collect::<Vec<_>>().chunks(200) {
        join_all(some.iter().map(|app| async {
            assert_eq!(verdict(&one.create(*app, Account).await), ALLOW);
            assert_eq!(verdict(&one.create(*app, Account).await), ALLOW);
            assert_eq!(one.record(*app, ["ann"]).await.daily_active, 1);
        }))
        .await;
    }
    first.kill().await;
    first.start_again().await;
    // What it owed is settled beside its answers: the other sees all of it soon.
    let one = first.client().await;
    for some in (1..=APPS).collect::<Vec<_>>().chunks(200) {
        join_all(some.iter().map(|app| async {
            for client in [&one, &other] {
                until("what was owed is settled", async || {
                    let usage = client.usage(*app).await;
                    if (used(&usage, Account), usage.daily_active) == (2, 1) {
                        Ok(())
                    } else {
                        Err(usage)
                    }
                })
                .await;
            }
        }))
        .await;
    }
}
