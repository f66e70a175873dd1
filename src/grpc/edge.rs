//! One HTTP/2 request to the service that answers it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;

use super::health::Probes;
use super::proto::FILE_DESCRIPTOR_SET;
use super::proto::quota_service_server::QuotaServiceServer;
use super::service::Quota;

/// The largest message that is read, in bytes. The largest legal one is a RecordActive of 1,000 ids,
/// 34 KiB; what is a few times too large still gets an answer that names the field.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// The path of every call to QuotaService begins so.
const QUOTA_PATH: &str = "/imquota.v1.QuotaService/";

/// All services. Its clones are cheap and share what is behind them.
///
/// QuotaService is reached by a look at the path; the router, which costs more than a decision does,
/// is for the others.
#[derive(Clone)]
pub(super) struct Edge {
    quota: Option<QuotaServiceServer<Quota>>,
    others: Routes,
}

impl Edge {
    /// The quota service, health and reflection.
    pub(super) fn new(quota: Quota, probes: Probes) -> Self {
        let quota = QuotaServiceServer::new(quota)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            quota: Some(quota),
            others: reflection(health(probes)),
        }
    }

    /// Health alone.
    pub(super) fn only_health(probes: Probes) -> Self {
        Self {
            quota: None,
            others: health(probes),
        }
    }
}

fn health(probes: Probes) -> Routes {
    Routes::new(HealthServer::new(probes).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// Adds reflection, in the version that new clients speak and in the one that old ones do.
fn reflection(routes: Routes) -> Routes {
    let describe = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)
            // The details of a fault, so that tools can show them.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    // The descriptors are fixed when this program is built; a test reads them.
    let new = describe().build_v1().expect("the build made them");
    let old = describe().build_v1alpha().expect("the build made them");
    routes
        .add_service(new.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(old.max_decoding_message_size(MESSAGE_BYTES_MAX))
        .prepare()
}

impl hyper::service::Service<Request<Incoming>> for Edge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match &self.quota {
            Some(quota) if request.uri().path().starts_with(QUOTA_PATH) => {
                quota.clone().call(request)
            }
            _ => Box::pin(self.others.clone().call(request)),
        }
    }
}
