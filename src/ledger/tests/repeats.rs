//! Requests under clients' ids that are counted from memory: killed at any moment, done once.

use super::*;

fn once(id: &str) -> Once {
    let id = RequestId::parse(id).unwrap();
    Once::new(app(), &id, Fingerprint(1))
}

impl Process {
    fn creates(&self, id: &str) -> Counted {
        let entry = self.0.entry(app()).unwrap().unwrap();
        let charge = Charge::new(Resource::Account, Amount::ONE, &Limits::UNLIMITED);
        let (now, despite) = (self.0.now(), Despite::Nothing);
        let counted = self
            .0
            .consume(&entry, &charge, (now, now), Some(once(id)), despite);
        counted.unwrap()
    }

    fn deletes(&self, id: &str) -> Counted {
        let entry = self.0.entry(app()).unwrap().unwrap();
        let charge = Charge::new(Resource::Account, Amount::ONE, &Limits::UNLIMITED);
        let once = Some(once(id));
        self.0.release(&entry, &charge, self.0.now(), once).unwrap()
    }

    fn increments(&self, day: Day, id: &str) -> Incremented {
        let entry = self.0.entry(app()).unwrap().unwrap();
        self.0.increment(&entry, day, 5, Some(once(id))).unwrap()
    }
}

#[tokio::test]
async fn what_a_killed_process_has_done_is_not_done_again() {
    let place = Place::new();
    let process = place.start().await;
    assert_eq!(process.creates("a"), Counted::Now(1));
    assert_eq!(process.creates("b"), Counted::Now(2));
    assert_eq!(process.deletes("c"), Counted::Now(1));
    let day = process.day();
    assert_eq!(process.increments(day, "d"), Incremented::Now);
    for moment in 0..4 {
        let killed = place.killed();
        let next = killed.start().await;
        for id in ["a", "b"] {
            assert_eq!(next.creates(id), Counted::Before(0), "{id} at {moment}");
        }
        assert_eq!(next.deletes("c"), Counted::Before(0));
        let tomorrow = day.next();
        assert_eq!(next.increments(tomorrow, "d"), Incremented::Before(day));
        assert_eq!(next.creates("e"), Counted::Now(2), "at {moment}");
        // In the middle of a checkpoint, behind it, and behind another.
        if moment == 0 {
            process.half_saves().await;
        } else {
            process.0.journal.reserve().unwrap();
            save(&process.0).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_id_is_forgotten_by_age_alone() {
    let place = Place::new();
    let process = place.start().await;
    assert_eq!(process.creates("a"), Counted::Now(1));
    place.at(590);
    assert_eq!(process.creates("a"), Counted::Before(0));
    drop(process);
    let process = place.start().await;
    assert_eq!(process.creates("a"), Counted::Before(0));
    place.at(602);
    assert_eq!(process.creates("a"), Counted::Now(2));
}

#[tokio::test]
async fn what_the_ledger_was_asked_memory_does_not_do() {
    let place = Place::new();
    let process = place.start().await;
    let entry = process.0.entry(app()).unwrap().unwrap();
    let asks = |process: &Process, id| {
        let asked = process.0.asks(&entry, None, once(id), process.day());
        asked.unwrap()
    };
    assert_eq!(asks(&process, "a"), Counted::Not);
    assert_eq!(process.creates("a"), Counted::Not);
    assert_eq!(process.creates("b"), Counted::Now(1));
    assert_eq!(asks(&process, "b"), Counted::Before(0));
    drop(process);
    let process = place.start().await;
    assert_eq!(process.creates("a"), Counted::Not);
    assert_eq!(process.deletes("b"), Counted::Before(0));
    let other = Once {
        print: Fingerprint(2),
        ..once("b")
    };
    let other = process.0.asks(&entry, None, other, process.day()).unwrap();
    assert_eq!(other, Counted::Other);
}
