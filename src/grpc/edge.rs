//! One HTTP/2 request to the service that answers it.

use std::sync::Arc;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use prost::Message;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;

use super::admin::Admin;
use super::bill::Billing;
use super::envoy::Envoy;
use super::health::Probes;
use super::pages::Pages;
use super::pass::{self, OfApps, Pass};
use super::peer::Peer;
use super::proto::FILE_DESCRIPTOR_SET;
use super::proto::admin_service_server::{self, AdminServiceServer};
use super::proto::billing_service_server::{self, BillingServiceServer};
use super::proto::envoy::service::ratelimit::v3::rate_limit_service_server::{
    self, RateLimitServiceServer,
};
use super::proto::quota_service_server::{self, QuotaServiceServer};
use super::service::Quota;
use super::unary::{self, Body};
use crate::access::{Access, Grant, Role};

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
    granted: Option<Arc<Grant>>,
}

struct Services {
    /// Who may do what; `None`: everybody may do everything that is served.
    access: Option<Access>,
    quota: Option<Quota>,
    routes: Routes,
    /// If it is they that are served, over HTTP/1.1, and nothing else.
    pages: Option<Pages>,
}

impl Edge {
    /// The quota service, the billing service, Envoy's rate limit service, health and reflection.
    pub(super) fn new(
        quota: Quota,
        billing: Billing,
        envoy: Envoy,
        probes: Probes,
        access: Option<Access>,
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
        Self::of(Some(quota), routes.add_service(generated), access)
    }

    /// The operators' service, health and reflection.
    pub(super) fn admin(admin: Admin, probes: Probes) -> Self {
        let generated = AdminServiceServer::new(admin).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let routes = reflection(health(probes), &[admin_service_server::SERVICE_NAME]);
        Self::of(None, routes.add_service(generated), None)
    }

    /// Health alone.
    pub(super) fn only_health(probes: Probes) -> Self {
        Self::of(None, health(probes), None)
    }

    /// Pages for who speaks no gRPC.
    pub(super) fn only_pages(pages: Pages) -> Self {
        Self::behind(Services {
            access: None,
            quota: None,
            routes: Routes::default(),
            pages: Some(pages),
        })
    }

    fn of(quota: Option<Quota>, routes: Routes, access: Option<Access>) -> Self {
        Self::behind(Services {
            access,
            quota,
            routes: routes.prepare(),
            pages: None,
        })
    }

    fn behind(services: Services) -> Self {
        Self {
            services: Arc::new(services),
            peer: Peer::Unknown,
            granted: None,
        }
    }

    /// The pages, if they are what is served.
    pub(super) fn pages(&self) -> Option<&Pages> {
        self.services.pages.as_ref()
    }

    /// The same services for a connection with `peer`.
    pub(super) fn with(self, peer: Peer) -> Self {
        let access = self.services.access.as_ref();
        let granted = access.and_then(|access| pass::of_peer(access, &peer));
        Self {
            peer,
            granted,
            ..self
        }
    }

    /// Answers one request.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let headers = request.headers();
        if !unary::is_grpc(headers) {
            return unary::refuse();
        }
        let pass = match self.pass(&request) {
            Ok(pass) => pass,
            Err(status) => return status.into_http(),
        };
        let plain = match &self.services.quota {
            Some(quota) if !unary::may_be_packed(headers) => {
                let call = request.uri().path().strip_prefix(QUOTA_PATH);
                call.and_then(Call::of).map(|call| (quota, call))
            }
            _ => None,
        };
        match plain {
            Some((quota, call)) => call.answer(quota, request, &pass).await,
            // Boxed, so that the calls of the hot path need not be as large.
            None => Box::pin(self.route(request, pass)).await,
        }
    }

    /// What the call may do; one that lacks its role goes no further.
    fn pass<B>(&self, request: &Request<B>) -> Result<Pass, Status> {
        let Some(access) = &self.services.access else {
            return Ok(Pass::Open);
        };
        let Some(role) = pass::role_of(request.uri().path()) else {
            return Ok(Pass::Open);
        };
        let known = self.granted.as_ref();
        let grant = pass::of_call(access, &self.peer, known, request.headers())?;
        if !grant.roles.has(role) {
            return Err(pass::refusal(&grant, role, None));
        }
        Ok(Pass::Granted(grant))
    }

    async fn route(&self, mut request: Request<Incoming>, pass: Pass) -> Response<Body> {
        request.extensions_mut().insert(pass);
        request.extensions_mut().insert(self.peer.clone());
        let Ok(response) = self.services.routes.clone().call(request).await;
        response.map(Body::Other)
    }
}

