//! Envoy's rate limit service, asked as an Envoy asks.

use imquota::grpc::proto::Resource;
use imquota::grpc::proto::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use imquota::grpc::proto::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use imquota::grpc::proto::envoy::service::ratelimit::v3::rate_limit_response::Code;
use imquota::grpc::proto::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use imquota::grpc::proto::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use tonic::Status;

use crate::client::{Client, used};
use crate::sidecar::Sidecar;
use crate::stores::{Store, on_both_stores};

const SETTINGS: &str = "
apps:
  - { app_id: 1, plan: pro, limits: { accounts: 3 } }
";

on_both_stores!(
    an_envoy_is_told_what_fits_and_what_does_not,
    descriptors_of_others_pass_and_wrong_ones_are_named,
    an_envoy_may_have_names_of_its_own,
);

/// A descriptor of these words, `key=value`.
fn words(words: &[&str]) -> RateLimitDescriptor {
    let entry = |word: &&str| {
        let (key, value) = word.split_once('=').expect("key=value");
        Entry {
            key: key.into(),
            value: value.into(),
        }
    };
    RateLimitDescriptor {
        entries: words.iter().map(entry).collect(),
        hits_addend: None,
    }
}

async fn ask(
    client: &Client,
    descriptors: Vec<RateLimitDescriptor>,
    hits_addend: u32,
) -> Result<RateLimitResponse, Status> {
    let mut service = RateLimitServiceClient::new(client.channel.clone());
    let request = RateLimitRequest {
        domain: "any".into(),
        descriptors,
        hits_addend,
    };
    service
        .should_rate_limit(request)
        .await
        .map(tonic::Response::into_inner)
}

fn header<'a>(answer: &'a RateLimitResponse, key: &str) -> Option<&'a str> {
    let headers = &answer.response_headers_to_add;
    let found = headers.iter().find(|header| header.key == key);
    found.map(|header| &*header.value)
}

async fn an_envoy_is_told_what_fits_and_what_does_not(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let account = || words(&["app_id=1", "resource=account"]);
    let answer = ask(&client, vec![account()], 2)
        .await
        .expect("it is answered");
    assert_eq!(answer.overall_code(), Code::Ok, "{answer:?}");
    let status = &answer.statuses[0];
    assert_eq!((status.code(), status.limit_remaining), (Code::Ok, 1));
    let limit = status
        .current_limit
        .as_ref()
        .map(|limit| limit.requests_per_unit);
    assert_eq!(limit, Some(3));
    assert_eq!(header(&answer, "x-ratelimit-limit"), Some("3"));
    assert_eq!(header(&answer, "x-ratelimit-remaining"), Some("1"));
    assert_eq!(header(&answer, "x-ratelimit-reset"), Some("0"));
    assert_eq!(header(&answer, "x-imquota-reason"), None);

    // All or nothing, and a repetition under one id counts once.
    let over = ask(&client, vec![account()], 2)
        .await
        .expect("it is answered");
    assert_eq!(
        (over.overall_code(), over.statuses[0].code()),
        (Code::OverLimit, Code::OverLimit)
    );
    assert_eq!(header(&over, "x-imquota-reason"), Some("LIMIT_REACHED"));
    assert_eq!(header(&over, "x-imquota-im-error-code"), Some("70398"));
    let named = || words(&["app_id=1", "resource=account", "request_id=r1"]);
    for _ in 0..2 {
        let answer = ask(&client, vec![named()], 0)
            .await
            .expect("it is answered");
        assert_eq!(answer.overall_code(), Code::Ok, "{answer:?}");
    }
    assert_eq!(used(&client.usage(1).await, Resource::Account), 3);
    let unknown = words(&["app_id=9", "resource=account"]);
    let unknown = ask(&client, vec![unknown], 0)
        .await
        .expect("it is answered");
    assert_eq!(unknown.overall_code(), Code::OverLimit);
    assert_eq!(header(&unknown, "x-imquota-reason"), Some("APP_UNKNOWN"));
}

async fn descriptors_of_others_pass_and_wrong_ones_are_named(store: Store) {
    let sidecar = Sidecar::start(&store.url(), SETTINGS).await;
    let client = sidecar.client().await;
    let other = || words(&["remote_address=10.0.0.1"]);
    let answer = ask(&client, vec![other()], 1)
        .await
        .expect("it is answered");
    assert_eq!(
        (answer.overall_code(), answer.statuses.len()),
        (Code::Ok, 1)
    );
    assert!(answer.response_headers_to_add.is_empty(), "{answer:?}");
    let both = vec![other(), words(&["app_id=1", "resource=account"])];
    let answer = ask(&client, both, 0).await.expect("it is answered");
    assert_eq!(answer.statuses.len(), 2);
    assert!(
        answer.statuses[0].current_limit.is_none() && answer.statuses[1].current_limit.is_some()
    );

    for (wrong, field) in [
        (vec![words(&["app_id=x", "resource=account"])], "app_id"),
        (vec![words(&["app_id=0", "resource=account"])], "app_id"),
        (vec![words(&["app_id=1"])], "resource"),
        (vec![words(&["app_id=1", "resource=room"])], "resource"),
        (
            vec![words(&["app_id=1"]), words(&["app_id=2"])],
            "descriptors",
        ),
    ] {
        let status = ask(&client, wrong, 0).await.expect_err("it is wrong");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains(field), "{status:?}");
    }
    assert_eq!(used(&client.usage(1).await, Resource::Account), 1);
}

async fn an_envoy_may_have_names_of_its_own(store: Store) {
    let named = "envoy_keys: { app_id: sdkappid, resource: kind, request_id: x-request-id }\n";
    let sidecar = Sidecar::start(&store.url(), &[SETTINGS, named].concat()).await;
    let client = sidecar.client().await;
    let ours = || {
        words(&[
            "sdkappid=1",
            "kind=account",
            "x-request-id=r1",
            "resource_id=ann",
        ])
    };
    for _ in 0..2 {
        let answer = ask(&client, vec![ours()], 0).await.expect("answered");
        assert_eq!(header(&answer, "x-ratelimit-remaining"), Some("2"));
    }
    // What it was called before is anybody's now.
    let other = words(&["app_id=1", "resource=account"]);
    let answer = ask(&client, vec![other], 0).await.expect("answered");
    assert!(answer.statuses[0].current_limit.is_none(), "{answer:?}");
    let wrong = words(&["sdkappid=1", "kind=room"]);
    let status = ask(&client, vec![wrong], 0).await.expect_err("it is wrong");
    assert!(status.message().contains("kind"), "{status:?}");
    assert_eq!(used(&client.usage(1).await, Resource::Account), 1);
}
