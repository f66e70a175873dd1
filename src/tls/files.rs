//! What the files hold.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::{Zeroize as _, Zeroizing};

use super::{TlsFault, TlsFiles};

/// The most bytes of one file; a bundle of all public roots is a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Certificates and a key as they were read. The key is overwritten when it goes: the files are read again and again, and
/// each reading would leave a copy of it in memory that is used for something else.
#[derive(PartialEq, Eq)]
pub(super) struct Material {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// When the first of the chain ends, in seconds since 1970.
    pub not_after: i64,
}

impl Material {
    /// Reads all files.
    pub fn read(files: &TlsFiles) -> Result<Self, TlsFault> {
        let chain = certificates(&files.cert)?;
        let not_after = not_after(&files.cert, &chain)?;
        let text = Zeroizing::new(bytes(&files.key)?);
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|problem| {
            // What is wrong with it, and nothing of what it holds.
            TlsFault::new(&files.key, format!("holds no private key: {problem}"))
        })?;
        let roots = files.client_ca.as_deref().map(certificates).transpose()?;
        Ok(Self {
            chain,
            key,
            roots,
            not_after,
        })
    }
}

impl Drop for Material {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    let found = found.map_err(|problem| TlsFault::new(path, format!("is no PEM: {problem}")))?;
    if found.is_empty() {
        return Err(TlsFault::new(path, "holds no certificate"));
    }
    Ok(found)
}

fn not_after(path: &Path, chain: &[CertificateDer<'_>]) -> Result<i64, TlsFault> {
    let first = chain.first().map(AsRef::as_ref).unwrap_or_default();
    let (_, certificate) = X509Certificate::from_der(first)
        .map_err(|problem| TlsFault::new(path, format!("holds no certificate: {problem}")))?;
    Ok(certificate.validity().not_after.timestamp())
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsFault> {
    let mut bytes = Vec::new();
    let read = |file: File| {
        // Room for all of it at once: where a text of a key grows, copies of it are left behind.
        let length = file.metadata()?.len().min(FILE_BYTES_MAX);
        bytes.reserve_exact(usize::try_from(length + 2).unwrap_or(0));
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    };
    File::open(path)
        .and_then(read)
        .map_err(|problem| TlsFault::new(path, format!("cannot be read: {problem}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsFault::new(path, "is larger than 1 MiB"));
    }
    Ok(bytes)
}
