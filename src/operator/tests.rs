//! The order of the steps, against a ledger that does what the test tells it to.

use std::sync::Mutex;

use futures_util::future::{BoxFuture, pending, ready};

use super::*;
use crate::clock::{Millis, Month};
use crate::ledger::{Generation, Generations};
use crate::quota::{Line, PlanName, Registered, Resource};
use crate::store::{
    Amendment, BEAT_MS, Entered, Freeze, LEASE_TTL_MS, Recount, Recounted, Registration, Standing,
};

const TOKEN: u64 = 7;

/// What the ledger does, and what it was asked.
#[derive(Default)]
struct Script {
    /// The answers to `awaited`, one after the other; then nobody.
    awaited: Vec<Vec<u64>>,
    /// Whether somebody never answers.
    silent: bool,
    /// What `recount` answers; `None`: never.
    recounted: Option<Result<Recounted, StoreFault>>,
    /// The answers to `members`, one after the other; the last one stays.
    members: Vec<Vec<MemberInfo>>,
    /// For how many retirements a recovery is open.
    open_for: u32,
    asked: Vec<String>,
}

#[derive(Default)]
struct Fake(Mutex<Script>);

impl Fake {
    fn note(&self, what: String) {
        self.0.lock().unwrap().asked.push(what);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

impl Operator for Fake {
    fn freeze(&self, app: AppId, _resource: Resource) -> Reply<'_, Freeze> {
        self.note(format!("freeze {app}"));
        let frozen = Freeze {
            token: TOKEN,
            count: 43,
        };
        Box::pin(ready(Ok(frozen)))
    }

    fn awaited(&self, _app: AppId, token: u64) -> Reply<'_, Vec<u64>> {
        assert_eq!(token, TOKEN);
        let mut script = self.0.lock().unwrap();
        let awaited = if script.silent {
            vec![9]
        } else if script.awaited.is_empty() {
            Vec::new()
        } else {
            script.awaited.remove(0)
        };
        Box::pin(ready(Ok(awaited)))
    }

    fn unfreeze(&self, app: AppId, token: u64) -> Reply<'_, ()> {
        self.note(format!("unfreeze {app} {token}"));
        Box::pin(ready(Ok(())))
    }

    fn recount<'a>(&'a self, recount: &'a Recount) -> Reply<'a, Recounted> {
        let Recount { to, who, why, .. } = recount;
        self.note(format!("recount {to} {} by {who}: {why}", recount.token));
        match self.0.lock().unwrap().recounted.clone() {
            Some(done) => Box::pin(ready(done)),
            None => Box::pin(pending()),
        }
    }

    fn members(&self) -> Reply<'_, Vec<MemberInfo>> {
        let mut script = self.0.lock().unwrap();
        let members = match script.members.len() {
            0 => Vec::new(),
            1 => script.members[0].clone(),
            _ => script.members.remove(0),
        };
        Box::pin(ready(Ok(members)))
    }

    fn retire<'a>(&'a self, incarnation: u64, who: &'a str, why: &'a str) -> Reply<'a, Retired> {
        self.note(format!("retire {incarnation} by {who}: {why}"));
        let mut script = self.0.lock().unwrap();
        if script.open_for > 0 {
            script.open_for -= 1;
            let fault = StoreFault::Frozen("it is not waited for any more".into());
            return Box::pin(ready(Err(fault)));
        }
        let retired = Retired {
            apps: 2,
            outstanding: 5,
        };
        Box::pin(ready(Ok(retired)))
    }

    fn apps(&self) -> Reply<'_, Vec<AppId>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn write_bill<'a>(
        &'a self,
        _: AppId,
        _: Month,
        _: &'a str,
        _: &'a str,
    ) -> Reply<'a, (Box<str>, bool)> {
        Box::pin(std::future::ready(Err(StoreFault::Away(
            "no bills are kept".into(),
        ))))
    }

    fn forget_names(&self, _app: AppId) -> Reply<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn enter<'a>(&'a self, _change: &'a Registration) -> Reply<'a, Entered> {
        Box::pin(pending())
    }

    fn amend<'a>(&'a self, _: &'a Amendment) -> Reply<'a, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn note_import<'a>(&'a self, imports: &'a Imports) -> Reply<'a, ()> {
        self.note(format!("import {} by {}", imports.objects, imports.who));
        Box::pin(ready(Ok(())))
    }

    fn audit(&self, _app: Option<AppId>, _most: usize) -> Reply<'_, Vec<AuditEntry>> {
        Box::pin(ready(Err(StoreFault::Away("the disk is full".into()))))
    }
}

