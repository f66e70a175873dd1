//! A call while it is answered: its decisions go to the log, and if it is recorded it ends as a span.

use http::HeaderMap;
use tonic::{Code, Status};

use super::super::codec::Asked;
use super::super::proto::{CheckRequest, CheckResponse};
use super::{Witness, line};
use crate::clock;
use crate::trace::{Context, Fact, Span, SpanId, Spans, TraceId};

/// A call that is being answered.
pub(in super::super) struct Call<'a> {
    witness: &'a Witness,
    headers: &'a HeaderMap,
    open: Option<Box<Open>>,
}

impl<'a> Call<'a> {
    /// A call begins. One that is not recorded costs a look at its headers, and where nobody takes spans
    /// not even that.
    #[inline]
    pub(in super::super) fn begin(
        witness: &'a Witness,
        call: (&'static str, &'static str),
        headers: &'a HeaderMap,
    ) -> Self {
        let open = witness.open(call, headers);
        Self {
            witness,
            headers,
            open,
        }
    }

    /// It is about this app.
    pub(in super::super) fn about(&mut self, app: u64) {
        if let Some(open) = &mut self.open {
            open.fact("imquota.app_id", Fact::Number(app));
        }
    }

    /// A check was decided, one of several.
    #[inline]
    pub(in super::super) fn saw(&mut self, check: &Asked<'_>, answer: &CheckResponse) {
        self.witness
            .saw(self.headers, self.open.as_deref(), check, answer);
        if let Some(open) = &mut self.open {
            open.count(answer);
        }
    }

    /// The only check was decided.
    #[inline]
    pub(in super::super) fn decided(&mut self, check: &Asked<'_>, answer: &CheckResponse) {
        self.witness
            .saw(self.headers, self.open.as_deref(), check, answer);
        if let Some(open) = &mut self.open {
            open.decided(check, answer);
        }
    }

    /// Its only check waits for the ledger: what is told of it is told then.
    pub(in super::super) fn wait(self, check: &Asked<'_>) -> Waiting {
        let here = self.open.as_deref().map(Open::trace);
        Waiting {
            witness: self.witness.clone(),
            trace: here.or_else(|| Some(Context::of(self.headers)?.trace)),
            check: check.into(),
            open: self.open,
        }
    }

    /// It is answered so.
    #[inline]
    pub(in super::super) fn end<T>(self, answer: Result<T, Status>) -> Result<T, Status> {
        if let Some(open) = self.open {
            let fault = answer.as_ref().err();
            open.end(fault.map_or(Code::Ok, Status::code));
        }
        answer
    }
}

/// A call whose only check waits for the ledger.
pub(in super::super) struct Waiting {
    witness: Witness,
    trace: Option<TraceId>,
    check: CheckRequest,
    open: Option<Box<Open>>,
}

impl Waiting {
    /// It is answered so.
    pub(in super::super) fn end(
        mut self,
        answer: Result<CheckResponse, Status>,
    ) -> Result<CheckResponse, Status> {
        let check = Asked::from(&self.check);
        if let Ok(answer) = &answer {
            self.witness.saw_in(|| self.trace, &check, answer);
            if let Some(open) = &mut self.open {
                open.decided(&check, answer);
            }
        }
        if let Some(open) = self.open {
            let fault = answer.as_ref().err();
            open.end(fault.map_or(Code::Ok, Status::code));
        }
        answer
    }
}

/// A call that is recorded. Dropped without an end it was cancelled.
#[derive(Debug)]
pub(in super::super) struct Open {
    spans: Spans,
    span: Span,
    /// Of a call of many checks: how many were decided, and how many of them were refused.
    checks: Option<(u64, u64)>,
}

impl Open {
    pub(super) fn begin(
        spans: Spans,
        context: Context,
        (service, method): (&'static str, &'static str),
    ) -> Box<Self> {
        let now = clock::unix_ns();
        let span = Span {
            trace: context.trace,
            id: SpanId::draw(),
            parent: context.parent,
            service,
            method,
            begun_ns: now,
            ended_ns: now,
            status: Code::Cancelled.into(),
            facts: Vec::new(),
        };
        Box::new(Self {
            spans,
            span,
            checks: None,
        })
    }

    /// The trace in which it is recorded.
    pub(super) fn trace(&self) -> TraceId {
        self.span.trace
    }

    fn fact(&mut self, name: &'static str, fact: Fact) {
        self.span.facts.push((name, fact));
    }

    /// One of many checks was decided.
    pub(in super::super) fn count(&mut self, answer: &CheckResponse) {
        let (decided, refused) = self.checks.get_or_insert_default();
        *decided += 1;
        *refused += u64::from(super::is_refusal(answer));
    }

    /// Its only check was decided.
    fn decided(&mut self, check: &Asked<'_>, answer: &CheckResponse) {
        self.fact("imquota.resource", Fact::Word(line::resource(check)));
        self.fact("imquota.decision", Fact::Word(line::decision(answer)));
        self.fact("imquota.source", Fact::Word(line::source(answer)));
        if let Some(reason) = line::reason(answer) {
            self.fact("imquota.reason", Fact::Word(reason));
        }
        if !check.request_id.is_empty() {
            let id = check.request_id.into();
            self.fact("imquota.request_id", Fact::Text(id));
        }
    }

    /// It ends so.
    pub(in super::super) fn end(mut self, status: Code) {
        self.span.status = status.into();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some((decided, refused)) = self.checks {
            self.fact("imquota.checks", Fact::Number(decided));
            self.fact("imquota.refused", Fact::Number(refused));
        }
        self.span.ended_ns = clock::unix_ns();
        self.spans.take(self.span.clone());
    }
}
