//! One call through one sidecar, bounded, and what became of it.

use std::error::Error as _;
use std::fmt::Debug;
use std::io::{self, ErrorKind};
use std::time::Duration;

use imquota::grpc::proto::{CheckRequest, CheckResponse, ReleaseRequest, Source};
use tonic::{Code, Status};

use crate::cells::Cell;
use crate::client::{ALLOW, Client, UNAVAILABLE, creation, deletion, verdict};

/// How long a gateway waits for an answer: longer than a sidecar waits for its ledger.
pub const DEADLINE: Duration = Duration::from_millis(700);

/// What a gateway knows of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Allowed {
        degraded: bool,
        replayed: bool,
    },
    Full {
        replayed: bool,
    },
    Unavailable,
    /// Nobody listened: it was not sent.
    Unsent,
    Lost,
}

impl Answer {
    /// Whether it says yes or no.
    pub fn is_judged(self) -> bool {
        matches!(self, Self::Allowed { .. } | Self::Full { .. })
    }
}

/// What a gateway knows of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    Given(u64),
    Unsent,
    Lost,
}

/// A creation or a deletion of one cell.
#[derive(Debug, Clone)]
pub struct Call {
    pub cell: &'static Cell,
    pub amount: u32,
    /// Empty: none.
    pub id: String,
}

impl Call {
    /// As a gateway says it.
    pub fn creation(&self) -> CheckRequest {
        CheckRequest {
            amount: self.amount,
            request_id: self.id.clone(),
            ..creation(self.cell.app, self.cell.resource)
        }
    }

    pub async fn check(&self, door: &Client) -> Answer {
        let mut request = tonic::Request::new(self.creation());
        request.set_timeout(DEADLINE);
        match door.try_check(request).await {
            Ok(answer) => self.judge(&answer),
            Err(status) if unsent(&status) => Answer::Unsent,
            Err(_) => Answer::Lost,
        }
    }

    /// What an answer says, be it alone or among others.
    pub fn judge(&self, answer: &CheckResponse) -> Answer {
        let (name, replayed) = (self.cell.name, answer.replayed);
        if let Some(fault) = &answer.fault {
            let code = i32::try_from(fault.code).expect("there are 17");
            not_ours(Code::from(code), fault);
            return Answer::Lost;
        }
        let full = self.cell.limit.map(|(_, refusal)| refusal);
        match verdict(answer) {
            ALLOW => {
                // Without the ledger: what was lent, or what no limit stops then.
                let degraded = answer.source() == Source::Degraded;
                Answer::Allowed { degraded, replayed }
            }
            found if Some(found) == full => Answer::Full { replayed },
            // Of a metered one only if the ledger was asked about its id, and the time was over meanwhile.
            UNAVAILABLE if full.is_some() || !self.id.is_empty() => Answer::Unavailable,
            _ => panic!("{name}: no such answer: {answer:?}"),
        }
    }

    pub async fn release(&self, door: &Client) -> Back {
        let mut request = tonic::Request::new(ReleaseRequest {
            request_id: self.id.clone(),
            ..deletion(self.cell.app, self.cell.resource, self.amount)
        });
        request.set_timeout(DEADLINE);
        match door.try_release(request).await {
            Ok(answer) => {
                // Only what was counted is ever released here.
                let (name, amount) = (self.cell.name, u64::from(self.amount));
                assert_eq!(answer.released, amount, "{name}: {:?}: {answer:?}", self.id);
                Back::Given(answer.released)
            }
            Err(status) if unsent(&status) => Back::Unsent,
            Err(_) => Back::Lost,
        }
    }
}

/// Whether a call never left. Any other status is a call without an outcome, whatever it says.
pub fn unsent(status: &Status) -> bool {
    not_ours(status.code(), status);
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            );
        }
        cause = error.source();
    }
    false
}

/// None of these calls is at fault.
fn not_ours(code: Code, told: &impl Debug) {
    let ours = [
        Code::InvalidArgument,
        Code::NotFound,
        Code::ResourceExhausted,
        Code::Unimplemented,
    ];
    assert!(!ours.contains(&code), "{told:?}");
}
