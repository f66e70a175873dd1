//! QuotaService: reads a request, asks [`Admission`], writes the answer.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::admission::{Admission, Fault};

use super::deadline::{Deadline, Malformed};
use super::proto::quota_service_server::QuotaService;
use super::proto::{
    CheckRequest, CheckResponse, GetUsageRequest, GetUsageResponse, RecordActiveRequest,
    RecordActiveResponse, ReleaseRequest, ReleaseResponse,
};
use super::{fault, parse, render};

/// The service; its clones share one [`Admission`].
#[derive(Clone)]
pub(super) struct Quota(Arc<Admission>);

impl Quota {
    /// The service in front of `admission`.
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        Self(admission)
    }
}

/// How long the caller of a request with these headers waits.
fn deadline(headers: &HeaderMap) -> Result<Deadline, Status> {
    match Deadline::of(headers) {
        Ok(deadline) if deadline.is_over() => Err(fault::too_late()),
        Ok(deadline) => Ok(deadline),
        Err(Malformed) => Err(fault::unreadable_deadline()),
    }
}

/// Waits for `work`, but not beyond the deadline. Work that keeps to its [`Patience`] is never cut.
///
/// [`Patience`]: crate::admission::Patience
async fn within<T>(
    deadline: Deadline,
    work: Pin<&mut impl Future<Output = Result<T, Fault>>>,
) -> Result<T, Status> {
    let done = match deadline.time() {
        None => work.await,
        Some(time) => timeout(time, work).await.map_err(|_| fault::too_late())?,
    };
    Ok(done?)
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use http::HeaderValue;
    use tonic::Code;

    use super::*;

    fn read(timeout: &'static str) -> Result<Deadline, Status> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", HeaderValue::from_static(timeout));
        deadline(&headers)
    }

    #[test]
    fn a_call_without_time_is_not_begun() {
        let status = read("0m").expect_err("its time is over");
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_outlives_its_caller_is_cut() {
        let deadline = read("20m").expect("it is a time");
        let began = tokio::time::Instant::now();
        let work = pin!(pending::<Result<(), Fault>>());
        let status = within(deadline, work).await.expect_err("it never ends");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(began.elapsed(), Duration::from_millis(20));
    }

    #[tokio::test]
    async fn work_that_is_done_is_answered() {
        for deadline in [read("1n"), deadline(&HeaderMap::new())] {
            let deadline = deadline.expect("it is a time, or none");
            let work = pin!(ready(Ok::<_, Fault>(7)));
            assert_eq!(within(deadline, work).await.expect("it is done"), 7);
        }
    }
}
