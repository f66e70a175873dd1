//! What every listener of gRPC serves beside its own service: health, and reflection.

use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_reflection::pb::{v1, v1alpha};
use tonic_reflection::server::Builder;

use super::edge::MESSAGE_BYTES_MAX;
use super::health::Probes;
use super::proto::FILE_DESCRIPTOR_SET;

/// Health, to which others are added.
pub(super) fn health(probes: Probes) -> Routes {
    Routes::new(HealthServer::new(probes).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// Adds reflection that names `served` and what stands beside it, in the version that new clients speak and in the one that old ones do.
pub(super) fn reflection(routes: Routes, served: &[&str]) -> Routes {
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
