//! A stream of checks: read as far as there is room, answered in order, drained at the server's end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::FuturesOrdered;
use futures_util::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};

use super::deadline::Deadline;
use super::fault;
use super::many::{Item, WAITING_MAX, judge};
use super::pass::Pass;
use super::proto::{CheckRequest, CheckResponse};
use super::witness::{Open, STREAM, Witness};
use crate::access::Role;
use crate::admission::{Admission, Patience};

/// A check and its answer.
type Decided = (CheckRequest, CheckResponse);
type Answer = Pin<Box<dyn Future<Output = Decided> + Send>>;
type Event = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The answers to `requests`. Nothing is read from the moment that `draining` turns true, or that the
/// caller's time is over, on.
pub(super) fn answers(
    admission: Arc<Admission>,
    requests: Streaming<CheckRequest>,
    pass: Pass,
    deadline: Deadline,
    draining: watch::Receiver<bool>,
    told: Told,
) -> impl Stream<Item = Result<CheckResponse, Status>> + Send + 'static {
    let checks = Checks {
        admission,
        requests,
        pass,
        patience: deadline.patience(Instant::now),
        over: Box::pin(over(deadline)),
        draining: Box::pin(drained(draining)),
        waiting: FuturesOrdered::new(),
        ended: None,
        told,
    };
    stream::unfold(Some(checks), |checks| async {
        let mut checks = checks?;
        match checks.next().await {
            Ok(answer) => Some((Ok(answer), Some(checks))),
            Err(End::Clean) => {
                checks.told.end(Code::Ok);
                None
            }
            Err(End::Fault(status)) => {
                checks.told.end(status.code());
                Some((Err(status), None))
            }
        }
    })
}

async fn over(deadline: Deadline) {
    match deadline.time() {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

async fn drained(mut draining: watch::Receiver<bool>) {
    // Whoever held the other end is gone: the server has ended.
    let _ = draining.wait_for(|draining| *draining).await;
}

struct Checks {
    admission: Arc<Admission>,
    requests: Streaming<CheckRequest>,
    /// What the caller may do.
    pass: Pass,
    patience: Patience,
    /// The end of the caller's time.
    over: Event,
    /// The beginning of the server's end.
    draining: Event,
    /// Those that wait for the ledger, and those behind them, in order.
    waiting: FuturesOrdered<Answer>,
    /// Why no more is read.
    ended: Option<End>,
    told: Told,
}

/// Who sees what is decided, and the call that it belongs to.
pub(super) struct Told {
    witness: Witness,
    headers: HeaderMap,
    open: Option<Box<Open>>,
}

impl Told {
    /// The decisions of a call with these headers.
    pub(super) fn new(witness: Witness, headers: HeaderMap) -> Self {
        Self {
            open: witness.open(STREAM, &headers),
            witness,
            headers,
        }
    }

    fn saw(&mut self, (check, answer): Decided) -> CheckResponse {
        self.witness
            .saw(&self.headers, self.open.as_deref(), &check, &answer);
        if let Some(open) = &mut self.open {
            open.count(&answer);
        }
        answer
    }

    fn end(&mut self, status: Code) {
        if let Some(open) = self.open.take() {
            open.end(status);
        }
    }
}

/// How a stream ends.
enum End {
    /// The client has sent all.
    Clean,
    /// Something else ended it.
    Fault(Status),
}

impl Checks {
    /// The next answer. Dropped and called again it has lost nothing.
    async fn next(&mut self) -> Result<CheckResponse, End> {
        loop {
            if self.ended.is_some() {
                return match self.waiting.next().await {
                    Some(decided) => Ok(self.told.saw(decided)),
                    None => Err(self.ended.take().unwrap_or(End::Clean)),
                };
            }
            let request = tokio::select! {
                biased;
                Some(decided) = self.waiting.next() => return Ok(self.told.saw(decided)),
                () = &mut self.over => return Err(End::Fault(fault::too_late())),
                () = &mut self.draining => {
                    self.ended = Some(End::Fault(fault::stopping()));
                    continue;
                }
                request = self.requests.message(), if self.waiting.len() < WAITING_MAX => request,
            };
            let admitted = request.and_then(|request| {
                let Some(request) = request else {
                    return Ok(None);
                };
                self.pass.admits(Role::Check, &request)?;
                Ok(Some(request))
            });
            match admitted {
                Ok(Some(request)) => match judge(self.admission.clone(), &request, self.patience) {
                    Item::Answered(answer) if self.waiting.is_empty() => {
                        return Ok(self.told.saw((request, answer)));
                    }
                    Item::Answered(answer) => {
                        let decided = std::future::ready((request, answer));
                        self.waiting.push_back(Box::pin(decided));
                    }
                    Item::Waits(waits) => {
                        let decided = async move { (request, waits.await) };
                        self.waiting.push_back(Box::pin(decided));
                    }
                },
                Ok(None) => self.ended = Some(End::Clean),
                Err(status) => self.ended = Some(End::Fault(status)),
            }
        }
    }
}
