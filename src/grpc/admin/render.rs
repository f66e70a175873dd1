//! What was done for operators, in the contract's words.

use crate::admission::Imported;
use crate::clock::{Day, Millis};
use crate::grpc::bill::report_of;
use crate::grpc::proto;
use crate::grpc::render::timestamp;
use crate::invoice::{Corrected, Page, Run};
use crate::operator::Counted;
use crate::quota::{AppId, Counter};
use crate::store::{AuditEntry, Change, Hold, MemberInfo, Retired, Standing};

/// Writes the answer to a Recount.
pub(super) fn recount(counted: &Counted) -> proto::RecountResponse {
    proto::RecountResponse {
        token: counted.token,
        from: u64::try_from(counted.from).unwrap_or(0),
        to: counted.to,
        held: counted.held,
        all_told: counted.all_told,
        frozen_until: counted.frozen_until.map(timestamp),
    }
}

/// Writes the answer to a RunBills.
pub(super) fn bills(page: &Page) -> proto::RunBillsResponse {
    let bill = |run: &Run| match &run.outcome {
        Ok((report, is_new)) => proto::RunBill {
            app_id: run.app.get(),
            bill: Some(report_of(report)),
            written_now: *is_new,
            problem: String::new(),
        },
        Err(fault) => proto::RunBill {
            app_id: run.app.get(),
            bill: None,
            written_now: false,
            problem: fault.to_string(),
        },
    };
    proto::RunBillsResponse {
        bills: page.runs.iter().map(bill).collect(),
        next_after_app_id: page.next.map_or(0, AppId::get),
    }
}

/// Writes the answer to a CorrectDay.
pub(super) fn corrected(day: Day, corrected: &Corrected) -> proto::CorrectDayResponse {
    let change = |change: Change| proto::CountChange {
        from: change.from,
        to: change.to,
    };
    proto::CorrectDayResponse {
        day: day.to_string(),
        daily_active: corrected.daily_active.map(change),
        groups: corrected.groups.map(change),
        bill: Some(report_of(&corrected.report)),
        total_before: corrected.total_before.to_string(),
        difference: corrected.difference.to_string(),
    }
}

/// Writes the answer to a ListMembers.
pub(super) fn members(members: &[MemberInfo]) -> proto::ListMembersResponse {
    proto::ListMembersResponse {
        members: members.iter().map(member).collect(),
    }
}

/// Writes the answer to a RetireMember. `found` is the member as it was before.
pub(super) fn retired(found: &MemberInfo, retired: Retired) -> proto::RetireMemberResponse {
    let gone = proto::MemberInfo {
        standing: proto::MemberStanding::Gone.into(),
        ..member(found)
    };
    proto::RetireMemberResponse {
        member: Some(gone),
        apps: retired.apps,
        booked: retired.outstanding,
    }
}

/// Writes the answer to a ListAudit.
pub(super) fn audit(entries: Vec<AuditEntry>) -> proto::ListAuditResponse {
    let entries = entries.into_iter().map(|entry| proto::AuditEntry {
        at: Some(timestamp(entry.at)),
        who: entry.who.into(),
        what: entry.what.into(),
        app_id: entry.app.map_or(0, AppId::get),
        subject: entry.subject.into(),
        from: entry.from,
        to: entry.to,
        reason: entry.why.into(),
    });
    proto::ListAuditResponse {
        entries: entries.collect(),
    }
}

/// Writes the answer to a ListHolds, as it stands `now`, by the ledger's clock.
pub(super) fn holds(holds: &[Hold], now: Millis) -> proto::ListHoldsResponse {
    let hold = |hold: &Hold| proto::HoldInfo {
        request_id: hold.id.as_str().into(),
        // What was asked for comes first among what it moves.
        resource: of_counter(hold.charge.parts()[0].counter).into(),
        amount: hold.charge.amount().get(),
        expires_at: Some(timestamp(hold.until)),
        in_doubt: hold.until < now,
    };
    proto::ListHoldsResponse {
        holds: holds.iter().map(hold).collect(),
    }
}

