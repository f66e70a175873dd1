//! The task that sends spans, in batches, to a receiver of OTLP over gRPC.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::spans::Counts;
use super::{Span, Spans, Traces, otlp};

/// The most spans of one call to the receiver.
const BATCH_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long the receiver may take; then the batch is dropped.
const SEND_MAX: Duration = Duration::from_secs(5);
/// How long nobody is troubled after a batch that was not taken.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends what [`Spans`] takes.
#[derive(Debug)]
pub struct Exporter {
    waiting: mpsc::Receiver<Span>,
    counts: Arc<Counts>,
    receiver: TraceServiceClient<Channel>,
    member: Arc<str>,
}

/// A way to the receiver for the sidecar that is called `member`, and what sends. Must be called on a runtime.
///
/// # Errors
/// The address has not the form of one.
pub fn exporter(
    traces: &Traces,
    member: Arc<str>,
) -> Result<(Spans, Exporter), tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(traces.endpoint.clone())?.connect_timeout(SEND_MAX);
    let (spans, waiting, counts) = Spans::new(traces.one_in);
    let exporter = Exporter {
        waiting,
        counts,
        receiver: TraceServiceClient::new(endpoint.connect_lazy()),
        member,
    };
    Ok((spans, exporter))
}

impl Exporter {
    /// Sends until nobody is left who could hand spans over.
    pub async fn run(mut self) {
        let mut troubled = false;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while self.waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.gather(&mut batch).await;
            let count = batch.len() as u64;
            match self.send(std::mem::take(&mut batch)).await {
                Ok(rejected) => {
                    let rejected = rejected.min(count);
                    self.counts.dropped.fetch_add(rejected, Ordering::Relaxed);
                    let taken = count - rejected;
                    self.counts.sent.fetch_add(taken, Ordering::Relaxed);
                    if std::mem::take(&mut troubled) {
                        tracing::info!("traces are taken again");
                    }
                }
                Err(problem) => {
                    self.counts.dropped.fetch_add(count, Ordering::Relaxed);
                    if !std::mem::replace(&mut troubled, true) {
                        let cause = problem.message();
                        tracing::warn!(
                            cause,
                            "traces are not taken, and dropped until they are; checks go on"
                        );
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits a little for more spans, unless the batch is full.
    async fn gather(&mut self, batch: &mut Vec<Span>) {
        let more = async {
            while batch.len() < BATCH_MAX {
                let room = BATCH_MAX - batch.len();
                if self.waiting.recv_many(batch, room).await == 0 {
                    break;
                }
            }
        };
        // What came is in the batch, whether it became full or not.
        let _ = timeout(GATHER, more).await;
    }

    /// Answers how many spans the receiver rejected.
    async fn send(&mut self, batch: Vec<Span>) -> Result<u64, Status> {
        let request = otlp::request(&self.member, batch);
        let answer = timeout(SEND_MAX, self.receiver.export(request)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer"))??;
        let partly = answer.into_inner().partial_success;
        let rejected = partly.map_or(0, |partly| partly.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}
