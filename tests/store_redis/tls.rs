//! TLS to a real server: whom we trust, what we show, under which name, and new files without a restart.

#![allow(
    clippy::unused_self,
    reason = "they read as what is asked of all of it"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use imquota::config::RedisTls;
use imquota::store::StoreFault;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::fixture::{Sidecar, options};
use crate::redis_server::{Persistence, RedisServer, free_port};

/// The name in the server's certificate.
const NAME: &str = "redis.internal";

/// An authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// Writes its certificate.
    fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).expect("the folder is ours");
    }

    /// Writes a certificate for `name` and its key.
    fn sign(&self, name: &str, cert: &Path, key: &Path) {
        let pair = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let signed = params.signed_by(&pair, &self.0).expect("it is signed");
        std::fs::write(cert, signed.pem()).expect("the folder is ours");
        std::fs::write(key, pair.serialize_pem()).expect("the folder is ours");
    }
}

/// A server that speaks TLS and wants certificates, and the files of both sides.
struct Secured {
    folder: TempDir,
    server: RedisServer,
    port: u16,
    authority: Authority,
}

impl Secured {
    fn start() -> Self {
        let (folder, port, authority) =
            (tempfile::tempdir().unwrap(), free_port(), Authority::new());
        let path = |name: &str| folder.path().join(name);
        authority.write(&path("ca"));
        authority.sign(NAME, &path("cert"), &path("key"));
        authority.sign("sidecar", &path("my-cert"), &path("my-key"));
        let text = |name: &str| path(name).display().to_string();
        let server = RedisServer::with(
            Persistence::None,
            &[
                "--tls-port",
                &port.to_string(),
                "--tls-cert-file",
                &text("cert"),
                "--tls-key-file",
                &text("key"),
                "--tls-ca-cert-file",
                &text("ca"),
                "--tls-auth-clients",
                "yes",
            ],
        );
        Self {
            folder,
            server,
            port,
            authority,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn files(&self) -> RedisTls {
        RedisTls {
            ca_file: Some(self.path("ca")),
            identity: Some((self.path("my-cert"), self.path("my-key"))),
            server_name: Some(NAME.into()),
        }
    }

    fn sidecar(&self, number: u64, files: RedisTls) -> Sidecar {
        self.sidecar_at(number, files, self.port)
    }

    fn sidecar_at(&self, number: u64, files: RedisTls, port: u16) -> Sidecar {
        let mut options = options(&format!("rediss://127.0.0.1:{port}"));
        options.response_timeout = Duration::from_secs(3);
        options.tls = files;
        Sidecar::with(number, options)
    }

    async fn refuses(&self, files: RedisTls) -> String {
        refusal(&self.sidecar(9, files)).await
    }
}

async fn refusal(sidecar: &Sidecar) -> String {
    match sidecar.hello(None).await {
        Err(StoreFault::Away(words)) if !words.contains('\n') => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_ledger_is_reached_by_tls_with_certificates_on_both_sides() {
    let secured = Secured::start();
    let one = secured.sidecar(1, secured.files());
    let known = one.hello(None).await.unwrap();
    assert!(one.beats().await.leased);

    // What is wrong is said, with the setting that mends it.
    let whose = secured
        .refuses(RedisTls {
            server_name: None,
            ..secured.files()
        })
        .await;
    assert!(whose.contains("set store.tls.server_name"), "{whose}");
    let nobody = secured
        .refuses(RedisTls {
            identity: None,
            ..secured.files()
        })
        .await;
    assert!(nobody.contains("store.tls.cert_file"), "{nobody}");
    let absent = RedisTls {
        ca_file: Some("/nowhere/ca".into()),
        ..secured.files()
    };
    let absent = secured.refuses(absent).await;
    assert!(absent.contains("/nowhere/ca"), "{absent}");
    let plain = secured.sidecar_at(9, secured.files(), secured.server.port());
    let plain = refusal(&plain).await;
    assert!(plain.contains("redis://"), "{plain}");

    // The authority is replaced while the sidecar runs. Its connection lasts; the next one is made by the
    // files as they are then.
    let (another, ca) = (Authority::new(), secured.path("ca"));
    another.write(&ca);
    assert!(one.beats().await.leased);
    secured
        .server
        .command::<u64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let strange = one.hello(Some(known)).await.unwrap_err().to_string();
    assert!(strange.contains("store.tls.ca_file"), "{strange}");
    secured.authority.write(&ca);
    secured
        .authority
        .sign("sidecar", &secured.path("my-cert"), &secured.path("my-key"));
    assert_eq!(one.hello(Some(known)).await, Ok(known));
}
