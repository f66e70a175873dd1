//! Files, their faults, and their change.

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, SanType};

use super::*;

fn files(folder: &Path) -> TlsFiles {
    TlsFiles {
        cert: folder.join("tls.crt"),
        key: folder.join("tls.key"),
        client_ca: None,
        client_cert: ClientCert::Required,
    }
}

fn issue(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
}

#[test]
fn what_changed_is_used_and_what_cannot_be_is_not() {
    let folder = tempfile::tempdir().unwrap();
    issue(folder.path());
    let tls = ServerTls::open(files(folder.path()), Protocol::Http2).unwrap();
    let first = tls.config();
    assert!(!tls.refresh().unwrap(), "nothing has changed");
    assert!(Arc::ptr_eq(&first, &tls.config()));

    fs::write(folder.path().join("tls.crt"), "half of it").unwrap();
    let fault = tls.refresh().unwrap_err().to_string();
    assert!(fault.ends_with("tls.crt: holds no certificate"), "{fault}");
    assert!(Arc::ptr_eq(&first, &tls.config()), "the old one stays");

    issue(folder.path());
    assert!(tls.refresh().unwrap());
    assert!(!Arc::ptr_eq(&first, &tls.config()));
}

#[test]
fn a_start_without_whole_files_names_the_one_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |files| {
        let fault = ServerTls::open(files, Protocol::Http2).unwrap_err();
        fault.to_string()
    };
    let fault = refused(files(folder.path()));
    assert!(fault.contains("tls.crt: cannot be read"), "{fault}");

    issue(folder.path());
    let other = KeyPair::generate().unwrap().serialize_pem();
    fs::write(folder.path().join("tls.key"), &other).unwrap();
    let fault = refused(files(folder.path()));
    assert!(fault.contains("tls.key: does not fit"), "{fault}");

    fs::write(folder.path().join("tls.key"), "s3cret").unwrap();
    let fault = refused(files(folder.path()));
    assert!(fault.contains("tls.key: holds no private key"), "{fault}");
    assert!(!fault.contains("s3cret"), "{fault}");

    issue(folder.path());
    let ca = TlsFiles {
        client_ca: Some(folder.path().join("ca.crt")),
        ..files(folder.path())
    };
    let fault = refused(ca);
    assert!(fault.contains("ca.crt: cannot be read"), "{fault}");
}

#[test]
fn a_certificate_says_who_its_bearer_is() {
    let mut params = CertificateParams::new(["Gateway.Example.org".to_owned()]).unwrap();
    for uri in ["spiffe://example.org/gateway", "https://example.org/"] {
        let uri = SanType::URI(uri.try_into().unwrap());
        params.subject_alt_names.push(uri);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let expected = [
        Name::Dns("gateway.example.org".into()),
        Name::Spiffe("spiffe://example.org/gateway".into()),
    ];
    assert_eq!(names_of(certificate.der()), expected);
    assert_eq!(names_of(b"no certificate"), []);
    for bad in [
        "",
        "spiffe://",
        "spiffe:///path",
        "https://x",
        "spiffe://a b",
    ] {
        assert!(Name::spiffe(bad).is_err(), "{bad}");
    }
    for bad in ["", "*.example.org", "a b"] {
        assert!(Name::dns(bad).is_err(), "{bad}");
    }
}
