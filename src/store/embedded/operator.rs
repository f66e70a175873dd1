//! The operator's calls to a ledger of one member.

use std::future::ready;
use std::sync::Arc;

use super::EmbeddedStore;
use super::ledger::stranger;
use crate::clock::{Clock, Month};
use crate::quota::{AppId, Resource};
use crate::store::past;
use crate::store::{
    Amendment, AuditEntry, Entered, Freeze, Imports, MemberInfo, Operator, Recount, Recounted,
    Registration, Reply, Retired, Shard, Standing, StoreFault,
};

impl Operator for EmbeddedStore {
    fn freeze(&self, app: AppId, resource: Resource) -> Reply<'_, Freeze> {
        self.ledger.note_freeze();
        let frozen = self.step(Shard::of(app), |at, by| at.freeze(by, app, resource));
        Box::pin(ready(frozen))
    }

    fn awaited(&self, app: AppId, token: u64) -> Reply<'_, Vec<u64>> {
        let rests = self.step(Shard::of(app), |at, by| {
            let rests = at.rests(by, app, token)?;
            Ok(if rests { Vec::new() } else { vec![by.member] })
        });
        Box::pin(ready(rests))
    }

    fn unfreeze(&self, app: AppId, token: u64) -> Reply<'_, ()> {
        let done = self.step(Shard::of(app), |at, _| {
            at.unfreeze(app, token);
            Ok(())
        });
        Box::pin(ready(done))
    }

    fn recount<'a>(&'a self, recount: &'a Recount) -> Reply<'a, Recounted> {
        let (ledger, recount) = (Arc::clone(&self.ledger), recount.clone());
        let member = self.member.get().map(|member| member.incarnation);
        Box::pin(async move {
            let member = member.ok_or_else(stranger)?;
            // The disk may take its time; the runtime has other work. A caller that goes away does
            // not stop it half-way.
            let done = tokio::task::spawn_blocking(move || ledger.recount(member, &recount));
            done.await.unwrap_or_else(|stopped| {
                Err(StoreFault::Away(format!("the recount stopped: {stopped}")))
            })
        })
    }

    fn members(&self) -> Reply<'_, Vec<MemberInfo>> {
        let members = self.member.get().ok_or_else(stranger).map(|member| {
            vec![MemberInfo {
                incarnation: member.incarnation,
                name: (*member.name).into(),
                boot: member.boot,
                seen: Clock::system(),
                standing: Standing::Present,
            }]
        });
        Box::pin(ready(members))
    }

    fn retire<'a>(&'a self, _incarnation: u64, _who: &'a str, _why: &'a str) -> Reply<'a, Retired> {
        let words = "an embedded ledger has one member, which is the one that was asked";
        Box::pin(ready(Err(StoreFault::Unusable(words.into()))))
    }

    fn apps(&self) -> Reply<'_, Vec<AppId>> {
        let ledger = Arc::clone(&self.ledger);
        Box::pin(async move {
            let listed = tokio::task::spawn_blocking(move || ledger.apps());
            listed.await.unwrap_or_else(|stopped| {
                Err(StoreFault::Away(format!("the listing stopped: {stopped}")))
            })
        })
    }

    fn write_bill<'a>(
        &'a self,
        app: AppId,
        month: Month,
        bill: &'a str,
        who: &'a str,
    ) -> Reply<'a, (Box<str>, bool)> {
        let ledger = Arc::clone(&self.ledger);
        let (bill, who): (Box<str>, Box<str>) = (bill.into(), who.into());
        Box::pin(async move {
            past::check_bill(&bill)?;
            let work = move || ledger.write_bill((app, month), &bill, &who);
            let written = tokio::task::spawn_blocking(work);
            written.await.unwrap_or_else(|stopped| {
                Err(StoreFault::Away(format!("the writing stopped: {stopped}")))
            })
        })
    }

    fn forget_names(&self, app: AppId) -> Reply<'_, ()> {
        let done = self.step(Shard::of(app), |at, by| at.forget_names(by, app));
        Box::pin(ready(done))
    }

    fn enter<'a>(&'a self, change: &'a Registration) -> Reply<'a, Entered> {
        let (ledger, change) = (Arc::clone(&self.ledger), change.clone());
        Box::pin(async move {
            let entered = tokio::task::spawn_blocking(move || ledger.enter(&change));
            entered.await.unwrap_or_else(|stopped| {
                Err(StoreFault::Away(format!("the writing stopped: {stopped}")))
            })
        })
    }

    fn amend<'a>(&'a self, amendment: &'a Amendment) -> Reply<'a, bool> {
        let (ledger, amendment) = (Arc::clone(&self.ledger), amendment.clone());
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || ledger.amend(&amendment));
            done.await.unwrap_or_else(|stopped| {
                Err(StoreFault::Away(format!(
                    "the correction stopped: {stopped}"
                )))
            })
        })
    }

    fn note_import<'a>(&'a self, imports: &'a Imports) -> Reply<'a, ()> {
        let (ledger, imports) = (Arc::clone(&self.ledger), imports.clone());
        Box::pin(async move {
            let noted = tokio::task::spawn_blocking(move || ledger.note_import(&imports));
            noted.await.unwrap_or_else(|stopped| {
                Err(StoreFault::Away(format!("the writing stopped: {stopped}")))
            })
        })
    }

    fn audit(&self, app: Option<AppId>, most: usize) -> Reply<'_, Vec<AuditEntry>> {
        Box::pin(ready(self.ledger.audit(app, most)))
    }
}
