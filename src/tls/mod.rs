//! TLS for listeners: certificates from files, which are followed while they change, and the name that a
//! client's certificate bears.
//!
//! TLS 1.2 is the least. A listener for gRPC speaks HTTP/2 alone, as ALPN says: a client that agrees on
//! nothing or on something else is let go.

mod files;
mod follow;
mod names;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

pub use names::{Name, names_of};

use files::Material;

/// The files of one listener's TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, and behind it those that lead to its root.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The roots of clients' certificates. `None`: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is let in, too. One with a bad one never is.
    pub client_cert: ClientCert,
}

/// Whether clients must show a certificate, where there are roots for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCert {
    /// They must.
    Required,
    /// They may.
    Optional,
}

/// What is spoken behind the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2, and nothing else.
    Http2,
    /// HTTP/1.1.
    Http1,
}

impl Protocol {
    /// Its name in ALPN.
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Http2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct TlsFault {
    path: PathBuf,
    problem: String,
}

impl TlsFault {
    fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: problem.into(),
        }
    }
}

/// A listener's TLS as it is now. Its clones share it.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    protocol: Protocol,
    /// Never held for longer than a copy.
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    config: Arc<ServerConfig>,
    material: Arc<Material>,
}

impl ServerTls {
    /// TLS by these files as they are.
    ///
    /// # Errors
    /// [`TlsFault`] names the file that cannot be read, or does not fit the others.
    pub fn open(files: TlsFiles, protocol: Protocol) -> Result<Self, TlsFault> {
        let current = build(&files, protocol, Material::read(&files)?)?;
        Ok(Self(Arc::new(Shared {
            files,
            protocol,
            current: RwLock::new(current),
        })))
    }

    /// What the next handshake goes by.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current().config
    }

    /// What is spoken.
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// When the server's certificate ends, in seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.current().material.not_after
    }

    fn current(&self) -> Current {
        // What is in there is whole, even if somebody panicked beside it.
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again: whether they had changed, and are used from now on. What cannot be used
    /// changes nothing.
    fn refresh(&self) -> Result<bool, TlsFault> {
        let Shared {
            files,
            protocol,
            current,
        } = &*self.0;
        let material = Material::read(files)?;
        if *self.current().material == material {
            return Ok(false);
        }
        let new = build(files, *protocol, material)?;
        *current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(true)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.files.fmt(f)
    }
}

fn build(files: &TlsFiles, protocol: Protocol, material: Material) -> Result<Current, TlsFault> {
    let provider = Arc::new(default_provider());
    // The versions are those of the library: 1.2 and 1.3.
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|problem| TlsFault::new(&files.cert, problem.to_string()))?;
    let builder = match (&files.client_ca, &material.roots) {
        (Some(path), Some(roots)) => {
            let mut store = RootCertStore::empty();
            for root in roots {
                store.add(root.clone()).map_err(|problem| {
                    TlsFault::new(path, format!("holds what is no root: {problem}"))
                })?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(store.into(), provider);
            let verifier = match files.client_cert {
                ClientCert::Required => verifier,
                ClientCert::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier
                .build()
                .map_err(|problem| TlsFault::new(path, problem.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(material.chain.clone(), material.key.clone_key())
        .map_err(|problem| {
            let problem = format!("does not fit {}: {problem}", files.cert.display());
            TlsFault::new(&files.key, problem)
        })?;
    config.alpn_protocols = vec![protocol.name().to_vec()];
    Ok(Current {
        config: Arc::new(config),
        material: Arc::new(material),
    })
}

#[cfg(test)]
mod tests;
