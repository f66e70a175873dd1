use std::future::poll_fn;
use std::sync::Mutex;

use super::*;

/// What happened, in its order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn add(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn events(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

/// Takes all that each of so many turns has.
async fn flood(mut standing: Standing, turns: usize, log: Log) {
    for _ in 0..turns {
        let turn = poll_fn(|cx| standing.poll_turn(cx)).await;
        standing.had(turn);
        log.add("flood");
        poll_fn(|cx| {
            standing.stand(cx);
            Poll::Ready(())
        })
        .await;
    }
}

/// One call now and then.
async fn seldom(mut standing: Standing, calls: usize, log: Log) {
    for call in 0..calls {
        // It comes at any moment of the others' turns.
        for _ in 0..call {
            yield_now().await;
        }
        log.add("asked");
        poll_fn(|cx| standing.poll_turn(cx)).await;
        standing.had(CALL);
        log.add("answered");
    }
}

#[tokio::test]
async fn however_many_flood_who_asks_little_waits_for_one_turn() {
    let (turns, log) = (Turns::default(), Log::default());
    let pacing = tokio::spawn(turns.clone().pace());
    let floods: Vec<_> = (0..50)
        .map(|_| tokio::spawn(flood(turns.standing(), 100, log.clone())))
        .collect();
    // Each has begun.
    while log.events().len() < 100 {
        yield_now().await;
    }
    seldom(turns.standing(), 60, log.clone()).await;
    for flood in floods {
        flood.await.unwrap();
    }
    pacing.abort();
    let events = log.events();
    assert!(
        events.iter().rposition(|event| *event == "flood").unwrap() > events.len() - 2,
        "they flood to the end"
    );
    let waits = events.split(|event| *event == "asked").skip(1);
    let waited = waits.map(|wait| {
        let answered = wait.iter().position(|event| *event == "answered");
        answered.unwrap()
    });
    let longest = waited.max().unwrap();
    assert!(longest <= 2, "it waited for {longest} turns");
}

/// A few calls at a time, over and over: never a whole turn.
async fn few(mut standing: Standing, app: u64, log: Log) {
    standing.account().asks_for(app);
    loop {
        let turn = poll_fn(|cx| standing.poll_turn(cx)).await;
        standing.had(turn.min(ENTRY));
        log.add("flood");
        yield_now().await;
    }
}

/// How often others were served while each of so many calls of an app waited.
async fn waited_for(turns: &Turns, app: u64, calls: usize, log: &Log) -> Vec<usize> {
    let standing = turns.standing();
    standing.account().asks_for(app);
    let before = log.events().len();
    seldom(standing, calls, log.clone()).await;
    let events = log.events().split_off(before);
    let waits = events.split(|event| *event == "asked").skip(1);
    let until = |wait: &[&str]| wait.iter().position(|event| *event == "answered");
    waits.map(|wait| until(wait).unwrap()).collect()
}

#[tokio::test]
async fn an_app_has_one_share_however_many_connections_ask_for_it() {
    let (turns, log) = (Turns::default(), Log::default());
    let pacing = tokio::spawn(turns.clone().pace());
    let mut flooding = tokio::task::JoinSet::new();
    for _ in 0..64 {
        flooding.spawn(few(turns.standing(), 1, log.clone()));
    }
    while log.events().len() < 1000 {
        yield_now().await;
    }
    let of_another = waited_for(&turns, 2, 60, &log).await;
    let of_the_same = waited_for(&turns, 1, 60, &log).await;
    pacing.abort();
    // Those of a turn and of the entries beside it.
    let turn = usize::try_from(2 * TURN / ENTRY).unwrap();
    let longest = *of_another.iter().max().unwrap();
    assert!(longest <= turn, "{of_another:?}");
    // So the connections do wait for each other: as long as for all of them.
    let longest = *of_the_same.iter().max().unwrap();
    assert!(longest > 2 * turn, "{of_the_same:?}");
}

