//! What was done for operators, in the contract's words.

use crate::grpc::proto;
use crate::grpc::render::timestamp;
use crate::operator::Counted;
use crate::quota::AppId;
use crate::store::{AuditEntry, MemberInfo, Retired, Standing};

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
    use crate::clock::Millis;

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
