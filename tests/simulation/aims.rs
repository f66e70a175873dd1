//! Where a mistake shows soonest: a drawn plan, changed so that what the mistake needs happens often.
//! Whatever else goes wrong stays as it was drawn.

use imquota::quota::{Limit, Limits, Resource};

use crate::network::Weather;
use crate::run::FILL_MAX;
use crate::scenario::{FaultKind, Habits, Scenario};

/// Nothing but creations and deletions, under ids that the ledger keeps.
fn plain(scenario: &mut Scenario) {
    scenario.habits = Habits::PLAIN;
    for tenant in &mut scenario.tenants {
        tenant.share_ids = true;
    }
}

/// Reports that arrive once more behind later ones. The ledger is told of what sidecars count by
/// themselves at most every five seconds: gateways go on for longer than that, and a copy may come so
/// late. What comes last decides, so that all have come before the run is judged.
pub fn late_reports(scenario: &mut Scenario) {
    plain(scenario);
    scenario.faults.clear();
    scenario.blows = 0;
    scenario.pause_ms_max = 800;
    scenario.deeds = 20;
    scenario.weather = Weather {
        doubled: 600,
        late_ms_max: 8_000,
        ..Weather::FAIR
    };
    for tenant in &mut scenario.tenants {
        tenant.limits = Limits::UNLIMITED;
    }
}

/// A ledger that is put back to a state before creations that were answered, while gateways go on
/// until the limit is reached, and past it if what was lost is not found out.
pub fn lost_takes(scenario: &mut Scenario) {
    plain(scenario);
    scenario.faults = vec![FaultKind::Restore];
    scenario.blows = 1;
    scenario.blow_ms_max = 1_000;
    scenario.weather = Weather::FAIR;
    scenario.pause_ms_max = 200;
    scenario.deeds = 60;
    for tenant in &mut scenario.tenants {
        tenant.limits = Limits {
            accounts: Limit::AtMost(10),
            ..Limits::UNLIMITED
        };
        tenant.resources = vec![Resource::Account];
    }
}

/// Takes that arrive when their caller has given them up, under a limit of which nothing is lent.
pub fn late_takes(scenario: &mut Scenario) {
    let weather = Weather {
        late: 60,
        late_ms_max: 3_000,
        ..Weather::FAIR
    };
    busy(scenario, weather);
    for tenant in &mut scenario.tenants {
        tenant.limits.accounts = Limit::AtMost(7);
    }
}

/// Takes that are on their way for long: one caller hangs up while another asks for the same id.
pub fn slow_takes(scenario: &mut Scenario) {
    let weather = Weather {
        delay_ms_max: 150,
        ..Weather::FAIR
    };
    busy(scenario, weather);
}

/// Many takes, under a limit that leaves room for them, and can be filled up in the end.
fn busy(scenario: &mut Scenario, weather: Weather) {
    plain(scenario);
    scenario.faults.clear();
    scenario.blows = 0;
    scenario.sidecars = 3;
    scenario.gateways = 5;
    scenario.pause_ms_max = 200;
    scenario.deeds = 40;
    scenario.weather = weather;
    for tenant in &mut scenario.tenants {
        tenant.limits = Limits {
            accounts: Limit::AtMost(FILL_MAX.into()),
            ..Limits::UNLIMITED
        };
        tenant.resources = vec![Resource::Account];
    }
}

/// A limit of which sidecars are lent some, and which is soon reached.
pub fn lending(scenario: &mut Scenario) {
    plain(scenario);
    scenario.faults.clear();
    scenario.blows = 0;
    scenario.sidecars = 3;
    scenario.gateways = 5;
    scenario.pause_ms_max = 200;
    scenario.deeds = 40;
    scenario.weather = Weather::FAIR;
    for tenant in &mut scenario.tenants {
        tenant.limits = Limits {
            accounts: Limit::AtMost(30),
            ..Limits::UNLIMITED
        };
        tenant.resources = vec![Resource::Account];
    }
}

fn with(scenario: &mut Scenario, faults: &[FaultKind], blows: u32) {
    lending(scenario);
    scenario.faults = faults.to_vec();
    scenario.blows = blows;
    scenario.blow_ms_max = 2_000;
}

