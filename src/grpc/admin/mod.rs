//! AdminService: lets operators in, reads a request, has it done, writes the answer.

mod parse;
mod render;

use std::pin::pin;

use tonic::{Request, Response, Status};

use super::deadline::{deadline, within};
use super::peer::{Guard, Peer};
use super::proto::admin_service_server::AdminService;
use super::proto::{
    ListAuditRequest, ListAuditResponse, ListMembersRequest, ListMembersResponse, RecountRequest,
    RecountResponse, RetireMemberRequest, RetireMemberResponse,
};
use crate::operator::Operations;

/// The service; its clones share what is behind them.
#[derive(Clone)]
pub(super) struct Admin {
    operations: Operations,
    guard: Guard,
}

impl Admin {
    /// The service in front of `operations`, for those whom `guard` lets in.
    pub(super) fn new(operations: Operations, guard: Guard) -> Self {
        Self { operations, guard }
    }

    /// Who calls. Nothing of a stranger's message is looked at.
    fn caller<T>(&self, request: &Request<T>) -> Result<String, Status> {
        let peer = request.extensions().get::<Peer>().copied();
        self.guard.admit(peer, request.metadata().as_ref())
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn recount(
        &self,
        request: Request<RecountRequest>,
    ) -> Result<Response<RecountResponse>, Status> {
        let who = self.caller(&request)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let order = parse::recount(request.get_ref(), &who)?;
        let work = pin!(self.operations.recount(&order));
        let counted = within(deadline, work).await?;
        Ok(Response::new(render::recount(&counted)))
    }

    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        self.caller(&request)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let work = pin!(self.operations.members());
        let members = within(deadline, work).await?;
        Ok(Response::new(render::members(&members)))
    }

    async fn retire_member(
        &self,
        request: Request<RetireMemberRequest>,
    ) -> Result<Response<RetireMemberResponse>, Status> {
        let who = self.caller(&request)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let (member, why) = parse::retire(request.get_ref())?;
        let work = pin!(self.operations.retire(member, &who, why));
        let (member, retired) = within(deadline, work).await?;
        Ok(Response::new(render::retired(&member, retired)))
    }

    async fn list_audit(
        &self,
        request: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        self.caller(&request)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let (app, most) = parse::audit(request.get_ref())?;
        let work = pin!(self.operations.audit(app, most));
        let entries = within(deadline, work).await?;
        Ok(Response::new(render::audit(entries)))
    }
}
