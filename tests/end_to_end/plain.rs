//! A plain model of one app: what its counts must be after each call. No sidecar, no settling, no
//! time: the day never ends.

use std::collections::{BTreeMap, BTreeSet};

use imquota::grpc::proto::{Decision, DenyReason, Resource};

/// The counters, by index: accounts, groups, AV rooms, groups gained.
type Counts = [i64; 4];
const ACCOUNTS: usize = 0;
const GROUPS: usize = 1;
const ROOMS: usize = 2;
const GAINED: usize = 3;

/// The rules that an app lives under; `None`: unlimited.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub limits: [Option<u64>; 4],
    pub rooms_are_groups: bool,
}

impl Rules {
    /// As the settings file says it.
    pub fn yaml(&self) -> String {
        let limit =
            |limit: Option<u64>| limit.map_or("unlimited".into(), |limit| limit.to_string());
        let [accounts, groups, rooms, gained] = self.limits.map(limit);
        format!(
            "{{ accounts: {accounts}, groups: {groups}, av_rooms: {rooms}, groups_gained_daily: {gained}, \
             av_rooms_are_groups: {} }}",
            self.rooms_are_groups
        )
    }

    fn parts(&self, resource: Resource) -> &'static [usize] {
        match resource {
            Resource::Account => &[ACCOUNTS],
            Resource::Group => &[GROUPS, GAINED],
            Resource::AvRoom if self.rooms_are_groups => &[ROOMS, GROUPS, GAINED],
            Resource::AvRoom => &[ROOMS],
            Resource::Unspecified => unreachable!("it is never asked"),
        }
    }
}

/// What a check answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub decision: Decision,
    pub reason: DenyReason,
    pub code: u32,
    pub limit: Option<u64>,
    pub used: u64,
    pub replayed: bool,
}

/// What a release answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    pub amount: u64,
    pub used: u64,
    pub replayed: bool,
}

/// The id stands for another request.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Check,
    Release,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    asked: (Verb, Resource, u32),
    /// The part that refused a check, or how many a release gave back.
    refused: Option<usize>,
    released: u64,
}

/// One app.
#[derive(Debug)]
pub struct App {
    rules: Rules,
    counts: Counts,
    records: BTreeMap<u8, Record>,
    users: BTreeSet<u8>,
    increments: u64,
}

impl App {
    pub fn new(rules: Rules) -> Self {
        let (records, users) = (BTreeMap::new(), BTreeSet::new());
        Self {
            rules,
            counts: [0; 4],
            records,
            users,
            increments: 0,
        }
    }

    pub fn used(&self, resource: Resource) -> u64 {
        self.shown(self.rules.parts(resource)[0])
    }

    /// Whether there are so many groups that are no rooms.
    pub fn has_plain_groups(&self, amount: u32) -> bool {
        let rooms = if self.rules.rooms_are_groups {
            self.counts[ROOMS]
        } else {
            0
        };
        self.counts[GROUPS] - rooms >= i64::from(amount)
    }

    pub fn gained(&self) -> i64 {
        self.counts[GAINED]
    }

    pub fn limit(&self, resource: Resource) -> Option<u64> {
        self.rules.limits[self.rules.parts(resource)[0]]
    }

    pub fn daily_active(&self) -> u64 {
        self.users.len() as u64 + self.increments
    }

    pub fn judge(&self, resource: Resource, amount: u32) -> Verdict {
        self.verdict(resource, self.refusal(resource, amount), false)
    }

    pub fn check(
        &mut self,
        resource: Resource,
        amount: u32,
        id: Option<u8>,
    ) -> Result<Verdict, Taken> {
        if let Some(record) = self.found((Verb::Check, resource, amount), id)? {
            return Ok(self.verdict(resource, record.refused, true));
        }
        let refused = self.refusal(resource, amount);
        if refused.is_none() {
            for part in self.rules.parts(resource) {
                self.counts[*part] += i64::from(amount);
            }
        }
        self.remember(
            id,
            Record {
                asked: (Verb::Check, resource, amount),
                refused,
                released: 0,
            },
        );
        Ok(self.verdict(resource, refused, false))
    }

    pub fn release(
        &mut self,
        resource: Resource,
        amount: u32,
        id: Option<u8>,
    ) -> Result<Released, Taken> {
        let asked = (Verb::Release, resource, amount);
        if let Some(record) = self.found(asked, id)? {
            let (released, used) = (record.released, self.used(resource));
            return Ok(Released {
                amount: released,
                used,
                replayed: true,
            });
        }
        let parts = self.rules.parts(resource);
        let released = i64::from(amount).min(self.counts[parts[0]].max(0));
        // What is released as a room and as a group is one group less, and no place more.
        let groups = released.min(self.counts[GROUPS].max(0));
        self.counts[parts[0]] -= released;
        for part in &parts[1..] {
            self.counts[*part] -= groups;
        }
        let released = released.unsigned_abs();
        self.remember(
            id,
            Record {
                asked,
                refused: None,
                released,
            },
        );
        Ok(Released {
            amount: released,
            used: self.used(resource),
            replayed: false,
        })
    }

    /// Answers how many are new.
    pub fn record(&mut self, users: &[u8]) -> u64 {
        users
            .iter()
            .filter(|user| self.users.insert(**user))
            .count() as u64
    }

    pub fn increment(&mut self, by: u64) {
        self.increments += by;
    }

    fn refusal(&self, resource: Resource, amount: u32) -> Option<usize> {
        let over = |part: &&usize| {
            let limit = self.rules.limits[**part];
            limit.is_some_and(|limit| self.counts[**part] + i64::from(amount) > limit.cast_signed())
        };
        self.rules.parts(resource).iter().find(over).copied()
    }

    fn verdict(&self, resource: Resource, refused: Option<usize>, replayed: bool) -> Verdict {
        let part = refused.unwrap_or(self.rules.parts(resource)[0]);
        let (decision, reason, code) = match refused {
            None => (Decision::Allow, DenyReason::Unspecified, 0),
            Some(GAINED) => (Decision::Deny, DenyReason::DailyGainReached, 10006),
            Some(ACCOUNTS) => (Decision::Deny, DenyReason::LimitReached, 70398),
            Some(GROUPS) => (Decision::Deny, DenyReason::LimitReached, 10058),
            Some(_) => (Decision::Deny, DenyReason::LimitReached, 10036),
        };
        let (limit, used) = (self.rules.limits[part], self.shown(part));
        Verdict {
            decision,
            reason,
            code,
            limit,
            used,
            replayed,
        }
    }

    fn shown(&self, part: usize) -> u64 {
        u64::try_from(self.counts[part]).unwrap_or(0)
    }

    fn found(&self, asked: (Verb, Resource, u32), id: Option<u8>) -> Result<Option<Record>, Taken> {
        match id.and_then(|id| self.records.get(&id)) {
            Some(record) if record.asked == asked => Ok(Some(*record)),
            Some(_) => Err(Taken),
            None => Ok(None),
        }
    }

    fn remember(&mut self, id: Option<u8>, record: Record) {
        if let Some(id) = id {
            self.records.insert(id, record);
        }
    }
}
