//! QuotaService: reads a request, asks [`Admission`], writes the answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tonic::{Request, Response, Status};

use crate::admission::Admission;

use super::deadline::{deadline, within};
use super::proto::quota_service_server::QuotaService;
use super::proto::{
    CheckRequest, CheckResponse, GetUsageRequest, GetUsageResponse, RecordActiveRequest,
    RecordActiveResponse, ReleaseRequest, ReleaseResponse,
};
use super::{parse, render};

/// The service; its clones share one [`Admission`].
#[derive(Clone)]
pub(super) struct Quota(Arc<Admission>);

impl Quota {
    /// The service in front of `admission`.
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        Self(admission)
    }
}

impl Quota {
    /// Decides one creation.
    pub(super) async fn check(
        &self,
        headers: &HeaderMap,
        request: CheckRequest,
    ) -> Result<CheckResponse, Status> {
        let deadline = deadline(headers)?;
        let check = parse::check(&request)?;
        let work = pin!(self.0.check(check, deadline.patience(Instant::now)));
        let verdict = within(deadline, work).await?;
        Ok(render::check(&verdict))
    }

    /// Gives back what was deleted.
    pub(super) async fn release(
        &self,
        headers: &HeaderMap,
        request: ReleaseRequest,
    ) -> Result<ReleaseResponse, Status> {
        let deadline = deadline(headers)?;
        let release = parse::release(&request)?;
        let work = pin!(self.0.release(release, deadline.patience(Instant::now)));
        let released = within(deadline, work).await?;
        Ok(render::release(&released))
    }

    /// Records users who logged in.
    pub(super) async fn record_active(
        &self,
        headers: &HeaderMap,
        request: RecordActiveRequest,
    ) -> Result<RecordActiveResponse, Status> {
        let deadline = deadline(headers)?;
        let record = parse::record(&request)?;
        let patience = deadline.patience(Instant::now);
        let work = pin!(self.0.record_active(record, patience));
        let active = within(deadline, work).await?;
        Ok(render::active(&active))
    }

    /// Reads an app's counts.
    pub(super) async fn get_usage(
        &self,
        headers: &HeaderMap,
        request: GetUsageRequest,
    ) -> Result<GetUsageResponse, Status> {
        let deadline = deadline(headers)?;
        let app = parse::usage(request)?;
        let work = pin!(self.0.usage(app, deadline.patience(Instant::now)));
        let report = within(deadline, work).await?;
        Ok(render::usage(&report))
    }
}

/// The same calls as the generated service hands them over.
#[tonic::async_trait]
impl QuotaService for Quota {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let answer = self.check(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let answer = self.release(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }

    async fn record_active(
        &self,
        request: Request<RecordActiveRequest>,
    ) -> Result<Response<RecordActiveResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let answer = self.record_active(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }

    async fn get_usage(
        &self,
        request: Request<GetUsageRequest>,
    ) -> Result<Response<GetUsageResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        let answer = self.get_usage(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }
}
