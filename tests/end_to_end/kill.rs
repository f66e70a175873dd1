//! `kill -9` in the middle of a load: nothing that was answered is forgotten, and nothing is counted
//! that nobody asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use imquota::grpc::proto::{CheckRequest, Decision, RecordActiveRequest, Resource};

use crate::client::{ACCOUNTS_FULL, ALLOW, Client, UNKNOWN, creation, deletion, used, verdict};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::tally::{Calls, Objects, Progress, Shared};

const PRO: u64 = 1;
const TIGHT: u64 = 2;
const TIGHT_LIMIT: u64 = 400;

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro }
  - { app_id: 2, plan: pro, limits: { accounts: 400 } }
";

/// How often the process is killed.
const ROUNDS: usize = 4;
/// Clients of each kind.
const CLIENTS: usize = 3;

/// A change after a quiet time is settled within a quarter of a second.
const SETTLED_AFTER: Duration = Duration::from_millis(800);

use Resource::{Account, AvRoom, Group};

/// What all rounds together did.
#[derive(Default)]
struct Book {
    accounts: Objects,
    groups: Objects,
    increments: Calls,
    /// Users by name, and whether their record was answered.
    users: BTreeMap<String, bool>,
    /// Creations by request id, and what was answered.
    ids: BTreeMap<String, Option<bool>>,
    killed: usize,
}

type Load<'a> = (&'a Client, &'a Shared<Book>, &'a Progress);

/// Creates and deletes until the sidecar is gone.
async fn create_and_delete(
    (client, book, progress): Load<'_>,
    resource: Resource,
    objects: impl Fn(&mut Book) -> &mut Objects,
) {
    for step in 0_u32.. {
        let amount = 1 + step % 3;
        let many = u64::from(amount);
        if step % 3 == 2 && book.with(|book| objects(book).certain()) >= many {
            book.with(|book| objects(book).deleted.sent += many);
            let Ok(freed) = client.try_release(deletion(PRO, resource, amount)).await else {
                return;
            };
            assert_eq!(freed.released, many, "{freed:?}");
            book.with(|book| objects(book).deleted.answered += many);
        } else {
            book.with(|book| objects(book).created.sent += many);
            let check = CheckRequest {
                amount,
                ..creation(PRO, resource)
            };
            let Ok(answer) = client.try_check(check).await else {
                return;
            };
            assert_eq!(verdict(&answer), ALLOW, "{answer:?}");
            book.with(|book| objects(book).created.answered += many);
        }
        progress.step();
    }
}

/// Creates what is hard limited, under request ids, until the sidecar is gone.
async fn create_with_ids((client, book, progress): Load<'_>, name: &str) {
    for step in 0.. {
        let id = format!("{name}-{step}");
        book.with(|book| book.ids.insert(id.clone(), None));
        let Ok(answer) = client.try_check(with_id(&id)).await else {
            return;
        };
        let allowed = verdict(&answer) == ALLOW;
        assert!(allowed || verdict(&answer) == ACCOUNTS_FULL, "{answer:?}");
        book.with(|book| book.ids.insert(id, Some(allowed)));
        progress.step();
    }
}

fn with_id(id: &str) -> CheckRequest {
    CheckRequest {
        request_id: id.into(),
        ..creation(TIGHT, Account)
    }
}

/// Records users, each time others, until the sidecar is gone.
async fn log_in((client, book, progress): Load<'_>, name: &str) {
    for step in 0.. {
        let user_ids: Vec<_> = (0..5).map(|user| format!("{name}-{step}-{user}")).collect();
        let record = RecordActiveRequest {
            app_id: PRO,
            user_ids: user_ids.clone(),
            ..Default::default()
        };
        book.with(|book| {
            book.users
                .extend(user_ids.iter().map(|id| (id.clone(), false)));
        });
        if client.try_record(record).await.is_err() {
            return;
        }
        book.with(|book| book.users.extend(user_ids.into_iter().map(|id| (id, true))));
        progress.step();
    }
}

/// Counts users by number until the sidecar is gone.
async fn increment((client, book, progress): Load<'_>) {
    loop {
        book.with(|book| book.increments.sent += 3);
        let record = RecordActiveRequest {
            app_id: TIGHT,
            increment: 3,
            ..Default::default()
        };
        if client.try_record(record).await.is_err() {
            return;
        }
        book.with(|book| book.increments.answered += 3);
        progress.step();
    }
}

