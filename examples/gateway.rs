//! How a gateway in Rust asks imquota before it creates a group.
//!
//! A gateway of its own crate makes the same stubs from `proto/` with tonic-prost-build; here they are taken
//! from this one.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use imquota::grpc::proto::quota_service_client::QuotaServiceClient;
use imquota::grpc::proto::{CheckRequest, Decision, DenyReason, ReleaseRequest, Resource};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

const DEADLINE: Duration = Duration::from_millis(200);
const ATTEMPTS: usize = 3;

/// Why a group does not exist.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The code is what the gateway's caller is told.
    #[error("refused: {} {code}", reason.as_str_name())]
    Refused { reason: DenyReason, code: u32 },
    /// Whether to go on is the gateway's own policy. This one lets its user wait.
    #[error("the quota service did not answer; try again later")]
    NoAnswer,
    #[error("given back: {0}")]
    Failed(String),
    #[error(transparent)]
    Wrong(#[from] Status),
}

/// One connection for the whole process: clones share it, and it connects again by itself.
#[derive(Clone)]
struct Quota(QuotaServiceClient<Channel>);

impl Quota {
    /// `127.0.0.1:50051`, or `unix:/path`: over a socket tonic sends an `:authority` that HTTP/2 allows.
    fn new(target: &str) -> Result<Self, tonic::transport::Error> {
        let address = if target.starts_with("unix:") {
            target.to_owned()
        } else {
            format!("http://{target}")
        };
        let channel = Endpoint::from_shared(address)?.connect_lazy();
        Ok(Self(QuotaServiceClient::new(channel)))
    }

    /// Runs `create` if there is room, and gives the place back if it fails.
    async fn create_group(
        &self,
        app_id: u64,
        name: &str,
        create: impl Future<Output = Result<(), String>>,
    ) -> Result<(), Fault> {
        let request_id = format!("{name}-{:016x}", rand::random::<u64>());
        let check = CheckRequest {
            app_id,
            resource: Resource::Group.into(),
            resource_id: name.into(),
            request_id: request_id.clone(),
            ..Default::default()
        };
        let answer = again(|| {
            let mut client = self.0.clone();
            let check = within(check.clone());
            async move { client.check(check).await }
        })
        .await?;
        if answer.decision() != Decision::Allow {
            return Err(Fault::Refused {
                reason: answer.reason(),
                code: answer.im_error_code,
            });
        }
        let Err(why) = create.await else {
            return Ok(());
        };
        // Nothing exists, so nothing is to be counted. By its name, and under an id of its own.
        let release = ReleaseRequest {
            app_id,
            resource: Resource::Group.into(),
            resource_id: name.into(),
            request_id: format!("{request_id}-undo"),
            ..Default::default()
        };
        again(|| {
            let mut client = self.0.clone();
            let release = within(release.clone());
            async move { client.release(release).await }
        })
        .await?;
        Err(Fault::Failed(why))
    }
}

/// A request with a deadline, which the service knows and keeps, too.
fn within<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

/// Asks until there is an answer: under the same request id each time, so that it is counted once at most.
async fn again<T, F>(call: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    for _ in 0..ATTEMPTS {
        match tokio::time::timeout(DEADLINE, call()).await {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(why)) if !matches!(why.code(), Code::Unavailable | Code::DeadlineExceeded) => {
                return Err(why.into());
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(Fault::NoAnswer)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().ok_or("where is the service?")?;
    let app = arguments.next().ok_or("which app?")?.parse()?;
    let quota = Quota::new(&target)?;
    for (name, fails) in [
        ("rust-1", false),
        ("rust-2", true),
        ("rust-3", false),
        ("rust-4", false),
    ] {
        let create = async {
            if fails {
                return Err("the disk is full".to_owned());
            }
            println!("created {name}");
            Ok(())
        };
        match quota.create_group(app, name, create).await {
            Ok(()) => {}
            Err(fault @ (Fault::Refused { .. } | Fault::Failed(_))) => println!("{fault}"),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}
