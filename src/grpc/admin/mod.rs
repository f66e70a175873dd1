//! AdminService: lets operators in, reads a request, has it done, writes the answer.

pub(super) mod apps;
mod log;
mod parse;
mod render;

use std::pin::pin;
use std::time::Instant;

use tonic::{Request, Response, Status};

use super::deadline::{deadline, within};
use super::peer::{Guard, Peer};
use super::proto::admin_service_server::AdminService;
use super::proto::{
    CorrectDayRequest, CorrectDayResponse, ImportObjectsRequest, ImportObjectsResponse,
    ListAuditRequest, ListAuditResponse, ListHoldsRequest, ListHoldsResponse, ListMembersRequest,
    ListMembersResponse, RecountRequest, RecountResponse, RetireMemberRequest,
    RetireMemberResponse, RunBillsRequest, RunBillsResponse,
};
use super::proto::{
    DeleteAppRequest, DeleteAppResponse, GetAppRequest, GetAppResponse, ListAppsRequest,
    ListAppsResponse, PutAppRequest, PutAppResponse,
};
use super::proto::{GetSettingsRequest, GetSettingsResponse, Setting};
use super::proto::{SetLogFilterRequest, SetLogFilterResponse};
use super::render::timestamp;
use super::server::Doors;
use crate::operator::Operations;
use crate::quota::AppId;
use crate::store::Imports;

/// The service; its clones share what is behind them.
#[derive(Clone)]
pub(super) struct Admin {
    operations: Operations,
    doors: Doors,
    guard: Guard,
}

impl Admin {
    /// The service in front of `operations` and `doors`, for those whom `guard` lets in.
    pub(super) fn new(operations: Operations, doors: Doors, guard: Guard) -> Self {
        Self {
            operations,
            doors,
            guard,
        }
    }

    /// Who calls, if they may act on `app`, or on all where it is `None`. Nothing else of a stranger's
    /// message is looked at.
    fn caller<T>(&self, request: &Request<T>, app: Option<u64>) -> Result<String, Status> {
        let peer = request.extensions().get::<Peer>();
        self.guard.admit(peer, request.metadata().as_ref(), app)
    }
}

