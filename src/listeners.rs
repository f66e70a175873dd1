//! All sockets of a server, bound and with their certificates, before anything else is built.

use tokio::task::JoinSet;

use crate::config::Settings;
use crate::endpoint::Endpoint;
use crate::grpc::{self, BindFault, Bound};
use crate::tls::{Protocol, ServerTls, TlsFault, TlsFiles};

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenFault {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindFault),
    /// There is no certificate to show.
    #[error("tls: {0}")]
    Tls(#[from] TlsFault),
}

/// Where a server listens. What nobody asked for is an empty list.
pub struct Listeners {
    /// The gateways'.
    pub api: Vec<Bound>,
    /// For probes alone.
    pub probes: Vec<Bound>,
    /// The operators'.
    pub admin: Vec<Bound>,
    /// Pages and figures.
    pub pages: Vec<Bound>,
    /// Each listener's key in the settings, and its TLS.
    pub certificates: Vec<(&'static str, ServerTls)>,
}

impl Listeners {
    /// Binds what `settings` name.
    ///
    /// # Errors
    /// [`ListenFault`]; nothing is listened on then.
    pub fn bind(settings: &Settings) -> Result<Self, ListenFault> {
        let mut certificates = Vec::new();
        let mut open = |key, files: &Option<TlsFiles>, protocol| {
            let Some(files) = files else { return Ok(None) };
            let tls = ServerTls::open(files.clone(), protocol)?;
            certificates.push((key, tls.clone()));
            Ok::<_, ListenFault>(Some(tls))
        };
        let tls = open("listen", &settings.tls.listen, Protocol::Http2)?;
        let admin_tls = open("admin_listen", &settings.tls.admin, Protocol::Http2)?;
        let health_tls = open("health_listen", &settings.tls.health, Protocol::Http2)?;
        let http_tls = open("http_listen", &settings.tls.http, Protocol::Http1)?;
        let asked = settings.listen.iter();
        let api = asked.zip(grpc::bind(&settings.listen)?);
        let api = api.map(|(asked, bound)| {
            // One that is named as plain stays so, beside others.
            let tls = tls
                .as_ref()
                .filter(|_| !settings.allow_plaintext.contains(asked));
            behind(bound, tls)
        });
        Ok(Self {
            api: api.collect(),
            probes: one(settings.health_listen.as_ref(), health_tls.as_ref())?,
            admin: one(settings.admin_listen.as_ref(), admin_tls.as_ref())?,
            pages: one(settings.http_listen.as_ref(), http_tls.as_ref())?,
            certificates,
        })
    }
}

/// Follows the files of all certificates, until it is dropped.
pub fn follow(certificates: &[(&'static str, ServerTls)]) -> JoinSet<()> {
    let all = certificates.iter();
    all.map(|(_, tls)| tls.clone().follow()).collect()
}

fn one(endpoint: Option<&Endpoint>, tls: Option<&ServerTls>) -> Result<Vec<Bound>, BindFault> {
    let bound = match endpoint {
        Some(endpoint) => grpc::bind(std::slice::from_ref(endpoint))?,
        None => Vec::new(),
    };
    Ok(bound.into_iter().map(|bound| behind(bound, tls)).collect())
}

fn behind(bound: Bound, tls: Option<&ServerTls>) -> Bound {
    match tls {
        Some(tls) => bound.behind(tls),
        None => bound,
    }
}
