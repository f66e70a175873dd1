//! A stream of checks: read as far as there is room, answered in order, drained at the server's end.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::FuturesOrdered;
use futures_util::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use tokio::sync::watch;
use tonic::{Status, Streaming};

use super::deadline::Deadline;
use super::fault;
use super::many::{Item, WAITING_MAX, judge};
use super::pass::Pass;
use super::proto::{CheckRequest, CheckResponse};
use super::witness::Witness;
use crate::access::Role;
use crate::admission::{Admission, Patience};

type Answer = Pin<Box<dyn Future<Output = CheckResponse> + Send>>;
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
            Err(End::Clean) => None,
            Err(End::Fault(status)) => Some((Err(status), None)),
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

/// Who sees what is decided, and the headers of the call that it belongs to.
#[derive(Clone)]
pub(super) struct Told(Arc<(Witness, HeaderMap)>);

impl Told {
    /// The decisions of a call with these headers.
    pub(super) fn new(witness: Witness, headers: HeaderMap) -> Self {
        Self(Arc::new((witness, headers)))
    }

    fn saw(&self, check: &CheckRequest, answer: &CheckResponse) {
        let (witness, headers) = &*self.0;
        witness.saw(headers, check, answer);
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
                    Some(answer) => Ok(answer),
                    None => Err(self.ended.take().unwrap_or(End::Clean)),
                };
            }
            let request = tokio::select! {
                biased;
                Some(answer) = self.waiting.next() => return Ok(answer),
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
                Ok(Some(request)) => match self.judge(request) {
                    Item::Answered(answer) if self.waiting.is_empty() => return Ok(answer),
                    Item::Answered(answer) => {
                        self.waiting.push_back(Box::pin(std::future::ready(answer)));
                    }
                    Item::Waits(waits) => self.waiting.push_back(waits),
                },
                Ok(None) => self.ended = Some(End::Clean),
                Err(status) => self.ended = Some(End::Fault(status)),
            }
        }
    }

    fn judge(&self, request: CheckRequest) -> Item<Answer> {
        match judge(self.admission.clone(), &request, self.patience) {
            Item::Answered(answer) => {
                self.told.saw(&request, &answer);
                Item::Answered(answer)
            }
            Item::Waits(waits) => {
                let told = self.told.clone();
                Item::Waits(Box::pin(async move {
                    let answer = waits.await;
                    told.saw(&request, &answer);
                    answer
                }))
            }
        }
    }
}
