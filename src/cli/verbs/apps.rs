//! `apps`: which apps there are, and the rules that they live under.

use serde_json::{Value, json};
use tonic::Code;

use crate::cli::Exit;
use crate::cli::admin::{AdminClient, connect};
use crate::cli::args::{AppsDeleteArgs, AppsGetArgs, AppsListArgs, AppsPutArgs, OwnLimit};
use crate::cli::client::{Answer, NoAnswer};
use crate::cli::table::{Side, aligned, below};
use crate::config::Environment;
use crate::grpc::proto::app_limit::Limit;
use crate::grpc::proto::{
    App, AppLimit, AppLimits, AppSource, DeleteAppRequest, ExpiredHolds, GetAppRequest,
    ListAppsRequest, PutAppRequest,
};

/// How many apps are asked for at a time.
const PAGE: u32 = 1_000;

pub(in crate::cli) async fn list(
    args: &AppsListArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let mut apps = Vec::new();
    let mut after_app_id = 0;
    loop {
        let request = client.request(ListAppsRequest {
            after_app_id,
            page_size: PAGE,
            show_deleted: args.deleted,
        });
        let page = client.service.list_apps(request).await?.into_inner();
        apps.extend(page.apps);
        after_app_id = page.next_after_app_id;
        if after_app_id == 0 {
            break;
        }
    }
    let told: Vec<_> = apps.iter().map(in_json).collect();
    Ok(Answer {
        text: table(&apps),
        json: json!({ "apps": told }),
        exit: Exit::Done,
    })
}

pub(in crate::cli) async fn get(
    args: &AppsGetArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(GetAppRequest { app_id: args.app });
    let app = client.service.get_app(request).await?.into_inner().app;
    let app = app.unwrap_or_default();
    Ok(shown(&format!("app {}", app.app_id), &app))
}

/// Changes what the flags name, from what is there.
pub(in crate::cli) async fn put(
    args: &AppsPutArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let there = there(&mut client, args.app).await?;
    if there.plan.is_empty() && args.plan.is_none() {
        let problem = format!("app {} is new: give its --plan", args.app);
        return Err(NoAnswer::Input(problem));
    }
    let is_new = there.version == Some(0);
    let request = client.request(PutAppRequest {
        app: Some(changed(there, args)),
        reason: args.why.reason.clone(),
    });
    let app = client.service.put_app(request).await?.into_inner().app;
    let app = app.unwrap_or_default();
    let did = if is_new { "REGISTERED" } else { "CHANGED" };
    Ok(shown(&format!("{did}: app {}", app.app_id), &app))
}

pub(in crate::cli) async fn delete(
    args: &AppsDeleteArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(DeleteAppRequest {
        app_id: args.app,
        version: args.version,
        reason: args.why.reason.clone(),
    });
    let app = client.service.delete_app(request).await?.into_inner().app;
    let app = app.unwrap_or_default();
    Ok(shown(&format!("DELETED: app {}", app.app_id), &app))
}

/// What is there now, as the change is made from it.
async fn there(client: &mut AdminClient, app_id: u64) -> Result<App, NoAnswer> {
    let request = client.request(GetAppRequest { app_id });
    let new = |version| App {
        app_id,
        version: Some(version),
        ..App::default()
    };
    match client.service.get_app(request).await {
        Ok(reply) => Ok(match reply.into_inner().app {
            // What it was is over.
            Some(app) if app.deleted => new(0),
            Some(app) => app,
            None => new(0),
        }),
        Err(status) if status.code() == Code::NotFound => Ok(new(0)),
        Err(status) => Err(status.into()),
    }
}

fn changed(there: App, args: &AppsPutArgs) -> App {
    let own = there.limits.unwrap_or_default();
    let limit = |flag: Option<OwnLimit>, there: Option<AppLimit>| match flag {
        None => there,
        Some(OwnLimit::Plan) => None,
        Some(OwnLimit::Own(limit)) => Some(AppLimit { limit: Some(limit) }),
    };
    let limits = AppLimits {
        accounts: limit(args.accounts, own.accounts),
        groups: limit(args.groups, own.groups),
        av_rooms: limit(args.av_rooms, own.av_rooms),
        groups_gained_daily: limit(args.groups_gained_daily, own.groups_gained_daily),
        av_rooms_are_groups: own.av_rooms_are_groups,
    };
    let expired = args.expired_holds.map(ExpiredHolds::from);
    App {
        plan: args.plan.clone().unwrap_or(there.plan),
        limits: Some(limits),
        shadow: args.shadow.unwrap_or(there.shadow),
        disabled: args.disabled.unwrap_or(there.disabled),
        share_ids: args.share_ids.unwrap_or(there.share_ids),
        track_objects: args.track_objects.or(there.track_objects),
        expired_holds: expired.map_or(there.expired_holds, Into::into),
        activated: args
            .activated
            .map_or(there.activated, |day| day.to_string()),
        version: args.version.or(there.version),
        ..there
    }
}

