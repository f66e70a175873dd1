//! QuotaService: reads a request, asks [`Admission`], writes the answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::access::Role;
use crate::admission::{Admission, Patience};

use super::codec::Asked;
use super::deadline::{deadline, within};
use super::many::judge_all;
use super::messages::Messages;
use super::pass::Pass;
use super::proto::quota_service_server::QuotaService;
use super::proto::{
    BatchCheckRequest, BatchCheckResponse, CancelRequest, CancelResponse, CheckRequest,
    CheckResponse, ConfirmRequest, ConfirmResponse, GetUsageRequest, GetUsageResponse,
    RecordActiveRequest, RecordActiveResponse, ReleaseRequest, ReleaseResponse,
};
use super::stream::{Checks, Told};
use super::witness::Witness;
use super::{parse, render};

/// The answer to a check.
pub(super) type Checked = Result<CheckResponse, Status>;

/// The service; its clones share one [`Admission`].
#[derive(Clone)]
pub(super) struct Quota {
    admission: Arc<Admission>,
    witness: Witness,
    draining: watch::Receiver<bool>,
}

impl Quota {
    /// The service in front of `admission`. Streams end when `draining` turns true.
    pub(super) fn new(
        admission: Arc<Admission>,
        witness: Witness,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self {
            admission,
            witness,
            draining,
        }
    }
}

impl Quota {
    /// Decides one creation as far as that needs no waiting; else gives what goes on with it.
    pub(super) fn check_now(
        &self,
        headers: &HeaderMap,
        request: &Asked<'_>,
    ) -> Result<Result<CheckResponse, impl Future<Output = Checked> + use<>>, Status> {
        let mut call = self.witness.call("Check", headers);
        call.about(request.app_id);
        let begun = (|| {
            let deadline = deadline(headers)?;
            let check = parse::check(request)?;
            let decided = self.admission.without_waiting(&check)?;
            Ok::<_, Status>((deadline, check, decided))
        })();
        match begun {
            Err(status) => call.end::<CheckResponse>(Err(status)).map(Ok),
            Ok((_, _, Ok(verdict))) => {
                let answer = render::check(&verdict);
                call.decided(request, &answer);
                call.end(Ok(answer)).map(Ok)
            }
            Ok((deadline, check, Err(hard))) => {
                let call = call.wait(request);
                let admission = self.admission.clone();
                let patience = deadline.patience(Instant::now);
                Ok(Err(async move {
                    let work = pin!(admission.with_ledger(check, hard, patience));
                    let verdict = within(deadline, work).await;
                    call.end(verdict.map(|verdict| render::check(&verdict)))
                }))
            }
        }
    }

    /// Decides one creation.
    pub(super) async fn check(&self, headers: &HeaderMap, request: &Asked<'_>) -> Checked {
        match self.check_now(headers, request)? {
            Ok(answer) => Ok(answer),
            Err(waits) => waits.await,
        }
    }

    /// Decides many creations.
    pub(super) async fn batch_check(
        &self,
        headers: &HeaderMap,
        checks: Vec<Asked<'_>>,
    ) -> Result<Vec<CheckResponse>, Status> {
        let mut call = self.witness.call("BatchCheck", headers);
        let answers = async {
            let deadline = deadline(headers)?;
            parse::batch(checks.len())?;
            let patience = deadline.patience(Instant::now);
            let work = pin!(async {
                let answers = judge_all(&self.admission, &checks, patience).await;
                for (check, answer) in checks.iter().zip(&answers) {
                    call.saw(check, answer);
                }
                Ok::<_, Status>(answers)
            });
            within(deadline, work).await
        };
        let answers = answers.await;
        call.end(answers)
    }

    /// Decides a stream of creations.
    pub(super) fn stream(
        &self,
        headers: &HeaderMap,
        requests: Messages,
        pass: Pass,
    ) -> Result<Checks, Status> {
        let deadline = deadline(headers)?;
        Ok(Checks::new(
            self.admission.clone(),
            requests,
            pass,
            deadline,
            self.draining.clone(),
            Told::new(self.witness.clone(), headers.clone()),
        ))
    }

    /// Makes a reservation a count.
    pub(super) async fn confirm(
        &self,
        headers: &HeaderMap,
        request: ConfirmRequest,
    ) -> Result<ConfirmResponse, Status> {
        let work = async |patience| {
            let confirm = parse::confirm(&request)?;
            let confirmed = self.admission.confirm(confirm, patience).await?;
            Ok(render::confirm(confirmed))
        };
        self.answer("Confirm", headers, request.app_id, work).await
    }

