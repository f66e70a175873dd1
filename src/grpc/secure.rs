//! The handshake of a connection that is encrypted, and whose certificate was shown in it.

use std::io;
use std::time::Duration;

use rustls::ServerConnection;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::peer::Peer;
use crate::tls::{Protocol, ServerTls, names_of};

/// How long a handshake may take, from its first byte on.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Agrees with the client on keys and on what is spoken, and looks at its certificate.
pub(super) async fn handshake(
    stream: TcpStream,
    tls: &ServerTls,
) -> io::Result<(TlsStream<TcpStream>, Peer)> {
    let acceptor = TlsAcceptor::from(tls.config());
    let stream = timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await??;
    let (_, connection) = stream.get_ref();
    // A client that offers something else was refused by the handshake; this one offers nothing.
    if tls.protocol() == Protocol::Http2
        && connection.alpn_protocol() != Some(Protocol::Http2.name())
    {
        let problem = "the client does not offer h2 by ALPN";
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    let peer = peer_of(connection);
    Ok((stream, peer))
}

fn peer_of(connection: &ServerConnection) -> Peer {
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    shown.map_or(Peer::Tcp, |certificate| {
        Peer::Certified(names_of(certificate).into())
    })
}
