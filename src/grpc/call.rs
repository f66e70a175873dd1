//! Calls to QuotaService, framed here and not by the generated service.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Request;
use prost::Message;
use tonic::Status;

use super::checks;
use super::inflow::Inflow;
use super::pass::{OfApps, Pass};
use super::relay::Reply;
use super::service::Quota;
use super::unary::{self, Reading};
use crate::access::Role;

/// The answer to a request.
pub(super) enum Answer {
    /// It is there.
    Now(Reply),
    /// It has to be waited for.
    Later(Pin<Box<dyn Future<Output = Reply> + Send>>),
}

impl Answer {
    /// What `reply` comes to: at once, if that waits for nothing.
    fn of(reply: impl Future<Output = Reply> + Send + 'static, cx: &mut Context<'_>) -> Self {
        let mut reply: Pin<Box<dyn Future<Output = Reply> + Send>> = Box::pin(reply);
        match reply.as_mut().poll(cx) {
            Poll::Ready(reply) => Self::Now(reply),
            // Whoever waits for it has it woken from then on.
            Poll::Pending => Self::Later(reply),
        }
    }
}

/// A call to QuotaService.
pub(super) enum Call {
    Check,
    StreamChecks,
    Other(Other),
}

/// A call of one message and one answer that is not worth a way of its own.
pub(super) enum Other {
    BatchCheck,
    Confirm,
    Cancel,
    Release,
    RecordActive,
    GetUsage,
}

impl Call {
    /// The call of that name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(Self::Other(match name {
            "Check" => return Some(Self::Check),
            "StreamChecks" => return Some(Self::StreamChecks),
            "BatchCheck" => Other::BatchCheck,
            "Confirm" => Other::Confirm,
            "Cancel" => Other::Cancel,
            "Release" => Other::Release,
            "RecordActive" => Other::RecordActive,
            "GetUsage" => Other::GetUsage,
            _ => return None,
        }))
    }

    /// Answers `request`; at once, if it has come as a whole and waits for nothing.
    pub(super) fn answer(
        self,
        quota: &Quota,
        request: Request<Inflow>,
        pass: Pass,
        cx: &mut Context<'_>,
    ) -> Answer {
        match self {
            Self::Check => checks::one(quota, request, pass, cx),
            Self::StreamChecks => checks::stream(quota, request, pass),
            Self::Other(call) => {
                let quota = quota.clone();
                let reply = async move { call.answer(&quota, request, &pass).await };
                Answer::of(reply, cx)
            }
        }
    }
}

impl Other {
    async fn answer(self, of: &Quota, request: Request<Inflow>, pass: &Pass) -> Reply {
        let (head, body) = request.into_parts();
        let headers = &head.headers;
        match self {
            Self::BatchCheck => checks::batch(of, headers, pass, body).await,
            Self::Confirm => {
                let answer = async |message| of.confirm(headers, message).await;
                one(body, pass, Role::Check, answer).await
            }
            Self::Cancel => {
                let answer = async |message| of.cancel(headers, message).await;
                one(body, pass, Role::Check, answer).await
            }
            Self::Release => {
                let answer = async |message| of.release(headers, message).await;
                one(body, pass, Role::Check, answer).await
            }
            Self::RecordActive => {
                let answer = async |message| of.record_active(headers, message).await;
                one(body, pass, Role::Report, answer).await
            }
            Self::GetUsage => {
                let answer = async |message| of.get_usage(headers, message).await;
                one(body, pass, Role::Read, answer).await
            }
        }
    }
}

/// Reads a message, which must be about apps that its caller may act on, and writes the answer to it.
async fn one<M: Message + Default + OfApps, A: Message>(
    body: Inflow,
    pass: &Pass,
    role: Role,
    answer: impl AsyncFnOnce(M) -> Result<A, Status>,
) -> Reply {
    let answer = async {
        let message = unary::decode::<M>(&Reading::new(body).whole().await?)?;
        pass.admits(role, &message)?;
        answer(message).await
    };
    unary::respond(answer.await)
}
