//! What imquota is measured against: a stock tonic server on one `current_thread` runtime with the
//! system's allocator, which answers every `Check` with ALLOW, and does nothing else; or, with `--map`, counts
//! each in a `DashMap` and keeps nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use dashmap::DashMap;
use imquota::grpc::proto::quota_service_server::{QuotaService, QuotaServiceServer};
use imquota::grpc::proto::{
    BatchCheckRequest, BatchCheckResponse, CancelRequest, CancelResponse, CheckRequest,
    CheckResponse, ConfirmRequest, ConfirmResponse, Decision, GetUsageRequest, GetUsageResponse,
    RecordActiveRequest, RecordActiveResponse, ReleaseRequest, ReleaseResponse, Source,
};
use tokio::net::UnixListener;
use tokio_stream::Pending;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::Failure;

/// Where the server listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Noop {
    /// A port of the loopback.
    #[arg(long)]
    port: u16,
    /// A socket.
    #[arg(long)]
    socket: PathBuf,
    /// Counts in a map.
    #[arg(long)]
    map: bool,
}

impl Noop {
    /// Serves until it is killed.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
            let tcp = TcpIncoming::bind(address)?.with_nodelay(Some(true));
            let unix = UnixListenerStream::new(UnixListener::bind(&self.socket)?);
            let peer = Peer {
                counts: self.map.then(Arc::default),
            };
            tokio::try_join!(
                Server::builder()
                    .add_service(QuotaServiceServer::new(peer.clone()))
                    .serve_with_incoming(tcp),
                Server::builder()
                    .add_service(QuotaServiceServer::new(peer))
                    .serve_with_incoming(unix),
            )?;
            Ok(())
        })
    }
}

#[derive(Clone)]
struct Peer {
    /// By app and resource.
    counts: Option<Arc<DashMap<(u64, i32), u64>>>,
}

impl Peer {
    fn count(&self, request: &CheckRequest) -> u64 {
        self.counts.as_ref().map_or(1, |counts| {
            let mut count = counts
                .entry((request.app_id, request.resource))
                .or_default();
            *count += 1;
            *count
        })
    }
}

#[tonic::async_trait]
impl QuotaService for Peer {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(CheckResponse {
            decision: Decision::Allow.into(),
            used: self.count(request.get_ref()),
            source: Source::Memory.into(),
            ..CheckResponse::default()
        }))
    }

    async fn confirm(
        &self,
        _: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        Err(Status::unimplemented("it is not asked"))
    }

    async fn cancel(&self, _: Request<CancelRequest>) -> Result<Response<CancelResponse>, Status> {
        Err(Status::unimplemented("it is not asked"))
    }

    async fn release(
        &self,
        _: Request<ReleaseRequest>,
    ) -> Result<Response<ReleaseResponse>, Status> {
        Ok(Response::new(ReleaseResponse::default()))
    }

    async fn record_active(
        &self,
        _: Request<RecordActiveRequest>,
    ) -> Result<Response<RecordActiveResponse>, Status> {
        Ok(Response::new(RecordActiveResponse::default()))
    }

    async fn get_usage(
        &self,
        _: Request<GetUsageRequest>,
    ) -> Result<Response<GetUsageResponse>, Status> {
        Ok(Response::new(GetUsageResponse::default()))
    }

    async fn batch_check(
        &self,
        _: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        Err(Status::unimplemented("it is not asked"))
    }

    type StreamChecksStream = Pending<Result<CheckResponse, Status>>;

    async fn stream_checks(
        &self,
        _: Request<Streaming<CheckRequest>>,
    ) -> Result<Response<Self::StreamChecksStream>, Status> {
        Err(Status::unimplemented("it is not asked"))
    }
}
