//! The contract's types, generated from `proto/`: messages, the server's trait, the client.
//!
//! They stay in [`super`] and in the client verbs; the rest of the house has types of its own.

// Generated code keeps no house style. What it means is said in the contract, whose comments it has.
#![allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)]

tonic::include_proto!("imquota.v1");

/// The contract as a compiled descriptor set, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/imquota.bin"));
