//! The three ways to ask for creations: one, many at once, and a stream of them.

use std::task::{Context, Poll};

use http::{HeaderMap, Request};
use tonic::Status;

use super::answers::Answers;
use super::call::Answer;
use super::codec::{self, Asked};
use super::inflow::Inflow;
use super::messages::Messages;
use super::parse;
use super::pass::Pass;
use super::proto::{BatchCheckRequest, CheckRequest, CheckResponse};
use super::relay::Reply;
use super::service::{Checked, Quota};
use super::unary::{self, Reading};
use crate::access::Role;

/// Answers a check, the call of the hot path.
pub(super) fn one(
    quota: &Quota,
    request: Request<Inflow>,
    pass: Pass,
    cx: &mut Context<'_>,
) -> Answer {
    let (head, body) = request.into_parts();
    let mut reading = Reading::new(body);
    let Poll::Ready(message) = reading.poll(cx) else {
        let quota = quota.clone();
        return Answer::Later(Box::pin(async move {
            let message = match reading.whole().await {
                Ok(message) => message,
                Err(status) => return status.into(),
            };
            let answer = match decide(&quota, &head.headers, &pass, &message) {
                Ok(Err(waits)) => waits.await,
                Ok(Ok(answer)) => Ok(answer),
                Err(status) => Err(status),
            };
            unary::respond_check(answer)
        }));
    };
    let decided = message.and_then(|message| decide(quota, &head.headers, &pass, &message));
    match decided {
        Ok(Ok(answer)) => Answer::Now(unary::respond_check(Ok(answer))),
        Ok(Err(waits)) => {
            reading.make_room();
            Answer::Later(Box::pin(async { unary::respond_check(waits.await) }))
        }
        Err(status) => Answer::Now(status.into()),
    }
}

/// Decides a check as far as that needs no waiting.
fn decide(
    quota: &Quota,
    headers: &HeaderMap,
    pass: &Pass,
    message: &[u8],
) -> Result<Result<CheckResponse, impl Future<Output = Checked> + use<>>, Status> {
    let request;
    let asked = if let Some(asked) = Asked::read(message) {
        asked
    } else {
        request = unary::decode::<CheckRequest>(message)?;
        Asked::from(&request)
    };
    pass.admits(Role::Check, &asked)?;
    quota.check_now(headers, &asked)
}

/// Begins a stream of checks.
pub(super) fn stream(quota: &Quota, request: Request<Inflow>, pass: Pass) -> Answer {
    let (head, body) = request.into_parts();
    let checks = quota.stream(&head.headers, Messages::plain(body), pass);
    Answer::Now(checks.map_or_else(Reply::from, |checks| Reply::stream(Answers::new(checks))))
}

/// Answers a batch.
pub(super) async fn batch(quota: &Quota, headers: &HeaderMap, pass: &Pass, body: Inflow) -> Reply {
    let answers = async {
        let message = Reading::new(body).whole().await?;
        let request;
        if let Some(checks) = codec::count(&message) {
            // Before anything is held of them: empty ones take two bytes each.
            parse::batch(checks)?;
        }
        let checks: Vec<Asked<'_>> = if let Some(checks) = codec::batch(&message) {
            checks
        } else {
            request = unary::decode::<BatchCheckRequest>(&message)?;
            request.checks.iter().map(Asked::from).collect()
        };
        pass.admits(Role::Check, &checks)?;
        quota.batch_check(headers, checks).await
    };
    unary::respond_batch(answers.await)
}
