//! The contract's types, generated from `proto/`: messages, the server's trait, the client.
//!
//! They stay in [`super`] and in the client verbs; the rest of the house has types of its own.

// Generated code keeps no house style. What it means is said in the contract, whose comments it has.
#![allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)]

tonic::include_proto!("imquota.v1");

/// The part of Envoy's API that its rate limit service uses; as Envoy's packages are nested.
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                tonic::include_proto!("envoy.config.core.v3");
            }
        }
    }
    pub mod extensions {
        pub mod common {
            pub mod ratelimit {
                pub mod v3 {
                    tonic::include_proto!("envoy.extensions.common.ratelimit.v3");
                }
            }
        }
    }
    pub mod service {
        pub mod ratelimit {
            pub mod v3 {
                tonic::include_proto!("envoy.service.ratelimit.v3");
            }
        }
    }
}

/// The contract as a compiled descriptor set, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/imquota.bin"));
