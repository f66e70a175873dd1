//! What a call may do, and what its caller hears where it may not.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::{Request, Status};

use super::codec::Asked;
use super::fault;
use super::peer::Peer;
use super::proto;
use super::turns::Account;
use crate::access::{Access, Caller, Grant, Role};

/// What a header begins with that carries a token; letters of either case.
const BEARER: &[u8] = b"bearer ";

/// What the path of every call to Envoy's rate limit service begins with.
const ENVOY_PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/";

/// What a call may do, and on whose account.
#[derive(Debug, Clone, Default)]
pub(super) struct Pass {
    may: May,
    account: Arc<Account>,
}

#[derive(Debug, Clone, Default)]
enum May {
    /// Everything: nobody said who may do what.
    #[default]
    All,
    /// What its caller was granted.
    Granted(Arc<Caller>),
}

impl Pass {
    /// To everything.
    pub(super) fn open(account: Arc<Account>) -> Self {
        let may = May::All;
        Self { may, account }
    }

    /// To what its caller was granted.
    pub(super) fn granted(caller: Arc<Caller>, account: Arc<Account>) -> Self {
        let may = May::Granted(caller);
        Self { may, account }
    }

    /// Whether a call in `role` that sends `message` is let through. What it asks for is noted, whether it is or not.
    pub(super) fn admits(&self, role: Role, message: &impl OfApps) -> Result<(), Status> {
        if let Some(app) = message.apps().next() {
            self.account.asks_for(app);
        }
        match &self.may {
            May::All => Ok(()),
            // Of a stream's later messages it may be true.
            May::Granted(caller) if caller.is_withdrawn() => Err(unknown_token()),
            May::Granted(grant) => {
                let mut refused = message.apps().filter(|app| !grant.allows(role, *app));
                match refused.next() {
                    None => Ok(()),
                    Some(app) => Err(refusal(grant, role, Some(app))),
                }
            }
        }
    }

    /// As [`Pass::admits`], for a generated service, whose requests carry it.
    pub(super) fn admitted<M: OfApps>(request: &Request<M>, role: Role) -> Result<(), Status> {
        Self::of(request).admits(role, request.get_ref())
    }

    /// The pass of a request that went by the router.
    pub(super) fn of<M>(request: &Request<M>) -> Self {
        let pass = request.extensions().get::<Self>();
        pass.cloned().unwrap_or_default()
    }
}

/// The role that a call needs, by its path; `None`: nobody is asked.
pub(super) fn role_of(path: &str) -> Option<Role> {
    if path.starts_with(ENVOY_PATH) {
        return Some(Role::Check);
    }
    let call = path.strip_prefix("/imquota.v1.")?;
    match call.split_once('/')? {
        ("QuotaService", "RecordActive") => Some(Role::Report),
        ("QuotaService", "GetUsage") => Some(Role::Read),
        ("QuotaService", _) => Some(Role::Check),
        ("BillingService", _) => Some(Role::Bill),
        // The operators' service asks by itself.
        _ => None,
    }
}

/// What whoever is at the other end may do, as far as the connection says it.
pub(super) fn of_peer(access: &Access, peer: &Peer) -> Option<Arc<Caller>> {
    match peer {
        Peer::Certified(names) => access.of_names(names),
        Peer::Unix(uid) => access.of_user(uid.as_raw()),
        Peer::Tcp | Peer::Unknown => None,
    }
}

/// What a call may do: by its token, if it sends one, else by its connection.
pub(super) fn of_call(
    access: &Access,
    peer: &Peer,
    known: Option<&Arc<Caller>>,
    headers: &HeaderMap,
) -> Result<Arc<Caller>, Status> {
    if let Some(token) = bearer(headers) {
        return access.of_token(token).ok_or_else(unknown_token);
    }
    if let Some(caller) = known {
        return Ok(caller.clone());
    }
    match peer {
        Peer::Certified(_) => Err(fault::not_permitted(
            "the client's certificate bears no name that may do anything here",
        )),
        Peer::Unix(uid) => Err(fault::not_permitted(&format!(
            "user {} may do nothing here",
            uid.as_raw()
        ))),
        Peer::Tcp | Peer::Unknown => Err(fault::unauthenticated(
            "IDENTITY_MISSING",
            "show a client certificate, or send a token as \"authorization: Bearer TOKEN\"",
        )),
    }
}

fn unknown_token() -> Status {
    fault::unauthenticated("TOKEN_WRONG", "nobody here knows this token")
}

/// The token that a call sends.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?;
    let (scheme, sent) = value.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then_some(sent)
}

/// Names the role, and of apps only the one that was asked for, whether there is such an app or not.
pub(super) fn refusal(grant: &Grant, role: Role, app: Option<u64>) -> Status {
    let name = &grant.name;
    fault::not_permitted(&match app {
        _ if !grant.roles.has(role) => format!("{name} lacks the role {role}"),
        Some(app) => format!("{name} lacks the role {role} for app {app}"),
        None => format!("{name} lacks the role {role} for all apps"),
    })
}

/// A message, and the apps that it is about.
pub(super) trait OfApps {
    /// Their ids, as they were sent.
    fn apps(&self) -> impl Iterator<Item = u64> + '_;
}

macro_rules! of_one_app {
    ($($message:ident),+) => {$(
        impl OfApps for proto::$message {
            fn apps(&self) -> impl Iterator<Item = u64> + '_ {
                std::iter::once(self.app_id)
            }
        }
    )+};
}

of_one_app!(
    CheckRequest,
    ConfirmRequest,
    CancelRequest,
    ReleaseRequest,
    RecordActiveRequest,
    GetUsageRequest,
    GetBillRequest,
    ListDailyActivesRequest
);

impl OfApps for Asked<'_> {
    fn apps(&self) -> impl Iterator<Item = u64> + '_ {
        std::iter::once(self.app_id)
    }
}

impl OfApps for Vec<Asked<'_>> {
    fn apps(&self) -> impl Iterator<Item = u64> + '_ {
        self.iter().map(|check| check.app_id)
    }
}

impl OfApps for proto::BatchCheckRequest {
    fn apps(&self) -> impl Iterator<Item = u64> + '_ {
        self.checks.iter().map(|check| check.app_id)
    }
}
