//! TLS: who is let in, what is spoken, and how certificates are changed under open connections.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use imquota::grpc::proto::{Decision, Resource};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::certificates::{Authority, Issued, put};
use crate::client::{Client, creation};
use crate::process::Process;
use crate::redis_server::free_port;
use crate::sidecar::Sidecar;
use crate::wait::{soon, until};

const APPS: &str = "apps: [{ app_id: 1, plan: trial }]\n";
const SERVER: [&str; 2] = ["127.0.0.1", "localhost"];

fn settings(folder: &Path, more: &str) -> String {
    let at = folder.display();
    format!("tls: {{ listen: {{ cert: {at}/s.crt, key: {at}/s.key{more} }} }}\n{APPS}")
}

/// A folder with the root and a server's certificate.
fn folder(authority: &Authority) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    put(folder.path(), "ca.crt", &authority.pem());
    authority.issue(&SERVER).write(folder.path(), "s");
    folder
}

async fn client(sidecar: &Sidecar, authority: &Authority, own: Option<&Issued>) -> Client {
    try_client(sidecar, authority, own)
        .await
        .expect("it is let in")
}

async fn try_client(
    sidecar: &Sidecar,
    authority: &Authority,
    own: Option<&Issued>,
) -> Result<Client, tonic::transport::Error> {
    client_at(sidecar.address(), authority, own).await
}

async fn client_at(
    address: SocketAddr,
    authority: &Authority,
    own: Option<&Issued>,
) -> Result<Client, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(&own.cert, &own.key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}"));
    let endpoint = endpoint.expect("it is a URI").tls_config(tls)?;
    let channel = soon("a connection", endpoint.connect()).await?;
    Ok(Client::of(channel))
}

/// A connection whose client offers these protocols.
async fn offering(
    sidecar: &Sidecar,
    authority: &Authority,
    own: Option<&Issued>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("it is PEM");
    roots.add(root).expect("it is a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are versions")
        .with_root_certificates(roots);
    let mut config = match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let cert = CertificateDer::from_pem_slice(own.cert.as_bytes()).expect("it is PEM");
            let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("it is PEM");
            let config = config.with_client_auth_cert(vec![cert], key);
            config.expect("they fit")
        }
    };
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    let stream = TcpStream::connect(sidecar.address()).await?;
    let name = ServerName::try_from("localhost").expect("it is a name");
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    soon("a handshake", connecting).await
}

/// The certificate that a new connection is shown.
async fn shown(sidecar: &Sidecar, authority: &Authority) -> Vec<u8> {
    let stream = offering(sidecar, authority, None, &["h2"]).await;
    let stream = stream.expect("it is let in");
    let shown = stream.get_ref().1.peer_certificates();
    shown.expect("there is one")[0].to_vec()
}

#[tokio::test]
async fn a_gateway_speaks_h2_over_tls_and_nothing_else() {
    let authority = Authority::new();
    let folder = folder(&authority);
    let mut sidecar = Sidecar::start("embedded", &settings(folder.path(), "")).await;
    let secure = client(&sidecar, &authority, None).await;
    let answer = secure.create(1, Resource::Account).await;
    assert_eq!((answer.decision(), answer.used), (Decision::Allow, 1));

    // A client that trusts another root goes no further.
    let other = Authority::new();
    assert!(try_client(&sidecar, &other, None).await.is_err());
    // Another protocol is refused in the handshake, none at all behind it.
    let refused = offering(&sidecar, &authority, None, &["http/1.1"]).await;
    assert!(refused.is_err());
    let mut silent = offering(&sidecar, &authority, None, &[])
        .await
        .expect("a handshake");
    let mut rest = Vec::new();
    let _ = soon("its end", silent.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "not even settings are sent: {rest:?}");
    // Plain bytes get no answer of HTTP/2.
    let mut plain = TcpStream::connect(sidecar.address())
        .await
        .expect("somebody listens");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    plain.write_all(preface).await.expect("it is taken");
    let mut answer = Vec::new();
    let _ = soon("its end", plain.read_to_end(&mut answer)).await;
    assert!(
        answer.first().is_none_or(|first| *first == 0x15),
        "an alert at most: {answer:?}"
    );
    // The socket needs no TLS.
    let answer = sidecar
        .unix_client()
        .await
        .create(1, Resource::Account)
        .await;
    assert_eq!(answer.used, 2);
    sidecar.stop().await;
}