/// The resource whose own counter it is; a gain is none's, and comes with its group.
fn of_counter(counter: Counter) -> proto::Resource {
    match counter {
        Counter::Accounts => proto::Resource::Account,
        Counter::Groups | Counter::GroupsGained => proto::Resource::Group,
        Counter::AvRooms => proto::Resource::AvRoom,
    }
}

/// Writes the answer to an ImportObjects.
pub(super) fn imported(imported: Imported) -> proto::ImportObjectsResponse {
    proto::ImportObjectsResponse {
        named: imported.named,
        counted: imported.counted,
        known: imported.known,
    }
}

fn member(member: &MemberInfo) -> proto::MemberInfo {
    let standing = match member.standing {
        Standing::Present => proto::MemberStanding::Present,
        Standing::Silent => proto::MemberStanding::Silent,
        Standing::Gone => proto::MemberStanding::Gone,
    };
    proto::MemberInfo {
        name: member.name.clone().into(),
        incarnation: format!("{:016x}", member.incarnation),
        boot: member.boot,
        seen: Some(timestamp(member.seen)),
        standing: standing.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{Amount, Charge, Limits, RequestId, Resource};
    use crate::store::{Fingerprint, HoldState, RecordKey};

    #[test]
    fn a_reservation_is_told_as_what_was_asked_for() {
        let id = RequestId::parse("r-1").unwrap();
        let hold = |resource, amount, until| Hold {
            id: id.clone(),
            key: RecordKey::Client(id.clone()),
            fingerprint: Fingerprint(0),
            charge: Charge::new(
                resource,
                Amount::from_wire(amount).unwrap(),
                &Limits::UNLIMITED,
            ),
            day: Day::from_number(20_000).unwrap(),
            until: Millis(until),
            state: HoldState::Open,
        };
        let listed = [
            hold(Resource::AvRoom, 3, 1500),
            hold(Resource::Group, 1, 2000),
            hold(Resource::Account, 100, 2001),
        ];
        let told = holds(&listed, Millis(2000)).holds;
        let shown: Vec<_> = told
            .iter()
            .map(|hold| (hold.resource(), hold.amount, hold.in_doubt))
            .collect();
        assert_eq!(
            shown,
            [
                (proto::Resource::AvRoom, 3, true),
                (proto::Resource::Group, 1, false),
                (proto::Resource::Account, 100, false),
            ]
        );
        let expires = told[0].expires_at.as_ref().unwrap();
        assert_eq!((expires.seconds, expires.nanos), (1, 500_000_000));
        assert_eq!(told[0].request_id, "r-1");
    }

    #[test]
    fn a_member_that_was_retired_is_told_as_gone() {
        let found = MemberInfo {
            incarnation: 0xabc,
            name: "a".into(),
            boot: 2,
            seen: Millis(1500),
            standing: Standing::Silent,
        };
        let told = &members(std::slice::from_ref(&found)).members[0];
        assert_eq!(told.standing(), proto::MemberStanding::Silent);
        assert_eq!(told.incarnation, "0000000000000abc");
        let seen = told.seen.as_ref().unwrap();
        assert_eq!((seen.seconds, seen.nanos), (1, 500_000_000));
        let booked = Retired {
            apps: 3,
            outstanding: 9,
        };
        let answer = retired(&found, booked);
        assert_eq!((answer.apps, answer.booked), (3, 9));
        assert_eq!(
            answer.member.unwrap().standing(),
            proto::MemberStanding::Gone
        );
    }

    #[test]
    fn a_count_below_zero_is_shown_as_none() {
        let counted = Counted {
            from: -3,
            to: Some(2),
            ..Counted::default()
        };
        assert_eq!(recount(&counted).from, 0);
    }
}
