//! Apps between the contract's words and the house's own.

use super::parse::{most, reason};
use crate::grpc::fault::Violations;
use crate::grpc::{parse, proto};
use crate::operator::{APPS_PAGE_MAX, Managed};
use crate::quota::{AppId, AppSpec, ExpiredHolds, Limit, OwnLimits, PlanName, Registered};
use crate::store::Registration;

/// How many apps a page has if nobody says.
const APPS_DEFAULT: usize = 100;

/// Reads a PutApp that `who` asks for.
pub(super) fn put(request: &proto::PutAppRequest, who: &str) -> Result<Registration, Violations> {
    let mut faults = Violations::default();
    let why = reason(&request.reason, &mut faults);
    let Some(app) = &request.app else {
        faults.add("app", "must be given");
        return Err(faults);
    };
    let id = faults.check(
        "app.app_id",
        AppId::new(app.app_id).ok_or("must be given, and not 0"),
    );
    let plan = PlanName::parse(&app.plan)
        .ok_or("must be a plan's name: 1 to 32 letters a-z, digits, dashes or underscores");
    let plan = faults.check("app.plan", plan);
    let limits = own_limits(app.limits.as_ref(), &mut faults);
    let expired_holds = expired_holds(app.expired_holds);
    let expired_holds = faults.check("app.expired_holds", expired_holds);
    let activated = match &*app.activated {
        "" => Ok(None),
        day => day
            .parse()
            .map(Some)
            .map_err(|_| "must be a day such as 2026-11-03"),
    };
    let activated = faults.check("app.activated", activated);
    let parsed = (|| {
        let spec = AppSpec {
            limits: limits?,
            shadow: app.shadow,
            disabled: app.disabled,
            share_ids: app.share_ids,
            track_objects: app.track_objects.unwrap_or(true),
            expired_holds: expired_holds?,
            activated: activated?,
            ..AppSpec::of(plan?)
        };
        Some(Registration {
            app: id?,
            spec: Some(spec),
            seen: app.version,
            who: who.into(),
            why: why?.into(),
        })
    })();
    faults.or(parsed)
}

fn own_limits(limits: Option<&proto::AppLimits>, faults: &mut Violations) -> Option<OwnLimits> {
    let Some(limits) = limits else {
        return Some(OwnLimits::default());
    };
    let mut read = |name: &str, said: Option<&proto::AppLimit>| {
        use proto::app_limit::Limit as Said;
        let limit = match said.map(|said| said.limit) {
            None => Ok(None),
            Some(Some(Said::AtMost(most))) if most <= Limit::MAX => Ok(Some(Limit::AtMost(most))),
            Some(Some(Said::AtMost(_))) => Err(format!("must be at most {}", Limit::MAX)),
            Some(Some(Said::Unlimited(true))) => Ok(Some(Limit::Unlimited)),
            Some(_) => Err("must say at_most, or unlimited with true".into()),
        };
        faults.check(&format!("app.limits.{name}"), limit)
    };
    let accounts = read("accounts", limits.accounts.as_ref());
    let groups = read("groups", limits.groups.as_ref());
    let av_rooms = read("av_rooms", limits.av_rooms.as_ref());
    let gained = read("groups_gained_daily", limits.groups_gained_daily.as_ref());
    Some(OwnLimits {
        accounts: accounts?,
        groups: groups?,
        av_rooms: av_rooms?,
        groups_gained_daily: gained?,
        av_rooms_are_groups: limits.av_rooms_are_groups,
    })
}

fn expired_holds(number: i32) -> Result<ExpiredHolds, String> {
    use proto::ExpiredHolds as Said;
    match Said::try_from(number) {
        Ok(Said::Unspecified | Said::Ask) => Ok(ExpiredHolds::Ask),
        Ok(Said::Free) => Ok(ExpiredHolds::Free),
        Ok(Said::Charge) => Ok(ExpiredHolds::Charge),
        Err(_) => Err(format!("{number} is nothing that is known here")),
    }
}

/// Reads a DeleteApp that `who` asks for.
pub(super) fn delete(
    request: &proto::DeleteAppRequest,
    who: &str,
) -> Result<Registration, Violations> {
    let mut faults = Violations::default();
    let app = parse::app(request.app_id, &mut faults);
    let why = reason(&request.reason, &mut faults);
    let parsed = (|| {
        Some(Registration {
            app: app?,
            spec: None,
            seen: request.version,
            who: who.into(),
            why: why?.into(),
        })
    })();
    faults.or(parsed)
}

/// Reads a GetApp.
pub(super) fn get(request: proto::GetAppRequest) -> Result<AppId, Violations> {
    let mut faults = Violations::default();
    let app = parse::app(request.app_id, &mut faults);
    faults.or(app)
}

/// Reads a ListApps: where the page begins, and how long it is at most.
pub(super) fn list(request: &proto::ListAppsRequest) -> Result<(Option<AppId>, usize), Violations> {
    let mut faults = Violations::default();
    let most = most(request.page_size, APPS_DEFAULT, APPS_PAGE_MAX);
    let most = faults.check("page_size", most);
    faults.or(most.map(|most| (AppId::new(request.after_app_id), most)))
}

/// Writes an app, wherever it is managed.
pub(super) fn managed(managed: &Managed) -> proto::App {
    match managed {
        Managed::ByLedger(of) => registered(of),
        Managed::ByFile(app, said) => proto::App {
            source: proto::AppSource::File.into(),
            ..spec(*app, said)
        },
    }
}

/// Writes an app of the ledger.
pub(super) fn registered(registered: &Registered) -> proto::App {
    proto::App {
        version: Some(registered.version),
        source: proto::AppSource::Ledger.into(),
        changed_by: registered.by.to_string(),
        deleted: registered.deleted,
        ..spec(registered.app, &registered.spec)
    }
}

/// Writes an app, with nothing of where it is managed.
pub fn spec(app: AppId, spec: &AppSpec) -> proto::App {
    use proto::app_limit::Limit as Said;
    let own = &spec.limits;
    let limit = |limit: Option<Limit>| {
        limit.map(|limit| proto::AppLimit {
            limit: Some(match limit {
                Limit::AtMost(most) => Said::AtMost(most),
                Limit::Unlimited => Said::Unlimited(true),
            }),
        })
    };
    let expired = match spec.expired_holds {
        ExpiredHolds::Ask => proto::ExpiredHolds::Ask,
        ExpiredHolds::Free => proto::ExpiredHolds::Free,
        ExpiredHolds::Charge => proto::ExpiredHolds::Charge,
    };
    proto::App {
        app_id: app.get(),
        plan: spec.plan.to_string(),
        limits: Some(proto::AppLimits {
            accounts: limit(own.accounts),
            groups: limit(own.groups),
            av_rooms: limit(own.av_rooms),
            groups_gained_daily: limit(own.groups_gained_daily),
            av_rooms_are_groups: own.av_rooms_are_groups,
        }),
        shadow: spec.shadow,
        disabled: spec.disabled,
        share_ids: spec.share_ids,
        track_objects: Some(spec.track_objects),
        expired_holds: expired.into(),
        activated: spec
            .activated
            .map_or_else(String::new, |day| day.to_string()),
        ..Default::default()
    }
}
