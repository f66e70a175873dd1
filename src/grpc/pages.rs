//! What is served over plain HTTP/1.1: for probes, for who scrapes figures, and for people.

use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::Value;
use tonic::body::Body;

use super::health::Readiness;
use crate::board::{self, Board, PAGE_MEDIA_TYPE, Query, STYLE};
use crate::metrics::{Format, Metrics};

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const CSS: &str = "text/css; charset=utf-8";

/// What every answer says: nothing is guessed, kept, framed, or fetched from elsewhere.
const ALWAYS: [(HeaderName, &str); 4] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// All pages. Its clones share what is behind them.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    readiness: Readiness,
    metrics: Metrics,
    board: Board,
}

impl Pages {
    /// Pages of what `readiness`, `metrics` and `board` say.
    pub(super) fn new(readiness: Readiness, metrics: Metrics, board: Board) -> Self {
        Self {
            readiness,
            metrics,
            board,
        }
    }

    /// Answers one request; its body is not read.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        if *request.method() != Method::GET && *request.method() != Method::HEAD {
            let text = "pages are read: GET or HEAD\n";
            let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, PLAIN, text);
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        let query = request.uri().query();
        match request.uri().path() {
            "/" => {
                let health = self.readiness.health();
                let text = board::page(&self.board, health, &Query::parse(query)).await;
                page(StatusCode::OK, PAGE_MEDIA_TYPE, text)
            }
            "/style.css" => page(StatusCode::OK, CSS, STYLE),
            "/status" => {
                let status = self.board.status().await;
                json(StatusCode::OK, &status.json(self.readiness.health()))
            }
            "/refusals" => {
                let found = board::refusals(&self.board, &Query::parse(query));
                json(StatusCode::OK, &found)
            }
            "/livez" => page(StatusCode::OK, PLAIN, "alive\n"),
            "/readyz" => self.ready(is_verbose(query)).await,
            "/metrics" => self.figures(format_of(request)).await,
            _ => page(
                StatusCode::NOT_FOUND,
                PLAIN,
                "no such page; there are /, /status, /refusals, /metrics, /livez and /readyz\n",
            ),
        }
    }

    async fn ready(&self, verbose: bool) -> Response<Body> {
        let health = self.readiness.health();
        let code = if health.is_ready() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        if verbose {
            return json(code, &health.json(&*self.board.status().await));
        }
        let reasons = health.reasons().into_iter();
        let why: Vec<_> = reasons
            .filter(|(_, ok, _)| !ok)
            .map(|(_, _, why)| why)
            .collect();
        if why.is_empty() {
            return page(code, PLAIN, "ready\n");
        }
        page(code, PLAIN, format!("not ready: {}\n", why.join("; ")))
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

fn json(status: StatusCode, value: &Value) -> Response<Body> {
    page(status, JSON, format!("{value:#}\n"))
}

fn page(status: StatusCode, media: &'static str, text: impl Into<String>) -> Response<Body> {
    let mut page = Response::new(Body::new(text.into()));
    *page.status_mut() = status;
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    for (name, worth) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(worth));
    }
    page
}

fn format_of<B>(request: &Request<B>) -> Format {
    let accept = request.headers().get(ACCEPT);
    Format::accepted(accept.and_then(|accept| accept.to_str().ok()))
}

/// Whether a query asks for reasons: `?verbose`, with or without a value.
fn is_verbose(query: Option<&str>) -> bool {
    let mut parts = query.unwrap_or_default().split('&');
    parts.any(|part| part.split('=').next() == Some("verbose"))
}
