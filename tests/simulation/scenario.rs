//! What can go wrong in a run: a list of faults, drawn from the seed. Each seed leaves some out, so that
//! no fault hides what another one does.

use imquota::clock::{Millis, Zone};
use imquota::quota::{AppId, Limit, Limits, Resource};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::gateway::Tenant;
use crate::network::Weather;

/// Something that the world does to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// A sidecar cannot reach the ledger for a while.
    Partition,
    /// A sidecar's process ends between two instructions, and starts again later.
    Kill,
    /// As [`FaultKind::Kill`], and its journal is gone.
    LoseJournal,
    /// A sidecar ends in good order, and starts again.
    Restart,
    /// The server stops answering for a while, and does then what it was asked.
    Stall,
    /// The server's process is another one, its keys are there.
    RestartServer,
    /// A machine's clock is set.
    ClockJump,
    /// The server is put back to an earlier state.
    Rollback,
    /// A state from before is restored into the server while it runs: its process says nothing of that.
    Restore,
    /// The server forgets everything.
    Flush,
    /// A sidecar's process is stopped by a signal, for longer than its lease perhaps, and goes on.
    Halt,
    /// An operator retires the members whose journal is lost.
    Retire,
    /// An operator recounts something.
    Recount,
}

/// Faults that leave the server's keys as they are.
pub const MENDED: [FaultKind; 10] = [
    FaultKind::Partition,
    FaultKind::Kill,
    FaultKind::LoseJournal,
    FaultKind::Restart,
    FaultKind::Stall,
    FaultKind::RestartServer,
    FaultKind::ClockJump,
    FaultKind::Halt,
    FaultKind::Retire,
    FaultKind::Recount,
];

/// Faults by which it forgets something, so that members tell it again.
pub const FORGOTTEN: [FaultKind; 2] = [FaultKind::Rollback, FaultKind::Flush];

/// How far a clock may be off.
pub const CLOCK_ERROR_MS_MAX: i64 = 20_000;

/// After so long the first sidecar has mostly made the ledger.
const APART_MS: u64 = 400;

/// What gateways do beside asking and deleting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of them goes with any other"
)]
pub struct Habits {
    /// Some objects are created and deleted by their names.
    pub names: bool,
    /// Some are reserved first.
    pub reserves: bool,
    /// What is known is asked again.
    pub repeats: bool,
    /// Ids that all sidecars are to know are also given where no small limit is: of those a sidecar counts some by itself
    /// while the ledger is away.
    pub shares: bool,
}

impl Habits {
    /// They do nothing else.
    pub const PLAIN: Self = Self {
        names: false,
        reserves: false,
        repeats: false,
        shares: false,
    };

    fn draw(rng: &mut StdRng) -> Self {
        Self {
            names: rng.random_ratio(2, 3),
            reserves: rng.random_ratio(1, 2),
            repeats: rng.random_ratio(2, 3),
            shares: false,
        }
    }
}

/// One run's plan.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub sidecars: usize,
    /// How long after one sidecar the next one begins.
    pub apart_ms: u64,
    pub gateways: usize,
    /// Things that each gateway does.
    pub deeds: u32,
    pub pause_ms_max: u64,
    pub faults: Vec<FaultKind>,
    /// How many faults are injected, and how far apart they are at most.
    pub blows: u32,
    pub blow_ms_max: u64,
    pub weather: Weather,
    pub tenants: Vec<Tenant>,
    pub habits: Habits,
    /// Whether most is asked of the first sidecar.
    pub skewed: bool,
    pub begins: Millis,
    pub zone: Zone,
}

/// Noon of a day in the zone that runs live in: 2100-01-01. Keys that go at their time stay in a real
/// server, whose time is another.
const NOON: i64 = 4_102_459_200_000;

