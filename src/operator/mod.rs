//! What operators do: setting a count to the truth, keeping the list of members true, and reading
//! what was done.
//!
//! The ledger does each step; here the steps are put in order, waited for and bounded. An operator
//! is told in one sentence what was done, or what to do first.

mod apps;
mod fault;
mod here;
mod members;
mod recount;
#[cfg(test)]
mod tests;
mod thaw;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

pub use apps::{APPS_PAGE_MAX, Managed};
pub use fault::Fault;
pub use here::Here;
pub use recount::{Counted, Order, RecountOrder};

use crate::clock::{Clock, Millis, Month};
use crate::invoice::{CorrectOrder, Corrected, Invoices, Page};
use crate::quota::AppId;
use crate::store::{
    AUDIT_TEXT_MAX, AuditEntry, Imports, MemberInfo, Operator, Reply, Retired, StoreFault,
};

/// The most operations at a time; each may wait for seconds, and none is urgent.
pub const OPERATIONS_MAX: usize = 8;
/// The longest that one step of the ledger is waited for. A store has bounds of its own, which are
/// shorter; this one is for a disk that hangs.
const STEP_MAX: Duration = Duration::from_secs(10);
/// The longest that a retirement is waited for: it goes through all apps of the member.
const RETIRE_MAX: Duration = Duration::from_mins(1);
/// How long a retirement waits for a recovery to end, which takes a lease's time where nobody else is missing; and how often
/// it looks.
const TOLD_MAX: Duration = Duration::from_secs(20);
const TOLD_POLL: Duration = Duration::from_secs(1);

/// Does what operators ask. Its clones share one bound on what is done at a time.
#[derive(Clone)]
pub struct Operations {
    store: Arc<dyn Operator>,
    here: Arc<dyn Here>,
    clock: Arc<Clock>,
    /// This sidecar's name, for the audit list.
    name: Arc<str>,
    places: Arc<Semaphore>,
}

impl Operations {
    /// Operations on `store`, by way of the sidecar `name`.
    pub fn new(
        store: Arc<dyn Operator>,
        here: Arc<dyn Here>,
        clock: Arc<Clock>,
        name: Arc<str>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(OPERATIONS_MAX));
        Self {
            store,
            here,
            clock,
            name,
            places,
        }
    }

    /// Now, by the ledger's clock as far as it is known.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The members of the ledger, by name and incarnation.
    ///
    /// # Errors
    /// [`Fault::Busy`], [`Fault::Away`].
    pub async fn members(&self) -> Result<Vec<MemberInfo>, Fault> {
        let _place = self.place()?;
        let mut members = self.step(self.store.members()).await?;
        members.sort_by(|a, b| (&a.name, a.incarnation).cmp(&(&b.name, b.incarnation)));
        Ok(members)
    }

    /// The newest audit entries first, of one app or of all; at most `most`.
    ///
    /// # Errors
    /// [`Fault::Busy`], [`Fault::Away`].
    pub async fn audit(&self, app: Option<AppId>, most: usize) -> Result<Vec<AuditEntry>, Fault> {
        let _place = self.place()?;
        self.step(self.store.audit(app, most)).await
    }

    /// Writes down that somebody took in objects of an app.
    ///
    /// # Errors
    /// [`Fault::Busy`], [`Fault::Away`]; the same import again is written down then, and counts nothing twice.
    pub async fn note_import(&self, imports: Imports) -> Result<(), Fault> {
        let _place = self.place()?;
        let who = self.signed(&imports.who);
        let imports = Imports { who, ..imports };
        self.step(self.store.note_import(&imports)).await
    }

    /// Retires the member of that name, or of that incarnation (16 hexadecimal digits). One that was
    /// alive a moment ago is waited for until its lease is over.
    ///
    /// # Errors
    /// [`Fault`]: it is not known, not the only one, alive, or gone; or the ledger is away, and then
    /// the retirement may be half done and goes on when it is asked for again.
    pub async fn retire(
        &self,
        member: &str,
        who: &str,
        why: &str,
    ) -> Result<(MemberInfo, Retired), Fault> {
        let _place = self.place()?;
        let found = self.wait_out(member).await?;
        let who = self.signed(who);
        let retired = self.retire_when_told(found.incarnation, &who, why);
        match timeout(RETIRE_MAX, retired).await {
            Ok(Ok(retired)) => Ok((found, retired)),
            Ok(Err(fault)) => Err(Fault::Unsure(fault.to_string())),
            Err(_) => Err(Fault::Unsure(format!("no answer within {RETIRE_MAX:?}"))),
        }
    }

    /// While sidecars restate, the first try has them wait no more for this one; the next one finds that they are done.
    async fn retire_when_told(
        &self,
        incarnation: u64,
        who: &str,
        why: &str,
    ) -> Result<Retired, StoreFault> {
        let since = Instant::now();
        loop {
            match self.store.retire(incarnation, who, why).await {
                Err(StoreFault::Frozen(_)) if since.elapsed() < TOLD_MAX => sleep(TOLD_POLL).await,
                done => return done,
            }
        }
    }

    /// Writes the bills of a month that is over, each once, of at most `most` apps whose ids are above `after`.
    ///
    /// # Errors
    /// [`Fault::Busy`], [`Fault::Bills`].
    pub async fn run_bills(
        &self,
        invoices: &Invoices,
        month: Month,
        (after, most): (Option<AppId>, usize),
        who: &str,
    ) -> Result<Page, Fault> {
        let _place = self.place()?;
        let who = self.signed(who);
        let page = invoices.run(&self.store, month, (after, most), &who);
        page.await.map_err(Fault::Bills)
    }

    /// Corrects a sealed day.
    ///
    /// # Errors
    /// [`Fault::Busy`], [`Fault::Bills`].
    pub async fn correct(
        &self,
        invoices: &Invoices,
        order: CorrectOrder,
    ) -> Result<Corrected, Fault> {
        let _place = self.place()?;
        let who = self.signed(&order.who);
        let order = CorrectOrder { who, ..order };
        let corrected = invoices.correct(&self.store, &order);
        corrected.await.map_err(Fault::Bills)
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.places.try_acquire().map_err(|_| Fault::Busy)
    }

    /// One step that has no effect, or whose effect is known from its repetition.
    async fn step<T>(&self, reply: Reply<'_, T>) -> Result<T, Fault> {
        bounded(reply)
            .await
            .map_err(|fault| Fault::Away(fault.to_string()))
    }

    /// Who acts, and by way of which sidecar, as the audit list has it.
    fn signed(&self, who: &str) -> Box<str> {
        let mut signed = format!("{who} at {}", self.name);
        while signed.len() > AUDIT_TEXT_MAX {
            signed.pop();
        }
        signed.into()
    }
}

/// Waits for a step of the ledger, but not for ever.
async fn bounded<T>(reply: Reply<'_, T>) -> Result<T, StoreFault> {
    let none = || StoreFault::Away(format!("no answer within {STEP_MAX:?}"));
    timeout(STEP_MAX, reply)
        .await
        .unwrap_or_else(|_| Err(none()))
}
