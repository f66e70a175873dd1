//! A stream of checks: read as far as there is room, answered in order, drained at the server's end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use futures_util::stream::FuturesOrdered;
use futures_util::{Stream, StreamExt as _};
use http::HeaderMap;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::codec::Asked;
use super::deadline::Deadline;
use super::fault;
use super::many::{Item, WAITING_MAX, judge};
use super::messages::Messages;
use super::pass::Pass;
use super::proto::{CheckRequest, CheckResponse};
use super::witness::{Open, STREAM, Witness};
use crate::access::Role;
use crate::admission::{Admission, Patience, Sitting};

/// A check and its answer.
type Decided = (CheckRequest, CheckResponse);
type Answer = Pin<Box<dyn Future<Output = Decided> + Send>>;
type Event = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The answers to a stream of checks. Nothing is read from the moment that `draining` turns true, or that
/// the caller's time is over, on.
pub(super) struct Checks {
    admission: Arc<Admission>,
    requests: Messages,
    /// What the caller may do.
    pass: Pass,
    patience: Patience,
    /// Those that have come together, since it was last looked.
    sitting: Sitting,
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

    fn saw(&mut self, check: &Asked<'_>, answer: &CheckResponse) {
        self.witness
            .saw(&self.headers, self.open.as_deref(), check, answer);
        if let Some(open) = &mut self.open {
            open.count(answer);
        }
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
    /// It was told.
    Told,
}

impl Checks {
    /// Judges `requests`.
    pub(super) fn new(
        admission: Arc<Admission>,
        requests: Messages,
        pass: Pass,
        deadline: Deadline,
        draining: watch::Receiver<bool>,
        told: Told,
    ) -> Self {
        Self {
            sitting: admission.sit(),
            admission,
            requests,
            pass,
            patience: deadline.patience(Instant::now),
            over: Box::pin(over(deadline)),
            draining: Box::pin(drained(draining)),
            waiting: FuturesOrdered::new(),
            ended: None,
            told,
        }
    }

    /// Looks at the clock, and whether something from outside ends it.
    pub(super) fn look(&mut self, cx: &mut Context<'_>) {
        self.sitting = self.admission.sit();
        if self.ended.is_some() {
            return;
        }
        if self.over.as_mut().poll(cx).is_ready() {
            self.waiting = FuturesOrdered::new();
            self.ended = Some(End::Fault(fault::too_late()));
        } else if self.draining.as_mut().poll(cx).is_ready() {
            self.ended = Some(End::Fault(fault::stopping()));
        }
    }

    /// The next answer.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<CheckResponse, Status>>> {
        loop {
            // It is empty as a rule, and to find that out it would note who is to be woken.
            let waited = if self.waiting.is_empty() {
                Poll::Ready(None)
            } else {
                self.waiting.poll_next_unpin(cx)
            };
            match waited {
                Poll::Ready(Some((check, answer))) => {
                    self.told.saw(&Asked::from(&check), &answer);
                    return Poll::Ready(Some(Ok(answer)));
                }
                Poll::Ready(None) => {
                    if let Some(ended) = &mut self.ended {
                        let ended = std::mem::replace(ended, End::Told);
                        return Poll::Ready(self.end(ended));
                    }
                }
                Poll::Pending if self.ended.is_some() => return Poll::Pending,
                Poll::Pending if self.waiting.len() >= WAITING_MAX => return Poll::Pending,
                Poll::Pending => {}
            }
            match ready!(self.poll_judged(cx)) {
                Ok(Some(Item::Answered(answer))) => return Poll::Ready(Some(Ok(answer))),
                Ok(Some(Item::Waits(waits))) => self.waiting.push_back(waits),
                Ok(None) => self.ended = Some(End::Clean),
                Err(status) => self.ended = Some(End::Fault(status)),
            }
        }
    }

    /// Reads the next check and judges it. Its answer is told here if it is its turn.
    fn poll_judged(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Item<Answer>>, Status>> {
        let is_next = self.waiting.is_empty();
        let (admission, pass, patience) = (&self.admission, &self.pass, self.patience);
        let (told, sitting) = (&mut self.told, &mut self.sitting);
        let judged = self.requests.poll_next(cx, |asked| {
            pass.admits(Role::Check, asked)?;
            Ok(match judge(admission, sitting, asked, patience) {
                Item::Answered(answer) if is_next => {
                    told.saw(asked, &answer);
                    Item::Answered(answer)
                }
                Item::Answered(answer) => {
                    let decided = std::future::ready((CheckRequest::from(asked), answer));
                    Item::Waits(Box::pin(decided) as Answer)
                }
                Item::Waits(waits) => {
                    let check = CheckRequest::from(asked);
                    Item::Waits(Box::pin(async move { (check, waits.await) }) as Answer)
                }
            })
        });
        judged.map(|judged| judged.and_then(Option::transpose))
    }

    fn end(&mut self, ended: End) -> Option<Result<CheckResponse, Status>> {
        match ended {
            End::Told => None,
            End::Clean => {
                self.told.end(Code::Ok);
                None
            }
            End::Fault(status) => {
                self.told.end(status.code());
                Some(Err(status))
            }
        }
    }
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

/// For the generated service.
impl Stream for Checks {
    type Item = Result<CheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.look(cx);
        self.poll_answer(cx)
    }
}
