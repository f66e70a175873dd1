//! Users who logged in: told to the ledger before they count as known, kept here while it is away.

use std::hash::Hasher;
use std::sync::Arc;

use super::{Active, Admission, Fault, Patience, Record, Silence, Source, Who};
use crate::clock::{Day, Millis};
use crate::ledger::{Entry, Incremented, Once, State};
use crate::quota::UserId;
use crate::store::{DAY_TAKES_MS, Fingerprint, Login};
use siphasher::sip::SipHasher24;

/// How far ahead of now an event may be, for clocks that differ.
const AHEAD_MS_MAX: u64 = 5 * 60 * 1000;

/// What an increment asks for, as a number.
fn increment_print(by: u64, at: Option<Millis>) -> Fingerprint {
    let mut hasher = SipHasher24::new();
    hasher.write(b"a");
    hasher.write(&by.to_le_bytes());
    hasher.write(&at.map_or(i64::MIN, |at| at.0).to_le_bytes());
    Fingerprint(hasher.finish())
}

impl Admission {
    /// Records users who logged in.
    ///
    /// # Errors
    /// [`Fault`]; nobody is recorded then.
    pub async fn record_active(
        &self,
        record: Record<'_>,
        patience: Patience,
    ) -> Result<Active, Fault> {
        let active = self.record_anyone(record, patience).await?;
        if !active.replayed {
            self.tally.newly_active(active.source, active.newly_active);
        }
        Ok(active)
    }

    async fn record_anyone(&self, record: Record<'_>, patience: Patience) -> Result<Active, Fault> {
        let entry = self
            .entry(record.app)?
            .ok_or(Fault::UnknownApp(record.app))?;
        self.not_expired(record.request_id.as_ref())?;
        let day = self.open_day(record.at)?;
        match record.who {
            Who::Increment(by) => {
                let print = increment_print(by, record.at);
                let id = record.request_id.as_ref();
                let once = id.map(|id| Once::new(record.app, id, print));
                self.learn_active(&entry, day, patience).await;
                let (day, replayed) = match self.ledger.increment(&entry, day, by, once)? {
                    Incremented::Now => (day, false),
                    Incremented::Before(day) => (day, true),
                    Incremented::Other => return Err(Fault::OtherContent),
                };
                Ok(Active {
                    newly_active: by,
                    daily_active: self.ledger.active(&entry, day),
                    day,
                    source: self.memory(),
                    replayed,
                })
            }
            Who::Users(users) => self.record_users(&entry, day, &users, patience).await,
        }
    }

    async fn record_users(
        &self,
        entry: &Arc<Entry>,
        day: Day,
        users: &[UserId<'_>],
        patience: Patience,
    ) -> Result<Active, Fault> {
        let unknown = self.unknown_logins(entry, day, users)?;
        if unknown.is_empty() {
            let (daily_active, source) = (self.ledger.active(entry, day), self.memory());
            return Ok(Active {
                newly_active: 0,
                daily_active,
                day,
                source,
                replayed: false,
            });
        }
        let open = self.ledger.open_logins(unknown)?;
        let mut told = Err(Silence::Store);
        if self.ledger.state() == State::Up {
            told = self
                .ask(
                    Box::pin(self.ledger.tell_logins(&open)),
                    self.budget(patience),
                )
                .await;
        }
        let (newly_active, source) = if let Ok(active) = told {
            open.done();
            let newly = active.iter().filter(|active| active.newly).count();
            (newly as u64, self.shared())
        } else {
            (open.wait(), Source::Degraded)
        };
        let daily_active = self.ledger.active(entry, day);
        Ok(Active {
            newly_active,
            daily_active,
            day,
            source,
            replayed: false,
        })
    }

    /// Learns once what the ledger has of a day: what follows is counted from memory on top of it.
    async fn learn_active(&self, entry: &Entry, day: Day, patience: Patience) {
        if self.ledger.state() != State::Up || self.ledger.knows_active(entry, day) {
            return;
        }
        let usage = self.ledger.store().usage(entry.app, day, self.ledger.now());
        if let Ok(usage) = self.ask(usage, self.budget(patience)).await {
            let (all, mine) = (usage.daily_active, usage.my_increment);
            self.ledger.learn_active(entry, day, all, mine);
        }
    }

    /// The users whom the ledger is not known to have, each once.
    fn unknown_logins(
        &self,
        entry: &Entry,
        day: Day,
        users: &[UserId<'_>],
    ) -> Result<Vec<Login>, Fault> {
        let mut unknown = Vec::new();
        for id in users {
            let user = self.ledger.user(*id).ok_or_else(|| {
                Fault::Away(
                    "the ledger has not been reached since the data folder was made; ask again"
                        .into(),
                )
            })?;
            let login = Login {
                app: entry.app,
                day,
                user,
            };
            if !self.ledger.knows(&login) {
                unknown.push(login);
            }
        }
        unknown.sort_unstable_by_key(|login| login.user);
        unknown.dedup();
        Ok(unknown)
    }

    /// The day that an event at `at` counts for.
    fn open_day(&self, at: Option<Millis>) -> Result<Day, Fault> {
        let now = self.ledger.now();
        let at = at.unwrap_or(now);
        if at.since(now) > AHEAD_MS_MAX {
            let problem = "is more than 5 minutes ahead of now; check the gateway's clock".into();
            return Err(Fault::Invalid {
                field: "at",
                problem,
            });
        }
        let day = self.ledger.zone().day(at);
        let end = self.ledger.zone().start_of(day.next());
        if now > end.plus(DAY_TAKES_MS) {
            Err(Fault::DaySealed(day))
        } else {
            Ok(day)
        }
    }
}
