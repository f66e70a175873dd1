//! Code generation only: the contract in `proto/` becomes Rust, by a compiler written in Rust, so
//! that nobody who builds needs protoc.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message as _;

const CONTRACT: [&str; 4] = [
    "imquota/v1/imquota.proto",
    "imquota/v1/billing.proto",
    "imquota/v1/admin.proto",
    "envoy/service/ratelimit/v3/rls.proto",
];

fn main() -> Result<(), Box<dyn error::Error>> {
    // The folder, not the file: an import that is added later is seen too.
    println!("cargo:rerun-if-changed=proto");

    let files = protox::compile(CONTRACT, ["proto"])?;
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("imquota.bin"), files.encode_to_vec())?;

    // The source is already compiled: what would be watched beside the folder is nothing.
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
