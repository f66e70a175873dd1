//! Connecting: plainly, or over TLS with what the flags name.

use std::fs;
use std::path::Path;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use super::args::Security;
use super::client::NoAnswer;
use super::target::Target;
use crate::grpc::Token;

/// Connects to `target`.
pub(super) async fn connect(target: &Target, security: &Security) -> Result<Channel, NoAnswer> {
    let mut endpoint = target.endpoint().clone();
    if target.is_tls() {
        let tls = tls(security).map_err(NoAnswer::Input)?;
        endpoint = endpoint.tls_config(tls).map_err(|problem| {
            let cause = super::client::innermost(&problem);
            NoAnswer::Input(format!(
                "the certificates or the key cannot be used: {cause}"
            ))
        })?;
    }
    endpoint.connect().await.map_err(NoAnswer::Nobody)
}

fn tls(security: &Security) -> Result<ClientTlsConfig, String> {
    let Some(ca) = &security.ca else {
        return Err("name the roots of the server's certificate with --ca".into());
    };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
    if let (Some(cert), Some(key)) = (&security.cert, &security.key) {
        tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    Ok(tls)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|problem| format!("{}: cannot be read: {problem}", path.display()))
}

/// What a call says that shows the token in the file at `path`.
pub(super) fn bearer(path: &Path) -> Result<MetadataValue<Ascii>, String> {
    let token = Token::read(path).map_err(|fault| fault.to_string())?;
    let mut bearer = MetadataValue::try_from(format!("Bearer {}", token.as_str()))
        .map_err(|problem| format!("{}: {problem}", path.display()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}
