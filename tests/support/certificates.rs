//! A certificate authority of a test's own, and what it issues.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

/// Issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

impl Issued {
    /// Writes `NAME.crt` and `NAME.key`, each replaced as a whole.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (format!("{name}.crt"), format!("{name}.key"));
        (put(folder, &cert, &self.cert), put(folder, &key, &self.key))
    }
}

/// Replaces a file as a whole.
pub fn put(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (new, path) = (folder.join("new"), folder.join(name));
    std::fs::write(&new, text).expect("the folder is ours");
    std::fs::rename(&new, &path).expect("the folder is ours");
    path
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("there is randomness");
        Self(CertifiedIssuer::self_signed(params, key).expect("it can sign"))
    }

    /// Its own certificate: the root.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate of hosts' names, IP addresses and `spiffe://` URIs.
    pub fn issue(&self, names: &[&str]) -> Issued {
        let hosts = names.iter().filter(|name| !name.contains("://"));
        let hosts: Vec<_> = hosts.map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("they are names");
        for uri in names.iter().filter(|name| name.contains("://")) {
            let uri = (*uri).try_into().expect("it is ASCII");
            params.subject_alt_names.push(SanType::URI(uri));
        }
        let key = KeyPair::generate().expect("there is randomness");
        let cert = params.signed_by(&key, &self.0).expect("it can sign");
        Issued {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}
