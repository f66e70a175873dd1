//! What is lent and may be wanted elsewhere: looked at once a second. And the recalls that this member
//! asks for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::Ledger;
use super::entry::Entry;
use super::outlook::State;
use super::settle;
use crate::clock::{self, Millis};
use crate::quota::AppId;

/// How often what is lent is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// In so many looks all is looked at that lies where nothing is scarce: only the day's end can take it.
const CALM_LOOKS: usize = 60;
/// How long a call waits for others that are to be settled at once.
const TOGETHER: Duration = Duration::from_millis(3);
/// How long the log is silent about a clock that stays wrong.
const CLOCK_AGAIN_MS: u64 = 3_600_000;
/// The most recalls that wait to be asked for.
pub const RECALLS_MAX: usize = 1_024;

/// Looks at what is lent, until it is dropped.
pub async fn keep(ledger: &Ledger) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alarm = ClockAlarm::default();
    loop {
        tick.tick().await;
        let now = ledger.now();
        look(ledger, now);
        let error_ms = ledger.clock_error_ms();
        match alarm.hear(error_ms, now) {
            Some(ClockNews::Wrong) => tracing::error!(
                error_ms,
                "this machine's clock is far from the ledger's, by which days are told apart: no bill is made \
                 final here until it is set right"
            ),
            Some(ClockNews::Right) => {
                tracing::info!(error_ms, "this machine's clock is right again");
            }
            None => {}
        }
    }
}

/// Whether the clock is known to be wrong, and when that was told.
#[derive(Debug, Default)]
struct ClockAlarm(Option<Millis>);

#[derive(Debug, PartialEq, Eq)]
enum ClockNews {
    Wrong,
    Right,
}

impl ClockAlarm {
    fn hear(&mut self, error_ms: u64, now: Millis) -> Option<ClockNews> {
        let wrong = error_ms > clock::ERROR_MAX_MS;
        match self.0 {
            Some(_) if !wrong => {
                self.0 = None;
                Some(ClockNews::Right)
            }
            None if !wrong => None,
            Some(told) if now.since(told) < CLOCK_AGAIN_MS => None,
            Some(_) | None => {
                self.0 = Some(now);
                Some(ClockNews::Wrong)
            }
        }
    }
}

/// Settles what is to be settled at once, until it is dropped.
pub async fn hurry(ledger: &Ledger) {
    loop {
        ledger.hurry.notified().await;
        tokio::time::sleep(TOGETHER).await;
        if ledger.outlook.state() != State::Up {
            continue; // All of it is on the list of what is settled when the ledger is back.
        }
        if let Err(fault) = settle::settle_at_once(ledger).await {
            ledger.doubt(&fault);
        }
    }
}

/// Asks for recalls, until it is dropped.
pub async fn recall(ledger: &Ledger, wanted: &mut mpsc::Receiver<AppId>) {
    while let Some(app) = wanted.recv().await {
        match ledger.store.recall(app).await {
            Ok(()) => ledger.events.asked_recall(),
            // Whoever starves asks again.
            Err(fault) => tracing::debug!(%app, %fault, "a recall was not heard"),
        }
    }
}

/// One look at all that is lent or frozen.
pub(super) fn look(ledger: &Ledger, now: Millis) {
    let today = ledger.zone.day(now);
    let watched = ledger.apps.take_watched().into_iter();
    for entry in watched.chain(ledger.apps.take_calm(CALM_LOOKS)) {
        let frozen = entry.frozen().is_some();
        let mut scarce = false;
        ledger.return_some(&entry, |books, cell| {
            let over = cell.day().is_some_and(|day| day < today);
            match entry.limit_of(cell) {
                Some(limit) if !frozen && !over => {
                    let net = books.net_of(cell);
                    let account = books.guard_mut().open(cell);
                    scarce |= account.is_scarce(limit, net);
                    account.look(limit, net, now)
                }
                _ => Some(0),
            }
        });
        if frozen {
            // Only its shard can tell that a freeze is over.
            ledger.apps.to_settle_soon(&entry);
        }
        let holds = !entry.books().spare_cells().is_empty();
        if frozen || holds && scarce {
            ledger.apps.to_watch(&entry);
        } else if holds {
            // What makes it scarce is heard from the ledger, and then it is watched again.
            ledger.apps.to_watch_calmly(&entry);
        }
        entry.rest();
    }
}

impl Ledger {
    /// Others hold what this member was refused: they are asked to return it, in the background and not
    /// again and again.
    pub fn wants_recall(&self, entry: &Arc<Entry>, now: Millis) {
        if entry.books().guard_mut().may_recall(now) {
            // A full queue means that the ledger is slow; whoever starves asks again.
            let _ = self.recalls.try_send(entry.app);
        }
    }

    /// Somebody starves for what lies idle in an app: all that was lent is returned.
    pub fn recalled(&self, app: AppId) {
        let entry = self.apps.get(app);
        if let Some(entry) = entry {
            self.return_spare(&entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_once_an_hour_until_it_is_right() {
        let mut alarm = ClockAlarm::default();
        let at = |seconds: i64| Millis(seconds * 1_000);
        assert_eq!(alarm.hear(60_000, at(0)), None);
        assert_eq!(alarm.hear(60_001, at(1)), Some(ClockNews::Wrong));
        assert_eq!(alarm.hear(90_000, at(2)), None);
        assert_eq!(alarm.hear(90_000, at(3_601)), Some(ClockNews::Wrong));
        assert_eq!(alarm.hear(10, at(3_602)), Some(ClockNews::Right));
        assert_eq!(alarm.hear(10, at(3_603)), None);
        assert_eq!(alarm.hear(61_000, at(3_604)), Some(ClockNews::Wrong));
    }
}
