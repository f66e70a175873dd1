//! The flags of an encrypted connection.

use std::path::PathBuf;

use clap::Args;

/// How a client knows the server, and the server the client.
#[derive(Debug, Args)]
pub struct Security {
    /// The roots of the server's certificate (PEM), for https://
    #[arg(long, value_name = "FILE", env = "IMQUOTA_CA")]
    pub ca: Option<PathBuf>,
    /// The client's own certificate (PEM)
    #[arg(long, value_name = "FILE", env = "IMQUOTA_CERT", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", env = "IMQUOTA_KEY", requires = "cert")]
    pub key: Option<PathBuf>,
}