/// Puts the whole load on the sidecar and kills it after `answers`.
async fn load_and_kill(sidecar: &mut Sidecar, book: &Shared<Book>, answers: u64) {
    let round = book.with(|book| book.killed);
    let progress = Progress::default();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(sidecar.client().await);
    }
    let each = clients.iter().enumerate().map(|(number, client)| {
        let name = format!("{round}-{number}");
        let load = (client, book, &progress);
        async move {
            tokio::join!(
                create_and_delete(load, Account, |book| &mut book.accounts),
                create_and_delete(load, Group, |book| &mut book.groups),
                create_with_ids(load, &name),
                log_in(load, &name),
                increment(load),
            );
        }
    });
    let kill = async {
        progress.after(answers).await;
        sidecar.kill().await;
    };
    tokio::join!(join_all(each), kill);
    book.with(|book| book.killed += 1);
}

/// The sidecar knows what was answered, and no more than was asked.
async fn check_book(client: &Client, book: &Shared<Book>) {
    let usage = client.usage(PRO).await;
    let groups = used(&usage, Group);
    let (users, increments) = (usage.daily_active, client.usage(TIGHT).await.daily_active);
    book.with(|book| {
        let accounts = book.accounts.possible();
        assert!(
            accounts.contains(&used(&usage, Account)),
            "{accounts:?}: {usage:?}"
        );
        let possible = book.groups.possible();
        assert!(possible.contains(&groups), "{possible:?}: {usage:?}");
        assert_eq!(
            usage.groups_gained_today,
            i64::try_from(groups).expect("few")
        );
        let answered = book.users.values().filter(|answered| **answered).count() as u64;
        assert!(
            (answered..=book.users.len() as u64).contains(&users),
            "{answered}: {usage:?}"
        );
        let Calls { sent, answered } = book.increments;
        assert!(
            (answered..=sent).contains(&increments),
            "{answered} {increments} {sent}"
        );
    });
}

/// Everybody whose record was answered is known, and those who are told again count once.
async fn check_users(client: &Client, book: &Shared<Book>) {
    let all = book.with(|book| book.users.clone());
    let known: Vec<_> = all
        .iter()
        .filter(|(_, answered)| **answered)
        .map(|(id, _)| id)
        .collect();
    for some in known.chunks(1000) {
        assert_eq!(
            client.record(PRO, some.iter().copied()).await.newly_active,
            0
        );
    }
    let ids: Vec<_> = all.keys().cloned().collect();
    for some in ids.chunks(1000) {
        client.record(PRO, some).await;
    }
    assert_eq!(client.usage(PRO).await.daily_active, all.len() as u64);
    book.with(|book| {
        book.users
            .values_mut()
            .for_each(|answered| *answered = true);
    });
}

/// Every id is asked again: what was answered stays so, what was not is decided now, and the count is
/// that of the ids that were allowed.
async fn check_ids(client: &Client, book: &Shared<Book>) {
    for (id, answered) in book.with(|book| book.ids.clone()) {
        let answer = client.check(with_id(&id)).await;
        let allowed = verdict(&answer) == ALLOW;
        assert!(allowed || verdict(&answer) == ACCOUNTS_FULL, "{answer:?}");
        if let Some(before) = answered {
            assert_eq!(
                (allowed, answer.replayed),
                (before, true),
                "{id}: {answer:?}"
            );
        }
        book.with(|book| book.ids.insert(id, Some(allowed)));
    }
    let allowed =
        book.with(|book| book.ids.values().filter(|ok| **ok == Some(true)).count() as u64);
    assert!(allowed <= TIGHT_LIMIT);
    assert_eq!(client.used(TIGHT, Account).await, allowed);
}

async fn no_answer_is_forgotten(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let book = Shared::new(Book::default());
    for round in 0..ROUNDS {
        load_and_kill(&mut sidecar, &book, 150 + 97 * round as u64).await;
        sidecar.start_again().await;
        let client = sidecar.client().await;
        check_book(&client, &book).await;
        check_ids(&client, &book).await;
        check_users(&client, &book).await;
        if round == 1 {
            // An end in good order in between: its checkpoint and the next log must fit together.
            sidecar.stop().await;
            sidecar.start_again().await;
            check_book(&sidecar.client().await, &book).await;
        }
    }

    // What is left of the limit is there, and not one place more.
    let client = sidecar.client().await;
    let mut total = client.used(TIGHT, Account).await;
    while verdict(&client.create(TIGHT, Account).await) == ALLOW {
        total += 1;
    }
    assert_eq!(total, TIGHT_LIMIT);
    assert_eq!(client.used(TIGHT, Account).await, TIGHT_LIMIT);
}

