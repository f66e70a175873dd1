//! Refused checks, found by who asked.

use serde_json::{Value, json};

use super::status::time;
use super::{Board, REFUSALS_MAX};
use crate::admission::Refused;
use crate::metrics::resource_name;
use crate::quota::AppId;

/// The most refusals that are answered as JSON.
const ANSWERED_MAX: usize = 1_000;

/// What is looked for. Each part that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The app.
    pub app: Option<AppId>,
    /// The request's id.
    pub request_id: Option<String>,
    /// The `app` that was given is no app's id.
    pub bad_app: Option<String>,
}

impl Query {
    /// From what stands behind the question mark. What is not known is not looked at.
    #[must_use]
    pub fn parse(query: Option<&str>) -> Self {
        let mut this = Self::default();
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (name, worth) in pairs {
            let worth = worth.trim();
            match (&*name, worth) {
                (_, "") => {}
                ("app", worth) => match worth.parse().ok().and_then(AppId::new) {
                    Some(app) => this.app = Some(app),
                    None => this.bad_app = Some(worth.to_owned()),
                },
                ("request_id", worth) => this.request_id = Some(worth.to_owned()),
                _ => {}
            }
        }
        this
    }

    /// Whether anything is looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn fits(&self, refused: &Refused) -> bool {
        let id = refused
            .request_id
            .as_ref()
            .map(crate::quota::RequestId::as_str);
        self.bad_app.is_none()
            && self.app.is_none_or(|app| app == refused.app)
            && (self.request_id.is_none() || self.request_id.as_deref() == id)
    }
}

impl Board {
    /// The newest refusals that fit, as many as a page shows.
    pub(super) fn refused(&self, query: &Query) -> Vec<Refused> {
        let tally = self.admission().tally();
        tally.refusals(REFUSALS_MAX, |refused| query.fits(refused))
    }
}

/// The refusals that fit, newest first, as JSON.
#[must_use]
pub fn refusals(board: &Board, query: &Query) -> Value {
    let tally = board.admission().tally();
    let found = tally.refusals(ANSWERED_MAX, |refused| query.fits(refused));
    let found: Vec<Value> = found.iter().map(refused).collect();
    json!({ "refusals": found })
}

/// One refusal.
pub(super) fn refused(one: &Refused) -> Value {
    json!({
        "at": time(one.at),
        "app_id": one.app.get(),
        "resource": resource_name(one.resource),
        "reason": one.reason,
        "request_id": one.request_id.as_ref().map(crate::quota::RequestId::as_str),
        "used": one.used,
        "limit": one.limit.and_then(crate::quota::Limit::get),
        "source": one.source.name(),
    })
}