#[tokio::test]
async fn two_apps_that_flood_have_as_much_each() {
    let (turns, logs) = (Turns::default(), [Log::default(), Log::default()]);
    let pacing = tokio::spawn(turns.clone().pace());
    let mut flooding = tokio::task::JoinSet::new();
    for (app, connections, log) in [(1, 20, &logs[0]), (2, 5, &logs[1])] {
        for _ in 0..connections {
            let standing = turns.standing();
            standing.account().asks_for(app);
            flooding.spawn(flood(standing, 1000, log.clone()));
        }
    }
    for _ in 0..1000 {
        yield_now().await;
    }
    pacing.abort();
    let [one, two] = logs.each_ref().map(|log| log.events().len());
    assert!(one > 50 && one.abs_diff(two) <= one / 10, "{one} to {two}");
}

#[tokio::test]
async fn who_goes_away_or_was_served_stands_for_nothing() {
    let turns = Turns::default();
    let pacing = tokio::spawn(turns.clone().pace());
    let mut gone = turns.standing();
    gone.account().asks_for(1);
    let mut other = gone.another();
    poll_fn(|cx| {
        gone.stand(cx);
        other.stand(cx);
        Poll::Ready(())
    })
    .await;
    let slots = turns.0.shares.of(&gone.account()).unwrap();
    assert_eq!(turns.0.shares.begin(slots, 0), 2 * TURN);
    // It stands for what it asked for then.
    other.account().asks_for(2);
    drop(gone);
    assert_eq!(turns.0.shares.begin(slots, 0), TURN);
    assert_eq!(poll_fn(|cx| other.poll_turn(cx)).await, TURN);
    assert_eq!(turns.0.shares.begin(slots, 0), 0);
    pacing.abort();
}

#[tokio::test]
async fn all_who_flood_have_as_many_turns() {
    let (turns, logs) = (Turns::default(), [Log::default(), Log::default()]);
    let pacing = tokio::spawn(turns.clone().pace());
    // One connection, and two calls of one that go on: these share what is theirs.
    let pair = turns.standing();
    let floods = [
        (turns.standing(), &logs[0]),
        (pair.another(), &logs[1]),
        (pair, &logs[1]),
    ];
    let floods = floods.map(|(standing, log)| tokio::spawn(flood(standing, 1000, log.clone())));
    for _ in 0..300 {
        yield_now().await;
    }
    let [one, two] = logs.each_ref().map(|log| log.events().len());
    assert!(one > 50 && one.abs_diff(two) <= 2, "{one} to {two}");
    floods.iter().for_each(tokio::task::JoinHandle::abort);
    pacing.abort();
}

/// How often a thread sleeps while time passes after two calls that came one upon the other.
fn sleeps(spin: Duration) -> usize {
    let sleeps = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&sleeps);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let turns = Turns::looking_out(spin);
        if turns.looks_out() {
            tokio::spawn(turns.clone().look_out());
        }
        let mut standing = turns.standing();
        for _ in 0..2 {
            poll_fn(|cx| standing.poll_turn(cx)).await;
            standing.had(CALL);
            yield_now().await;
        }
        let before = sleeps.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
        sleeps.load(Ordering::Relaxed) - before
    })
}

#[test]
fn a_thread_that_looks_out_for_calls_does_not_sleep() {
    assert!(sleeps(Duration::ZERO) > 0);
    assert_eq!(sleeps(Duration::from_hours(1)), 0);
    assert!(
        sleeps(Duration::from_nanos(1)) > 0,
        "they came further apart"
    );
}

#[tokio::test]
async fn who_goes_away_is_not_waited_for() {
    let turns = Turns::default();
    let pacing = tokio::spawn(turns.clone().pace());
    let (mut first, mut second) = (turns.standing(), turns.standing());
    poll_fn(|cx| {
        first.stand(cx);
        second.stand(cx);
        Poll::Ready(())
    })
    .await;
    drop(first);
    assert_eq!(turns.line().wakers.len(), 1);
    assert_eq!(poll_fn(|cx| second.poll_turn(cx)).await, TURN);
    drop(second);
    assert_eq!(turns.line().wakers.len(), 0);
    pacing.abort();
}
