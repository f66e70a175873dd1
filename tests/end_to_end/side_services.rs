//! What probes and tools are told by a running sidecar.

use imquota::grpc::proto::Resource;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::Serving;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::client::{ALLOW, Client, creation, verdict};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::{soon, until};

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: trial }
";

async fn health_serves_when_it_is_ready(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    for client in [sidecar.client().await, sidecar.unix_client().await] {
        for service in ["", "imquota.v1.QuotaService", "readiness", "liveness"] {
            assert_eq!(client.health(service).await, Serving, "{service}");
        }
        let mut health = HealthClient::new(client.channel);
        let service = "nothing".into();
        let asked = soon("an answer", health.check(HealthCheckRequest { service })).await;
        assert_eq!(
            asked.expect_err("there is no such name").code(),
            Code::NotFound
        );
    }
}

async fn tools_can_find_out_what_is_served(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let mut reflection = ServerReflectionClient::new(client.channel);
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = reflection.server_reflection_info(tokio_stream::once(question));
    let mut answers = soon("reflection", asked)
        .await
        .expect("it is served")
        .into_inner();
    let answer = soon("an answer", answers.message())
        .await
        .expect("no fault");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.and_then(|a| a.message_response)
    else {
        panic!("a list was asked for");
    };
    let names: Vec<_> = list
        .service
        .iter()
        .map(|service| service.name.as_str())
        .collect();
    for name in ["imquota.v1.QuotaService", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
}

on_both_stores!(
    health_serves_when_it_is_ready,
    tools_can_find_out_what_is_served
);

#[tokio::test]
async fn probes_may_have_an_address_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = folder.path().join("probes");
    let settings = format!("health_listen: \"unix:{}\"{SETTINGS}", socket.display());
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let probe = Client::connect(format!("unix://{}", socket.display())).await;
    for service in ["", "readiness", "liveness"] {
        assert_eq!(probe.health(service).await, Serving, "{service}");
    }
    let check = creation(1, Resource::Account);
    let status = probe
        .try_check(check)
        .await
        .expect_err("only health is served there");
    assert_eq!(status.code(), Code::Unimplemented);
    sidecar.stop().await;
    assert!(!socket.exists());
}

/// The most connections of the operators' listener.
const OPERATORS_MAX: usize = 16;

#[tokio::test]
async fn operators_have_few_connections_and_hold_up_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let socket = |name: &str| folder.path().join(name).display().to_string();
    let (admin, probes) = (socket("admin"), socket("probes"));
    let settings =
        format!("admin_listen: 'unix:{admin}'\nhealth_listen: 'unix:{probes}'{SETTINGS}");
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let mut operators = Vec::new();
    for _ in 0..OPERATORS_MAX {
        let operator = Client::connect(format!("unix://{admin}")).await;
        assert_eq!(operator.health("").await, Serving);
        operators.push(operator);
    }
    // One more is told at once.
    let more = UnixStream::connect(&admin).await;
    let mut more = more.expect("the system accepts it");
    let told = soon("its end", more.read(&mut [0])).await;
    assert_eq!(told.expect("it is closed"), 0);
    // Not for its silence, for which it would be closed later.
    let why = "as many connections as allowed are open";
    sidecar.process().says(why).await;
    // Nobody else has less for it.
    for operator in &operators {
        assert_eq!(operator.health("").await, Serving);
    }
    let probe = Client::connect(format!("unix://{probes}")).await;
    assert_eq!(probe.health("readiness").await, Serving);
    let mut gateways = Vec::new();
    for _ in 0..2 * OPERATORS_MAX {
        let gateway = sidecar.client().await;
        assert_eq!(verdict(&gateway.create(1, Resource::Account).await), ALLOW);
        gateways.push(gateway);
    }
    // A place that is left is another's.
    drop(operators.pop());
    let next = Client::lasting(format!("unix://{admin}"));
    until("there is a place", async || {
        let mut health = HealthClient::new(next.channel.clone());
        let service = String::new();
        health.check(HealthCheckRequest { service }).await
    })
    .await;
    drop((operators, next, gateways, probe));
    sidecar.stop().await;
}
