//! What the audit list says of imports.

use imquota::quota::Resource;
use imquota::store::{Imports, Operator};

use super::{LedgerUnderTest, Seat, app};

/// The entries of app 1, the oldest first: who, what of, how many.
async fn entries(operator: &dyn Operator) -> Vec<(Box<str>, Box<str>, Option<i64>)> {
    let entries = operator.audit(Some(app(1)), 10).await.unwrap();
    let of = entries.into_iter().rev().map(|entry| {
        assert_eq!((&*entry.what, entry.from), ("import", None));
        (entry.who, entry.subject, entry.to)
    });
    of.collect()
}

pub async fn an_import_that_goes_on_has_one_entry<L: LedgerUnderTest>() {
    let ledger = L::fresh().await;
    let (store, operator) = ledger.both().await;
    let _seat = Seat::with(store, 1, None).await;
    let note = async |who: &str, resource, objects| {
        let imports = Imports {
            app: app(1),
            resource,
            objects,
            who: who.into(),
        };
        operator.note_import(&imports).await.unwrap();
    };
    note("ann%d+ at pod", Resource::Group, 500).await;
    note("ann%d+ at pod", Resource::Group, 499).await;
    note("ann%d+ at pod", Resource::Account, 1).await;
    note("ben", Resource::Account, 7).await;
    note("ben", Resource::Account, 8).await;
    note("ann%d+ at pod", Resource::Account, 2).await;
    let said = entries(&*operator).await;
    let expected = [
        ("ann%d+ at pod", "group", 999),
        ("ann%d+ at pod", "account", 1),
        ("ben", "account", 15),
        ("ann%d+ at pod", "account", 2),
    ];
    let expected = expected.map(|(who, what, to)| (who.into(), what.into(), Some(to)));
    assert_eq!(said, expected);
}
