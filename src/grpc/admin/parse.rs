//! Operators' requests into the house's own types. Every faulty field is found.

use crate::admission::Import;
use crate::clock::{Day, Month};
use crate::config::MEMBER_BYTES_MAX;
use crate::grpc::fault::Violations;
use crate::grpc::{bill, parse, proto};
use crate::invoice::{CorrectOrder, PAGE_MAX};
use crate::operator::{Order, RecountOrder};
use crate::quota::{AppId, Limit, ObjectId};
use crate::store::{AUDIT_MAX, AUDIT_TEXT_MAX, HOLDS_MAX, OBJECTS_MAX};

/// How many entries of the audit list are told if nobody says.
const AUDIT_DEFAULT: usize = 100;
/// How many bills a page has if nobody says.
const BILLS_DEFAULT: usize = 100;

/// Where a page begins, and how long it is at most.
type Cut = (Option<AppId>, usize);
/// How many reservations are listed if nobody says.
const HOLDS_DEFAULT: usize = 100;

/// Reads a Recount that `who` asks for.
pub(super) fn recount(
    request: &proto::RecountRequest,
    who: &str,
) -> Result<RecountOrder, Violations> {
    let mut faults = Violations::default();
    let app = parse::app(request.app_id, &mut faults);
    let resource = parse::resource(request.resource, &mut faults);
    let why = reason(&request.reason, &mut faults);
    let order = order(request, &mut faults);
    let parsed = (|| {
        Some(RecountOrder {
            app: app?,
            resource: resource?,
            order: order?,
            who: who.into(),
            why: why?.into(),
        })
    })();
    faults.or(parsed)
}

fn order(request: &proto::RecountRequest, faults: &mut Violations) -> Option<Order> {
    let token = request.token;
    match (request.dry_run, request.cancel, request.to) {
        (true, true, _) => faults.add("cancel", "must not be set together with dry_run"),
        (true, false, _) if token != 0 => {
            faults.add("token", "must be left out in a dry run, which answers one");
        }
        (true, false, _) => return Some(Order::Freeze),
        (false, true, _) if token == 0 => {
            faults.add("token", "must be given: it names the freeze to end");
        }
        (false, true, _) => return Some(Order::Cancel { token }),
        (false, false, None) => {
            faults.add("to", "must be given, unless dry_run or cancel is set");
        }
        (false, false, Some(to)) if to > Limit::MAX => {
            faults.add("to", format!("must be at most {}", Limit::MAX));
        }
        (false, false, Some(to)) if token == 0 => return Some(Order::Set { to }),
        (false, false, Some(to)) => return Some(Order::Commit { to, token }),
    }
    None
}

/// Reads a RunBills: which month, and which apps of it.
pub(super) fn run_bills(request: &proto::RunBillsRequest) -> Result<(Month, Cut), Violations> {
    let mut faults = Violations::default();
    let month = bill::month_of(&request.month, &mut faults);
    let size = match usize::try_from(request.page_size) {
        Ok(0) => Ok(BILLS_DEFAULT),
        Ok(size) if size <= PAGE_MAX => Ok(size),
        _ => Err(format!("must be at most {PAGE_MAX}")),
    };
    let size = faults.check("page_size", size);
    let page = size.map(|size| (AppId::new(request.after_app_id), size));
    faults.or((|| Some((month?, page?)))())
}

/// Reads a CorrectDay that `who` asks for.
pub(super) fn correct_day(
    request: &proto::CorrectDayRequest,
    who: &str,
) -> Result<CorrectOrder, Violations> {
    let mut faults = Violations::default();
    let app = parse::app(request.app_id, &mut faults);
    let day = Day::parse(&request.day).ok_or("must be a day such as 2026-11-14");
    let day = faults.check("day", day);
    for (field, count) in [
        ("daily_active", request.daily_active),
        ("groups", request.groups),
    ] {
        if count.is_some_and(|count| count > Limit::MAX) {
            faults.add(field, format!("must be at most {}", Limit::MAX));
        }
    }
    if request.daily_active.is_none() && request.groups.is_none() {
        faults.add("daily_active", "must be given, or groups must be");
    }
    let why = reason(&request.reason, &mut faults);
    if why.is_some_and(str::is_empty) {
        faults.add("reason", "must be given: it stands on the bill");
    }
    let parsed = (|| {
        Some(CorrectOrder {
            app: app?,
            day: day?,
            daily_active: request.daily_active,
            groups: request.groups,
            who: who.into(),
            why: why?.into(),
        })
    })();
    faults.or(parsed)
}

