//! The operators' service: who is let in, and what a caller reads in its faults.

use std::future::Future;
use std::sync::Arc;

use imquota::clock::Clock;
use imquota::endpoint::Endpoint;
use imquota::grpc::proto::admin_service_client::AdminServiceClient;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{
    CheckRequest, ImportObjectsRequest, ListAuditRequest, ListHoldsRequest, ListMembersRequest,
    MemberStanding, RecountRequest, Resource, RetireMemberRequest,
};
use imquota::grpc::{Bound, Guard, Readiness, ServeFault, Token, bind, serve_admin};
use imquota::ledger::Ledger;
use imquota::operator::Operations;
use imquota::store::embedded::EmbeddedStore;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::common::{doors, ledger, soon};
use crate::faults::blamed;

/// The operators' listener of a sidecar that knows app 1.
struct Admin {
    uri: String,
    token: Token,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeFault>>,
    folder: TempDir,
}

impl Admin {
    async fn on_tcp() -> Self {
        let (folder, store, ledger) = ledger();
        let listeners = listen("127.0.0.1:0");
        let uri = format!("http://{}", listeners[0].endpoint());
        Self::start(folder, store, ledger, listeners, uri).await
    }

    async fn on_socket() -> Self {
        let (folder, store, ledger) = ledger();
        let path = folder.path().join("s").display().to_string();
        let listeners = listen(&format!("unix:{path}"));
        Self::start(folder, store, ledger, listeners, format!("unix://{path}")).await
    }

    async fn start(
        folder: TempDir,
        store: Arc<EmbeddedStore>,
        ledger: Arc<Ledger>,
        listeners: Vec<Bound>,
        uri: String,
    ) -> Self {
        soon(ledger.meet()).await.expect("it is in this process");
        let clock = Arc::new(Clock::default());
        let operations = Operations::new(store, ledger.clone(), clock, "here".into());
        let token = Token::of_folder(folder.path()).expect("the folder is ours");
        let guard = Guard::new(Some(token.clone()));
        let readiness = Readiness::new();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let running = tokio::spawn(serve_admin(
            operations,
            doors(ledger),
            guard,
            readiness,
            listeners,
            stopped,
        ));
        Self {
            uri,
            token,
            stop,
            running,
            folder,
        }
    }

    async fn channel(&self) -> Channel {
        let endpoint = tonic::transport::Endpoint::from_shared(self.uri.clone());
        let endpoint = endpoint.expect("it is a URI");
        soon(endpoint.connect()).await.expect("somebody listens")
    }

    async fn client(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel().await)
    }

    fn with_token<T>(&self, message: T) -> Request<T> {
        showing(message, &format!("Bearer {}", self.token.as_str()))
    }

    async fn ends(self) {
        drop(self.stop);
        let ended = soon(self.running).await.expect("it does not panic");
        ended.expect("it ends without a fault");
        drop(self.folder);
    }
}

fn listen(address: &str) -> Vec<Bound> {
    let endpoint = Endpoint::parse(address).expect("it is an address");
    bind(&[endpoint]).expect("it is free")
}

