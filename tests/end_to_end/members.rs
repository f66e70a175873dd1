//! Members that leave, die, and are retired; and recounts beside them.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::{UNAVAILABLE, verdict};
use crate::fleet::{Book, Fleet, LIMIT, LIMITED, add};
use crate::recount::{fault, json};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::wait::until;

use imquota::grpc::proto::Resource::Account;

/// How long the ledger waits for a member that does not tell what it knows, and some more.
const RECOVERY_MAX: Duration = Duration::from_secs(75);

/// How the ledger lists the members of a sidecar's name.
pub async fn standings(asked: &Sidecar, of: &str) -> Vec<String> {
    let list = json(asked, "members list").await;
    let members = list["members"].as_array().expect("a list");
    let named = members.iter().filter(|member| member["name"] == of);
    let standing = |member: &Value| member["standing"].as_str().expect("text").to_owned();
    named.map(standing).collect()
}

#[tokio::test]
async fn a_sidecar_that_is_stopped_leaves_and_takes_nothing_with_it() {
    let redis = RedisServer::start();
    let mut fleet = Fleet::start(&redis.url(), 3).await;
    let book = Book::default();
    fleet.under_load(&book, async |_| {}).await;
    let mut leaves = fleet.take(2);
    leaves.stop().await;
    let listed = standings(&fleet.sidecars[0], leaves.member()).await;
    assert_eq!(listed, ["MEMBER_STANDING_GONE"]);
    fleet.agrees(&book).await;
    // What it counted is known to those who stay, and nobody waits for it.
    fleet
        .under_load(&book, async |_| {
            redis.flush_all();
            fleet.sidecars[0]
                .process()
                .says("all sidecars tell it")
                .await;
        })
        .await;
    fleet.agrees(&book).await;
    leaves.start_again().await;
    // It is another member now. Of those that left a flushed ledger is told their numbers, not their names.
    let listed = standings(&fleet.sidecars[0], leaves.member()).await;
    assert_eq!(listed, ["MEMBER_STANDING_PRESENT"]);
    fleet.put(leaves).await;
    fleet.fills_up(&book).await;
}

#[tokio::test]
async fn what_a_retired_member_was_lent_is_booked_as_used_until_a_recount() {
    let redis = RedisServer::start();
    let mut fleet = Fleet::start(&redis.url(), 2).await;
    let book = Book::default();
    fleet.under_load(&book, async |_| {}).await;
    let mut lost = fleet.take(1);
    lost.kill().await;
    let asked = &fleet.sidecars[0];
    let retire = format!("members retire {} --reason gone", lost.member());
    let retired = json(asked, &retire).await;
    let booked = retired["booked"].as_u64().expect("a number");
    assert!(booked > 0, "it was lent something: {retired}");
    let audit = json(asked, "audit").await;
    assert_eq!(audit["entries"][0]["reason"], "gone", "{audit}");

    // Its folder was not lost after all: it is of no use any more, and the log says so.
    lost.start_again().await;
    lost.process().says("journal was retired").await;
    let answer = lost.client().await.create(LIMITED, Account).await;
    assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");

    // Nobody has what is booked. What it had not told of its own is in neither book: the truth is counted.
    let truth = book.alive();
    let recount = format!("recount --app {LIMITED} --resource account --to {truth}");
    let counted = json(asked, &recount).await;
    assert!(
        counted["from"].as_u64() <= Some(truth + booked),
        "{counted}"
    );
    assert_eq!(fleet.clients[0].used(LIMITED, Account).await, truth);
    let metered = format!(
        "recount --app 2 --resource account --to {}",
        book.metered.get()
    );
    json(asked, &metered).await;
    fleet.fills_up(&book).await;
}

#[tokio::test]
async fn a_recount_under_load_counts_what_was_before_it_once() {
    let redis = RedisServer::start();
    let mut fleet = Fleet::start(&redis.url(), 4).await;
    let book = Book::default();
    fleet.under_load(&book, async |_| {}).await;
    // It has counted what it told nobody, and does not hear of the recount.
    let mut dead = fleet.take(3);
    dead.kill().await;
    fleet
        .under_load(&book, async |book| {
            // What is deleted while the truth is counted is in it or not, as the operator knows best.
            book.keeps.set(true);
            book.progress.after(50).await;
            let asked = &fleet.sidecars[0];
            let frozen = format!("recount --app {LIMITED} --resource account --dry-run");
            let token = json(asked, &frozen).await["token"].as_u64();
            let token = token.expect("a number");
            let (truth, before) = (book.alive() + 7, book.created.get());
            book.progress.after(50).await;
            assert_eq!(book.created.get(), before, "nothing is created meanwhile");
            let commit =
                format!("recount --app {LIMITED} --resource account --to {truth} --token {token}");
            let other = &fleet.sidecars[1];
            json(other, &commit).await;
            let again = fault(other, &commit).await;
            assert!(again.contains("is not frozen under token"), "{again}");
            // As if they had been created here.
            add(&book.created, 7);
            // What is deleted before a sidecar has heard that the recount is over may stay charged.
            for client in &fleet.clients {
                until("the recount is over", async || {
                    if book.create(client).await {
                        Ok(())
                    } else {
                        Err("it creates nothing")
                    }
                })
                .await;
            }
            book.keeps.set(false);
        })
        .await;
    dead.start_again().await;
    fleet.put(dead).await;
    fleet.answers().await;
    fleet.agrees(&book).await;
    fleet.fills_up(&book).await;
}

/// Nobody knows what was in the lost folder, so nobody guesses: a minute after the loss the apps are refused
/// one by one, until an operator says how many there are.
#[tokio::test]
async fn a_lost_folder_and_a_lost_redis_need_an_operator() {
    let redis = RedisServer::start();
    let mut fleet = Fleet::start(&redis.url(), 2).await;
    let book = Book::default();
    fleet.under_load(&book, async |_| {}).await;
    fleet.take(1).kill().await;
    redis.flush_all();
    let asked = &fleet.sidecars[0];
    let began = Instant::now();
    let reason = "somebody did not tell what the ledger forgot";
    while !asked.process().stderr().contains(reason) {
        assert!(
            began.elapsed() < RECOVERY_MAX,
            "{}",
            asked.process().stderr()
        );
        sleep(Duration::from_millis(100)).await;
    }
    assert!(
        asked
            .process()
            .stderr()
            .contains("recount the apps that are refused")
    );
    let answer = fleet.clients[0].create(LIMITED, Account).await;
    assert_eq!(verdict(&answer), UNAVAILABLE, "{answer:?}");
    for (app, truth) in [(LIMITED, book.alive()), (2, book.metered.get())] {
        let recount = format!("recount --app {app} --resource account --to {truth}");
        json(asked, &recount).await;
    }
    fleet.fills_up(&book).await;
    assert_eq!(book.alive(), LIMIT);
}