    /// Ends a reservation that came to nothing.
    pub(super) async fn cancel(
        &self,
        headers: &HeaderMap,
        request: CancelRequest,
    ) -> Result<CancelResponse, Status> {
        let work = async |patience| {
            let cancel = parse::cancel(&request)?;
            let cancelled = self.admission.cancel(cancel, patience).await?;
            Ok(render::cancel(cancelled))
        };
        self.answer("Cancel", headers, request.app_id, work).await
    }

    /// Gives back what was deleted.
    pub(super) async fn release(
        &self,
        headers: &HeaderMap,
        request: ReleaseRequest,
    ) -> Result<ReleaseResponse, Status> {
        let work = async |patience| {
            let release = parse::release(&request)?;
            let released = self.admission.release(release, patience).await?;
            Ok(render::release(&released))
        };
        self.answer("Release", headers, request.app_id, work).await
    }

    /// Records users who logged in.
    pub(super) async fn record_active(
        &self,
        headers: &HeaderMap,
        request: RecordActiveRequest,
    ) -> Result<RecordActiveResponse, Status> {
        let work = async |patience| {
            let record = parse::record(&request)?;
            let active = self.admission.record_active(record, patience).await?;
            Ok(render::active(&active))
        };
        self.answer("RecordActive", headers, request.app_id, work)
            .await
    }

    /// Reads an app's counts.
    pub(super) async fn get_usage(
        &self,
        headers: &HeaderMap,
        request: GetUsageRequest,
    ) -> Result<GetUsageResponse, Status> {
        let work = async |patience| {
            let report = self
                .admission
                .usage(parse::usage(request)?, patience)
                .await?;
            Ok(render::usage(&report))
        };
        self.answer("GetUsage", headers, request.app_id, work).await
    }

    /// Does the work of a call about `app` in the caller's time, and is its witness.
    async fn answer<T>(
        &self,
        name: &'static str,
        headers: &HeaderMap,
        app: u64,
        work: impl AsyncFnOnce(Patience) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let mut call = self.witness.call(name, headers);
        call.about(app);
        let answer = async {
            let deadline = deadline(headers)?;
            within(deadline, pin!(work(deadline.patience(Instant::now)))).await
        };
        let answer = answer.await;
        call.end(answer)
    }
}

/// The same calls as the generated service hands them over.
#[tonic::async_trait]
impl QuotaService for Quota {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        Pass::admitted(&request, Role::Check)?;
        let (metadata, _, message) = request.into_parts();
        let answer = self.check(metadata.as_ref(), &(&message).into()).await?;
        Ok(Response::new(answer))
    }

    async fn batch_check(
        &self,
        request: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        Pass::admitted(&request, Role::Check)?;
        let (metadata, _, message) = request.into_parts();
        let checks = message.checks.iter().map(Asked::from).collect();
        let results = self.batch_check(metadata.as_ref(), checks).await?;
        Ok(Response::new(BatchCheckResponse { results }))
    }

    type StreamChecksStream = Checks;

    async fn stream_checks(
        &self,
        request: Request<Streaming<CheckRequest>>,
    ) -> Result<Response<Self::StreamChecksStream>, Status> {
        let pass = Pass::of(&request);
        let (metadata, _, checks) = request.into_parts();
        let checks = self.stream(metadata.as_ref(), Messages::Packed(checks), pass)?;
        Ok(Response::new(checks))
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        Pass::admitted(&request, Role::Check)?;
        let (metadata, _, message) = request.into_parts();
        let answer = self.confirm(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> Result<Response<CancelResponse>, Status> {
        Pass::admitted(&request, Role::Check)?;
        let (metadata, _, message) = request.into_parts();
        let answer = self.cancel(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        Pass::admitted(&request, Role::Check)?;
        let (metadata, _, message) = request.into_parts();
        let answer = self.release(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }

    async fn record_active(
        &self,
        request: Request<RecordActiveRequest>,
    ) -> Result<Response<RecordActiveResponse>, Status> {
        Pass::admitted(&request, Role::Report)?;
        let (metadata, _, message) = request.into_parts();
        let answer = self.record_active(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }

    async fn get_usage(
        &self,
        request: Request<GetUsageRequest>,
    ) -> Result<Response<GetUsageResponse>, Status> {
        Pass::admitted(&request, Role::Read)?;
        let (metadata, _, message) = request.into_parts();
        let answer = self.get_usage(metadata.as_ref(), message).await?;
        Ok(Response::new(answer))
    }
}
