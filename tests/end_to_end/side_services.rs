//! What probes and tools are told by a running sidecar.

use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus::Serving;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::client::{Client, creation};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};
use crate::wait::soon;

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
    let check = creation(1, imquota::grpc::proto::Resource::Account);
    let status = probe
        .try_check(check)
        .await
        .expect_err("only health is served there");
    assert_eq!(status.code(), Code::Unimplemented);
    sidecar.stop().await;
    assert!(!socket.exists());
}
