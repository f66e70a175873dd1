//! How a ledger begins: with the journal of the last run, and what that had yet to tell.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, mpsc, watch as signal};

use super::events::Events;
use super::holds::Holding;
use super::ids::Ids;
use super::journal::{Fault as JournalFault, Folder, Journal};
use super::lease::Lease;
use super::logins::{Asked, Logins};
use super::marks::Marks;
use super::membership::Membership;
use super::outlook::Outlook;
use super::owed::{Owed, OwedCopy};
use super::register::Reading;
use super::rules::Rules;
use super::save::Saving;
use super::too_late::Refused;
use super::{Ledger, watch};
use crate::clock::{Clock, Zone};
use crate::quota::{AppId, COUNTERS, Counter, IdPolicy, OutagePolicy, Rulebook};
use crate::store::{Member, Store};

/// What the ledger is put together from.
pub struct Parts {
    /// The process' clock.
    pub clock: Arc<Clock>,
    /// The billing zone.
    pub zone: Zone,
    /// Which rules each app lives under.
    pub rules: Rulebook,
    /// The shared ledger.
    pub store: Arc<dyn Store>,
    /// The member's name.
    pub member: Arc<str>,
    /// Where the journal's files are written.
    pub saving: Saving,
}

/// The tasks' ends of the ledger's queues; see [`Ledger::keep`].
#[derive(Debug)]
pub struct Queues {
    pub(super) asked: mpsc::Receiver<Asked>,
    pub(super) recalls: mpsc::Receiver<AppId>,
}

impl Ledger {
    /// Opens the journal in `folder` and takes up what the last run left.
    ///
    /// # Errors
    /// [`JournalFault`]; nothing is changed then.
    pub fn open(folder: Folder, parts: Parts) -> Result<(Self, Queues), JournalFault> {
        let Parts {
            clock,
            zone,
            rules,
            store,
            member,
            saving,
        } = parts;
        let (journal, left, unsettled) = Journal::open(folder, clock.now())?;
        let journal = Arc::new(journal);
        let saved = journal.ids().map_err(|why| journal.unreadable(why))?;
        let ids = Ids::new(IdPolicy::default(), &saved, &left.ids, clock.now());
        let standing = journal.standing().map_err(|why| journal.unreadable(why))?;
        let (registered, heard) = journal.register().map_err(|why| journal.unreadable(why))?;
        let identity = journal.identity();
        let (incarnation, boot) = (identity.incarnation, identity.boot);
        let member = Member {
            name: member,
            incarnation,
            boot,
            leaves: false,
        };
        let local = store.is_local();
        let owed = OwedCopy {
            takes: left.takes,
            releases: left.releases,
        };
        let owed = Arc::new(Owed::new(journal.clone(), clock.clone(), local, owed));
        let (logins, asked) = Logins::new(left.logins);
        let (recalls, wanted) = mpsc::channel(watch::RECALLS_MAX);
        let this = Self {
            outlook: Outlook::new(clock.clone()),
            clock,
            zone,
            rules: Rules::new(rules),
            store,
            member,
            journal,
            apps: Arc::default(),
            owed,
            logins,
            ids,
            lease: if local {
                Lease::for_ever()
            } else {
                Lease::default()
            },
            membership: Membership::new(standing),
            holding: Holding::default(),
            marks: Marks::default(),
            register: Reading::default(),
            events: Events::default(),
            too_late: Refused::default(),
            hurry: Notify::new(),
            recalls,
            installation: identity
                .installation
                .map_or_else(OnceLock::new, OnceLock::from),
            met: signal::Sender::new(false),
            saving,
            states_from: AtomicI64::new(0),
        };
        this.apps.to_tell(this.rules.file().apps.keys().copied());
        this.apps.to_tell(registered.iter().map(|of| of.app));
        for of in registered {
            this.rules.learn(of);
        }
        if heard {
            this.rules.heard();
        }
        for left in unsettled {
            let rules = this.rules.of(left.app).known();
            let guarded = |counter: &Counter| {
                left.beyond[counter.index()]
                    && rules
                        .as_ref()
                        .is_some_and(|rules| rules.limits.of(*counter).get().is_some())
            };
            if COUNTERS.iter().any(guarded) {
                this.take_up(left.app, |entry| this.apps.to_settle_soon(entry));
            } else {
                this.apps.to_meet(left.app);
            }
        }
        for app in this.owed.apps_that_gave() {
            this.take_up(app, |entry| this.apps.to_settle_soon(entry));
        }
        for login in this.logins.copy() {
            this.take_up(login.app, |entry| {
                entry.books().days.of(login.day).active_pending += 1;
            });
        }
        let recalls = wanted;
        Ok((this, Queues { asked, recalls }))
    }

    /// The same, going by `policy` while the ledger is away, and not by the default.
    #[must_use]
    pub fn under(mut self, policy: OutagePolicy) -> Self {
        self.outlook.go_by(policy);
        self
    }

    /// The same, remembering request ids as `policy` says, and not as by default.
    #[must_use]
    pub fn remembering(mut self, policy: IdPolicy) -> Self {
        self.ids.go_by(policy);
        self
    }
}
