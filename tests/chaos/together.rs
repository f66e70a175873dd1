//! Several creations in one call through one sidecar, bounded, and what became of each.

use imquota::grpc::proto::BatchCheckRequest;
use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use tokio::time::timeout;
use tonic::Status;

use crate::asking::{Answer, Call, DEADLINE, unsent};
use crate::client::Client;

/// The way that they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Batch,
    Stream,
}

impl Way {
    /// Asks for all of `calls`, and answers in their order.
    pub async fn check(self, calls: &[Call], door: &Client) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(calls.len());
        let asked = async {
            match self {
                Self::Batch => batch(calls, door, &mut answers).await,
                Self::Stream => stream(calls, door, &mut answers).await,
            }
        };
        // A process that stands still in the midst of a stream would never end it.
        let ended = timeout(DEADLINE, asked).await;
        let rest = match ended {
            Ok(Ok(())) => {
                assert_eq!(answers.len(), calls.len(), "{self:?}: it ended well");
                Answer::Lost
            }
            Ok(Err(status)) if unsent(&status) && answers.is_empty() => Answer::Unsent,
            Ok(Err(_)) | Err(_) => Answer::Lost,
        };
        answers.resize(calls.len(), rest);
        answers
    }
}

async fn batch(calls: &[Call], door: &Client, answers: &mut Vec<Answer>) -> Result<(), Status> {
    let checks = calls.iter().map(Call::creation).collect();
    let mut request = tonic::Request::new(BatchCheckRequest { checks });
    request.set_timeout(DEADLINE);
    let mut quota = QuotaServiceClient::new(door.channel.clone());
    let results = quota.batch_check(request).await?.into_inner().results;
    assert_eq!(results.len(), calls.len(), "one for each");
    let judged = calls.iter().zip(&results);
    answers.extend(judged.map(|(call, answer)| call.judge(answer)));
    Ok(())
}

async fn stream(calls: &[Call], door: &Client, answers: &mut Vec<Answer>) -> Result<(), Status> {
    let checks: Vec<_> = calls.iter().map(Call::creation).collect();
    let mut request = tonic::Request::new(tokio_stream::iter(checks));
    request.set_timeout(DEADLINE);
    let mut quota = QuotaServiceClient::new(door.channel.clone());
    let mut told = quota.stream_checks(request).await?.into_inner();
    for call in calls {
        let Some(answer) = told.message().await? else {
            return Ok(());
        };
        answers.push(call.judge(&answer));
    }
    let more = told.message().await?;
    assert!(more.is_none(), "one for each: {more:?}");
    Ok(())
}
