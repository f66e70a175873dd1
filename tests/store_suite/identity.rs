//! Who the ledger is.

use imquota::store::{Installation, StoreFault};

use super::{LedgerUnderTest, Seat, member, now};

pub async fn all_members_see_one_installation<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (one, two) = (Seat::at(&ledger, 1).await, Seat::at(&ledger, 2).await);
    assert_eq!(one.installation, two.installation);
    assert_ne!(one.installation.user_key, [0; 16]);
    let other = Seat::at(&L::fresh().await, 1).await;
    assert_ne!(one.installation.id, other.installation.id);
    assert_ne!(one.installation.user_key, other.installation.user_key);
}

pub async fn a_remembered_installation_must_be_shown<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let one = Seat::at(&ledger, 1).await;
    let right = one.installation;
    let wrong = Installation {
        id: right.id ^ 1,
        ..right
    };
    let store = ledger.store().await;
    let shown = store.hello(&member(2), Some(wrong), now()).await;
    assert!(matches!(shown, Err(StoreFault::Frozen(_))), "{shown:?}");
    let shown = store.hello(&member(2), Some(right), now()).await;
    assert_eq!(shown, Ok(right));
    // After a fault it says hello again.
    let shown = one.store.hello(&one.member, Some(right), now()).await;
    assert_eq!(shown, Ok(right));
}

pub async fn an_empty_ledger_is_not_made_for_a_member_that_remembers_one<L: LedgerUnderTest>() {
    let lost = Installation {
        id: 7,
        user_key: [7; 16],
    };
    let ledger = L::fresh().await;
    let store = ledger.store().await;
    for _ in 0..2 {
        let shown = store.hello(&member(1), Some(lost), now()).await;
        assert!(matches!(shown, Err(StoreFault::Frozen(_))), "{shown:?}");
    }
}
