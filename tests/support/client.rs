//! A gateway's connection: the generated client, in short words and with a bound on every call.

use imquota::grpc::proto::billing_service_client::BillingServiceClient;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{
    CancelRequest, CancelResponse, CheckRequest, CheckResponse, ConfirmRequest, ConfirmResponse,
    DailyActive, Decision, DenyReason, GetBillRequest, GetBillResponse, GetUsageRequest,
    GetUsageResponse, ListDailyActivesRequest, RecordActiveRequest, RecordActiveResponse,
    ReleaseRequest, ReleaseResponse, Resource, ResourceUsage,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{IntoRequest, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::wait::soon;

/// Clones share one connection.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    quota: QuotaServiceClient<Channel>,
}

/// A creation of one object.
pub fn creation(app_id: u64, resource: Resource) -> CheckRequest {
    CheckRequest {
        app_id,
        resource: resource.into(),
        ..Default::default()
    }
}

/// A deletion of `amount` objects.
pub fn deletion(app_id: u64, resource: Resource, amount: u32) -> ReleaseRequest {
    ReleaseRequest {
        app_id,
        resource: resource.into(),
        amount,
        ..Default::default()
    }
}

impl Client {
    pub async fn connect(uri: String) -> Self {
        let endpoint = Endpoint::from_shared(uri).expect("it is a URI");
        let connected = soon("a connection", endpoint.connect()).await;
        Self::over(connected.expect("somebody listens"))
    }

    /// As [`Client::connect`], where nobody listens yet, or not any more.
    pub fn lasting(uri: String) -> Self {
        let endpoint = Endpoint::from_shared(uri).expect("it is a URI");
        Self::over(endpoint.connect_lazy())
    }

    /// Over a connection that the test made.
    pub fn of(channel: Channel) -> Self {
        Self::over(channel)
    }

    fn over(channel: Channel) -> Self {
        Self {
            quota: QuotaServiceClient::new(channel.clone()),
            channel,
        }
    }

    pub async fn try_check(
        &self,
        check: impl IntoRequest<CheckRequest>,
    ) -> Result<CheckResponse, Status> {
        let mut quota = self.quota.clone();
        let answer = soon("the answer to a check", quota.check(check)).await;
        answer.map(tonic::Response::into_inner)
    }

    pub async fn check(&self, check: impl IntoRequest<CheckRequest>) -> CheckResponse {
        self.try_check(check).await.expect("it is answered")
    }

    /// One creation, asked plainly.
    pub async fn create(&self, app: u64, resource: Resource) -> CheckResponse {
        self.check(creation(app, resource)).await
    }

    pub async fn try_release(
        &self,
        release: impl IntoRequest<ReleaseRequest>,
    ) -> Result<ReleaseResponse, Status> {
        let mut quota = self.quota.clone();
        let answer = soon("the answer to a release", quota.release(release)).await;
        answer.map(tonic::Response::into_inner)
    }

    pub async fn release(&self, release: impl IntoRequest<ReleaseRequest>) -> ReleaseResponse {
        self.try_release(release).await.expect("it is answered")
    }

    pub async fn try_confirm(&self, confirm: ConfirmRequest) -> Result<ConfirmResponse, Status> {
        let mut quota = self.quota.clone();
        let answer = soon("the answer to a confirm", quota.confirm(confirm)).await;
        answer.map(tonic::Response::into_inner)
    }

    pub async fn confirm(&self, confirm: ConfirmRequest) -> ConfirmResponse {
        self.try_confirm(confirm).await.expect("it is answered")
    }

    pub async fn try_cancel(&self, cancel: CancelRequest) -> Result<CancelResponse, Status> {
        let mut quota = self.quota.clone();
        let answer = soon("the answer to a cancel", quota.cancel(cancel)).await;
        answer.map(tonic::Response::into_inner)
    }

    pub async fn cancel(&self, cancel: CancelRequest) -> CancelResponse {
        self.try_cancel(cancel).await.expect("it is answered")
    }

    pub async fn try_record(
        &self,
        record: impl IntoRequest<RecordActiveRequest>,
    ) -> Result<RecordActiveResponse, Status> {
        let mut quota = self.quota.clone();
        let answer = soon("the answer to a record", quota.record_active(record)).await;
        answer.map(tonic::Response::into_inner)
    }

    /// Users who log in now.
    pub async fn record<I: Into<String>>(
        &self,
        app_id: u64,
        users: impl IntoIterator<Item = I>,
    ) -> RecordActiveResponse {
        let user_ids = users.into_iter().map(Into::into).collect();
        let record = RecordActiveRequest {
            app_id,
            user_ids,
            ..Default::default()
        };
        self.try_record(record).await.expect("it is answered")
    }

    pub async fn try_usage(&self, app_id: u64) -> Result<GetUsageResponse, Status> {
        let mut quota = self.quota.clone();
        let asked = quota.get_usage(GetUsageRequest { app_id });
        let answer = soon("the answer to a look at the usage", asked).await;
        answer.map(tonic::Response::into_inner)
    }

    pub async fn usage(&self, app: u64) -> GetUsageResponse {
        self.try_usage(app).await.expect("it is answered")
    }

    /// How many of `resource` are counted, as this sidecar sees it.
    pub async fn used(&self, app: u64, resource: Resource) -> u64 {
        used(&self.usage(app).await, resource)
    }

    pub async fn try_bill(&self, app_id: u64, month: &str) -> Result<GetBillResponse, Status> {
        let mut billing = BillingServiceClient::new(self.channel.clone());
        let month = month.into();
        let asked = billing.get_bill(GetBillRequest { app_id, month });
        let answer = soon("the answer to a look at a bill", asked).await;
        answer.map(tonic::Response::into_inner)
    }

    pub async fn bill(&self, app: u64, month: &str) -> GetBillResponse {
        self.try_bill(app, month).await.expect("it is answered")
    }

    pub async fn try_days(&self, app_id: u64, month: &str) -> Result<Vec<DailyActive>, Status> {
        let mut billing = BillingServiceClient::new(self.channel.clone());
        let month = month.into();
        let asked = billing.list_daily_actives(ListDailyActivesRequest { app_id, month });
        let answer = soon("the answer to a look at days", asked).await;
        answer.map(|days| days.into_inner().days)
    }

    pub async fn health(&self, service: &str) -> ServingStatus {
        let mut health = HealthClient::new(self.channel.clone());
        let service = service.into();
        let asked = health.check(HealthCheckRequest { service });
        let answer = soon("the answer to a probe", asked).await;
        answer.expect("the name is known").into_inner().status()
    }
}

/// How many of `resource` a usage shows.
pub fn used(usage: &GetUsageResponse, resource: Resource) -> u64 {
    of(usage, resource).used
}

/// How many places of `resource` a usage shows to be held.
pub fn held(usage: &GetUsageResponse, resource: Resource) -> u64 {
    of(usage, resource).held
}

fn of(usage: &GetUsageResponse, resource: Resource) -> &ResourceUsage {
    let mut of = usage
        .resources
        .iter()
        .filter(|of| of.resource() == resource);
    let found = of.next().expect("all three resources are listed");
    assert!(of.next().is_none(), "each is listed once");
    found
}

/// Decision, reason and code of an answer, to be compared with one of the constants below.
pub fn verdict(answer: &CheckResponse) -> (Decision, DenyReason, u32) {
    (answer.decision(), answer.reason(), answer.im_error_code)
}

/// The creation may go on.
pub const ALLOW: (Decision, DenyReason, u32) = (Decision::Allow, DenyReason::Unspecified, 0);
/// The app has as many accounts as it may.
pub const ACCOUNTS_FULL: (Decision, DenyReason, u32) =
    (Decision::Deny, DenyReason::LimitReached, 70398);
/// The app has as many AV rooms as it may.
pub const ROOMS_FULL: (Decision, DenyReason, u32) =
    (Decision::Deny, DenyReason::LimitReached, 10036);
/// The app has as many groups as it may.
pub const GROUPS_FULL: (Decision, DenyReason, u32) =
    (Decision::Deny, DenyReason::LimitReached, 10058);
/// The app gained as many groups today as it may.
pub const GAIN_FULL: (Decision, DenyReason, u32) =
    (Decision::Deny, DenyReason::DailyGainReached, 10006);
/// Nobody knows the app.
pub const UNKNOWN: (Decision, DenyReason, u32) = (Decision::Deny, DenyReason::AppUnknown, 70020);
/// The app is switched off.
pub const DISABLED: (Decision, DenyReason, u32) = (Decision::Deny, DenyReason::AppDisabled, 60016);
/// The ledger could not be asked.
pub const UNAVAILABLE: (Decision, DenyReason, u32) =
    (Decision::Deny, DenyReason::StoreUnavailable, 0);
