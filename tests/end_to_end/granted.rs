//! Roles: who may do what, by token, by certificate and by user.

use std::fmt::Write as _;
use std::path::Path;

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{BatchCheckRequest, Decision, GetUsageRequest, Resource};
use tonic::{Code, Request, Status};

use crate::certificates::{Authority, put};
use crate::client::creation;
use crate::process::Process;
use crate::sidecar::Sidecar;
use crate::wait::soon;

const APPS: &str = "apps: [{ app_id: 1, plan: trial }, { app_id: 2, plan: trial }]\n";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NEW: &str = "fedcba9876543210fedcba9876543210";

/// The line of a token's file.
fn hash(token: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let mut line = "sha256:".to_owned();
    for byte in digest.as_ref() {
        write!(line, "{byte:02x}").expect("a text grows");
    }
    line + "\n"
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("it is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

fn refused(answer: Result<impl std::fmt::Debug, Status>, code: Code, words: &str) {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(words), "{status:?}");
}

/// Asks with a token of `folder`.
async fn verb(line: &str, folder: &Path, token: &str) -> crate::process::Ended {
    let file = put(folder, "sent", token);
    let words = format!("{line} --json --token-file {}", file.display());
    Process::imquota(words.split(' ')).ended().await
}

#[tokio::test]
async fn a_token_is_good_for_its_roles_and_apps() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = put(folder.path(), "gateway", &hash(TOKEN));
    let settings = format!(
        "auth: [{{ token_file: {}, name: gw, roles: [check, read], apps: [1] }}]\n{APPS}",
        file.display()
    );
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let client = sidecar.client().await;
    let one = || creation(1, Resource::Account);

    refused(
        client.try_check(one()).await,
        Code::Unauthenticated,
        "authorization: Bearer TOKEN",
    );
    let wrong = client.try_check(with_token(one(), NEW)).await;
    refused(wrong, Code::Unauthenticated, "nobody here knows this token");
    let answer = client.check(with_token(one(), TOKEN)).await;
    assert_eq!((answer.decision(), answer.used), (Decision::Allow, 1));

    // Another app is refused in the same words whether there is such an app or not.
    for app in [2, 3] {
        let other = client
            .try_check(with_token(creation(app, Resource::Account), TOKEN))
            .await;
        let words = format!("token gw lacks the role check for app {app}");
        refused(other, Code::PermissionDenied, &words);
    }
    // A batch with one foreign check counts nothing.
    let mut quota = QuotaServiceClient::new(client.channel.clone());
    let batch = BatchCheckRequest {
        checks: vec![one(), creation(2, Resource::Account)],
    };
    let answer = soon("an answer", quota.batch_check(with_token(batch, TOKEN))).await;
    refused(answer, Code::PermissionDenied, "for app 2");
    // A stream ends at the first of them.
    let checks = tokio_stream::iter([one(), creation(2, Resource::Account), one()]);
    let stream = quota.stream_checks(with_token(checks, TOKEN));
    let mut stream = soon("a stream", stream)
        .await
        .expect("the role is there")
        .into_inner();
    let first = soon("an answer", stream.message())
        .await
        .expect("it is its app");
    assert_eq!(first.expect("there is one").used, 2);
    refused(
        soon("the end", stream.message()).await,
        Code::PermissionDenied,
        "for app 2",
    );
    // Roles that it lacks.
    let record = imquota::grpc::proto::RecordActiveRequest {
        app_id: 1,
        increment: 1,
        ..Default::default()
    };
    let answer = soon("an answer", quota.record_active(with_token(record, TOKEN))).await;
    refused(
        answer,
        Code::PermissionDenied,
        "token gw lacks the role report",
    );
    let usage = with_token(GetUsageRequest { app_id: 1 }, TOKEN);
    let usage = soon("an answer", quota.get_usage(usage))
        .await
        .expect("it may read");
    assert_eq!(usage.into_inner().resources[0].used, 2);
    let bill = format!(
        "bill --app 1 --month 2026-01 --endpoint http://{}",
        sidecar.address()
    );
    let bill = verb(&bill, folder.path(), TOKEN).await;
    assert!(bill.stderr.contains("lacks the role bill"), "{bill:?}");
    let check = format!(
        "check --app 1 --resource account --endpoint http://{}",
        sidecar.address()
    );
    assert_eq!(verb(&check, folder.path(), TOKEN).await.code(), 0);
    // Probes need none.
    client.health("readiness").await;

    // The token is changed under the open connection, and under a stream that came by it.
    let (say, said) = tokio::sync::mpsc::channel(1);
    let checks = tokio_stream::wrappers::ReceiverStream::new(said);
    say.send(one()).await.expect("it is heard");
    let stream = quota.stream_checks(with_token(checks, TOKEN));
    let mut stream = soon("a stream", stream)
        .await
        .expect("the token counts")
        .into_inner();
    let first = soon("an answer", stream.message()).await;
    assert_eq!(first.expect("the token counts").expect("one").used, 4);
    put(folder.path(), "gateway", &hash(NEW));
    sidecar.process().says("new tokens count").await;
    say.send(one()).await.expect("it is heard");
    let end = soon("the end", stream.message()).await;
    refused(end, Code::Unauthenticated, "nobody here knows this token");
    let old = client.try_check(with_token(one(), TOKEN)).await;
    refused(old, Code::Unauthenticated, "nobody here knows this token");
    assert_eq!(client.check(with_token(one(), NEW)).await.used, 5);
    assert!(!sidecar.process().stderr().contains(NEW));
    sidecar.stop().await;
}

