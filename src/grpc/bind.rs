//! Listeners, bound before anything else is built: an address that is taken ends a start at once.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use socket2::{Domain, Protocol, Socket, Type};

use super::socket_file::{SocketFault, SocketFile};
use crate::endpoint::Endpoint;
use crate::tls::ServerTls;

/// How many connections may wait to be accepted; a burst of all clients at once fits.
const BACKLOG: i32 = 1024;

/// A listener that nothing is accepted from yet.
#[derive(Debug)]
pub struct Bound {
    endpoint: Endpoint,
    pub(super) listener: Listener,
    pub(super) tls: Option<ServerTls>,
}

#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    /// The file is removed when the listener is dropped.
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// Where it really listens: with the port that the system chose, if 0 was asked.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The same listener behind TLS, if it is one of TCP: a Unix socket needs none.
    #[must_use]
    pub fn behind(mut self, tls: &ServerTls) -> Self {
        if matches!(self.endpoint, Endpoint::Tcp(_)) {
            self.tls = Some(tls.clone());
        }
        self
    }
}

/// Why nobody can listen there.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint}: {problem}")]
pub struct BindFault {
    endpoint: Endpoint,
    problem: String,
}

/// Listens on every endpoint. A Unix socket that nobody listens on any more is replaced.
///
/// # Errors
/// [`BindFault`], with the address, for the first that cannot be had; nothing is listened on then.
pub fn bind(endpoints: &[Endpoint]) -> Result<Vec<Bound>, BindFault> {
    endpoints.iter().map(bind_one).collect()
}

fn bind_one(endpoint: &Endpoint) -> Result<Bound, BindFault> {
    let fault = |problem: String| BindFault {
        endpoint: endpoint.clone(),
        problem,
    };
    match endpoint {
        Endpoint::Tcp(address) => listen(*address).map_err(|problem| {
            fault(match problem.kind() {
                ErrorKind::AddrInUse => {
                    "the port is in use; stop what listens on it or choose another".into()
                }
                _ => format!("cannot listen: {problem}"),
            })
        }),
        Endpoint::Unix(path) => SocketFile::listen(path)
            .and_then(|(listener, file)| {
                listener.set_nonblocking(true).map_err(SocketFault::Io)?;
                Ok(Bound {
                    endpoint: endpoint.clone(),
                    listener: Listener::Unix(listener, file),
                    tls: None,
                })
            })
            .map_err(|problem| fault(problem.to_string())),
    }
}

fn listen(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A port whose last connections are still closing is free; one that is listened on is not.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    Ok(Bound {
        endpoint: Endpoint::Tcp(listener.local_addr()?),
        listener: Listener::Tcp(listener),
        tls: None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    use super::*;

    fn tcp(text: &str) -> Endpoint {
        Endpoint::parse(text).expect("it is an address")
    }

    fn refusal(endpoint: &Endpoint) -> String {
        bind(std::slice::from_ref(endpoint))
            .expect_err("it cannot be had")
            .to_string()
    }

    fn in_folder(name: &str) -> (tempfile::TempDir, PathBuf, Endpoint) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let path = folder.path().join(name);
        let endpoint = Endpoint::Unix(path.clone());
        (folder, path, endpoint)
    }

    #[test]
    fn the_port_that_was_chosen_is_told_and_is_taken() {
        let bound = bind(&[tcp("127.0.0.1:0")]).expect("a port is free");
        let Endpoint::Tcp(address) = *bound[0].endpoint() else {
            panic!("a TCP address was asked");
        };
        assert_ne!(address.port(), 0);
        let message = refusal(&Endpoint::Tcp(address));
        assert!(
            message.starts_with(&format!("{address}: the port is in use")),
            "{message}"
        );
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let message = refusal(&tcp("192.0.2.1:0"));
        assert!(
            message.starts_with("192.0.2.1:0: cannot listen:"),
            "{message}"
        );
    }

    #[test]
    fn a_stale_socket_is_replaced_and_ours_is_removed() {
        let (_folder, path, endpoint) = in_folder("s");
        drop(UnixListener::bind(&path).expect("the path is free"));
        assert!(path.exists(), "a crashed process leaves its socket behind");
        let bound = bind(std::slice::from_ref(&endpoint)).expect("the socket is stale");
        assert_eq!(bound[0].endpoint(), &endpoint);
        UnixStream::connect(&path).expect("somebody listens");
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_is_left_alone() {
        let (_folder, path, endpoint) = in_folder("s");
        let live = bind(std::slice::from_ref(&endpoint)).expect("the path is free");
        let message = refusal(&endpoint);
        assert!(
            message.contains("another process is listening"),
            "{message}"
        );
        UnixStream::connect(&path).expect("it still listens");
        drop(live);
    }

    #[test]
    fn what_is_no_socket_is_never_removed() {
        let (_folder, path, endpoint) = in_folder("file");
        fs::write(&path, "precious").expect("the folder is ours");
        let message = refusal(&endpoint);
        assert!(message.contains("is not a socket"), "{message}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
    }

    #[test]
    fn a_socket_that_another_made_is_not_removed() {
        let (_folder, path, endpoint) = in_folder("s");
        let bound = bind(std::slice::from_ref(&endpoint)).expect("the path is free");
        fs::remove_file(&path).expect("the folder is ours");
        let _other = UnixListener::bind(&path).expect("the path is free");
        drop(bound);
        assert!(path.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let (_folder, path, _) = in_folder("nowhere");
        let message = refusal(&Endpoint::Unix(path.join("s")));
        assert!(message.contains("No such file"), "{message}");
    }
}
