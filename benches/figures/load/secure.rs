//! TLS as the load speaks it: version 1.3, HTTP/2, one root, and every handshake in full.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Broken;
use crate::Failure;

/// What is agreed on.
const HTTP2: &[u8] = b"h2";
/// Whose certificate a server must show.
pub(crate) const NAME: &str = "localhost";

/// Encrypts connections.
pub(super) struct Secure(TlsConnector);

impl Secure {
    /// Trusts the certificate in the file `root`.
    pub(super) fn new(root: &Path) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(root)?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols.push(HTTP2.to_vec());
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config).into()))
    }

    /// Shakes hands.
    pub(super) async fn over(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failure> {
        let stream = self.0.connect(ServerName::try_from(NAME)?, stream).await?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
            Ok(stream)
        } else {
            Err(Broken::Refused.into())
        }
    }
}
