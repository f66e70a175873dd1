//! grpc.health.v1: what probes and balancers are told.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as HealthService;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::board::Health;

use super::proto::{admin_service_server, billing_service_server, quota_service_server};

/// What the process can do. Nothing at first; the handle's clones speak of the same process.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<State>>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    serving: bool,
    ready: bool,
    draining: bool,
}

impl Readiness {
    /// Alive, but not serving yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// From now on calls are answered: `""` and each service serve.
    pub fn set_serving(&self) {
        self.0.send_modify(|state| state.serving = true);
    }

    /// Whether clients should be sent here: `readiness`, which serves only while the service does.
    pub fn set_ready(&self, ready: bool) {
        self.0.send_modify(|state| state.ready = ready);
    }

    /// The process is about to end: from now on only `liveness` serves, whatever is said later, and
    /// those who watch are told and let go.
    pub fn draining(&self) {
        self.0.send_modify(|state| state.draining = true);
    }

    /// What the process can do, for who is told why.
    #[must_use]
    pub fn health(&self) -> Health {
        let State {
            serving,
            ready,
            draining,
        } = *self.0.borrow();
        Health {
            serving,
            met: ready,
            draining,
        }
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

/// What can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Service,
    Readiness,
    Liveness,
    Unknown,
}

impl Name {
    fn of(service: &str, served: &[&str]) -> Self {
        match service {
            "" => Self::Service,
            named if served.contains(&named) => Self::Service,
            "readiness" => Self::Readiness,
            "liveness" => Self::Liveness,
            _ => Self::Unknown,
        }
    }

    fn status(self, state: State) -> ServingStatus {
        let serves = match self {
            Self::Service => state.serving && !state.draining,
            Self::Readiness => state.serving && state.ready && !state.draining,
            // A process that drains is healthy: it must not be killed for it.
            Self::Liveness => true,
            Self::Unknown => return ServingStatus::ServiceUnknown,
        };
        if serves {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }
}

/// Answers probes from a [`Readiness`].
#[derive(Debug, Clone)]
pub(super) struct Probes {
    readiness: Readiness,
    /// The name of the service that is served beside health.
    served: &'static [&'static str],
}

impl Probes {
    /// Probes of what `readiness` says, for gateways.
    pub(super) fn new(readiness: Readiness) -> Self {
        let served = &[
            quota_service_server::SERVICE_NAME,
            billing_service_server::SERVICE_NAME,
        ];
        Self { readiness, served }
    }

    /// The same beside the operators' service.
    pub(super) fn of_admin(readiness: Readiness) -> Self {
        let served = &[admin_service_server::SERVICE_NAME];
        Self { readiness, served }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl HealthService for Probes {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let name = Name::of(&request.get_ref().service, self.served);
        if name == Name::Unknown {
            return Err(Status::not_found(format!(
                "no such service; ask for \"\", {}, readiness or liveness",
                self.served.join(", ")
            )));
        }
        let state = *self.readiness.0.borrow();
        Ok(Response::new(answer(name.status(state))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watcher = Watcher {
            name: Name::of(&request.get_ref().service, self.served),
            states: self.readiness.0.subscribe(),
            told: None,
        };
        let answers = stream::unfold(watcher, |mut watcher| async {
            let status = watcher.next().await?;
            Some((Ok(answer(status)), watcher))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

struct Watcher {
    name: Name,
    states: watch::Receiver<State>,
    told: Option<ServingStatus>,
}

impl Watcher {
    /// The next status that differs from the one told last; `None` when the process drains, since a
    /// stream that never ends would hold it up.
    async fn next(&mut self) -> Option<ServingStatus> {
        loop {
            let state = *self.states.borrow_and_update();
            let status = self.name.status(state);
            if self.told != Some(status) {
                self.told = Some(status);
                return Some(status);
            }
            if state.draining || self.states.changed().await.is_err() {
                return None;
            }
        }
    }
}
