//! A server that gives one answer to everything and remembers what it was asked.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio_stream::Pending;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::proto::admin_service_server::{AdminService, AdminServiceServer};
use crate::grpc::proto::billing_service_server::{BillingService, BillingServiceServer};
use crate::grpc::proto::quota_service_server::{QuotaService, QuotaServiceServer};
use crate::grpc::proto::{
    BatchCheckRequest, BatchCheckResponse, CancelRequest, CancelResponse, CheckRequest,
    CheckResponse, ConfirmRequest, ConfirmResponse, CorrectDayRequest, CorrectDayResponse,
    DeleteAppRequest, DeleteAppResponse, GetAppRequest, GetAppResponse, GetBillRequest,
    GetBillResponse, GetSettingsRequest, GetSettingsResponse, GetUsageRequest, GetUsageResponse,
    ImportObjectsRequest, ImportObjectsResponse, ListAppsRequest, ListAppsResponse,
    ListAuditRequest, ListAuditResponse, ListDailyActivesRequest, ListDailyActivesResponse,
    ListHoldsRequest, ListHoldsResponse, ListMembersRequest, ListMembersResponse, PutAppRequest,
    PutAppResponse, RecordActiveRequest, RecordActiveResponse, RecountRequest, RecountResponse,
    ReleaseRequest, ReleaseResponse, RetireMemberRequest, RetireMemberResponse, RunBillsRequest,
    RunBillsResponse, SetLogFilterRequest, SetLogFilterResponse,
};

/// What becomes of the names of one call.
pub type Import = fn(&[String]) -> Result<ImportObjectsResponse, Status>;
/// The page of bills behind an app.
pub type Bills = fn(u64) -> Result<RunBillsResponse, Status>;

/// What the stub answers; a verb that has no answer here gets a fault.
#[derive(Clone, Default)]
pub struct Answers {
    pub check: Option<Result<CheckResponse, Status>>,
    pub confirm: Option<Result<ConfirmResponse, Status>>,
    pub cancel: Option<Result<CancelResponse, Status>>,
    pub release: Option<Result<ReleaseResponse, Status>>,
    pub record_active: Option<Result<RecordActiveResponse, Status>>,
    pub usage: Option<Result<GetUsageResponse, Status>>,
    pub recount: Option<Result<RecountResponse, Status>>,
    pub members: Option<Result<ListMembersResponse, Status>>,
    pub retire: Option<Result<RetireMemberResponse, Status>>,
    pub audit: Option<Result<ListAuditResponse, Status>>,
    pub holds: Option<Result<ListHoldsResponse, Status>>,
    pub import: Option<Import>,
    pub bill: Option<Result<GetBillResponse, Status>>,
    pub bills: Option<Bills>,
    pub corrected: Option<Result<CorrectDayResponse, Status>>,
}

#[derive(Clone)]
struct Service {
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn give<M: Debug, R>(
        &self,
        request: &Request<M>,
        answer: Option<Result<R, Status>>,
    ) -> Result<Response<R>, Status> {
        let deadline = request.metadata().get("grpc-timeout");
        let waits = if deadline.is_some() {
            "waits"
        } else {
            "waits for ever"
        };
        let shows = request.metadata().get("authorization").map(|shown| {
            let shown = shown.to_str().expect("text");
            format!(", shows {shown}")
        });
        let shows = shows.unwrap_or_default();
        let asked = format!("{waits}{shows}: {:?}", request.get_ref());
        self.asked.lock().expect("no test panicked").push(asked);
        let answer = answer.unwrap_or_else(|| Err(Status::internal("no answer was prepared")));
        answer.map(Response::new)
    }
}

#[tonic::async_trait]
impl QuotaService for Service {
    async fn check(&self, r: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        self.give(&r, self.answers.check.clone())
    }

    async fn confirm(
        &self,
        r: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        self.give(&r, self.answers.confirm.clone())
    }

    async fn cancel(&self, r: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        self.give(&r, self.answers.cancel.clone())
    }

    async fn release(
        &self,
        r: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        self.give(&r, self.answers.release.clone())
    }

    async fn record_active(
        &self,
        r: Request<RecordActiveRequest>,
    ) -> Result<Response<RecordActiveResponse>, Status> {
        self.give(&r, self.answers.record_active.clone())
    }

    async fn get_usage(
        &self,
        r: Request<GetUsageRequest>,
    ) -> Result<Response<GetUsageResponse>, Status> {
        self.give(&r, self.answers.usage.clone())
    }

    async fn batch_check(
        &self,
        _: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        Err(Status::unimplemented("no verb asks for it"))
    }

    type StreamChecksStream = Pending<Result<CheckResponse, Status>>;

    async fn stream_checks(
        &self,
        _: Request<Streaming<CheckRequest>>,
    ) -> Result<Response<Self::StreamChecksStream>, Status> {
        Err(Status::unimplemented("no verb asks for it"))
    }
}

