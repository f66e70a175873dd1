//! One HTTP/2 request to the service that answers it.

use std::sync::Arc;
use std::task::Context;

use h2::RecvStream;
use http::Request;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::service::Routes;

use super::admin::Admin;
use super::bill::Billing;
use super::call::{Answer, Call};
use super::envoy::Envoy;
use super::health::Probes;
use super::incoming::Incoming;
use super::inflow::{Inflow, Parts};
use super::pages::Pages;
use super::pass::{self, Pass};
use super::peer::Peer;
use super::proto::admin_service_server::{self, AdminServiceServer};
use super::proto::billing_service_server::{self, BillingServiceServer};
use super::proto::envoy::service::ratelimit::v3::rate_limit_service_server::{
    self, RateLimitServiceServer,
};
use super::proto::quota_service_server::{self, QuotaServiceServer};
use super::relay::Reply;
use super::routes::{health, reflection};
use super::service::Quota;
use super::turns::Account;
use super::unary;
use crate::access::{Access, Caller};
use crate::metrics::Unserved;

/// The largest message that is read, in bytes. The largest legal one is a BatchCheck of 1,000 checks
/// with ids, about 150 KiB; what is a little too large still gets an answer that names the field.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The path of every call to QuotaService begins so, and goes on with the call's name.
const QUOTA_PATH: &str = "/imquota.v1.QuotaService/";

/// All services. Its clones share what is behind them.
///
/// A call to QuotaService is known by a look at its path, and framed by [`unary`]; the router and the
/// generated framing, which cost more than a decision does, are for all the others.
#[derive(Clone)]
pub(super) struct Edge {
    services: Arc<Services>,
    /// Who is at the other end, where that is known.
    peer: Peer,
    /// What they may do, as far as the connection says it.
    granted: Option<Arc<Caller>>,
    /// What is done for them.
    account: Arc<Account>,
    /// What is held of their messages.
    parts: Parts,
}

struct Services {
    /// Who may do what; `None`: everybody may do everything that is served.
    access: Option<Access>,
    quota: Option<Quota>,
    routes: Routes,
    /// If it is they that are served, over HTTP/1.1, and nothing else.
    pages: Option<Pages>,
    /// What counts the answers that nobody takes.
    unserved: Unserved,
}

impl Edge {
    /// The quota service, the billing service, Envoy's rate limit service, health and reflection.
    pub(super) fn new(
        quota: Quota,
        billing: Billing,
        envoy: Envoy,
        probes: Probes,
        access: Option<Access>,
        unserved: Unserved,
    ) -> Self {
        let generated = QuotaServiceServer::new(quota.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let served = [
            quota_service_server::SERVICE_NAME,
            billing_service_server::SERVICE_NAME,
            rate_limit_service_server::SERVICE_NAME,
        ];
        let envoy = RateLimitServiceServer::new(envoy).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let billing = BillingServiceServer::new(billing)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let routes = reflection(health(probes), &served);
        let routes = routes.add_service(billing).add_service(envoy);
        Self::of(Some(quota), routes.add_service(generated), access, unserved)
    }

    /// The operators' service, health and reflection.
    pub(super) fn admin(admin: Admin, probes: Probes) -> Self {
        let generated = AdminServiceServer::new(admin).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let routes = reflection(health(probes), &[admin_service_server::SERVICE_NAME]);
        Self::of(
            None,
            routes.add_service(generated),
            None,
            Unserved::default(),
        )
    }

    /// Health alone.
    pub(super) fn only_health(probes: Probes) -> Self {
        Self::of(None, health(probes), None, Unserved::default())
    }

    /// Pages for who speaks no gRPC.
    pub(super) fn only_pages(pages: Pages) -> Self {
        Self::behind(Services {
            access: None,
            quota: None,
            routes: Routes::default(),
            pages: Some(pages),
            unserved: Unserved::default(),
        })
    }

    fn of(
        quota: Option<Quota>,
        routes: Routes,
        access: Option<Access>,
        unserved: Unserved,
    ) -> Self {
        Self::behind(Services {
            access,
            quota,
            routes: routes.prepare(),
            pages: None,
            unserved,
        })
    }

    fn behind(services: Services) -> Self {
        Self {
            services: Arc::new(services),
            peer: Peer::Unknown,
            granted: None,
            account: Arc::default(),
            parts: Parts::default(),
        }
    }

    /// The pages, if they are what is served.
    pub(super) fn pages(&self) -> Option<&Pages> {
        self.services.pages.as_ref()
    }

    /// What counts the answers that nobody takes.
    pub(super) fn unserved(&self) -> &Unserved {
        &self.services.unserved
    }

    /// The same services for a connection with `peer`, on its own account.
    pub(super) fn with(self, peer: Peer, account: Arc<Account>) -> Self {
        let access = self.services.access.as_ref();
        let granted = access.and_then(|access| pass::of_peer(access, &peer));
        Self {
            peer,
            granted,
            account,
            parts: self.parts.of_another(),
            ..self
        }
    }

    /// Answers one request; at once, if it has come as a whole and waits for nothing.
    pub(super) fn answer(&self, request: Request<RecvStream>, cx: &mut Context<'_>) -> Answer {
        let headers = request.headers();
        if !unary::is_grpc(headers) {
            return Answer::Now(Reply::no_grpc());
        }
        let pass = match self.pass(&request) {
            Ok(pass) => pass,
            Err(status) => return Answer::Now(status.into()),
        };
        let plain = match &self.services.quota {
            Some(quota) if !unary::may_be_packed(headers) => {
                let call = request.uri().path().strip_prefix(QUOTA_PATH);
                call.and_then(Call::of).map(|call| (quota, call))
            }
            _ => None,
        };
        let parts = self.parts.clone();
        let request = request.map(|stream| Inflow::new(stream, parts));
        match plain {
            Some((quota, call)) => call.answer(quota, request, pass, cx),
            None => Answer::Later(Box::pin(self.clone().route(request, pass))),
        }
    }

    /// What the call may do; one that lacks its role goes no further.
    fn pass<B>(&self, request: &Request<B>) -> Result<Pass, Status> {
        let account = Arc::clone(&self.account);
        let Some(access) = &self.services.access else {
            return Ok(Pass::open(account));
        };
        let Some(role) = pass::role_of(request.uri().path()) else {
            return Ok(Pass::open(account));
        };
        let known = self.granted.as_ref();
        let grant = pass::of_call(access, &self.peer, known, request.headers())?;
        if !grant.roles.has(role) {
            return Err(pass::refusal(&grant, role, None));
        }
        Ok(Pass::granted(grant, account))
    }

    async fn route(self, mut request: Request<Inflow>, pass: Pass) -> Reply {
        request.extensions_mut().insert(pass);
        request.extensions_mut().insert(self.peer);
        let request = request.map(Incoming::from);
        let Ok(response) = self.services.routes.clone().call(request).await;
        Reply::Flowing(response)
    }
}
