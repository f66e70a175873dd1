//! The register of apps: one hash for all of the ledger, in the slot of its first shard.

use super::answer::{Answer, unexpected};
use super::beat::replicas_have_it;
use super::script::Step;
use super::{RedisStore, fault};
use crate::quota::{AppId, Registered};
use crate::store::register::{Row, word, write_spec};
use crate::store::{Entered, REGISTER_PAGE_MAX, RegisterPage, Registration, Shard, StoreFault};

/// What the script says became of a change.
const DONE: u64 = 1;
const ABSENT: u64 = 2;

impl RedisStore {
    fn register_step(&self, step: &mut Step) {
        let home = Shard::home();
        step.key(&self.keys.register(home))
            .key(&self.keys.register_order(home));
    }

    pub(super) async fn read_register(&self, since: u64) -> Result<RegisterPage, StoreFault> {
        let link = self.linked()?;
        let mut step = Step::default();
        self.register_step(&mut step);
        step.arg(since).arg(REGISTER_PAGE_MAX);
        let value = link.wire.run(&self.scripts.registered, &step).await?;
        let mut answer = Answer::new(value)?;
        let mut rows = Vec::new();
        while !answer.is_empty() {
            rows.push(Row::read(&answer.text()?)?);
        }
        Ok(RegisterPage::of(rows, since, REGISTER_PAGE_MAX))
    }

    pub(super) async fn state_register_all(&self, rows: &[Registered]) -> Result<(), StoreFault> {
        let link = self.linked_to_stay()?;
        let home = Shard::home();
        for some in rows.chunks(REGISTER_PAGE_MAX) {
            let mut step = self.step(&link, home)?;
            self.register_step(&mut step);
            for registered in some {
                let Registered {
                    app,
                    version,
                    life,
                    deleted,
                    ..
                } = registered;
                step.arg(app)
                    .arg(version)
                    .arg(u8::from(*deleted))
                    .arg(life)
                    .arg(word(&registered.by))
                    .arg(write_spec(&registered.spec));
            }
            self.run(&link, home, &self.scripts.state_register, step)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn forget_names_once(&self, app: AppId) -> Result<(), StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.names(app));
        let done = self.run(&link, shard, &self.scripts.forget_names, step);
        done.await.map(drop)
    }

    pub(super) async fn enter_once(&self, change: &Registration) -> Result<Entered, StoreFault> {
        let link = self.linked_to_stay()?;
        let home = Shard::home();
        let mut step = self.step(&link, home)?;
        self.register_step(&mut step);
        step.arg(change.app);
        match change.seen {
            Some(seen) => step.arg(seen),
            None => step.arg(""),
        };
        step.arg(change.spec.as_ref().map_or(String::new(), write_spec))
            .arg(word(&change.who))
            .arg(word(&change.why));
        let (_, mut answer) = self.run(&link, home, &self.scripts.register, step).await?;
        let (outcome, text) = (answer.count()?, answer.text()?);
        let row = (!text.is_empty()).then(|| Row::read(&text)).transpose()?;
        let registered = row.map(|row| row.registered);
        match (outcome, registered) {
            (DONE, Some(registered)) => {
                if !replicas_have_it(&link.wire, &self.keys.header(home)).await {
                    return Err(fault::unconfirmed());
                }
                Ok(Entered::Done(registered))
            }
            (DONE, None) => Err(unexpected()),
            (ABSENT, _) => Ok(Entered::Absent),
            (_, there) => Ok(Entered::Changed(there)),
        }
    }
}
