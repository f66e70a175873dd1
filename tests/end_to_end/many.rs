//! Batches and streams of checks: each is judged by itself, whoever decides it, and answered in its place.

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{BatchCheckRequest, CheckRequest, CheckResponse, Resource};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::client::{ALLOW, Client, ROOMS_FULL, UNAVAILABLE, creation, verdict};
use crate::redis_server::RedisServer;
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::soon;

const PRO: u64 = 1;
const SETTINGS: &str = "
store: { timeout: 500ms }
apps:
  - { app_id: 1, plan: pro }
";
/// The AV rooms of the plan.
const ROOMS: usize = 50;

use Resource::{Account, AvRoom};

async fn batch(client: &Client, checks: Vec<CheckRequest>) -> Vec<CheckResponse> {
    let mut quota = QuotaServiceClient::new(client.channel.clone());
    let asked = quota.batch_check(BatchCheckRequest { checks });
    let answer = soon("the answers to a batch", asked).await;
    answer.expect("it is answered").into_inner().results
}

fn room(id: usize) -> CheckRequest {
    CheckRequest {
        request_id: format!("room-{id}"),
        ..creation(PRO, AvRoom)
    }
}

fn allowed(answers: &[CheckResponse]) -> usize {
    let allowed = |answer: &&CheckResponse| verdict(answer) == ALLOW;
    answers.iter().filter(allowed).count()
}

async fn a_batch_passes_no_limit(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    // Accounts in between, which no limit stands in the way of.
    let checks = (0..ROOMS + 30).flat_map(|id| [room(id), creation(PRO, Account)]);
    let answers = batch(&client, checks.collect()).await;
    let (rooms, accounts): (Vec<_>, Vec<_>) = answers
        .chunks(2)
        .map(|two| (two[0].clone(), two[1].clone()))
        .unzip();
    let counts: Vec<_> = accounts.iter().map(|answer| answer.used).collect();
    assert_eq!(counts, (1..=80).collect::<Vec<_>>());
    assert_eq!(allowed(&rooms), ROOMS);
    for answer in &rooms {
        assert!([ALLOW, ROOMS_FULL].contains(&verdict(answer)), "{answer:?}");
    }
    assert_eq!(client.used(PRO, AvRoom).await, ROOMS as u64);

    // The same batch again: the same answers, and nothing more is counted.
    let again = batch(&client, (0..ROOMS + 30).map(room).collect()).await;
    for (first, again) in rooms.iter().zip(&again) {
        assert_eq!(verdict(first), verdict(again));
        assert!(again.replayed, "{again:?}");
    }
    assert_eq!(client.used(PRO, AvRoom).await, ROOMS as u64);
}

async fn one_id_in_a_batch_is_one_creation(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let other = CheckRequest {
        amount: 2,
        ..room(7)
    };
    let answers = batch(&client, vec![room(7), room(7), other, room(7)]).await;
    let fault = answers[2]
        .fault
        .as_ref()
        .expect("the id stands for one room");
    assert_eq!((fault.code, fault.field.as_str()), (3, "request_id"));
    let mut replayed = 0;
    for answer in [&answers[0], &answers[1], &answers[3]] {
        assert_eq!(verdict(answer), ALLOW, "{answer:?}");
        replayed += usize::from(answer.replayed);
    }
    assert_eq!(replayed, 2);
    assert_eq!(client.used(PRO, AvRoom).await, 1);
}

on_both_stores!(a_batch_passes_no_limit, one_id_in_a_batch_is_one_creation);

/// An open stream of checks, with room for many that nobody has read.
async fn stream(client: &Client) -> (mpsc::Sender<CheckRequest>, Streaming<CheckResponse>) {
    let (send, checks) = mpsc::channel(1000);
    let mut quota = QuotaServiceClient::new(client.channel.clone());
    let answers = quota.stream_checks(ReceiverStream::new(checks));
    let answers = soon("the stream", answers).await;
    (send, answers.expect("it is served").into_inner())
}

#[tokio::test]
async fn a_stream_keeps_its_order_while_redis_hangs() {
    let redis = RedisServer::start();
    let sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    assert_eq!(verdict(&client.check(room(0)).await), ALLOW);
    let (send, answers) = stream(&client).await;
    redis.suspend();
    for id in 1..=200 {
        for check in [room(id), creation(PRO, Account)] {
            send.send(check).await.expect("it is open");
        }
    }
    drop(send);
    let answers = soon("all answers", answers.collect::<Vec<_>>()).await;
    let mut counted = 0;
    for (at, answer) in answers.iter().enumerate() {
        let answer = answer.as_ref().expect("it goes on");
        if at % 2 == 0 {
            assert_eq!(verdict(answer), UNAVAILABLE, "{answer:?}");
        } else {
            counted += 1;
            assert_eq!((verdict(answer), answer.used), (ALLOW, counted));
        }
    }
    assert_eq!(answers.len(), 400);
    redis.resume();
}

#[tokio::test]
async fn what_a_stream_has_read_is_answered_at_the_end() {
    let redis = RedisServer::start();
    let mut sidecar = Sidecar::start(&redis.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let (send, mut answers) = stream(&client).await;
    let mut given = 0;
    let ended = loop {
        if given == 10 {
            sidecar.process().signal(Signal::TERM);
        }
        // The stream takes no more once it has ended.
        let _ = send.send(room(given)).await;
        match soon("an answer", answers.message()).await {
            Ok(Some(answer)) => assert_eq!(verdict(&answer), ALLOW, "{answer:?}"),
            Ok(None) => panic!("it says why it ends"),
            Err(status) => break status,
        }
        given += 1;
        assert!(given < ROOMS, "it ends");
    };
    assert_eq!(ended.code(), tonic::Code::Unavailable, "{ended:?}");
    drop((send, answers, client));
    sidecar.stop().await;
    // All that was answered is counted, and no more.
    let other = Sidecar::start(&redis.url(), SETTINGS).await;
    assert_eq!(other.client().await.used(PRO, AvRoom).await, given as u64);
}
