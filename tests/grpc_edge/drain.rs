//! The end of a server: calls in flight are answered, new ones are told to go elsewhere, and nobody holds it up.

use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::common::{Server, bounds, soon};
use crate::framing::{Stream, connect};

fn question() -> ServerReflectionRequest {
    ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    }
}

/// A call that is in flight for as long as its sender lives.
async fn call(
    server: &Server,
) -> (
    mpsc::Sender<ServerReflectionRequest>,
    tonic::Streaming<tonic_reflection::pb::v1::ServerReflectionResponse>,
) {
    let (ask, questions) = mpsc::channel(1);
    let mut client = ServerReflectionClient::new(server.channel().await);
    let asked = client.server_reflection_info(ReceiverStream::new(questions));
    let answers = soon(asked).await.expect("it is served").into_inner();
    (ask, answers)
}

#[tokio::test]
async fn an_idle_client_does_not_hold_up_the_end() {
    let mut server = Server::start();
    let _idle = server.channel().await;
    let began = Instant::now();
    server.stop();
    server.ended().await;
    assert!(began.elapsed() < bounds().drain_max);
}

#[tokio::test]
async fn a_client_that_never_spoke_does_not_hold_up_the_end() {
    let mut server = Server::start();
    let imquota::endpoint::Endpoint::Tcp(address) = server.endpoint else {
        panic!("it listens on TCP");
    };
    let _silent = TcpStream::connect(address).await.expect("somebody listens");
    let _other = server.channel().await;
    let began = Instant::now();
    server.stop();
    server.ended().await;
    assert!(began.elapsed() < bounds().drain_max);
}

#[tokio::test]
async fn a_call_in_flight_is_answered() {
    let mut server = Server::start();
    let mut watching = server.health().await;
    let (ask, mut answers) = call(&server).await;
    let service = String::new();
    let watched = watching.watch(tonic_health::pb::HealthCheckRequest { service });
    let mut told = soon(watched).await.expect("it can be watched").into_inner();
    server.readiness.set_serving();
    server.stop();
    // The stream ends when draining has begun.
    while soon(told.message())
        .await
        .expect("it has no fault")
        .is_some()
    {}

    ask.send(question()).await.expect("the call is in flight");
    let answer = soon(answers.message())
        .await
        .expect("the call has no fault");
    assert!(answer.is_some());
    drop(ask);
    let began = Instant::now();
    server.ended().await;
    assert!(began.elapsed() < bounds().drain_max);
}

#[tokio::test]
async fn a_call_that_never_ends_is_cut() {
    let mut server = Server::start();
    let (_ask, mut answers) = call(&server).await;
    let began = Instant::now();
    server.stop();
    server.ended().await;
    assert!(began.elapsed() >= bounds().drain_max);
    soon(answers.message()).await.expect_err("the call was cut");
}

/// Who has a stream open hears the end of what it asked, and GOAWAY: whatever it asks next it asks elsewhere.
#[tokio::test]
async fn an_open_stream_hears_goaway() {
    let mut server = Server::start_met().await;
    let mut client = connect(&server).await;
    let mut stream = Stream::open(&mut client).await;
    stream.asks();
    assert_eq!(stream.hears().await, Ok(1));
    server.stop();
    assert_eq!(stream.hears().await, Err(Some(Code::Unavailable)));
    // Which of the two it hears first is open.
    let away = soon(async {
        loop {
            match client.clone().ready().await {
                Err(away) => break away,
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    });
    let away = away.await;
    assert!(away.is_go_away() && away.is_remote(), "{away:?}");
    assert_eq!(away.reason(), Some(h2::Reason::NO_ERROR));
    drop(stream);
    server.ended().await;
}