/// The app that a PutApp is about; 0 where it names none, which its parsing finds.
fn app_of(request: &PutAppRequest) -> u64 {
    request.app.as_ref().map_or(0, |app| app.app_id)
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn put_app(
        &self,
        request: Request<PutAppRequest>,
    ) -> Result<Response<PutAppResponse>, Status> {
        let who = self.caller(&request, Some(app_of(request.get_ref())))?;
        let deadline = deadline(request.metadata().as_ref())?;
        let change = apps::put(request.get_ref(), &who)?;
        let work = pin!(self.operations.enter(&change));
        let app = Some(apps::registered(&within(deadline, work).await?));
        Ok(Response::new(PutAppResponse { app }))
    }

    async fn get_app(
        &self,
        request: Request<GetAppRequest>,
    ) -> Result<Response<GetAppResponse>, Status> {
        self.caller(&request, Some(request.get_ref().app_id))?;
        let deadline = deadline(request.metadata().as_ref())?;
        let app = apps::get(*request.get_ref())?;
        let work = pin!(self.operations.app(app));
        let app = Some(apps::managed(&within(deadline, work).await?));
        Ok(Response::new(GetAppResponse { app }))
    }

    async fn list_apps(
        &self,
        request: Request<ListAppsRequest>,
    ) -> Result<Response<ListAppsResponse>, Status> {
        self.caller(&request, None)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let page = apps::list(request.get_ref())?;
        let deleted = request.get_ref().show_deleted;
        let work = pin!(self.operations.apps(page, deleted));
        let (listed, next) = within(deadline, work).await?;
        Ok(Response::new(ListAppsResponse {
            apps: listed.iter().map(apps::managed).collect(),
            next_after_app_id: next.map_or(0, AppId::get),
        }))
    }

    async fn delete_app(
        &self,
        request: Request<DeleteAppRequest>,
    ) -> Result<Response<DeleteAppResponse>, Status> {
        let who = self.caller(&request, Some(request.get_ref().app_id))?;
        let deadline = deadline(request.metadata().as_ref())?;
        let change = apps::delete(request.get_ref(), &who)?;
        let work = pin!(self.operations.enter(&change));
        let app = Some(apps::registered(&within(deadline, work).await?));
        Ok(Response::new(DeleteAppResponse { app }))
    }

    async fn get_settings(
        &self,
        request: Request<GetSettingsRequest>,
    ) -> Result<Response<GetSettingsResponse>, Status> {
        self.caller(&request, None)?;
        let (lines, generation) = self.operations.settings();
        let said = lines.into_iter().map(|(key, value)| Setting { key, value });
        Ok(Response::new(GetSettingsResponse {
            settings: said.collect(),
            generation: generation.number,
            since: Some(timestamp(generation.since)),
        }))
    }

    async fn set_log_filter(
        &self,
        request: Request<SetLogFilterRequest>,
    ) -> Result<Response<SetLogFilterResponse>, Status> {
        let who = self.caller(&request, None)?;
        let answer = log::set(self.doors.log.as_ref(), request.get_ref(), &who)?;
        Ok(Response::new(answer))
    }

    async fn recount(
        &self,
        request: Request<RecountRequest>,
    ) -> Result<Response<RecountResponse>, Status> {
        let who = self.caller(&request, Some(request.get_ref().app_id))?;
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
        self.caller(&request, None)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let work = pin!(self.operations.members());
        let members = within(deadline, work).await?;
        Ok(Response::new(render::members(&members)))
    }

    async fn retire_member(
        &self,
        request: Request<RetireMemberRequest>,
    ) -> Result<Response<RetireMemberResponse>, Status> {
        let who = self.caller(&request, None)?;
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
        let app = request.get_ref().app_id;
        self.caller(&request, (app != 0).then_some(app))?;
        let deadline = deadline(request.metadata().as_ref())?;
        let (app, most) = parse::audit(request.get_ref())?;
        let work = pin!(self.operations.audit(app, most));
        let entries = within(deadline, work).await?;
        Ok(Response::new(render::audit(entries)))
    }

    async fn list_holds(
        &self,
        request: Request<ListHoldsRequest>,
    ) -> Result<Response<ListHoldsResponse>, Status> {
        self.caller(&request, Some(request.get_ref().app_id))?;
        let deadline = deadline(request.metadata().as_ref())?;
        let (app, most) = parse::holds(request.get_ref())?;
        let patience = deadline.patience(Instant::now);
        let work = pin!(self.doors.admission.holds(app, most, patience));
        let holds = within(deadline, work).await?;
        Ok(Response::new(render::holds(&holds, self.operations.now())))
    }

    async fn import_objects(
        &self,
        request: Request<ImportObjectsRequest>,
    ) -> Result<Response<ImportObjectsResponse>, Status> {
        let who = self.caller(&request, Some(request.get_ref().app_id))?;
        let deadline = deadline(request.metadata().as_ref())?;
        let import = parse::import(request.get_ref())?;
        let (app, resource) = (import.app, import.resource);
        let patience = deadline.patience(Instant::now);
        let work = pin!(self.doors.admission.import(import, patience));
        let imported = within(deadline, work).await?;
        let objects = imported.named + imported.counted;
        if objects > 0 {
            let imports = Imports {
                app,
                resource,
                objects,
                who: who.into(),
            };
            self.operations.note_import(imports).await?;
        }
        Ok(Response::new(render::imported(imported)))
    }

    async fn run_bills(
        &self,
        request: Request<RunBillsRequest>,
    ) -> Result<Response<RunBillsResponse>, Status> {
        let who = self.caller(&request, None)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let (month, page) = parse::run_bills(request.get_ref())?;
        let work = pin!(
            self.operations
                .run_bills(&self.doors.invoices, month, page, &who)
        );
        let page = within(deadline, work).await?;
        Ok(Response::new(render::bills(&page)))
    }

    async fn correct_day(
        &self,
        request: Request<CorrectDayRequest>,
    ) -> Result<Response<CorrectDayResponse>, Status> {
        // What an app owes is not for those to say who may act on that app alone.
        let who = self.caller(&request, None)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let order = parse::correct_day(request.get_ref(), &who)?;
        let day = order.day;
        let work = pin!(self.operations.correct(&self.doors.invoices, order));
        let corrected = within(deadline, work).await?;
        Ok(Response::new(render::corrected(day, &corrected)))
    }
}