/// A sidecar that knows app 1.
#[derive(Default)]
struct Desk(Mutex<Vec<&'static str>>);

impl Here for Desk {
    fn knows(&self, app: AppId) -> bool {
        app.get() == 1
    }

    fn managed(&self, _app: AppId) -> Option<Managed> {
        None
    }

    fn all_managed(&self) -> Vec<Managed> {
        Vec::new()
    }

    fn has_plan(&self, _plan: &PlanName) -> Result<(), String> {
        Ok(())
    }

    fn settings(&self) -> (Vec<Line>, Generation) {
        (Vec::new(), Generations::default().now())
    }

    fn read_register(&self) -> Reply<'_, ()> {
        Box::pin(ready(Ok(())))
    }

    fn registered(&self, _registered: Registered) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    fn tell(&self, _app: AppId) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push("told");
        Box::pin(ready(()))
    }

    fn learn(&self, _app: AppId) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push("learnt");
        Box::pin(async {})
    }
}

fn on(script: Script) -> (Operations, Arc<Fake>, Arc<Desk>) {
    let (fake, desk) = (Arc::new(Fake(Mutex::new(script))), Arc::<Desk>::default());
    let clock = Arc::new(Clock::default());
    let operations = Operations::new(fake.clone(), desk.clone(), clock, "here".into());
    (operations, fake, desk)
}

fn order(order: Order) -> RecountOrder {
    RecountOrder {
        app: AppId::new(1).unwrap(),
        resource: Resource::Group,
        order,
        who: "uid 0".into(),
        why: "a test".into(),
    }
}

const DONE: Recounted = Recounted::Done {
    from: 43,
    generation: 2,
    held: 1,
};