#[tonic::async_trait]
impl AdminService for Service {
    async fn put_app(&self, _: Request<PutAppRequest>) -> Result<Response<PutAppResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn get_app(&self, _: Request<GetAppRequest>) -> Result<Response<GetAppResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn list_apps(
        &self,
        _: Request<ListAppsRequest>,
    ) -> Result<Response<ListAppsResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn get_settings(
        &self,
        _: Request<GetSettingsRequest>,
    ) -> Result<Response<GetSettingsResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn delete_app(
        &self,
        _: Request<DeleteAppRequest>,
    ) -> Result<Response<DeleteAppResponse>, Status> {
        Err(Status::unimplemented("no test asks for it"))
    }

    async fn recount(
        &self,
        r: Request<RecountRequest>,
    ) -> Result<Response<RecountResponse>, Status> {
        self.give(&r, self.answers.recount.clone())
    }

    async fn set_log_filter(
        &self,
        r: Request<SetLogFilterRequest>,
    ) -> Result<Response<SetLogFilterResponse>, Status> {
        self.give(&r, None)
    }

    async fn list_members(
        &self,
        r: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        self.give(&r, self.answers.members.clone())
    }

    async fn retire_member(
        &self,
        r: Request<RetireMemberRequest>,
    ) -> Result<Response<RetireMemberResponse>, Status> {
        self.give(&r, self.answers.retire.clone())
    }

    async fn list_audit(
        &self,
        r: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        self.give(&r, self.answers.audit.clone())
    }

    async fn list_holds(
        &self,
        r: Request<ListHoldsRequest>,
    ) -> Result<Response<ListHoldsResponse>, Status> {
        self.give(&r, self.answers.holds.clone())
    }

    async fn import_objects(
        &self,
        r: Request<ImportObjectsRequest>,
    ) -> Result<Response<ImportObjectsResponse>, Status> {
        let import = self.answers.import;
        self.give(&r, import.map(|import| import(&r.get_ref().resource_ids)))
    }

    async fn run_bills(
        &self,
        r: Request<RunBillsRequest>,
    ) -> Result<Response<RunBillsResponse>, Status> {
        let bills = self.answers.bills;
        self.give(&r, bills.map(|bills| bills(r.get_ref().after_app_id)))
    }

    async fn correct_day(
        &self,
        r: Request<CorrectDayRequest>,
    ) -> Result<Response<CorrectDayResponse>, Status> {
        self.give(&r, self.answers.corrected.clone())
    }
}

#[tonic::async_trait]
impl BillingService for Service {
    async fn get_bill(
        &self,
        r: Request<GetBillRequest>,
    ) -> Result<Response<GetBillResponse>, Status> {
        self.give(&r, self.answers.bill.clone())
    }

    async fn list_daily_actives(
        &self,
        _: Request<ListDailyActivesRequest>,
    ) -> Result<Response<ListDailyActivesResponse>, Status> {
        Err(Status::unimplemented("no verb asks for it"))
    }
}

/// A running stub; it ends when it is dropped.
pub struct Stub {
    /// What `--endpoint` and `--admin-endpoint` take.
    pub endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Stub {
    /// Serves `answers` on a free port.
    pub fn on_tcp(answers: Answers) -> Self {
        Self::begin(answers, None)
    }

    /// Serves `answers` on the socket `path`.
    pub fn on_socket(answers: Answers, path: &str) -> Self {
        Self::begin(answers, Some(path.into()))
    }

    fn begin(answers: Answers, path: Option<String>) -> Self {
        let asked = Arc::default();
        let service = Service {
            answers,
            asked: Arc::clone(&asked),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, endpoint) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let builder = tonic::transport::Server::builder()
                    .add_service(AdminServiceServer::new(service.clone()))
                    .add_service(BillingServiceServer::new(service.clone()))
                    .add_service(QuotaServiceServer::new(service));
                let stopped = async { drop(stopped.await) };
                let served = if let Some(path) = path {
                    let listener = UnixListener::bind(&path).expect("a socket");
                    bound.send(format!("unix:{path}")).expect("waited for");
                    let incoming = UnixListenerStream::new(listener);
                    builder
                        .serve_with_incoming_shutdown(incoming, stopped)
                        .await
                } else {
                    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                    let address = listener.local_addr().expect("bound");
                    bound.send(format!("http://{address}")).expect("waited for");
                    let incoming = TcpListenerStream::new(listener);
                    builder
                        .serve_with_incoming_shutdown(incoming, stopped)
                        .await
                };
                served.expect("the stub serves");
            });
        });
        Self {
            endpoint: endpoint.recv().expect("the stub is bound"),
            asked,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// What the stub was asked since the last look.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no test panicked"))
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the stub did not panic");
        }
    }
}