/// A call of one message and one answer to QuotaService.
enum Call {
    Check,
    BatchCheck,
    Confirm,
    Cancel,
    Release,
    RecordActive,
    GetUsage,
}

impl Call {
    fn of(name: &str) -> Option<Self> {
        match name {
            "Check" => Some(Self::Check),
            "BatchCheck" => Some(Self::BatchCheck),
            "Confirm" => Some(Self::Confirm),
            "Cancel" => Some(Self::Cancel),
            "Release" => Some(Self::Release),
            "RecordActive" => Some(Self::RecordActive),
            "GetUsage" => Some(Self::GetUsage),
            _ => None,
        }
    }

    async fn answer(
        self,
        quota: &Quota,
        request: Request<Incoming>,
        pass: &Pass,
    ) -> Response<Body> {
        let (Parts { headers, .. }, mut body) = request.into_parts();
        match self {
            Self::Check => match admitted(&mut body, pass, Role::Check).await {
                Ok(message) => unary::respond(quota.check(&headers, message).await),
                Err(status) => status.into_http(),
            },
            Self::BatchCheck => match admitted(&mut body, pass, Role::Check).await {
                // Boxed, as are all that seldom come or ask the ledger in any case, so that a check need not
                // be as large.
                Ok(message) => {
                    let answer = Box::pin(quota.batch_check(&headers, message)).await;
                    unary::respond(answer)
                }
                Err(status) => status.into_http(),
            },
            Self::Confirm => match admitted(&mut body, pass, Role::Check).await {
                Ok(message) => unary::respond(Box::pin(quota.confirm(&headers, message)).await),
                Err(status) => status.into_http(),
            },
            Self::Cancel => match admitted(&mut body, pass, Role::Check).await {
                Ok(message) => unary::respond(Box::pin(quota.cancel(&headers, message)).await),
                Err(status) => status.into_http(),
            },
            Self::Release => match admitted(&mut body, pass, Role::Check).await {
                Ok(message) => unary::respond(quota.release(&headers, message).await),
                Err(status) => status.into_http(),
            },
            Self::RecordActive => match admitted(&mut body, pass, Role::Report).await {
                Ok(message) => unary::respond(quota.record_active(&headers, message).await),
                Err(status) => status.into_http(),
            },
            Self::GetUsage => match admitted(&mut body, pass, Role::Read).await {
                Ok(message) => unary::respond(quota.get_usage(&headers, message).await),
                Err(status) => status.into_http(),
            },
        }
    }
}

/// Reads a call's message, which must be about apps that its caller may act on.
async fn admitted<M: Message + Default + OfApps>(
    body: &mut Incoming,
    pass: &Pass,
    role: Role,
) -> Result<M, Status> {
    let message = unary::read(body).await?;
    pass.admits(role, &message)?;
    Ok(message)
}

fn health(probes: Probes) -> Routes {
    Routes::new(HealthServer::new(probes).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// Adds reflection that names `served` and what stands beside it, in the version that new clients speak and in the one that old ones do.
fn reflection(routes: Routes, served: &[&str]) -> Routes {
    let describe = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)
            // The details of a fault, so that tools can show them.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(tonic_health::pb::health_server::SERVICE_NAME)
            .with_service_name(v1::server_reflection_server::SERVICE_NAME)
            .with_service_name(v1alpha::server_reflection_server::SERVICE_NAME);
        let names = served.iter();
        names
            .into_iter()
            .fold(builder, |builder, name| builder.with_service_name(*name))
    };
    // The descriptors are fixed when this program is built; a test reads them.
    let new = describe().build_v1().expect("the build made them");
    let old = describe().build_v1alpha().expect("the build made them");
    routes
        .add_service(new.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(old.max_decoding_message_size(MESSAGE_BYTES_MAX))
}
