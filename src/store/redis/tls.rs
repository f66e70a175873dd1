//! TLS to Redis: what is trusted, what is shown, and what a failed handshake means.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore};

use crate::config::RedisTls;
use crate::store::StoreFault;

/// Shakes hands over `stream` with `host`. The files are read anew each time.
pub(super) async fn secure(
    stream: TcpStream,
    host: &str,
    files: &RedisTls,
) -> Result<TlsStream<TcpStream>, StoreFault> {
    let config = config(files).map_err(StoreFault::Away)?;
    let name = files.server_name.as_deref().unwrap_or(host);
    let server = ServerName::try_from(name.to_owned())
        .map_err(|_| StoreFault::Away(format!("{name:?} is no name of a server")))?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(server, stream);
    shaken.await.map_err(|error| {
        let error = meaning(&error, name);
        StoreFault::Away(format!("TLS with Redis at {host} fails: {error}"))
    })
}

fn config(files: &RedisTls) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(files.ca_file.as_deref())?);
    let Some((cert, key)) = &files.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let wrong = |path: &Path, why: String| format!("{}: {why}", path.display());
    let chain = certificates(cert)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| wrong(key, format!("holds no private key in PEM ({error})")))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| wrong(cert, format!("does not go with its key ({error})")))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err("this machine trusts no authority; name one by store.tls.ca_file".into());
        }
        return Ok(roots);
    };
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("{}: holds no certificate in PEM ({why})", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("it has none".into()));
    }
    Ok(found)
}

/// What to do about a handshake that failed.
fn meaning(error: &io::Error, name: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let hint = match inner {
        Some(TlsError::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "; no authority of store.tls.ca_file has signed the server's certificate".into(),
        Some(TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => format!(
            "; its certificate is not for {name}: set store.tls.server_name to a name in it"
        ),
        Some(TlsError::InvalidMessage(_)) => {
            "; no TLS is spoken there: write redis://, or its port for TLS".into()
        }
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            "; is TLS spoken there? else write redis://".into()
        }
        _ => of_alert(&error.to_string()).to_owned(),
    };
    format!("{error}{hint}")
}

/// What to do about an alert of the server, which may come after the handshake.
pub(super) fn of_alert(words: &str) -> &'static str {
    if words.contains("received fatal alert") {
        "; it wants a certificate that it trusts: store.tls.cert_file and store.tls.key_file"
    } else {
        ""
    }
}
