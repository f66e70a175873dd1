//! The stream of a request as a body, for a generated service.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;
use tonic::Status;

use super::inflow::{Framing, Inflow};

/// The body of a request, for a generated service.
pub(super) struct Incoming {
    flow: Inflow,
    framing: Framing,
    has_data: bool,
}

impl From<Inflow> for Incoming {
    fn from(flow: Inflow) -> Self {
        Self {
            flow,
            framing: Framing::default(),
            has_data: true,
        }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.has_data {
            match ready!(this.flow.poll_data(cx)) {
                Some(Ok(data)) => {
                    // One message is bounded by the service, and all of them together here.
                    this.flow.make_room(data.len());
                    let held = this.framing.held(&data);
                    return Poll::Ready(Some(this.flow.hold(held).map(|()| Frame::data(data))));
                }
                Some(Err(problem)) => return Poll::Ready(Some(Err(broken(&problem)))),
                None => this.has_data = false,
            }
        }
        let trailers = ready!(this.flow.poll_trailers(cx)).map_err(|problem| broken(&problem))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.flow.is_end()
    }
}

/// The client went away, or gave the call up; nobody hears of it.
fn broken(problem: &h2::Error) -> Status {
    Status::cancelled(problem.to_string())
}