impl Scenario {
    /// The plan that follows from a seed's generator.
    pub fn draw(seed: u64, rng: &mut StdRng) -> Self {
        let forgetful = rng.random_ratio(1, 4);
        let mut faults = Vec::new();
        for fault in MENDED {
            if rng.random_ratio(1, if forgetful { 4 } else { 3 }) {
                faults.push(fault);
            }
        }
        for fault in FORGOTTEN {
            if forgetful && rng.random_ratio(3, 4) {
                faults.push(fault);
            }
        }
        let foul = rng.random_ratio(1, 2);
        let weather = if foul {
            foul_weather(rng)
        } else {
            Weather::FAIR
        };
        // A run begins shortly before midnight now and then.
        let to_midnight = 12 * 3_600_000 - rng.random_range(2_000..15_000);
        let at_midnight = rng.random_ratio(1, 4);
        let mut plan = Self {
            sidecars: rng.random_range(1..=4),
            gateways: rng.random_range(2..=5),
            deeds: rng.random_range(5..=25),
            // The slowest go on while the journal is saved, half a minute after the start.
            pause_ms_max: *pick(rng, &[20, 200, 200, 800, 3_000]),
            blows: if faults.is_empty() {
                0
            } else {
                rng.random_range(1..=6)
            },
            faults,
            blow_ms_max: rng.random_range(200..3_000),
            weather,
            tenants: tenants(rng),
            habits: Habits::PLAIN,
            skewed: rng.random_ratio(1, 3),
            begins: Millis(NOON).plus(if at_midnight { to_midnight } else { 0 }),
            zone: Zone::parse("+08:00").expect("an offset"),
            // Those that begin at once make the ledger together: 256 headers each, most of a run's work.
            apart_ms: *pick(rng, &[0, APART_MS, APART_MS, APART_MS]),
        };
        // Drawn apart, so that a plan without them is what it is to `aims`.
        let rng = &mut StdRng::seed_from_u64(!seed);
        plan.habits = Habits::draw(rng);
        if rng.random_ratio(1, 3) {
            let tenants = plan.tenants.iter_mut();
            tenants.for_each(|tenant| keeps_ids(tenant, rng));
        }
        plan.habits.shares = rng.random_ratio(1, 2);
        plan
    }

    /// Whether it stays known that a name was deleted: the ledger keeps it, or the process that asked for that goes on
    /// and tells it again; and nobody sets a count, beside which a deletion may be left out.
    pub fn remembers(&self) -> bool {
        use FaultKind::{Kill, LoseJournal, Recount, Restart};
        let ends = self.has(&[Kill, LoseJournal, Restart]);
        !(self.has(&[Recount]) || self.forgets() && ends)
    }

    /// Whether the ledger may lose what it acknowledged.
    fn forgets(&self) -> bool {
        use FaultKind::{Flush, Restore, Rollback};
        self.has(&[Rollback, Restore, Flush])
    }

    fn has(&self, some: &[FaultKind]) -> bool {
        self.faults.iter().any(|fault| some.contains(fault))
    }
}

fn foul_weather(rng: &mut StdRng) -> Weather {
    let mut now_and_then = |most: u32| {
        if rng.random_ratio(1, 2) {
            rng.random_range(0..=most)
        } else {
            0
        }
    };
    let (lost, answers_lost) = (now_and_then(60), now_and_then(60));
    let (doubled, late) = (now_and_then(80), now_and_then(60));
    Weather {
        delay_ms_max: *pick(rng, &[1, 10, 80]),
        lost,
        answers_lost,
        doubled,
        late,
        late_ms_max: rng.random_range(500..4_000),
    }
}

/// Two apps: one with hard limits, one with another mixture.
fn tenants(rng: &mut StdRng) -> Vec<Tenant> {
    let first = rng.random_range(1..1_000_000);
    // Of a large limit sidecars are lent some; a tight one leaves nothing to lend.
    let few = |rng: &mut StdRng| {
        Limit::AtMost(if rng.random_ratio(1, 2) {
            rng.random_range(1..12)
        } else {
            rng.random_range(20..400)
        })
    };
    let trial = Limits {
        accounts: few(rng),
        av_rooms: few(rng),
        ..Limits::UNLIMITED
    };
    let other = match rng.random_range(0..3) {
        0 => Limits::UNLIMITED,
        1 => Limits {
            groups_gained_daily: few(rng),
            ..Limits::UNLIMITED
        },
        _ => Limits {
            groups: few(rng),
            ..Limits::UNLIMITED
        },
    };
    let resources = |rng: &mut StdRng| {
        let one = *pick(rng, &[Resource::Account, Resource::Group, Resource::AvRoom]);
        if rng.random_ratio(1, 2) {
            crate::gateway::all_resources()
        } else {
            vec![one]
        }
    };
    let mut tenants = Vec::new();
    for (number, limits) in [trial, other].into_iter().enumerate() {
        tenants.push(Tenant {
            app: AppId::new(first + number as u64).expect("not 0"),
            limits,
            resources: resources(rng),
            share_ids: true,
        });
    }
    tenants
}

/// Each sidecar of such an app remembers ids for itself, where its limits are no small ones.
fn keeps_ids(tenant: &mut Tenant, rng: &mut StdRng) {
    tenant.share_ids = false;
    let mut large = |limit: &mut Limit| {
        if limit.get().is_some() && rng.random_ratio(3, 4) {
            *limit = Limit::AtMost(rng.random_range(1_000..1_300));
        }
    };
    large(&mut tenant.limits.accounts);
    large(&mut tenant.limits.groups);
    large(&mut tenant.limits.av_rooms);
    large(&mut tenant.limits.groups_gained_daily);
}

pub fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}
