//! A deletion that is broken off before the ledger has heard of it: by a caller that hangs up, or by
//! the end of the process. The object is gone, so that its place must be free in the end.

use std::sync::Arc;

use futures_util::FutureExt as _;
use imquota::admission::{Check, CheckMode, Outcome, Patience, Release};
use imquota::chance;
use imquota::clock::{Millis, Zone};
use imquota::quota::{Amount, AppId, Limit, Limits, Resource};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::sleep;

use crate::auditor::Auditor;
use crate::books;
use crate::fake::{Fake, Identity};
use crate::gateway::Tenant;
use crate::machine::Dial;
use crate::network::Weather;
use crate::run::{Place, REST, begin, build, folder, runtime};
use crate::scenario::{Habits, Scenario};
use crate::server::Server;
use crate::sidecar::Serving;

#[test]
fn by_a_caller_that_hangs_up() {
    assert_eq!(left_over(false), 0);
}

#[test]
fn by_the_end_of_the_process() {
    assert_eq!(left_over(true), 0);
}

/// How many accounts are counted in the end, of one that was created and deleted.
fn left_over(killed: bool) -> i64 {
    let _seeded = chance::seed(0);
    runtime().block_on(live(killed))
}

async fn live(killed: bool) -> i64 {
    let scenario = quiet();
    let app = scenario.tenants[0].app;
    let auditor = Arc::new(Auditor::default());
    let dial = Dial::new(scenario.begins);
    let fake = Fake::new(Identity::default(), None);
    let server = Arc::new(Server::new(fake, None, dial, auditor.clone()));
    let root = folder();
    let place = Place {
        root: root.path(),
        prefix: books::PREFIX,
        url: None,
        late_journal: false,
    };
    let mut rng = StdRng::seed_from_u64(0);
    let town = build(&scenario, &server, &auditor, &mut rng, &place);
    begin(&scenario, &town).await;
    let sidecar = &town.sidecars[0];
    sleep(REST).await;
    let serving = sidecar.serving().expect("it has met the ledger");
    creates(&serving, app, Resource::Account).await;
    // The ledger must hear of this group before an account of its app is given back: it is asked twice.
    creates(&serving, app, Resource::Group).await;
    let release = Release {
        app,
        resource: Resource::Account,
        amount: Amount::ONE,
        request_id: None,
        resource_id: None,
    };
    let mut under_way = Box::pin(serving.admission.release(release, Patience(None)));
    assert!((&mut under_way).now_or_never().is_none());
    if killed {
        sidecar.kill(false);
    }
    drop(under_way);
    sidecar.start();
    sleep(REST).await;
    let counts = server.fake.look(|keys| books::look(keys, app));
    let [accounts, groups, _] = counts.map(books::Count::shown);
    assert_eq!(groups, 1);
    sidecar.kill(false);
    accounts
}

async fn creates(serving: &Serving, app: AppId, resource: Resource) {
    let check = Check {
        app,
        resource,
        amount: Amount::ONE,
        request_id: None,
        mode: CheckMode::Count,
        resource_id: None,
    };
    let verdict = serving.admission.check(check, Patience(None)).await;
    assert_eq!(verdict.map(|v| v.outcome), Ok(Outcome::Allow));
}

/// One sidecar in a world without faults; accounts have a limit, groups have none.
fn quiet() -> Scenario {
    let limits = Limits {
        accounts: Limit::AtMost(1),
        ..Limits::UNLIMITED
    };
    let tenant = Tenant {
        app: AppId::new(1).expect("not 0"),
        limits,
        resources: Vec::new(),
        share_ids: true,
    };
    Scenario {
        sidecars: 1,
        apart_ms: 0,
        gateways: 0,
        deeds: 0,
        pause_ms_max: 0,
        faults: Vec::new(),
        blows: 0,
        blow_ms_max: 0,
        weather: Weather::FAIR,
        tenants: vec![tenant],
        habits: Habits::PLAIN,
        skewed: false,
        begins: Millis(4_102_459_200_000),
        zone: Zone::parse("+08:00").expect("an offset"),
    }
}
