//! Where a server listens, and where a client finds one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The longest path of a Unix socket, in bytes: what fits an address beside its closing zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

const UNIX_PREFIX: &str = "unix:";
const LOCALHOST: &str = "localhost";

/// An address of a stream socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An IP address and a port; port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// The file of a Unix socket; at most [`SOCKET_PATH_BYTES_MAX`] bytes.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads `127.0.0.1:50051`, `[::1]:0`, `localhost:50051` (which is 127.0.0.1) or `unix:/path`.
    /// Other host names are refused: what a server listens on should not hang on a name service.
    ///
    /// # Errors
    /// What is wrong and what to write instead, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX_PREFIX) {
            return socket_path(path).map_err(|problem| format!("{text:?}: {problem}"));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        if let Some((LOCALHOST, port)) = text.rsplit_once(':')
            && let Ok(port) = port.parse()
        {
            return Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()));
        }
        let problem = if text.parse::<IpAddr>().is_ok() {
            "the port is missing; write it as 127.0.0.1:50051 or [::1]:50051"
        } else {
            "is no address; write 127.0.0.1:50051, [::1]:50051, localhost:50051 or unix:/path"
        };
        Err(format!("{text:?}: {problem}"))
    }

    /// Whether only this machine can reach it: a loopback address, or a Unix socket.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

fn socket_path(path: &str) -> Result<Endpoint, String> {
    // The form that gRPC clients know, unix:///path, is the same as unix:/path.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.ends_with('/') {
        return Err("names no file; write unix:/path/to/socket".into());
    }
    if path.contains('\0') {
        return Err("holds a zero byte, which no path may".into());
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err(format!(
            "the path has {} bytes; a Unix socket's may have {SOCKET_PATH_BYTES_MAX}",
            path.len()
        ));
    }
    Ok(Endpoint::Unix(Path::new(path).into()))
}

impl fmt::Display for Endpoint {
    /// The form that [`Endpoint::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, written) in [
            ("127.0.0.1:50051", "127.0.0.1:50051"),
            ("[::1]:0", "[::1]:0"),
            ("0.0.0.0:1", "0.0.0.0:1"),
            ("localhost:50051", "127.0.0.1:50051"),
            ("unix:/run/imquota.sock", "unix:/run/imquota.sock"),
            ("unix:///run/imquota.sock", "unix:/run/imquota.sock"),
            ("unix:here.sock", "unix:here.sock"),
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.to_string(), written);
            assert_eq!(Endpoint::parse(written).as_ref(), Ok(&endpoint));
        }
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        let long = format!("unix:/{}", "s".repeat(SOCKET_PATH_BYTES_MAX));
        for (text, hint) in [
            ("", "is no address"),
            ("127.0.0.1", "port is missing"),
            ("::1", "port is missing"),
            ("127.0.0.1:65536", "is no address"),
            ("example.com:50051", "is no address"),
            ("localhost:", "is no address"),
            ("http://127.0.0.1:50051", "is no address"),
            ("unix:", "names no file"),
            ("unix:/run/", "names no file"),
            ("unix:/a\0b", "zero byte"),
            (&long, "108 bytes"),
        ] {
            let problem = Endpoint::parse(text).expect_err(text);
            assert!(problem.contains(hint), "{text:?}: {problem}");
        }
    }

    #[test]
    fn loopback_is_what_only_this_machine_reaches() {
        for (text, loopback) in [
            ("127.0.0.1:1", true),
            ("127.8.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("unix:/s", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
        ] {
            let endpoint = Endpoint::parse(text).expect(text);
            assert_eq!(endpoint.is_loopback(), loopback, "{text}");
        }
    }
}