/// Reads a RetireMember: whom, and why.
pub(super) fn retire(request: &proto::RetireMemberRequest) -> Result<(&str, &str), Violations> {
    let mut faults = Violations::default();
    let member = &*request.member;
    if !(1..=MEMBER_BYTES_MAX).contains(&member.len()) {
        let problem = format!("must be a name or an incarnation of 1 to {MEMBER_BYTES_MAX} bytes");
        faults.add("member", problem);
    }
    let why = reason(&request.reason, &mut faults);
    faults.or(why.map(|why| (member, why)))
}

/// Reads a ListAudit: of which app, and how many at most.
pub(super) fn audit(
    request: &proto::ListAuditRequest,
) -> Result<(Option<AppId>, usize), Violations> {
    let mut faults = Violations::default();
    let most = most(request.limit, AUDIT_DEFAULT, AUDIT_MAX);
    let most = faults.check("limit", most);
    faults.or(most.map(|most| (AppId::new(request.app_id), most)))
}

/// Reads a ListHolds: of which app, and how many at most.
pub(super) fn holds(request: &proto::ListHoldsRequest) -> Result<(AppId, usize), Violations> {
    let mut faults = Violations::default();
    let app = parse::app(request.app_id, &mut faults);
    let most = most(request.page_size, HOLDS_DEFAULT, HOLDS_MAX);
    let most = faults.check("page_size", most);
    faults.or(app.zip(most))
}

/// Reads an ImportObjects.
pub(super) fn import(request: &proto::ImportObjectsRequest) -> Result<Import, Violations> {
    let mut faults = Violations::default();
    let app = parse::app(request.app_id, &mut faults);
    let resource = parse::resource(request.resource, &mut faults);
    let objects = objects(&request.resource_ids, &mut faults);
    let parsed = (|| {
        Some(Import {
            app: app?,
            resource: resource?,
            objects: objects?,
        })
    })();
    faults.or(parsed)
}

fn objects(names: &[String], faults: &mut Violations) -> Option<Vec<ObjectId>> {
    const FIELD: &str = "resource_ids";
    match names.len() {
        0 => faults.add(FIELD, "must be given: at least one"),
        1..=OBJECTS_MAX => return parse::names(FIELD, names, ObjectId::parse, faults),
        many => faults.add(
            FIELD,
            format!("has {many} ids; at most {OBJECTS_MAX} are allowed"),
        ),
    }
    None
}

/// How many are told: `default` if nobody says.
pub(super) fn most(asked: u32, default: usize, max: usize) -> Result<usize, String> {
    match usize::try_from(asked) {
        Ok(0) => Ok(default),
        Ok(most) if most <= max => Ok(most),
        Ok(_) | Err(_) => Err(format!("must be at most {max}")),
    }
}

