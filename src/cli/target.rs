//! The server that a client verb asks.

use std::fmt;
use std::time::Duration;

use tonic::transport::Endpoint;

/// The server that is asked if nobody names one.
pub(super) const DEFAULT: &str = "http://127.0.0.1:50051";
/// The operators' server that is asked if nobody names one.
pub(super) const ADMIN_DEFAULT: &str = "http://127.0.0.1:50052";
/// The sidecar whose pages are read if nobody names one.
pub(super) const HTTP_DEFAULT: &str = "http://127.0.0.1:9090";
/// How long connecting may take; the answer has a bound of its own.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The address of a server: `http://host:port`, `https://host:port` or `unix:/path`.
#[derive(Debug, Clone)]
pub struct Target {
    text: String,
    endpoint: Box<Endpoint>,
}

impl Target {
    /// Reads an address; one without a scheme is a `http` one, and an empty one the default.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_or(text, DEFAULT)
    }

    /// As [`Target::parse`], with the operators' default.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn parse_admin(text: &str) -> Result<Self, String> {
        Self::parse_or(text, ADMIN_DEFAULT)
    }

    /// As [`Target::parse`], with the default of who reads pages.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn parse_http(text: &str) -> Result<Self, String> {
        Self::parse_or(text, HTTP_DEFAULT)
    }

    fn parse_or(text: &str, default: &str) -> Result<Self, String> {
        let text = match text {
            "" => default.into(),
            _ if text.starts_with("unix:") || text.contains("://") => text.to_owned(),
            _ => format!("http://{text}"),
        };
        let path = text.strip_prefix("unix:");
        let wrong = || "must be http://host:port, https://host:port or unix:/path".to_owned();
        if path.is_some_and(|path| path.trim_start_matches('/').is_empty()) {
            return Err(wrong());
        }
        let endpoint = Endpoint::from_shared(text.clone()).map_err(|_| wrong())?;
        let uri = endpoint.uri();
        let on_its_own = matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.port_u16().is_some()
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none();
        if path.is_none() && !on_its_own {
            return Err(wrong());
        }
        Ok(Self {
            text,
            endpoint: Box::new(endpoint.connect_timeout(CONNECT_MAX)),
        })
    }

    /// Whether it is a socket of this machine, whose two ends know each other's users.
    pub(super) fn is_unix(&self) -> bool {
        self.text.starts_with("unix:")
    }

    /// Whether it is spoken to over TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// The path of the socket that it is.
    pub(super) fn socket(&self) -> Option<&str> {
        self.text.strip_prefix("unix:")
    }

    /// Host and port, where it is no socket.
    pub(super) fn host_and_port(&self) -> &str {
        let text = self.text.strip_prefix("http://").unwrap_or(&self.text);
        text.trim_end_matches('/')
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_server_is_named_by_a_url_or_a_socket() {
        for (text, shown) in [
            ("", "http://127.0.0.1:50051"),
            ("http://127.0.0.1:50051", "http://127.0.0.1:50051"),
            ("http://sidecar.local:1/", "http://sidecar.local:1/"),
            ("[::1]:50051", "http://[::1]:50051"),
            ("https://sidecar.local:1", "https://sidecar.local:1"),
            ("unix:/run/imquota.sock", "unix:/run/imquota.sock"),
            ("unix:///run/imquota.sock", "unix:///run/imquota.sock"),
        ] {
            assert_eq!(Target::parse(text).expect(text).to_string(), shown);
        }
        for (text, hint) in [
            ("https://127.0.0.1", "must be http://host:port"),
            ("http://127.0.0.1", "must be http://host:port"),
            ("http://127.0.0.1:50051/path", "must be http://host:port"),
            ("ftp://127.0.0.1:1", "must be http://host:port"),
            ("http://a b:1", "must be http://host:port"),
            (
                "unix:",
                "must be http://host:port, https://host:port or unix:/path",
            ),
            (
                "unix:///",
                "must be http://host:port, https://host:port or unix:/path",
            ),
        ] {
            let problem = Target::parse(text).expect_err(text);
            assert!(problem.contains(hint), "{text}: {problem}");
        }
    }
}
