//! The apps that operators registered in the ledger: read anew each second, kept in the data folder, told again to a
//! ledger that forgot them.
//!
//! Of two registrations of one app the one with the higher version is true, whoever has it: so reading, keeping and
//! telling again need no order among each other.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::MissedTickBehavior;

use super::outlook::State;
use super::{Ledger, Standing};
use crate::quota::{AppId, Registered};
use crate::store::{REGISTER_PAGE_MAX, StoreFault};

/// How often the ledger is asked whether anything is new.
const LOOK: Duration = Duration::from_secs(1);

/// How far the register was read.
#[derive(Debug, Default)]
pub struct Reading {
    /// One reads at a time.
    place: Mutex<Place>,
}

/// A place in the register's order, which is good within one recovery.
#[derive(Debug, Default)]
struct Place {
    epoch: Option<u64>,
    since: u64,
}

/// Looks for news until it is dropped, which loses nothing.
pub async fn keep(ledger: &Ledger) {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if ledger.outlook.state() == State::Up
            && let Err(fault) = read(ledger).await
        {
            match fault {
                StoreFault::Unusable(_) => tracing::error!(%fault, "apps cannot be read"),
                fault => ledger.doubt(&fault),
            }
        }
    }
}

/// Reads what is new in the register, and lives by it. After a recovery all is read anew, and what the ledger lacks is
/// told again.
///
/// # Errors
/// [`StoreFault`]; to be asked again.
pub async fn read(ledger: &Ledger) -> Result<(), StoreFault> {
    let mut place = ledger.register.place.lock().await;
    let epoch = ledger.membership.word().epoch;
    let anew = place.epoch != Some(epoch);
    let mut since = if anew { 0 } else { place.since };
    let mut there: HashMap<AppId, u64> = HashMap::new();
    loop {
        let page = ledger.store.register(since).await?;
        since = page.next;
        if anew {
            there.extend(page.rows.iter().map(|row| (row.app, row.version)));
        }
        let more = page.more;
        take_in(ledger, page.rows).await?;
        if !more {
            break;
        }
    }
    if anew {
        let mine = ledger.rules.all_registered().into_iter();
        let lacking = mine.filter(|of| there.get(&of.app).is_none_or(|known| *known < of.version));
        let lacking: Vec<Registered> = lacking.map(|of| (*of).clone()).collect();
        for some in lacking.chunks(REGISTER_PAGE_MAX) {
            ledger.store.state_register(some).await?;
        }
        if !lacking.is_empty() {
            tracing::info!(
                apps = lacking.len(),
                "the ledger was told again of registered apps"
            );
        }
        ledger.heard_register().await?;
    }
    *place = Place {
        epoch: Some(epoch),
        since,
    };
    Ok(())
}

/// Lives by what is new among `rows`, and keeps it.
pub(super) async fn take_in(ledger: &Ledger, rows: Vec<Registered>) -> Result<(), StoreFault> {
    let news = rows.into_iter().filter(|row| {
        let known = ledger.rules.registered(row.app);
        known.is_none_or(|known| known.version < row.version)
    });
    let news: Vec<Registered> = news.collect();
    if news.is_empty() {
        return Ok(());
    }
    let (journal, kept) = (ledger.journal.clone(), news.clone());
    let keep = move || journal.keep_register(&kept);
    ledger.saving.run(keep).await.map_err(unkept)?;
    for row in news {
        let (app, version) = (row.app, row.version);
        let plan = row.spec.plan.clone();
        if !ledger.rules.learn(row) {
            continue;
        }
        match ledger.rules.of(app) {
            Standing::Unknown => {
                tracing::error!(%app, %plan, "is registered with a plan that this sidecar's settings lack: it is refused");
            }
            Standing::Known(_) | Standing::Deleted(_) => {
                tracing::info!(%app, version, "the app's registration changed");
            }
        }
        let entry = ledger.apps.get(app);
        match entry {
            Some(entry) => ledger.heed(&entry),
            None => ledger.apps.to_tell(std::iter::once(app)),
        }
    }
    Ok(())
}

fn unkept(why: impl std::fmt::Display) -> StoreFault {
    StoreFault::Away(format!("the registered apps cannot be kept: {why}"))
}

impl Ledger {
    /// Reads what is new in the register.
    ///
    /// # Errors
    /// [`StoreFault`].
    pub async fn read_register(&self) -> Result<(), StoreFault> {
        read(self).await
    }

    /// Lives by a registration that the ledger has just confirmed.
    ///
    /// # Errors
    /// [`StoreFault`]: it could not be kept here, and comes with the next look.
    pub async fn registered(&self, registered: Registered) -> Result<(), StoreFault> {
        take_in(self, vec![registered]).await
    }

    /// Takes note, for the next start as well, that the register was read whole.
    async fn heard_register(&self) -> Result<(), StoreFault> {
        if self.rules.is_heard() {
            return Ok(());
        }
        let journal = self.journal.clone();
        let keep = move || journal.heard_register();
        self.saving.run(keep).await.map_err(unkept)?;
        self.rules.heard();
        Ok(())
    }
}