async fn a_start_that_is_killed_loses_nothing(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for _ in 0..20 {
        assert_eq!(verdict(&client.create(PRO, Account).await), ALLOW);
        assert_eq!(verdict(&client.create(TIGHT, Account).await), ALLOW);
        client.record(PRO, ["one", "two"]).await;
    }
    sidecar.kill().await;
    for _ in 0..5 {
        sidecar.start_again().await;
        sidecar.kill().await;
    }
    sidecar.start_again().await;
    let usage = sidecar.client().await.usage(PRO).await;
    assert_eq!((used(&usage, Account), usage.daily_active), (20, 2));
    assert_eq!(sidecar.client().await.used(TIGHT, Account).await, 20);
}

/// Objects that were counted in memory, settled, and then survived a kill bind a limit that comes
/// later: the ledger itself has them, not only this sidecar's own sums.
async fn a_limit_that_comes_later_finds_what_was_counted(store: Store) {
    let unlimited =
        "apps: [{ app_id: 1, plan: flagship, limits: { groups_gained_daily: unlimited } }]\n";
    let mut sidecar = Sidecar::start(&store.url(), unlimited).await;
    let client = sidecar.client().await;
    for resource in [Account, AvRoom, Group] {
        let twenty = CheckRequest {
            amount: 20,
            ..creation(PRO, resource)
        };
        assert_eq!(verdict(&client.check(twenty).await), ALLOW);
    }
    // There is nothing to see of it from outside when a sidecar settles; it does so in this time.
    tokio::time::sleep(SETTLED_AFTER).await;
    sidecar.kill().await;
    sidecar.set(
        "apps: [{ app_id: 1, plan: pro, limits: { accounts: 21, groups: 41, av_rooms: 21 } }]\n",
    );
    sidecar.start_again().await;
    let client = sidecar.client().await;
    for (resource, limit, used) in [(Account, 21, 20), (Group, 41, 40), (AvRoom, 21, 20)] {
        let two = CheckRequest {
            amount: 2,
            ..creation(PRO, resource)
        };
        let answer = client.check(two).await;
        assert_eq!(
            (answer.decision(), answer.limit),
            (Decision::Deny, Some(limit)),
            "{answer:?}"
        );
        assert_eq!(answer.used, used, "{answer:?}");
        let freed = client.release(deletion(PRO, resource, 20)).await;
        assert_eq!(
            (freed.released, freed.used),
            (20, used - 20),
            "{resource:?}"
        );
    }
    let usage = client.usage(PRO).await;
    assert_eq!(
        [Account, Group, AvRoom].map(|resource| used(&usage, resource)),
        [0, 0, 0]
    );
}

/// What is owed for an app that the settings no longer name is kept until they name it again.
async fn an_app_that_is_taken_out_of_the_settings_keeps_its_counts(store: Store) {
    let mut sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    for resource in [Account, Group, AvRoom] {
        let seven = CheckRequest {
            amount: 7,
            ..creation(PRO, resource)
        };
        assert_eq!(verdict(&client.check(seven).await), ALLOW);
    }
    client.record(PRO, ["ann", "bob"]).await;
    sidecar.kill().await;
    sidecar.set("apps: [{ app_id: 2, plan: pro }]\n");
    for _ in 0..2 {
        sidecar.start_again().await;
        assert_eq!(
            verdict(&sidecar.client().await.create(PRO, Account).await),
            UNKNOWN
        );
        sidecar.kill().await;
        sidecar.start_again().await;
        sidecar.stop().await;
    }
    sidecar.set(SETTINGS);
    sidecar.start_again().await;
    let usage = sidecar.client().await.usage(PRO).await;
    let counts = [Account, Group, AvRoom].map(|resource| used(&usage, resource));
    assert_eq!(
        (counts, usage.groups_gained_today, usage.daily_active),
        ([7, 14, 7], 14, 2)
    );
}

on_both_stores!(
    an_app_that_is_taken_out_of_the_settings_keeps_its_counts,
    no_answer_is_forgotten,
    a_start_that_is_killed_loses_nothing,
    a_limit_that_comes_later_finds_what_was_counted,
);