#[tokio::test]
async fn a_user_of_this_machine_is_known_over_the_socket() {
    let own = rustix::process::getuid().as_raw();
    let settings = format!("auth: [{{ uid: {own}, roles: [check], apps: [1] }}]\n{APPS}");
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let client = sidecar.unix_client().await;
    assert_eq!(client.create(1, Resource::Account).await.used, 1);
    let other = client.try_check(creation(2, Resource::Account)).await;
    refused(
        other,
        Code::PermissionDenied,
        &format!("uid {own} lacks the role check for app 2"),
    );
    let tcp = sidecar
        .client()
        .await
        .try_check(creation(1, Resource::Account))
        .await;
    refused(tcp, Code::Unauthenticated, "show a client certificate");
    sidecar.stop().await;
}

#[tokio::test]
async fn an_operator_is_known_by_a_certificate_and_stands_in_the_audit_list() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let at = folder.path().display();
    put(folder.path(), "ca.crt", &authority.pem());
    authority.issue(&["127.0.0.1"]).write(folder.path(), "s");
    for name in ["ops", "reader", "nobody"] {
        let uri = format!("spiffe://example.org/{name}");
        authority.issue(&[&uri]).write(folder.path(), name);
    }
    let settings = format!(
        "admin_listen: 127.0.0.1:0
tls: {{ admin_listen: {{ cert: {at}/s.crt, key: {at}/s.key, client_ca: {at}/ca.crt }} }}
auth:
  - {{ spiffe: 'spiffe://example.org/ops', roles: [admin] }}
  - {{ spiffe: 'spiffe://example.org/reader', roles: [read] }}
{APPS}"
    );
    let mut sidecar = Sidecar::start("embedded", &settings).await;
    let ready: serde_json::Value =
        serde_json::from_str(&sidecar.process().says("ready to answer").await).expect("it is JSON");
    let admin = ready.get("fields").unwrap_or(&ready)["admin_listen"].clone();
    let admin = admin.as_str().expect("there is one");
    let ask = async |line: &str, who: &str| {
        let words = format!(
            "{line} --admin-endpoint https://{admin} --ca {at}/ca.crt --cert {at}/{who}.crt --key {at}/{who}.key"
        );
        Process::imquota(words.split(' ')).ended().await
    };
    let recount = "recount --app 1 --resource account --to 5";
    let done = ask(recount, "ops").await;
    assert_eq!(done.code(), 0, "{done:?}");
    let audit = ask("audit --json", "ops").await;
    let who = format!("spiffe://example.org/ops at {}", sidecar.member());
    assert!(audit.stdout.contains(&who), "{audit:?}");
    for (name, words) in [
        ("reader", "spiffe://example.org/reader lacks the role admin"),
        ("nobody", "bears no name that may do anything here"),
    ] {
        let refused = ask(recount, name).await;
        assert_eq!(refused.code(), 1, "{refused:?}");
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    // The token of the data folder is for servers without `auth`, and is not made.
    assert!(!sidecar.data().join("admin.token").exists());
    sidecar.stop().await;
}
