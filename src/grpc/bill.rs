//! BillingService: reads a request, has the bill made, writes the answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tonic::{Request, Response, Status};

use super::deadline::{Deadline, deadline, within};
use super::fault::Violations;
use super::parse;
use super::pass::Pass;
use super::proto::billing_service_server::BillingService;
use super::proto::{
    self, GetBillRequest, GetBillResponse, ListDailyActivesRequest, ListDailyActivesResponse,
};
use crate::access::Role;
use crate::billing::{Bill, Forecast, Item, Line};
use crate::clock::Month;
use crate::invoice::{DayReport, ITEMS, Invoices, Report};
use crate::quota::AppId;

/// The service; its clones share one [`Invoices`].
#[derive(Clone)]
pub(super) struct Billing(Arc<Invoices>);

impl Billing {
    /// The service in front of `invoices`.
    pub(super) fn new(invoices: Arc<Invoices>) -> Self {
        Self(invoices)
    }
}

#[tonic::async_trait]
impl BillingService for Billing {
    async fn get_bill(
        &self,
        request: Request<GetBillRequest>,
    ) -> Result<Response<GetBillResponse>, Status> {
        Pass::admitted(&request, Role::Bill)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let GetBillRequest { app_id, month } = request.get_ref();
        let (app, month) = whose(*app_id, month)?;
        let work = pin!(self.0.bill(app, month, until(deadline)));
        let report = within(deadline, work).await?;
        Ok(Response::new(report_of(&report)))
    }

    async fn list_daily_actives(
        &self,
        request: Request<ListDailyActivesRequest>,
    ) -> Result<Response<ListDailyActivesResponse>, Status> {
        Pass::admitted(&request, Role::Bill)?;
        let deadline = deadline(request.metadata().as_ref())?;
        let ListDailyActivesRequest { app_id, month } = request.get_ref();
        let (app, month) = whose(*app_id, month)?;
        let work = pin!(self.0.days(app, month, until(deadline)));
        let days = within(deadline, work).await?;
        let days = days.iter().map(day_of).collect();
        Ok(Response::new(ListDailyActivesResponse { days }))
    }
}

fn until(deadline: Deadline) -> Option<Instant> {
    deadline.patience(Instant::now).0
}

fn whose(app: u64, month: &str) -> Result<(AppId, Month), Violations> {
    let mut faults = Violations::default();
    let app = parse::app(app, &mut faults);
    let month = month_of(month, &mut faults);
    faults.or((|| Some((app?, month?)))())
}

/// Reads a month.
pub(super) fn month_of(text: &str, faults: &mut Violations) -> Option<Month> {
    let parsed = Month::parse(text).ok_or("must be a month such as 2026-11");
    faults.check("month", parsed)
}

fn day_of(day: &DayReport) -> proto::DailyActive {
    proto::DailyActive {
        day: day.day.to_string(),
        daily_active: day.daily_active,
        r#final: day.is_final,
    }
}

/// Writes a report.
pub(super) fn report_of(report: &Report) -> GetBillResponse {
    GetBillResponse {
        app_id: report.app.get(),
        r#final: report.is_final,
        notes: report.notes.clone(),
        forecast: report.forecast.as_ref().map(forecast_of),
        ..estimate(&report.bill)
    }
}

/// Writes a bill of nobody's: an estimate.
#[must_use]
pub fn estimate(bill: &Bill) -> GetBillResponse {
    GetBillResponse {
        app_id: 0,
        month: bill.month.to_string(),
        plan: bill.plan.to_string(),
        currency: bill.currency.to_string(),
        lines: lines_of(bill),
        total: bill.total.to_string(),
        due_date: bill.due.to_string(),
        r#final: false,
        notes: Vec::new(),
        forecast: None,
    }
}

fn forecast_of(forecast: &Forecast) -> proto::Forecast {
    proto::Forecast {
        total: forecast.bill.total.to_string(),
        lines: lines_of(&forecast.bill),
        assumes: forecast.assumes.clone(),
    }
}

fn lines_of(bill: &Bill) -> Vec<proto::BillLine> {
    let line = |line: &Line| proto::BillLine {
        item: ITEMS
            .iter()
            .find(|(item, _)| *item == line.item)
            .map_or("", |(_, name)| name)
            .into(),
        peak: line.peak.count,
        peak_day: match (line.item, line.peak.day) {
            (_, Some(day)) => day.to_string(),
            (Item::Groups, None) if line.peak.count > 0 => bill.month.first_day().to_string(),
            (_, None) => String::new(),
        },
        free: line.free,
        billable: line.billable,
        block: line.block,
        blocks: line.blocks,
        unit_price: line.unit_price.to_string(),
        amount: line.amount.to_string(),
        plan: line.plan.to_string(),
    };
    bill.lines.iter().map(line).collect()
}