fn shown(sentence: &str, app: &App) -> Answer {
    let mut facts = vec![("plan", app.plan.clone())];
    facts.extend(own(app));
    if let Some(version) = app.version {
        facts.push(("version", version.to_string()));
    }
    facts.push(("managed by", source(app)));
    Answer {
        text: below(sentence, &facts),
        json: json!({ "app": in_json(app) }),
        exit: Exit::Done,
    }
}

/// What an app has of its own.
pub(in crate::cli) fn own(app: &App) -> Vec<(&'static str, String)> {
    let limits = app.limits.unwrap_or_default();
    let mut own: Vec<_> = [
        ("accounts", limits.accounts),
        ("groups", limits.groups),
        ("av_rooms", limits.av_rooms),
        ("groups_gained_daily", limits.groups_gained_daily),
    ]
    .into_iter()
    .filter_map(|(name, limit)| Some((name, limit_text(limit?))))
    .collect();
    let flags = [
        ("shadow", app.shadow),
        ("disabled", app.disabled),
        ("share_ids", app.share_ids),
    ];
    own.extend(
        flags
            .into_iter()
            .filter(|of| of.1)
            .map(|of| (of.0, "true".into())),
    );
    if app.track_objects == Some(false) {
        own.push(("track_objects", "false".into()));
    }
    match app.expired_holds() {
        ExpiredHolds::Free => own.push(("expired_holds", "free".into())),
        ExpiredHolds::Charge => own.push(("expired_holds", "charge".into())),
        ExpiredHolds::Unspecified | ExpiredHolds::Ask => {}
    }
    if !app.activated.is_empty() {
        own.push(("activated", app.activated.clone()));
    }
    own
}

fn limit_text(limit: AppLimit) -> String {
    match limit.limit {
        Some(Limit::AtMost(most)) => most.to_string(),
        Some(Limit::Unlimited(_)) => "unlimited".into(),
        None => "not said".into(),
    }
}

fn source(app: &App) -> String {
    match app.source() {
        AppSource::File => "the settings file".into(),
        AppSource::Ledger if app.deleted => format!("deleted by {}", app.changed_by),
        AppSource::Ledger => format!("the ledger, last changed by {}", app.changed_by),
        AppSource::Unspecified => "not said".into(),
    }
}

fn table(apps: &[App]) -> String {
    let head = ["app", "plan", "of its own", "version", "managed by"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(apps.iter().map(|app| {
        let own: Vec<_> = own(app)
            .iter()
            .map(|(name, worth)| format!("{name} {worth}"))
            .collect();
        let version = app.version.map(|version| version.to_string());
        vec![
            app.app_id.to_string(),
            app.plan.clone(),
            own.join(", "),
            version.unwrap_or_default(),
            source(app),
        ]
    }));
    aligned(
        &rows,
        &[Side::Right, Side::Left, Side::Left, Side::Right, Side::Left],
    )
}

fn in_json(app: &App) -> Value {
    let limits = app.limits.unwrap_or_default();
    let limit = |limit: Option<AppLimit>| match limit.and_then(|limit| limit.limit) {
        None => Value::Null,
        Some(Limit::AtMost(most)) => json!({ "at_most": most }),
        Some(Limit::Unlimited(set)) => json!({ "unlimited": set }),
    };
    json!({
        "app_id": app.app_id,
        "plan": app.plan,
        "limits": {
            "accounts": limit(limits.accounts),
            "groups": limit(limits.groups),
            "av_rooms": limit(limits.av_rooms),
            "groups_gained_daily": limit(limits.groups_gained_daily),
            "av_rooms_are_groups": limits.av_rooms_are_groups,
        },
        "shadow": app.shadow,
        "disabled": app.disabled,
        "share_ids": app.share_ids,
        "track_objects": app.track_objects,
        "expired_holds": app.expired_holds().as_str_name(),
        "activated": app.activated,
        "version": app.version,
        "source": app.source().as_str_name(),
        "changed_by": app.changed_by,
        "deleted": app.deleted,
    })
}
