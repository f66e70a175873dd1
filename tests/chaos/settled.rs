//! What must hold when every process runs again and every gateway has asked what it could.

use futures_util::future::join_all;
use imquota::grpc::proto::Resource;

use crate::asking::{Answer, Call};
use crate::book::{Book, SIDECARS};
use crate::cells::{CELLS, Cell};
use crate::client::{Client, used};
use crate::logins::everybody_is_known;
use crate::run::Fleet;
use crate::tally::Shared;
use crate::wait::until;

/// As many objects as one creation may have.
const AMOUNT_MAX: u64 = 100;

/// What one sidecar says of a cell: the count, and whether it asked the ledger.
async fn reading(door: &Client, cell: usize) -> Result<(u64, bool), String> {
    let usage = door.try_usage(CELLS[cell].app).await;
    let usage = usage.map_err(|status| status.to_string())?;
    let count = used(&usage, CELLS[cell].resource);
    if CELLS[cell].resource != Resource::Account && !usage.degraded {
        let gained = u64::try_from(usage.groups_gained_today);
        if (used(&usage, Resource::Group), gained) != (count, Ok(count)) {
            return Err(format!("groups and their gain are not {count}: {usage:?}"));
        }
    }
    Ok((count, usage.degraded))
}

/// The one count that every sidecar has of a cell; the rest is not settled yet, or wrong.
async fn count(fleet: &Fleet, cell: usize) -> Result<u64, String> {
    let readings = join_all(fleet.doors.iter().map(|door| reading(door, cell))).await;
    match readings.first() {
        Some(Ok((count, false))) if readings.iter().all(|other| *other == Ok((*count, false))) => {
            Ok(*count)
        }
        _ => Err(format!("{}: {readings:?}", CELLS[cell].name)),
    }
}

/// Every sidecar counts what the book says: nothing is lost, nothing is there twice.
pub async fn all_is_known(fleet: &Fleet, book: &Shared<Book>) {
    for (cell, Cell { name, .. }) in CELLS.iter().enumerate() {
        until("the sidecars count what the gateways do", async || {
            let found = count(fleet, cell).await?;
            let (sums, possible) = book.with(|book| {
                let sums = *book.cell(cell);
                (sums, sums.possible())
            });
            if possible.contains(&found) {
                println!("{name}: {found} are counted, the books say {possible:?}");
                return Ok(());
            }
            Err(format!(
                "{name}: {found} are counted, not {possible:?}: {sums:?}"
            ))
        })
        .await;
    }
    everybody_is_known(&fleet.doors, book).await;
}

/// What is left of each limit can be had through any sidecar, and not one place more.
pub async fn every_place_is_given(fleet: &Fleet, book: &Shared<Book>) {
    for (cell, of) in CELLS.iter().enumerate() {
        let Some((limit, _)) = of.limit else { continue };
        let mut most = AMOUNT_MAX;
        until("all places are given, and no more", async || {
            let found = count(fleet, cell).await?;
            assert!(
                found <= limit || of.open_while_away,
                "{}: {found} of {limit}",
                of.name
            );
            let left = limit.saturating_sub(found);
            let refused = refused_once(fleet, book, cell, (left, most)).await;
            // A place that is lent elsewhere, or was given to a call that was lost, comes back; smaller
            // requests find more.
            most = (most / 2).max(1);
            match (left, refused) {
                (0, true) => Ok(()),
                _ => Err(format!("{}: {left} were left of {limit}", of.name)),
            }
        })
        .await;
    }
    all_is_known(fleet, book).await;
}

/// Takes what is `left` in creations of at most `most`, and then asks each sidecar for one more.
/// Whether all of them refused that.
async fn refused_once(
    fleet: &Fleet,
    book: &Shared<Book>,
    cell: usize,
    (mut left, most): (u64, u64),
) -> bool {
    for door in (0..SIDECARS).cycle() {
        let amount = left.min(most);
        if amount == 0 {
            break;
        }
        match create(fleet, book, cell, door, amount).await {
            Answer::Allowed { .. } => left -= amount,
            _ => return false,
        }
    }
    let mut refused = true;
    for door in 0..SIDECARS {
        refused &= matches!(
            create(fleet, book, cell, door, 1).await,
            Answer::Full { .. }
        );
    }
    refused
}

async fn create(fleet: &Fleet, book: &Shared<Book>, cell: usize, door: usize, many: u64) -> Answer {
    let call = Call {
        cell: &CELLS[cell],
        amount: u32::try_from(many).expect("at most a hundred"),
        id: String::new(),
    };
    book.with(|book| book.write(cell, |sums| sums.maybe_allowed += many));
    let answer = call.check(&fleet.doors[door]).await;
    book.with(|book| {
        book.write(cell, |sums| {
            if answer != Answer::Lost {
                sums.maybe_allowed -= many;
            }
            if let Answer::Allowed { degraded, .. } = answer {
                sums.allowed += many;
                sums.degraded += if degraded { many } else { 0 };
            }
        });
    });
    answer
}

/// All sidecars are killed at once, and know everything when they are back.
pub async fn kills_change_nothing(fleet: &mut Fleet, book: &Shared<Book>) {
    kill_all(fleet).await;
    all_is_known(fleet, book).await;
}

async fn kill_all(fleet: &mut Fleet) {
    for sidecar in &mut fleet.sidecars {
        sidecar.kill().await;
    }
    for sidecar in &mut fleet.sidecars {
        sidecar.start_again().await;
    }
}