#[tokio::test]
async fn a_client_shows_a_certificate_of_the_right_root() {
    let authority = Authority::new();
    let folder = folder(&authority);
    let ca = format!(", client_ca: {}/ca.crt", folder.path().display());
    let mut sidecar = Sidecar::start("embedded", &settings(folder.path(), &ca)).await;
    let own = authority.issue(&["spiffe://example.org/gateway"]);
    let known = client(&sidecar, &authority, Some(&own)).await;
    assert_eq!(known.create(1, Resource::Account).await.used, 1);

    let foreign = Authority::new().issue(&["spiffe://example.org/gateway"]);
    for own in [None, Some(&foreign)] {
        // With TLS 1.3 a client learns of it behind its own handshake.
        let stranger = offering(&sidecar, &authority, own, &["h2"]).await;
        if let Ok(mut stranger) = stranger {
            let mut rest = Vec::new();
            let end = soon("its end", stranger.read_to_end(&mut rest)).await;
            assert!(end.is_err() && rest.is_empty(), "{end:?} {rest:?}");
        }
    }

    // The program's own verbs.
    own.write(folder.path(), "c");
    let at = folder.path().display();
    let verb = |more: &str| {
        let line = format!(
            "usage --app 1 --json --endpoint https://{}{more}",
            sidecar.address()
        );
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        Process::imquota(words).ended()
    };
    let flags = format!(" --ca {at}/ca.crt --cert {at}/c.crt --key {at}/c.key");
    let answered = verb(&flags).await;
    assert_eq!(answered.code(), 0, "{answered:?}");
    assert!(answered.stdout.contains("\"used\":1"), "{answered:?}");
    let unknown = verb("").await;
    assert_eq!(unknown.code(), 1);
    assert!(unknown.stderr.contains("--ca"), "{unknown:?}");
    let bare = verb(&format!(" --ca {at}/ca.crt")).await;
    assert_eq!(bare.code(), 1, "{bare:?}");
    sidecar.stop().await;
}

#[tokio::test]
async fn probes_can_be_behind_a_certificate() {
    let authority = Authority::new();
    let folder = folder(&authority);
    let (at, port) = (folder.path().display(), free_port());
    let text = format!(
        "health_listen: 127.0.0.1:{port}\n\
         tls: {{ health_listen: {{ cert: {at}/s.crt, key: {at}/s.key, client_ca: {at}/ca.crt }} }}\n{APPS}"
    );
    let mut sidecar = Sidecar::start("embedded", &text).await;
    let probes = SocketAddr::from(([127, 0, 0, 1], port));
    let own = authority.issue(&["prober.example.org"]);
    let prober = client_at(probes, &authority, Some(&own)).await;
    let prober = prober.expect("it is let in");
    assert_eq!(prober.health("readiness").await, ServingStatus::Serving);
    // The API has no certificate of its own, and goes on as it was.
    let plain = sidecar.client().await;
    assert_eq!(plain.health("").await, ServingStatus::Serving);
    let plain = Endpoint::from_shared(format!("http://{probes}")).expect("it is a URI");
    let plain = Client::of(plain.connect_lazy());
    let check = creation(1, Resource::Account);
    plain
        .try_check(check)
        .await
        .expect_err("there is no plain text");
    sidecar.stop().await;
}

#[tokio::test]
async fn certificates_are_changed_under_open_connections() {
    let authority = Authority::new();
    let folder = folder(&authority);
    let pages = tempfile::tempdir().expect("a folder can be made");
    let socket = pages.path().join("p");
    let text = settings(folder.path(), "") + &format!("http_listen: unix:{}\n", socket.display());
    let mut sidecar = Sidecar::start("embedded", &text).await;
    let open = client(&sidecar, &authority, None).await;
    assert_eq!(open.create(1, Resource::Account).await.used, 1);
    let first = shown(&sidecar, &authority).await;

    // Half of a rotation: the certificate without its key changes nothing.
    let next = authority.issue(&SERVER);
    put(folder.path(), "s.crt", &next.cert);
    sidecar
        .process()
        .says("new certificates cannot be used")
        .await;
    assert_eq!(shown(&sidecar, &authority).await, first);
    put(folder.path(), "s.key", &next.key);
    sidecar.process().says("new certificates are in use").await;
    until("the new one is shown", async || {
        let now = shown(&sidecar, &authority).await;
        (now != first).then_some(()).ok_or("the old one")
    })
    .await;
    assert_eq!(
        open.create(1, Resource::Account).await.used,
        2,
        "it goes on"
    );

    let mut stream = tokio::net::UnixStream::connect(&socket)
        .await
        .expect("pages");
    let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it is taken");
    let mut page = String::new();
    soon("the page", stream.read_to_string(&mut page))
        .await
        .expect("it is text");
    let figure = "imquota_tls_certificate_not_after_seconds{listener=\"listen\"} ";
    assert!(page.contains(figure), "{page}");
    sidecar.stop().await;
}

#[tokio::test]
async fn a_handshake_that_stalls_is_let_go() {
    let authority = Authority::new();
    let folder = folder(&authority);
    let mut sidecar = Sidecar::start("embedded", &settings(folder.path(), "")).await;
    let began = std::time::Instant::now();
    let mut stalled = TcpStream::connect(sidecar.address())
        .await
        .expect("somebody listens");
    // A record of a handshake that is never finished.
    let begun = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    stalled.write_all(begun).await.expect("it is taken");
    let mut rest = Vec::new();
    let _ = soon("its end", stalled.read_to_end(&mut rest)).await;
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(15), "{took:?}");
    let known = client(&sidecar, &authority, None).await;
    assert_eq!(known.create(1, Resource::Account).await.used, 1);
    sidecar.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_there_is_said_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let sidecar = Sidecar::new("embedded", &settings(folder.path(), ""));
    let line = sidecar.refuses(&["--listen", "127.0.0.1:0"]).await;
    assert!(line.contains("s.crt: cannot be read"), "{line}");
}
