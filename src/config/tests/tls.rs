//! The certificates of listeners: what is understood, what is refused and where.

use super::{faults, read};
use crate::config::ListenerTls;
use crate::tls::{ClientCert, TlsFiles};

#[test]
fn each_listener_has_its_own_certificate() {
    let settings = read(
        "listen: ['0.0.0.0:50051']
tls:
  listen: { cert: /t/tls.crt, key: /t/tls.key, client_ca: /t/ca.crt, client_cert: optional }
  http_listen: { cert: a, key: b }
",
    )
    .expect("TLS needs no permission");
    let api = TlsFiles {
        cert: "/t/tls.crt".into(),
        key: "/t/tls.key".into(),
        client_ca: Some("/t/ca.crt".into()),
        client_cert: ClientCert::Optional,
    };
    let http = TlsFiles {
        cert: "a".into(),
        key: "b".into(),
        client_ca: None,
        client_cert: ClientCert::Required,
    };
    let expected = ListenerTls {
        listen: Some(api),
        admin: None,
        health: None,
        http: Some(http),
    };
    assert_eq!(settings.tls, expected);
    assert_eq!(read("").expect("no fault").tls, ListenerTls::default());
}

#[test]
fn half_of_a_certificate_is_refused() {
    for (text, lines) in [
        (
            "tls: { listen: { cert: x } }",
            &["f.yaml:1: tls.listen.key: is missing"][..],
        ),
        (
            "tls: { admin_listen: { cert: '', key: ~/x, client_cert: maybe } }",
            &[
                "f.yaml:1: tls.admin_listen.cert: must be the path of a file, written as a whole",
                "f.yaml:1: tls.admin_listen.key: must be the path of a file, written as a whole",
                "f.yaml:1: tls.admin_listen.client_cert: says nothing without client_ca",
                "f.yaml:1: tls.admin_listen.client_cert: must be required or optional, not \"maybe\"",
            ],
        ),
        (
            "tls: { pages: { cert: x, key: y } }",
            &[
                "f.yaml:1: tls.pages: unknown key; known here are listen, admin_listen, health_listen, http_listen",
            ],
        ),
    ] {
        assert_eq!(faults(text), lines, "{text}");
    }
}
