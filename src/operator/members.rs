//! Which member is to be retired, and whether it may be.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Fault, Operations};
use crate::store::{BEAT_MS, LEASE_TTL_MS, MemberInfo, Standing};

/// How often it is looked at whether a member still beats.
const POLL: Duration = Duration::from_millis(BEAT_MS);
/// How much longer than a lease a member may count as present that beats no more: the ledger's clock
/// and this wait do not begin at the same time.
const MARGIN: Duration = Duration::from_secs(1);

impl Operations {
    /// The member to retire, once its lease is over. One that beats meanwhile is alive.
    pub(super) async fn wait_out(&self, name: &str) -> Result<MemberInfo, Fault> {
        let first = choose(&self.step(self.store.members()).await?, name)?;
        let since = Instant::now();
        let mut now = first.clone();
        loop {
            match now.standing {
                Standing::Silent => return Ok(now),
                Standing::Gone => return Err(Fault::Gone(called(&now))),
                Standing::Present => {}
            }
            let waited = since.elapsed() > Duration::from_millis(LEASE_TTL_MS) + MARGIN;
            if now.seen != first.seen || waited {
                return Err(Fault::Alive(called(&now)));
            }
            sleep(POLL).await;
            let members = self.step(self.store.members()).await?;
            let mut same = members.into_iter();
            let same = same.find(|member| member.incarnation == first.incarnation);
            now = same.ok_or_else(|| Fault::UnknownMember(name.into()))?;
        }
    }
}

/// The member that an operator means. Of several with one name it is the one that is not alive: a
/// sidecar that lost its data folder came back as another member.
fn choose(members: &[MemberInfo], name: &str) -> Result<MemberInfo, Fault> {
    let named: Vec<_> = members.iter().filter(|one| &*one.name == name).collect();
    if named.is_empty() {
        let mut by_number = members.iter();
        let found = by_number.find(|one| incarnation(one) == name.to_ascii_lowercase());
        return found
            .cloned()
            .ok_or_else(|| Fault::UnknownMember(name.into()));
    }
    let of = |standing| named.iter().filter(move |one| one.standing == standing);
    let silent: Vec<_> = of(Standing::Silent).collect();
    let present: Vec<_> = of(Standing::Present).collect();
    match (&silent[..], &present[..]) {
        ([one], _) | ([], [one]) => Ok((**one).clone()),
        ([], []) => Err(Fault::Gone(name.into())),
        ([], several) | (several, _) => Err(Fault::Ambiguous {
            name: name.into(),
            incarnations: several.iter().map(|one| incarnation(one)).collect(),
        }),
    }
}

/// What tells members of one name apart, as operators write it.
fn incarnation(member: &MemberInfo) -> String {
    format!("{:016x}", member.incarnation)
}

fn called(member: &MemberInfo) -> String {
    format!("{} ({})", member.name, incarnation(member))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;

    fn member(name: &str, incarnation: u64, standing: Standing) -> MemberInfo {
        MemberInfo {
            incarnation,
            name: name.into(),
            boot: 1,
            seen: Millis(0),
            standing,
        }
    }

    #[test]
    fn a_member_is_meant_by_its_name_or_its_number() {
        use Standing::{Gone, Present, Silent};
        let members = [
            member("a", 1, Present),
            member("a", 2, Silent),
            member("b", 3, Silent),
            member("b", 4, Silent),
            member("c", 5, Gone),
            member("d", 0xabc, Present),
            member("e", 7, Present),
            member("e", 8, Present),
        ];
        let chosen = |name: &str| choose(&members, name).map(|one| one.incarnation);
        assert_eq!(chosen("a"), Ok(2), "the other one is alive");
        assert_eq!(chosen("d"), Ok(0xabc), "it is waited for");
        assert_eq!(chosen("0000000000000001"), Ok(1));
        assert_eq!(chosen("0000000000000ABC"), Ok(0xabc));
        assert_eq!(chosen("c"), Err(Fault::Gone("c".into())));
        assert_eq!(chosen("1"), Err(Fault::UnknownMember("1".into())));
        let several = |name: &str, of: [u64; 2]| {
            Err(Fault::Ambiguous {
                name: name.into(),
                incarnations: of.map(|one| format!("{one:016x}")).to_vec(),
            })
        };
        assert_eq!(chosen("b"), several("b", [3, 4]));
        assert_eq!(chosen("e"), several("e", [7, 8]));
    }
}
