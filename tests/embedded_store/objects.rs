//! The names of objects in the file.

use imquota::quota::{ObjectNumber, Resource};
use imquota::store::{Adopted, Taken};

use super::{Folder, checkpoint, killed, rows_of};
use crate::store_suite::{Seat, app, limits, now, run};

async fn create(seat: &Seat, resource: Resource, name: &str) {
    let take = seat.names(app(1), None, (resource, name), &limits());
    seat.gets(&take).await;
    seat.answered(&take, None).await;
}

async fn delete(seat: &Seat, resource: Resource, name: &str) -> u32 {
    seat.release(&seat.deletes(app(1), None, (resource, name)))
        .await
}

#[test]
fn objects_come_and_go_over_checkpoints_and_restarts() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let name = |n: usize| format!("user-{n}");
        let mut there = vec![false; 3000];
        for round in 0..8 {
            for n in (round * 7 % 5..there.len()).step_by(3 + round) {
                if there[n] {
                    assert_eq!(delete(&seat, Resource::Account, &name(n)).await, 1);
                } else {
                    create(&seat, Resource::Account, &name(n)).await;
                }
                there[n] = !there[n];
            }
            if round != 3 {
                checkpoint(&seat).await;
            }
            if round % 2 == 0 {
                checkpoint(&seat).await;
                seat = killed(&folder, seat).await;
            }
            for (n, there) in there.iter().enumerate() {
                let known = seat.knows(app(1), (Resource::Account, &name(n))).await;
                assert_eq!(known, *there, "{n} in round {round}");
            }
            let count = there.iter().filter(|there| **there).count();
            let net = seat.usage(app(1)).await.view.net[0];
            assert_eq!(usize::try_from(net).unwrap(), count);
        }
        drop(seat);
        let count = there.iter().filter(|there| **there).count();
        let rows = rows_of::<(u64, u128), u8>(&folder, "objects");
        assert_eq!(rows, count as u64);
    });
}

#[test]
fn a_name_that_was_given_later_survives_the_process_that_said_so() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let take = seat.wants(app(1), None, (Resource::AvRoom, 2), &limits());
        seat.gets(&take).await;
        seat.answered(&take, None).await;
        let numbers: Vec<ObjectNumber> = ["r1", "r2", "r3"]
            .map(|name| seat.object(app(1), Resource::AvRoom, name))
            .into();
        let told = seat
            .store
            .adopt(app(1), Resource::AvRoom, &numbers, now())
            .await;
        let named = [Adopted::Named, Adopted::Named, Adopted::Missing];
        assert_eq!(told.unwrap(), named);
        // Nobody called for a checkpoint, and no journal states it.
        seat = killed(&folder, seat).await;
        seat.answered(&take, None).await;
        assert_eq!(seat.usage(app(1)).await.view.net, [0, 2, 2, 2]);
        assert!(seat.knows(app(1), (Resource::Group, "r1")).await);
        assert_eq!(delete(&seat, Resource::Group, "r2").await, 1);
        assert_eq!(delete(&seat, Resource::Group, "r2").await, 0);
        assert_eq!(seat.usage(app(1)).await.view.net, [0, 1, 1, 1]);
    });
}

#[test]
fn what_was_deleted_without_a_name_is_remembered_as_long_as_it_matters() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let take = seat.wants(app(1), None, (Resource::Account, 2), &limits());
        seat.gets(&take).await;
        seat.answered(&take, None).await;
        create(&seat, Resource::Account, "named").await;
        assert_eq!(delete(&seat, Resource::Account, "a").await, 1);
        checkpoint(&seat).await;
        let remembered = Some(seat.installation);
        drop(seat);
        assert_eq!(rows_of::<(u64, u128), u32>(&folder, "tombs"), 1);
        seat = folder.sit(remembered).await;
        assert_eq!(delete(&seat, Resource::Account, "a").await, 0);
        assert_eq!(delete(&seat, Resource::Account, "b").await, 1);
        // Nothing is left that a release could take by mistake.
        for name in ["a", "b", "c"] {
            assert_eq!(delete(&seat, Resource::Account, name).await, 0);
        }
        checkpoint(&seat).await;
        assert_eq!(delete(&seat, Resource::Account, "b").await, 0);
        drop(seat);
        assert_eq!(rows_of::<(u64, u128), u32>(&folder, "tombs"), 0);
        seat = folder.sit(remembered).await;
        assert_eq!(seat.usage(app(1)).await.view.net[0], 1);
        assert_eq!(delete(&seat, Resource::Account, "named").await, 1);
    });
}

#[test]
fn an_object_that_was_about_to_come_back_takes_no_second_one() {
    run(async {
        let folder = Folder::new();
        let mut seat = folder.sit(None).await;
        let take = seat.wants(app(1), None, (Resource::Account, 5), &limits());
        seat.gets(&take).await;
        seat.answered(&take, None).await;
        assert_eq!(delete(&seat, Resource::Account, "a").await, 1);
        checkpoint(&seat).await;
        let back = seat.names(app(1), None, (Resource::Account, "a"), &limits());
        seat.gets(&back).await;
        checkpoint(&seat).await;
        seat.abort(&back).await;
        checkpoint(&seat).await;
        seat = killed(&folder, seat).await;
        assert_eq!(delete(&seat, Resource::Account, "a").await, 0);
        create(&seat, Resource::Account, "a").await;
        assert_eq!(delete(&seat, Resource::Account, "a").await, 1);
        assert_eq!(seat.usage(app(1)).await.view.net[0], 4);
    });
}

#[test]
fn a_creation_that_was_folded_is_still_counted_once() {
    run(async {
        let folder = Folder::new();
        let seat = folder.sit(None).await;
        create(&seat, Resource::Group, "g").await;
        seat.store.checkpoint(super::minutes(60)).await.unwrap();
        let seat = killed(&folder, seat).await;
        let again = seat.names(app(1), Some("new"), (Resource::Group, "g"), &limits());
        let taken = seat.take(&again).await;
        let Taken::Allowed {
            beside, replayed, ..
        } = taken
        else {
            panic!("{taken:?}");
        };
        assert!(beside.already_counted && !replayed);
        assert_eq!(seat.usage(app(1)).await.view.net, [0, 1, 0, 1]);
    });
}
