//! What is served over plain HTTP/1.1, for probes and for who scrapes figures.

use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use super::health::Readiness;
use super::unary::Body;
use crate::metrics::{Format, Metrics};

const PLAIN: &str = "text/plain; charset=utf-8";

/// All pages. Its clones share what is behind them.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    readiness: Readiness,
    metrics: Metrics,
}

impl Pages {
    /// Pages of what `readiness` and `metrics` say.
    pub(super) fn new(readiness: Readiness, metrics: Metrics) -> Self {
        Self { readiness, metrics }
    }

    /// Answers one request; its body is not read.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let answer = match request.uri().path() {
            "/livez" => page(StatusCode::OK, PLAIN, "alive\n"),
            "/readyz" => self.ready(),
            "/metrics" => self.figures(format_of(request)).await,
            _ => page(
                StatusCode::NOT_FOUND,
                PLAIN,
                "no such page; there are /metrics, /livez and /readyz\n",
            ),
        };
        if *request.method() == Method::GET || *request.method() == Method::HEAD {
            return answer;
        }
        let text = "pages are read: GET or HEAD\n";
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, text);
        let allowed = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(ALLOW, allowed);
        refused
    }

    fn ready(&self) -> Response<Body> {
        if self.readiness.is_ready() {
            return page(StatusCode::OK, PLAIN, "ready\n");
        }
        page(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "not ready\n")
    }

    async fn figures(&self, format: Format) -> Response<Body> {
        match self.metrics.text(format).await {
            Ok(text) => page(StatusCode::OK, format.media_type(), text),
            Err(problem) => {
                tracing::error!(%problem, "the figures cannot be written");
                let text = "the figures cannot be written\n";
                page(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, text)
            }
        }
    }
}

fn page(status: StatusCode, media: &'static str, text: impl Into<String>) -> Response<Body> {
    let body = Body::Other(tonic::body::Body::new(text.into()));
    let mut page = Response::new(body);
    *page.status_mut() = status;
    let media = HeaderValue::from_static(media);
    page.headers_mut().insert(CONTENT_TYPE, media);
    page
}

fn format_of<B>(request: &Request<B>) -> Format {
    let accept = request.headers().get(ACCEPT);
    Format::accepted(accept.and_then(|accept| accept.to_str().ok()))
}
