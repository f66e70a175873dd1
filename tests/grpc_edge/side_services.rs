//! Health and reflection.

use imquota::endpoint::Endpoint;
use imquota::grpc::proto::CheckRequest;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::{Readiness, bind, serve_health};
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::common::{Server, soon};

async fn ask(client: &mut HealthClient<Channel>, service: &str) -> Result<ServingStatus, Status> {
    let service = service.into();
    let answer = soon(client.check(HealthCheckRequest { service })).await?;
    Ok(answer.into_inner().status())
}

/// What `""`, the service, `readiness` and `liveness` say.
async fn all(client: &mut HealthClient<Channel>) -> [bool; 4] {
    let mut serving = [false; 4];
    let names = ["", "imquota.v1.QuotaService", "readiness", "liveness"];
    for (serving, name) in serving.iter_mut().zip(names) {
        let status = ask(client, name).await.expect("the name is known");
        *serving = status == ServingStatus::Serving;
    }
    let other = ask(client, "imquota.v1.BillingService").await;
    assert_eq!(other.expect("known") == ServingStatus::Serving, serving[1]);
    serving
}

#[tokio::test]
async fn health_says_what_the_process_can_do() {
    let mut server = Server::start();
    let mut client = server.health().await;
    assert_eq!(all(&mut client).await, [false, false, false, true]);
    server.readiness.set_ready(true);
    assert_eq!(all(&mut client).await, [false, false, false, true]);
    server.readiness.set_serving();
    assert_eq!(all(&mut client).await, [true, true, true, true]);
    server.readiness.set_ready(false);
    assert_eq!(all(&mut client).await, [true, true, false, true]);
    server.readiness.draining();
    server.readiness.set_ready(true);
    assert_eq!(all(&mut client).await, [false, false, false, true]);

    let unknown = ask(&mut client, "nothing").await.expect_err("no such name");
    assert_eq!(unknown.code(), Code::NotFound);
    drop(client);
    server.stop();
    server.ended().await;
}

#[tokio::test]
async fn those_who_watch_are_told_and_let_go() {
    let mut server = Server::start();
    let mut client = server.health().await;
    let service = String::new();
    let watched = client.watch(HealthCheckRequest { service });
    let mut answers = soon(watched).await.expect("it can be watched").into_inner();
    let mut told = Vec::new();
    while let Some(answer) = soon(answers.next()).await {
        told.push(answer.expect("the stream has no fault").status());
        match told.len() {
            1 => server.readiness.set_serving(),
            _ => server.stop(),
        }
    }
    let [not, serving] = [ServingStatus::NotServing, ServingStatus::Serving];
    assert_eq!(told, [not, serving, not]);
    server.ended().await;
}

#[tokio::test]
async fn health_can_have_a_listener_of_its_own() {
    let endpoint = Endpoint::parse("127.0.0.1:0").expect("it is an address");
    let listeners = bind(&[endpoint]).expect("a port is free");
    let uri = format!("http://{}", listeners[0].endpoint());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let running = tokio::spawn(serve_health(Readiness::new(), listeners, stopped));
    let endpoint = tonic::transport::Endpoint::from_shared(uri).expect("it is a URI");
    let channel = soon(endpoint.connect()).await.expect("somebody listens");
    let mut client = HealthClient::new(channel.clone());
    assert_eq!(all(&mut client).await, [false, false, false, true]);

    let mut quota = QuotaServiceClient::new(channel);
    let status = soon(quota.check(CheckRequest::default()))
        .await
        .expect_err("only health is served there");
    assert_eq!(status.code(), Code::Unimplemented);
    drop(stop);
    soon(running)
        .await
        .expect("it does not panic")
        .expect("it ends without a fault");
}

const SERVICES: [&str; 6] = [
    "envoy.service.ratelimit.v3.RateLimitService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    "imquota.v1.BillingService",
    "imquota.v1.QuotaService",
];

#[tokio::test]
async fn reflection_names_the_services() {
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;

    let server = Server::start();
    let channel = server.channel().await;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel);
    let question = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = client.server_reflection_info(tokio_stream::once(question));
    let mut answers = soon(asked).await.expect("it is served").into_inner();
    let answer = soon(answers.message())
        .await
        .expect("the stream has no fault")
        .expect("there is an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("a list was asked for: {answer:?}");
    };
    let mut names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    names.sort();
    assert_eq!(names, SERVICES);
}

#[tokio::test]
async fn reflection_of_old_clients_is_served_too() {
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;

    let server = Server::start();
    let channel = server.channel().await;
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let symbol = "imquota.v1.QuotaService".to_owned();
    let question = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(symbol)),
    };
    let asked = client.server_reflection_info(tokio_stream::once(question));
    let mut answers = soon(asked).await.expect("it is served").into_inner();
    let answer = soon(answers.message())
        .await
        .expect("the stream has no fault")
        .expect("there is an answer");
    let Some(MessageResponse::FileDescriptorResponse(files)) = answer.message_response else {
        panic!("a file was asked for: {answer:?}");
    };
    assert_eq!(files.file_descriptor_proto.len(), 1);
}
