//! The certificates of listeners.

use std::path::PathBuf;

use super::finding::Findings;
use super::scalar::{self, Read};
use super::value::{Section, Value};
use crate::tls::{ClientCert, TlsFiles};

/// The listeners that can have TLS, by their own keys.
const KEYS: [&str; 4] = ["listen", "admin_listen", "health_listen", "http_listen"];
const FILES: [&str; 4] = ["cert", "key", "client_ca", "client_cert"];

/// Which listeners speak TLS, and by which files. A Unix socket never does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerTls {
    /// Those of the API, but for those that may be plain.
    pub listen: Option<TlsFiles>,
    /// The operators'.
    pub admin: Option<TlsFiles>,
    /// The one of probes; those of a kubelet speak no TLS.
    pub health: Option<TlsFiles>,
    /// The one of pages and figures.
    pub http: Option<TlsFiles>,
}

/// The section.
pub(super) fn read(file: Option<Section<'_>>, findings: &mut Findings) -> ListenerTls {
    let value = file.as_ref().and_then(|file| file.given("tls"));
    let Some(section) = value.and_then(|value| value.section(findings, &KEYS)) else {
        return ListenerTls::default();
    };
    let mut of = |key| files(section.given(key)?, findings);
    ListenerTls {
        listen: of("listen"),
        admin: of("admin_listen"),
        health: of("health_listen"),
        http: of("http_listen"),
    }
}

fn files(value: Value<'_>, findings: &mut Findings) -> Option<TlsFiles> {
    let section = value.section(findings, &FILES)?;
    let mut required = |key| {
        let value = section.required(findings, key)?;
        value.read(findings, "the path of a file", path)
    };
    let (cert, key) = (required("cert"), required("key"));
    let client_ca = section.given("client_ca");
    let client_ca = client_ca.and_then(|value| value.read(findings, "the path of a file", path));
    let client_cert = section.given("client_cert").and_then(|value| {
        if section.given("client_ca").is_none() {
            value.fault(findings, "says nothing without client_ca");
        }
        value.read(findings, "required or optional", |text| {
            let words = [
                ("required", ClientCert::Required),
                ("optional", ClientCert::Optional),
            ];
            scalar::one_of(text, &words)
        })
    });
    Some(TlsFiles {
        cert: cert?,
        key: key?,
        client_ca,
        client_cert: client_cert.unwrap_or(ClientCert::Required),
    })
}

/// The path of a file.
pub(super) fn path(text: &str) -> Read<PathBuf> {
    if text.is_empty() || text.contains('\0') || text.starts_with('~') {
        return Err("must be the path of a file, written as a whole".into());
    }
    Ok(text.into())
}