fn showing<T>(message: T, authorization: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<Ascii> = authorization.parse().expect("it is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

async fn refused<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> (Code, String) {
    let status = soon(call).await.err().expect("it is refused");
    let details = status.get_error_details();
    let info = details.error_info().expect("every fault has a reason");
    assert_eq!(info.domain, "imquota");
    (status.code(), info.reason.clone())
}

fn recount() -> RecountRequest {
    RecountRequest {
        app_id: 1,
        resource: Resource::Group.into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn over_tcp_only_who_knows_the_token_is_let_in() {
    let admin = Admin::on_tcp().await;
    let mut client = admin.client().await;
    let reason = |reason: &str| (Code::Unauthenticated, reason.to_owned());
    // Whoever it is, nothing of its message is looked at.
    let bare = refused(client.recount(RecountRequest::default())).await;
    assert_eq!(bare, reason("TOKEN_MISSING"));
    let wrong = || showing(ListMembersRequest {}, "Bearer wrong");
    assert_eq!(
        refused(client.list_members(wrong())).await,
        reason("TOKEN_WRONG")
    );
    let wrong = showing(RetireMemberRequest::default(), "Bearer wrong");
    assert_eq!(
        refused(client.retire_member(wrong)).await,
        reason("TOKEN_WRONG")
    );
    let wrong = showing(ListAuditRequest::default(), "Basic eDp5");
    assert_eq!(
        refused(client.list_audit(wrong)).await,
        reason("TOKEN_MISSING")
    );

    let wrong = showing(ListHoldsRequest::default(), "Bearer wrong");
    assert_eq!(
        refused(client.list_holds(wrong)).await,
        reason("TOKEN_WRONG")
    );
    let wrong = showing(ImportObjectsRequest::default(), "Bearer wrong");
    assert_eq!(
        refused(client.import_objects(wrong)).await,
        reason("TOKEN_WRONG")
    );

    let listed = client.list_members(admin.with_token(ListMembersRequest {}));
    let members = soon(listed)
        .await
        .expect("it is let in")
        .into_inner()
        .members;
    let [member] = &members[..] else {
        panic!("one member: {members:?}");
    };
    assert_eq!((&*member.name, member.boot), ("test", 1));
    assert_eq!(
        (member.incarnation.len(), member.standing()),
        (16, MemberStanding::Present)
    );
    admin.ends().await;
}

#[tokio::test]
async fn over_a_socket_the_user_is_known() {
    let admin = Admin::on_socket().await;
    let mut client = admin.client().await;
    let set = RecountRequest {
        to: Some(12),
        reason: "a test".into(),
        ..recount()
    };
    let counted = soon(client.recount(set)).await.expect("we are ourselves");
    let counted = counted.into_inner();
    assert_eq!((counted.from, counted.to, counted.held), (0, Some(12), 0));
    assert!(counted.all_told && counted.token != 0 && counted.frozen_until.is_none());
    let list = ListAuditRequest {
        app_id: 1,
        limit: 5,
    };
    let entries = soon(client.list_audit(list)).await.expect("it is let in");
    let entries = entries.into_inner().entries;
    let [entry] = &entries[..] else {
        panic!("one entry: {entries:?}");
    };
    let who = format!("uid {} at here", rustix::process::getuid().as_raw());
    assert_eq!(
        (&entry.who, &*entry.what, entry.app_id),
        (&who, "recount", 1)
    );
    assert_eq!((&*entry.subject, &*entry.reason), ("group", "a test"));
    assert_eq!((entry.from, entry.to), (Some(0), Some(12)));
    admin.ends().await;
}

#[tokio::test]
async fn a_dry_run_is_ended_by_its_token() {
    let admin = Admin::on_socket().await;
    let mut client = admin.client().await;
    let dry = RecountRequest {
        dry_run: true,
        ..recount()
    };
    let frozen = soon(client.recount(dry))
        .await
        .expect("it is let in")
        .into_inner();
    assert!(frozen.to.is_none() && frozen.frozen_until.is_some());
    let token = frozen.token;
    let cancel = RecountRequest {
        cancel: true,
        token,
        ..recount()
    };
    soon(client.recount(cancel))
        .await
        .expect("it can be called off");
    let late = RecountRequest {
        to: Some(1),
        token,
        ..recount()
    };
    let late = refused(client.recount(late)).await;
    assert_eq!(late, (Code::FailedPrecondition, "NOT_FROZEN".into()));
    admin.ends().await;
}

#[tokio::test]
async fn faults_name_their_fields_and_their_reasons() {
    let admin = Admin::on_socket().await;
    let mut client = admin.client().await;
    let status = soon(client.recount(RecountRequest::default())).await;
    let status = status.expect_err("it says nothing");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let bad = details.bad_request().expect("fields are at fault");
    let fields: Vec<_> = bad.field_violations.iter().map(|v| &*v.field).collect();
    assert_eq!(fields, ["app_id", "resource", "to"]);
    let unknown = RecountRequest {
        app_id: 2,
        to: Some(0),
        ..recount()
    };
    let not_found = |reason: &str| (Code::NotFound, reason.to_owned());
    assert_eq!(
        refused(client.recount(unknown)).await,
        not_found("APP_UNKNOWN")
    );
    let retire = |member: &str| RetireMemberRequest {
        member: member.into(),
        reason: String::new(),
    };
    let nobody = refused(client.retire_member(retire("nobody"))).await;
    assert_eq!(nobody, not_found("MEMBER_UNKNOWN"));
    let alive = refused(client.retire_member(retire("test"))).await;
    assert_eq!(alive, (Code::FailedPrecondition, "MEMBER_ALIVE".into()));
    admin.ends().await;
}

#[tokio::test]
async fn bad_fields_about_reservations_and_objects_are_named() {
    let admin = Admin::on_socket().await;
    let mut client = admin.client().await;
    for (app_id, page_size, fields) in [
        (0, 0, &["app_id"][..]),
        (1, 1001, &["page_size"]),
        (0, u32::MAX, &["app_id", "page_size"]),
    ] {
        let list = ListHoldsRequest { app_id, page_size };
        let status = soon(client.list_holds(list)).await.expect_err("it is bad");
        assert_eq!(blamed(&status), fields);
    }
    let import = |names: Vec<String>| ImportObjectsRequest {
        app_id: 1,
        resource: Resource::Account.into(),
        resource_ids: names,
    };
    for (names, field) in [
        (vec![], "resource_ids"),
        (vec!["a".into(); 501], "resource_ids"),
        (vec!["a".into(), String::new()], "resource_ids[1]"),
        (vec!["x".repeat(49)], "resource_ids[0]"),
        (vec!["ä".into()], "resource_ids[0]"),
    ] {
        let status = soon(client.import_objects(import(names))).await;
        assert_eq!(blamed(&status.expect_err("it is bad")), [field]);
    }
    let nothing = soon(client.import_objects(ImportObjectsRequest::default())).await;
    let fields = ["app_id", "resource", "resource_ids"];
    assert_eq!(blamed(&nothing.expect_err("it is bad")), fields);
    let (app_id, page_size) = (2, 1000);
    let unknown = (Code::NotFound, "APP_UNKNOWN".to_owned());
    let list = ListHoldsRequest { app_id, page_size };
    assert_eq!(refused(client.list_holds(list)).await, unknown);
    let import = ImportObjectsRequest {
        app_id,
        ..import(vec!["x".repeat(48); 500])
    };
    assert_eq!(refused(client.import_objects(import)).await, unknown);
    admin.ends().await;
}

#[tokio::test]
async fn gateways_are_not_served_there() {
    let admin = Admin::on_socket().await;
    let mut quota = QuotaServiceClient::new(admin.channel().await);
    let status = soon(quota.check(CheckRequest::default())).await;
    let status = status.expect_err("it is no gateway's listener");
    assert_eq!(status.code(), Code::Unimplemented);
    admin.ends().await;
}
