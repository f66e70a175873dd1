//! The drill of the operators' page: a back-up of Redis that is an hour old is put back. While all sidecars are there
//! they tell it what it lacks. Once one is gone for good nobody knows what it had counted: hard limits are refused
//! until that is counted, and then not one place more than there is is given.

use imquota::grpc::proto::Resource::Account;

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNAVAILABLE, used, verdict};
use crate::recount::{json, operators};
use crate::redis_server::{Log, Persistence, RedisServer};
use crate::sidecar::Sidecar;
use crate::stores::beside;
use crate::wait::until;

const METERED: u64 = 1;
const TIGHT: u64 = 2;
/// So tight that no part of it is lent.
const LIMIT: u64 = 7;
const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro, limits: { accounts: 7 } }
";

/// How old the back-up is when it is put back, by the server's clock.
const AN_HOUR: u32 = 3600;

/// What is backed up.
enum BackUp {
    Snapshot(Vec<u8>),
    Log(Log),
}

impl BackUp {
    fn of(redis: &RedisServer, kept: Persistence) -> Self {
        match kept {
            Persistence::None => Self::Snapshot(redis.save()),
            _ => Self::Log(redis.save_log()),
        }
    }

    /// The server comes back with it, so many seconds after the sidecars were started.
    async fn put_back(&self, redis: RedisServer, after: u32) -> RedisServer {
        let redis = beside(redis, RedisServer::stop).await;
        match self {
            Self::Snapshot(snapshot) => redis.restore(snapshot),
            Self::Log(log) => redis.restore_log(log),
        }
        redis.is_ahead_by(after);
        beside(redis, RedisServer::start_again).await
    }
}

/// A sidecar that operators reach.
async fn start(redis: &RedisServer) -> (Sidecar, Client) {
    let mut sidecar = Sidecar::new(&redis.url(), SETTINGS);
    let socket = operators(&sidecar);
    sidecar.set(&format!("{SETTINGS}admin_listen: \"{socket}\"\n"));
    sidecar.start_again().await;
    let client = sidecar.client().await;
    (sidecar, client)
}

async fn one_more(client: &Client) {
    for app in [METERED, TIGHT] {
        let answer = client.create(app, Account).await;
        assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
    }
}

/// Waits until the sidecar has said so for this time.
async fn says(sidecar: &Sidecar, words: &str, times: usize) {
    until(words, async || {
        let log = sidecar.process().stderr();
        match log.matches(words).count() {
            said if said >= times => Ok(()),
            said => Err(said),
        }
    })
    .await;
}

/// Both sidecars count so many of either app.
async fn are_counted(clients: [&Client; 2], many: u64) {
    for client in clients {
        until("the ledger was told", async || {
            let (metered, tight) = (client.usage(METERED).await, client.usage(TIGHT).await);
            let seen = (
                metered.degraded || tight.degraded,
                used(&metered, Account),
                used(&tight, Account),
            );
            if seen == (false, many, many) {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
    }
}

/// Nothing of the limit is given, and what has none goes on.
async fn the_limit_is_refused(client: &Client, metered: &mut u64) {
    let answer = client.create(TIGHT, Account).await;
    assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
    let answer = client.create(METERED, Account).await;
    assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
    *metered += 1;
}

async fn drill(kept: Persistence) {
    let mut redis = RedisServer::ahead_by(kept, 0);
    let (first, one) = start(&redis).await;
    let (mut second, two) = start(&redis).await;
    for client in [&one, &two] {
        one_more(client).await;
    }
    // What was counted in memory is in the back-up as well once another sidecar sees it.
    are_counted([&one, &two], 2).await;
    let back_up = BackUp::of(&redis, kept);
    for client in [&one, &two] {
        one_more(client).await;
    }

    // Everybody who counted is there: nothing is missing, and nobody does anything.
    redis = back_up.put_back(redis, AN_HOUR).await;
    says(&first, "all sidecars tell it", 1).await;
    are_counted([&one, &two], 4).await;
    until("the limit is judged again", async || {
        match one.create(TIGHT, Account).await {
            answer if verdict(&answer) == ALLOW => Ok(()),
            answer => Err(answer),
        }
    })
    .await;

    // The same back-up once more, and one is lost with its folder.
    second.kill().await;
    let lost = second.member().to_owned();
    drop(second);
    redis = back_up.put_back(redis, 2 * AN_HOUR).await;
    says(&first, "all sidecars tell it", 2).await;
    let mut metered = 4;
    the_limit_is_refused(&one, &mut metered).await;
    let list = json(&first, "members list").await;
    let members = list["members"].as_array().expect("a list");
    let silent = members.iter().find(|member| member["name"] == *lost);
    assert_eq!(
        silent.expect("it is known")["standing"],
        "MEMBER_STANDING_SILENT"
    );
    // Its folder is lost, and an operator says so: it is not waited for any more, and what it had counted nobody knows.
    json(&first, &format!("members retire {lost} --reason lost")).await;
    says(&first, "somebody did not tell what the ledger forgot", 1).await;
    the_limit_is_refused(&one, &mut metered).await;

    // The truth is counted under a token, for each app that waits.
    for (app, truth) in [(TIGHT, 5), (METERED, metered)] {
        let recount = format!("recount --app {app} --resource account");
        let dry = json(&first, &format!("{recount} --dry-run")).await;
        let token = dry["token"].as_u64().expect("a number");
        json(&first, &format!("{recount} --to {truth} --token {token}")).await;
    }
    let (_third, three) = start(&redis).await;
    let mut all = 5;
    until("every place is given", async || {
        for client in [&one, &three] {
            let answer = client.create(TIGHT, Account).await;
            all += u64::from(verdict(&answer) == ALLOW);
            assert!(all <= LIMIT, "{answer:?}");
            if verdict(&answer) != ACCOUNTS_FULL {
                return Err(answer);
            }
        }
        Ok(())
    })
    .await;
    assert_eq!(all, LIMIT);
    for client in [&one, &three] {
        assert_eq!(client.used(METERED, Account).await, metered);
    }
}

#[tokio::test]
async fn a_snapshot_of_an_hour_ago() {
    drill(Persistence::None).await;
}

#[tokio::test]
async fn an_append_only_file_of_an_hour_ago() {
    drill(Persistence::AppendOnly).await;
}