/// A ledger that forgets what it acknowledged, while one sidecar or another is cut off.
pub fn losses(scenario: &mut Scenario) {
    let faults = [
        FaultKind::Rollback,
        FaultKind::Flush,
        FaultKind::Partition,
        FaultKind::Halt,
    ];
    with(scenario, &faults, 4);
    scenario.deeds = 60;
}

/// A ledger that is emptied when its limits are reached, and told again by one sidecar while others, which ask it
/// all the time, have not heard that it forgot.
pub fn emptied(scenario: &mut Scenario) {
    with(scenario, &[FaultKind::Flush], 3);
    scenario.blow_ms_max = 3_000;
    scenario.pause_ms_max = 100;
    scenario.deeds = 80;
    for tenant in &mut scenario.tenants {
        tenant.limits.accounts = Limit::AtMost(10);
    }
}

/// Apps that are recounted while gateways go on, and sidecars that sleep through it.
pub fn recounts(scenario: &mut Scenario) {
    with(scenario, &[FaultKind::Recount, FaultKind::Halt], 4);
    scenario.pause_ms_max = 800;
}

/// A ledger that forgets a recount that members have heard of, and is put back to sums from before it.
pub fn recounts_forgotten(scenario: &mut Scenario) {
    let faults = [FaultKind::Recount, FaultKind::Recount, FaultKind::Rollback];
    with(scenario, &faults, 6);
    scenario.blow_ms_max = 1_200;
    for tenant in &mut scenario.tenants {
        tenant.limits.groups = Limit::AtMost(30);
        tenant.resources = vec![Resource::Account, Resource::Group];
    }
}

/// Sidecars that leave and come back as others, and a ledger that forgets what they left.
pub fn leaves_forgotten(scenario: &mut Scenario) {
    with(scenario, &[FaultKind::Restart, FaultKind::Flush], 4);
    scenario.deeds = 20;
}

/// Sidecars that leave and come back as others, with reports that arrive again.
pub fn leaves(scenario: &mut Scenario) {
    with(scenario, &[FaultKind::Restart], 4);
    scenario.weather = Weather {
        doubled: 300,
        late_ms_max: 3_000,
        ..Weather::FAIR
    };
}

/// Journals that are lost with what was spent and not told, and operators who retire their members.
pub fn deaths(scenario: &mut Scenario) {
    with(scenario, &[FaultKind::LoseJournal, FaultKind::Retire], 5);
    scenario.skewed = true;
}

/// What is known is asked again, of the ledger, and nothing else goes wrong.
pub fn repeats(scenario: &mut Scenario) {
    busy(scenario, Weather::FAIR);
    scenario.habits.repeats = true;
}

/// Ids that all sidecars are to know, of what has no limit, while the ledger is away now and then: each sidecar counts
/// them by itself, and what was counted twice is taken back. Sidecars are killed, and answers of the ledger are lost.
pub fn shared_ids(scenario: &mut Scenario) {
    let weather = Weather {
        answers_lost: 60,
        ..Weather::FAIR
    };
    busy(scenario, weather);
    scenario.habits.shares = true;
    scenario.habits.repeats = true;
    scenario.faults = vec![FaultKind::Stall, FaultKind::Partition, FaultKind::Kill];
    scenario.blows = 6;
    scenario.blow_ms_max = 3_000;
    scenario.deeds = 60;
    for tenant in &mut scenario.tenants {
        tenant.limits = Limits::UNLIMITED;
    }
}

/// As a plan was before shared ids were given to what has no limit.
pub fn as_drawn(scenario: &mut Scenario) {
    scenario.habits.shares = false;
}

/// Objects by name, which are deleted once more when they are gone.
pub fn names(scenario: &mut Scenario) {
    repeats(scenario);
    scenario.habits.names = true;
}

/// Places that are reserved first; what is said of them is lost now and then, and said again.
pub fn reservations(scenario: &mut Scenario) {
    let weather = Weather {
        answers_lost: 60,
        ..Weather::FAIR
    };
    busy(scenario, weather);
    scenario.habits.reserves = true;
}

/// Sidecars that are killed while they count from memory.
pub fn kills(scenario: &mut Scenario) {
    busy(scenario, Weather::FAIR);
    scenario.faults = vec![FaultKind::Kill];
    scenario.blows = 6;
    scenario.blow_ms_max = 1_500;
    for tenant in &mut scenario.tenants {
        tenant.limits = Limits::UNLIMITED;
    }
}