/// What an operator says of why. It stands in tables and logs, so it must keep to one line.
pub(super) fn reason<'a>(text: &'a str, faults: &mut Violations) -> Option<&'a str> {
    if text.len() > AUDIT_TEXT_MAX {
        let bytes = text.len();
        let problem = format!("has {bytes} bytes; at most {AUDIT_TEXT_MAX} are allowed");
        faults.add("reason", problem);
    } else if text.chars().any(char::is_control) {
        faults.add(
            "reason",
            "holds a control character; write one line of text",
        );
    } else {
        return Some(text);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Resource;

    fn request() -> proto::RecountRequest {
        proto::RecountRequest {
            app_id: 7,
            resource: proto::Resource::Group.into(),
            ..Default::default()
        }
    }

    #[test]
    fn a_recount_is_one_of_four() {
        let order = |request| recount(&request, "uid 0").unwrap().order;
        let to = Some(5);
        assert_eq!(
            order(proto::RecountRequest { to, ..request() }),
            Order::Set { to: 5 }
        );
        let token = 9;
        let commit = proto::RecountRequest {
            to,
            token,
            ..request()
        };
        assert_eq!(order(commit), Order::Commit { to: 5, token });
        let (dry_run, cancel) = (true, true);
        assert_eq!(
            order(proto::RecountRequest {
                dry_run,
                to,
                ..request()
            }),
            Order::Freeze
        );
        let end = proto::RecountRequest {
            cancel,
            token,
            ..request()
        };
        assert_eq!(order(end), Order::Cancel { token });
        let asked = proto::RecountRequest {
            to: Some(0),
            reason: "é".into(),
            ..request()
        };
        let read = recount(&asked, "token").unwrap();
        assert_eq!((read.app.get(), read.resource), (7, Resource::Group));
        assert_eq!((&*read.who, &*read.why), ("token", "é"));
    }

    #[test]
    fn a_faulty_recount_names_every_field() {
        let (dry_run, cancel, to) = (true, true, Some(1));
        for (wrong, fields) in [
            (
                proto::RecountRequest::default(),
                &["app_id", "resource", "to"][..],
            ),
            (request(), &["to"]),
            (
                proto::RecountRequest {
                    to: Some(Limit::MAX + 1),
                    ..request()
                },
                &["to"],
            ),
            (
                proto::RecountRequest {
                    dry_run,
                    token: 1,
                    ..request()
                },
                &["token"],
            ),
            (
                proto::RecountRequest {
                    cancel,
                    ..request()
                },
                &["token"],
            ),
            (
                proto::RecountRequest {
                    cancel,
                    dry_run,
                    ..request()
                },
                &["cancel"],
            ),
            (
                proto::RecountRequest {
                    to,
                    reason: "a\nb".into(),
                    ..request()
                },
                &["reason"],
            ),
            (
                proto::RecountRequest {
                    to,
                    reason: "x".repeat(257),
                    ..request()
                },
                &["reason"],
            ),
        ] {
            let faults = recount(&wrong, "token").unwrap_err();
            assert_eq!(faults.fields(), fields, "{wrong:?}");
        }
    }

    #[test]
    fn reservations_are_asked_for_within_bounds() {
        let of = |app_id, page_size| holds(&proto::ListHoldsRequest { app_id, page_size });
        let app = AppId::new(3).unwrap();
        assert_eq!(of(3, 0).unwrap(), (app, 100));
        assert_eq!(of(3, 1000).unwrap(), (app, 1000));
        assert_eq!(of(0, 1001).unwrap_err().fields(), ["app_id", "page_size"]);
    }

    #[test]
    fn objects_are_taken_in_within_bounds() {
        let of = |names: Vec<String>| {
            import(&proto::ImportObjectsRequest {
                app_id: 3,
                resource: proto::Resource::Account.into(),
                resource_ids: names,
            })
        };
        let read = of(vec!["a".into(), "b".repeat(48)]).unwrap();
        assert_eq!((read.app.get(), read.resource), (3, Resource::Account));
        let names: Vec<_> = read.objects.iter().map(ObjectId::as_str).collect();
        assert_eq!(names, ["a", &"b".repeat(48)]);
        assert!(of(vec!["a".into(); OBJECTS_MAX]).is_ok());
        for wrong in [vec![], vec!["a".into(); OBJECTS_MAX + 1]] {
            assert_eq!(of(wrong).unwrap_err().fields(), ["resource_ids"]);
        }
        let named = of(vec!["a".into(), String::new(), "b".repeat(49)]).unwrap_err();
        assert_eq!(named.fields(), ["resource_ids[1]", "resource_ids[2]"]);
        let many = of(vec!["\n".into(); OBJECTS_MAX]).unwrap_err();
        assert_eq!(many.fields().len(), 9);
        let nothing = import(&proto::ImportObjectsRequest::default()).unwrap_err();
        assert_eq!(nothing.fields(), ["app_id", "resource", "resource_ids"]);
    }

    #[test]
    fn members_and_entries_are_asked_for_within_bounds() {
        let named = |member: &str| proto::RetireMemberRequest {
            member: member.into(),
            reason: "gone".into(),
        };
        assert_eq!(retire(&named("a")).unwrap(), ("a", "gone"));
        for wrong in ["", &"x".repeat(65)] {
            assert_eq!(retire(&named(wrong)).unwrap_err().fields(), ["member"]);
        }
        let of = |app_id, limit| audit(&proto::ListAuditRequest { app_id, limit });
        assert_eq!(of(0, 0).unwrap(), (None, 100));
        assert_eq!(of(3, 1000).unwrap(), (AppId::new(3), 1000));
        assert_eq!(of(0, 1001).unwrap_err().fields(), ["limit"]);
    }
}
