//! Where the server listens, and what may be plain off loopback.

use super::LISTENERS_MAX;
use super::auth;
use super::finding::Findings;
use super::layered::{Chosen, Layered};
use super::sources::{Environment, Flags};
use super::tls::{self, ListenerTls};
use super::value::Section;
use crate::access::Binding;
use crate::endpoint::Endpoint;

/// Where the API is served if nobody says.
const LISTEN_DEFAULT: &str = "127.0.0.1:50051";

const LISTEN: Layered = Layered {
    key: "listen",
    flag: "--listen",
    variable: "IMQUOTA_LISTEN",
};
const ADMIN_LISTEN: Layered = Layered {
    key: "admin_listen",
    flag: "--admin-listen",
    variable: "IMQUOTA_ADMIN_LISTEN",
};
const HTTP_LISTEN: Layered = Layered {
    key: "http_listen",
    flag: "--http-listen",
    variable: "IMQUOTA_HTTP_LISTEN",
};

/// Where the server listens.
pub(super) struct Listeners {
    /// The API's.
    pub listen: Vec<Endpoint>,
    /// The operators'.
    pub admin: Option<Endpoint>,
    /// The one for health alone.
    pub health: Option<Endpoint>,
    /// The one of HTTP.
    pub http: Option<Endpoint>,
    /// Which of them speak TLS.
    pub tls: ListenerTls,
    /// Which may be plain.
    pub plain: Vec<Endpoint>,
    /// Who may do what.
    pub auth: Option<Vec<Binding>>,
}

/// All listeners.
pub(super) fn read(
    flags: &Flags,
    environment: &Environment,
    file: Option<Section<'_>>,
    findings: &mut Findings,
) -> Listeners {
    let listen = LISTEN.choose_list(&flags.listen, environment, file, findings, Endpoint::parse);
    let health = health(file, findings);
    let flag = flags.admin_listen.as_deref();
    let admin = ADMIN_LISTEN.choose(flag, environment, file, findings, Endpoint::parse);
    let plain = allow_plaintext(file, findings);
    let tls = tls::read(file, findings);
    let auth = auth::read(file, findings);
    let listen = listen.unwrap_or_default();
    for one in &listen {
        if tls.listen.is_none() && !one.value.is_loopback() && !plain.contains(&one.value) {
            let text = format!(
                "{} can be reached from other machines and is not encrypted: give it a certificate \
                 under tls.listen in the settings file; or, if that is meant, add it to allow_plaintext",
                one.value
            );
            findings.fault(one.place.clone(), one.key.clone(), text);
        }
    }
    if let Some(one) = admin.as_ref().filter(|one| !one.value.is_loopback()) {
        let is_plain = tls.admin.is_none() && !plain.contains(&one.value);
        for (missing, what) in [
            (
                auth.is_none(),
                "an auth section says who operators are; without one, listen on loopback or on a Unix socket",
            ),
            (
                is_plain,
                "it is not encrypted: give it a certificate under tls.admin_listen in the settings file; or, if \
                 that is meant, add it to allow_plaintext",
            ),
        ] {
            if missing {
                let text = format!("{} can be reached from other machines; {what}", one.value);
                findings.fault(one.place.clone(), one.key.clone(), text);
            }
        }
    }
    let flag = flags.http_listen.as_deref();
    let http = HTTP_LISTEN.choose(flag, environment, file, findings, Endpoint::parse);
    let others = [admin.as_ref(), health.as_ref(), http.as_ref()];
    each_once(&listen, others, findings);
    let mut listen: Vec<_> = listen.into_iter().map(|one| one.value).collect();
    if listen.is_empty() {
        listen.extend(Endpoint::parse(LISTEN_DEFAULT));
    }
    Listeners {
        listen,
        admin: admin.map(|one| one.value),
        health: health.map(|one| one.value),
        http: http.map(|one| one.value),
        tls,
        plain,
        auth,
    }
}

fn health(file: Option<Section<'_>>, findings: &mut Findings) -> Option<Chosen<Endpoint>> {
    let file = file?;
    let value = file.given("health_listen")?;
    Some(Chosen {
        value: value.read(findings, "an address", Endpoint::parse)?,
        place: value.place(),
        key: value.key(),
    })
}

fn allow_plaintext(file: Option<Section<'_>>, findings: &mut Findings) -> Vec<Endpoint> {
    let Some(file) = file else {
        return Vec::new();
    };
    if let Some(listen) = file.given("listen")
        && listen.is_empty_list()
    {
        listen.fault(
            findings,
            "must name at least one address; leave the key out for the default",
        );
    }
    let Some(list) = file.given("allow_plaintext") else {
        return Vec::new();
    };
    list.list(findings)
        .into_iter()
        .flatten()
        .filter_map(|value| value.read(findings, "an address", Endpoint::parse))
        .collect()
}

/// Two listeners on one address are a slip, unless the system chooses both ports.
fn each_once(
    listen: &[Chosen<Endpoint>],
    others: [Option<&Chosen<Endpoint>>; 3],
    findings: &mut Findings,
) {
    if let Some(above) = listen.get(LISTENERS_MAX) {
        let text = format!("there may be at most {LISTENERS_MAX} listeners");
        findings.fault(above.place.clone(), above.key.clone(), text);
        return;
    }
    let all: Vec<_> = listen.iter().chain(others.into_iter().flatten()).collect();
    for (at, one) in all.iter().enumerate() {
        let chosen_later = matches!(one.value, Endpoint::Tcp(address) if address.port() == 0);
        if !chosen_later && all[..at].iter().any(|before| before.value == one.value) {
            let text = format!("{} is listened on already", one.value);
            findings.fault(one.place.clone(), one.key.clone(), text);
        }
    }
}
