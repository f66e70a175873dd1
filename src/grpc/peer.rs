//! Who is at the other end of a connection, and whether that is an operator.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use http::HeaderMap;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Uid, getuid};
use tonic::Status;

use super::token::Token;
use super::{fault, pass};
use crate::access::{Access, Role};
use crate::tls::Name;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    /// Anybody who can reach the port.
    Tcp,
    /// Whoever a certificate of these names was given to, as a root that is trusted says.
    Certified(Arc<[Name]>),
    /// A process of this user, when it connected.
    Unix(Uid),
    /// The system does not say.
    Unknown,
}

impl Peer {
    /// Whose process is at the other end of a Unix socket.
    pub(super) fn of_unix(stream: &UnixStream) -> Self {
        socket_peercred(stream).map_or(Self::Unknown, |who| Self::Unix(who.uid))
    }
}

/// Lets operators in and nobody else.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Those of this machine, where nobody said who may.
    Local {
        /// The server's own user.
        own: Uid,
        /// Without one nobody is let in over TCP.
        token: Option<Token>,
    },
    /// Those who were granted the role.
    By(Access),
}

impl Guard {
    /// Over a Unix socket this process' user and root, over TCP whoever knows the token.
    pub fn new(token: Option<Token>) -> Self {
        Self::Local {
            own: getuid(),
            token,
        }
    }

    /// The operator's name for the audit list, if they may act on `app`; `None`: on all.
    pub(super) fn admit(
        &self,
        peer: Option<&Peer>,
        headers: &HeaderMap,
        app: Option<u64>,
    ) -> Result<String, Status> {
        match self {
            Self::Local { own, token } => local(*own, token.as_ref(), peer, headers),
            Self::By(access) => by(access, peer.unwrap_or(&Peer::Unknown), headers, app),
        }
    }
}

/// One of those who were granted the role.
fn by(
    access: &Access,
    peer: &Peer,
    headers: &HeaderMap,
    app: Option<u64>,
) -> Result<String, Status> {
    let known = pass::of_peer(access, peer);
    let grant = pass::of_call(access, peer, known.as_ref(), headers)?;
    let allowed = match app {
        Some(app) => grant.allows(Role::Admin, app),
        None => grant.allows_all(Role::Admin),
    };
    if allowed {
        return Ok(grant.name.to_string());
    }
    Err(pass::refusal(&grant, Role::Admin, app))
}

/// One of this machine.
fn local(
    own: Uid,
    token: Option<&Token>,
    peer: Option<&Peer>,
    headers: &HeaderMap,
) -> Result<String, Status> {
    match peer {
        Some(Peer::Unix(uid)) if *uid == own || uid.is_root() => {
            Ok(format!("uid {}", uid.as_raw()))
        }
        Some(Peer::Unix(uid)) => Err(fault::not_permitted(&format!(
            "user {} may not; only the server's own user and root may",
            uid.as_raw()
        ))),
        Some(Peer::Tcp | Peer::Certified(_)) => by_token(token, headers),
        Some(Peer::Unknown) | None => Err(fault::not_permitted(
            "the system does not say which user this is",
        )),
    }
}

fn by_token(token: Option<&Token>, headers: &HeaderMap) -> Result<String, Status> {
    let Some(token) = token else {
        return Err(fault::not_permitted("this server has no token for TCP"));
    };
    match pass::bearer(headers) {
        None => Err(fault::unauthenticated(
            "TOKEN_MISSING",
            "send the token of the server's data folder as \"authorization: Bearer TOKEN\"",
        )),
        Some(sent) if token.is(sent) => Ok("token".into()),
        Some(_) => Err(fault::unauthenticated(
            "TOKEN_WRONG",
            "this is not the token in the server's data folder",
        )),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AUTHORIZATION;
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;

    fn guard() -> (Guard, String) {
        let folder = tempfile::tempdir().unwrap();
        let token = Token::of_folder(folder.path()).unwrap();
        let text = token.as_str().to_owned();
        (Guard::new(Some(token)), text)
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(value).unwrap();
        headers.insert(AUTHORIZATION, value);
        headers
    }

    #[test]
    fn a_socket_is_for_its_own_user_and_root() {
        let (guard, _) = guard();
        let none = HeaderMap::new();
        let own = getuid();
        let stranger = Uid::from_raw(own.as_raw() + 77);
        let admitted = |peer: Option<Peer>| guard.admit(peer.as_ref(), &none, None);
        let name = format!("uid {}", own.as_raw());
        assert_eq!(admitted(Some(Peer::Unix(own))).unwrap(), name);
        assert_eq!(admitted(Some(Peer::Unix(Uid::ROOT))).unwrap(), "uid 0");
        for peer in [Some(Peer::Unix(stranger)), Some(Peer::Unknown), None] {
            let status = admitted(peer.clone()).unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{peer:?}");
        }
    }

    #[test]
    fn over_tcp_the_token_is_asked_for() {
        let (guard, token) = guard();
        let admitted = |headers| guard.admit(Some(&Peer::Tcp), &headers, None);
        for scheme in ["Bearer", "bearer"] {
            let sent = headers(&format!("{scheme} {token}"));
            assert_eq!(admitted(sent).unwrap(), "token");
        }
        for (sent, reason) in [
            (HeaderMap::new(), "TOKEN_MISSING"),
            (headers(&token), "TOKEN_MISSING"),
            (headers("Basic eDp5"), "TOKEN_MISSING"),
            (headers("Bearer"), "TOKEN_MISSING"),
            (headers("Bearer x"), "TOKEN_WRONG"),
            (headers(&format!("Bearer {token}x")), "TOKEN_WRONG"),
        ] {
            let status = admitted(sent).unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated);
            let details = status.get_error_details();
            assert_eq!(details.error_info().unwrap().reason, reason);
            assert!(!status.message().contains(&token));
        }
        let status = Guard::new(None).admit(Some(&Peer::Tcp), &HeaderMap::new(), None);
        assert_eq!(status.unwrap_err().code(), Code::PermissionDenied);
    }
}