#[tokio::test(start_paused = true)]
async fn all_in_one_waits_for_every_member_and_then_counts() {
    let (operations, fake, desk) = on(Script {
        awaited: vec![vec![1, 2], vec![2], vec![2]],
        recounted: Some(Ok(DONE)),
        ..Script::default()
    });
    let counted = operations.recount(&order(Order::Set { to: 40 })).await;
    let counted = counted.unwrap();
    assert_eq!(
        (counted.token, counted.from, counted.to),
        (TOKEN, 43, Some(40))
    );
    assert!(counted.all_told && counted.held == 1 && counted.frozen_until.is_none());
    let recount = "recount 40 7 by uid 0 at here: a test";
    assert_eq!(fake.asked(), ["freeze 1", "freeze 1", recount]);
    assert_eq!(*desk.0.lock().unwrap(), ["told", "learnt"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_waited_for_as_long_as_a_lease() {
    let (operations, ..) = on(Script {
        silent: true,
        recounted: Some(Ok(DONE)),
        ..Script::default()
    });
    let began = Instant::now();
    let counted = operations.recount(&order(Order::Freeze)).await.unwrap();
    let lease = Duration::from_millis(LEASE_TTL_MS);
    assert!((lease..lease * 2).contains(&began.elapsed()));
    assert!(!counted.all_told && counted.to.is_none() && counted.frozen_until.is_some());
    let token = TOKEN;
    let commit = order(Order::Commit { to: 1, token });
    let counted = operations.recount(&commit).await.unwrap();
    assert!(!counted.all_told, "and it is said again");
    assert!(began.elapsed() < lease * 2, "but not waited for");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_leaves_the_freeze_to_its_token() {
    let (operations, fake, _) = on(Script::default());
    operations.recount(&order(Order::Freeze)).await.unwrap();
    sleep_a_little().await;
    assert_eq!(fake.asked(), ["freeze 1", "freeze 1"]);
    let cancel = order(Order::Cancel { token: TOKEN });
    operations.recount(&cancel).await.unwrap();
    assert_eq!(fake.asked(), ["unfreeze 1 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_freeze_ends_with_whoever_began_it() {
    // The caller goes away while it waits.
    let (operations, fake, _) = on(Script {
        silent: true,
        ..Script::default()
    });
    let order_of_all = order(Order::Set { to: 1 });
    let cut = timeout(Duration::from_secs(1), operations.recount(&order_of_all)).await;
    assert!(cut.is_err());
    sleep_a_little().await;
    assert_eq!(fake.asked(), ["freeze 1", "unfreeze 1 7"]);

    // The ledger goes away, or never answers.
    let away = Some(Err(StoreFault::Away("it broke".into())));
    for (recounted, words) in [(away, "it broke; whether"), (None, "no answer within")] {
        let (operations, fake, _) = on(Script {
            recounted,
            ..Script::default()
        });
        let fault = operations.recount(&order_of_all).await.unwrap_err();
        assert!(matches!(fault, Fault::Unsure(_)), "{fault:?}");
        assert!(fault.to_string().contains(words), "{fault}");
        sleep_a_little().await;
        assert_eq!(fake.asked().last().unwrap(), "unfreeze 1 7");
        // One that an operator holds the token of stays, so that the same can be asked again.
        let commit = order(Order::Commit {
            to: 1,
            token: TOKEN,
        });
        operations.recount(&commit).await.unwrap_err();
        sleep_a_little().await;
        assert!(fake.asked().iter().all(|what| what.starts_with("recount")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recounted_says_why() {
    let (operations, fake, _) = on(Script {
        recounted: Some(Ok(Recounted::NotFrozen)),
        ..Script::default()
    });
    let commit = order(Order::Commit {
        to: 1,
        token: TOKEN,
    });
    let fault = operations.recount(&commit).await.unwrap_err();
    let app = AppId::new(1).unwrap();
    assert_eq!(fault, Fault::NotFrozen { app, token: TOKEN });
    fake.asked();
    let app = AppId::new(2).unwrap();
    let unknown = RecountOrder {
        app,
        ..order(Order::Freeze)
    };
    let fault = operations.recount(&unknown).await.unwrap_err();
    assert_eq!((fault, fake.asked()), (Fault::UnknownApp(app), Vec::new()));
    let fault = operations.audit(None, 1).await.unwrap_err();
    assert!(matches!(fault, Fault::Away(_)), "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn too_many_at_a_time_are_turned_away() {
    let (operations, ..) = on(Script {
        silent: true,
        ..Script::default()
    });
    let freeze = order(Order::Freeze);
    let many = (0..=OPERATIONS_MAX).map(|_| operations.recount(&freeze));
    let outcomes = futures_util::future::join_all(many).await;
    let busy = outcomes.iter().filter(|one| **one == Err(Fault::Busy));
    assert_eq!(busy.count(), 1);
    assert!(operations.members().await.is_ok(), "there is room again");
}

fn member(seen: i64, standing: Standing) -> Vec<MemberInfo> {
    vec![MemberInfo {
        incarnation: 5,
        name: "a".into(),
        boot: 1,
        seen: Millis(seen),
        standing,
    }]
}

#[tokio::test(start_paused = true)]
async fn a_member_is_retired_when_its_lease_is_over() {
    let present = || member(1, Standing::Present);
    let silent = || member(1, Standing::Silent);
    for members in [vec![silent()], vec![present(), present(), silent()]] {
        let (operations, fake, _) = on(Script {
            members,
            ..Script::default()
        });
        let (found, retired) = operations.retire("a", "token", "lost").await.unwrap();
        assert_eq!((found.incarnation, retired.outstanding), (5, 5));
        assert_eq!(fake.asked(), ["retire 5 by token at here: lost"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retirement_goes_on_when_the_recovery_is_over() {
    for (open_for, times) in [(3, 4), (u32::MAX, 21)] {
        let (operations, fake, _) = on(Script {
            members: vec![member(1, Standing::Silent)],
            open_for,
            ..Script::default()
        });
        let retired = operations.retire("a", "token", "lost").await;
        assert_eq!(fake.asked().len(), times);
        match retired {
            Ok((_, retired)) => assert_eq!(retired.outstanding, 5),
            Err(Fault::Unsure(words)) => assert!(words.contains("not waited for"), "{words}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_beats_is_not_retired() {
    let beats = vec![member(1, Standing::Present), member(2, Standing::Present)];
    let stays = vec![member(1, Standing::Present)];
    let wait = Duration::from_millis(2 * LEASE_TTL_MS);
    for (members, at_most) in [(beats, Duration::from_millis(2 * BEAT_MS)), (stays, wait)] {
        let (operations, fake, _) = on(Script {
            members,
            ..Script::default()
        });
        let began = Instant::now();
        let fault = operations.retire("a", "token", "").await.unwrap_err();
        assert!(matches!(fault, Fault::Alive(_)), "{fault:?}");
        assert!(began.elapsed() <= at_most, "{:?}", began.elapsed());
        assert!(fake.asked().is_empty());
    }
    let (operations, ..) = on(Script {
        members: vec![member(1, Standing::Gone)],
        ..Script::default()
    });
    let fault = operations.retire("a", "token", "").await.unwrap_err();
    assert_eq!(fault, Fault::Gone("a".into()));
}

/// Lets what was begun in the background be done.
async fn sleep_a_little() {
    sleep(Duration::from_millis(1)).await;
}
