//! A sidecar: the real ledger and admission on a machine of its own, with its journal in a folder that
//! outlives its process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use imquota::admission::Admission;
use imquota::clock::{Clock, Zone};
use imquota::ledger::{Folder, Ledger, Parts, Saving};
use imquota::quota::Rulebook;
use imquota::store::StoreFault;
use imquota::store::redis::{Create, RedisOptions, RedisStore};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::auditor::{Auditor, Member};
use crate::machine::Dial;
use crate::network::{Cable, Plug};

/// As the program has them.
const FIRST_MEETING_MAX: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_millis(500);
/// Small, so that a run turns many over.
const SEGMENT_BYTES: usize = 64 * 1024;
/// How often it is looked at whether all calls are answered.
const DRAIN_POLL: Duration = Duration::from_millis(5);
/// How long a write to the disk takes.
const DISK: Duration = Duration::from_millis(10);

/// What all sidecars of a run share.
pub struct Common {
    pub root: PathBuf,
    pub zone: Zone,
    pub rules: Rulebook,
    pub prefix: String,
    pub auditor: Arc<Auditor>,
    /// A real server: it is reached without a cable, and time is the machine's own.
    pub url: Option<String>,
}

pub struct Sidecar {
    pub number: usize,
    pub cable: Arc<Cable>,
    pub dial: Arc<Dial>,
    common: Arc<Common>,
    process: Mutex<Option<Process>>,
    serving: Arc<Mutex<Option<Serving>>>,
    /// Which process runs, and in which folder: counts up with each kill.
    life: watch::Sender<u64>,
    journal: Mutex<u64>,
}

/// What gateways reach.
#[derive(Clone)]
pub struct Serving {
    pub ledger: Arc<Ledger>,
    pub admission: Arc<Admission>,
    pub member: Member,
}

impl Serving {
    /// The day of what it is asked at this moment.
    pub fn today(&self) -> i32 {
        self.ledger.zone().day(self.ledger.now()).number()
    }
}

struct Process {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
    done: watch::Receiver<bool>,
    ledger: Weak<Ledger>,
}

impl Sidecar {
    pub fn new(number: usize, common: Arc<Common>, cable: Arc<Cable>, dial: Arc<Dial>) -> Self {
        Self {
            number,
            cable,
            dial,
            common,
            process: Mutex::default(),
            serving: Arc::default(),
            life: watch::Sender::new(0),
            journal: Mutex::new(0),
        }
    }

    /// What gateways reach, if it runs.
    pub fn serving(&self) -> Option<Serving> {
        lock(&self.serving).clone()
    }

    /// Changes when the process is killed.
    pub fn life(&self) -> watch::Receiver<u64> {
        self.life.subscribe()
    }

    pub fn is_running(&self) -> bool {
        lock(&self.process).is_some()
    }

    /// The member that its journal is.
    pub fn member(&self) -> Member {
        (self.number, *lock(&self.journal))
    }

    fn folder(&self) -> PathBuf {
        let (number, journal) = self.member();
        let life = *self.life.borrow();
        self.common.root.join(format!("{number}-{journal}-{life}"))
    }

    /// Starts a process on what the last one left.
    pub fn start(&self) {
        if self.is_running() {
            return;
        }
        let folder = self.folder();
        let folder = Folder::lock(&folder).expect("it is ours alone");
        let folder = folder.with_segments_of(SEGMENT_BYTES);
        let clock = Arc::new(Clock::of(self.dial.clone()));
        let url = self.common.url.clone();
        let url = url.unwrap_or("redis://simulated".into());
        let (prefix, zone) = (self.common.prefix.clone(), self.common.zone.clone());
        let options = RedisOptions {
            response_timeout: WAIT,
            ..RedisOptions::new(url, prefix, zone, Create::Auto)
        };
        let (store, saving) = if self.common.url.is_some() {
            (RedisStore::new(options, clock.clone()), Saving::Beside)
        } else {
            let plug = Arc::new(Plug(self.cable.clone()));
            let store = RedisStore::over(plug, options, clock.clone());
            (store, Saving::Within(DISK))
        };
        let store = store.expect("good options");
        let parts = Parts {
            clock,
            zone: self.common.zone.clone(),
            rules: self.common.rules.clone(),
            store: Arc::new(store),
            member: format!("sidecar-{}", self.number).into(),
            saving,
        };
        let opened = Ledger::open(folder, parts);
        let (ledger, mut queues) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                self.common
                    .auditor
                    .fault(format!("sidecar {}: {fault}", self.number));
                return;
            }
        };
        let ledger = Arc::new(ledger);
        let weak = Arc::downgrade(&ledger);
        let (stop, stopping) = watch::channel(false);
        let (say_done, done) = watch::channel(false);
        let serving = self.serving.clone();
        let (auditor, member) = (self.common.auditor.clone(), self.member());
        let task = tokio::spawn(async move {
            match timeout(FIRST_MEETING_MAX, ledger.meet()).await {
                Ok(Err(fault @ StoreFault::Unusable(_))) => {
                    return auditor.fault(format!("sidecar {}: {fault}", member.0));
                }
                Ok(Err(fault)) => ledger.goes_on_without(&fault),
                Ok(Ok(())) | Err(_) => {}
            }
            let admission = Arc::new(Admission::new(ledger.clone(), WAIT));
            if !*stopping.borrow() {
                *lock(&serving) = Some(Serving {
                    ledger: ledger.clone(),
                    admission,
                    member,
                });
            }
            ledger.keep(&mut queues, &stopping).await;
            // Only a stop in good order gets here.
            *lock(&serving) = None;
            drop(timeout(Duration::from_secs(3), ledger.settle_rest()).await);
            ledger.close().await;
            drop(ledger);
            say_done.send_replace(true);
        });
        *lock(&self.process) = Some(Process {
            task,
            stop,
            done,
            ledger: weak,
        });
    }

    /// Ends the process at once, between two of its instructions: the folder is as it was at that
    /// moment, whatever the process' own remains still do. `lose`: the folder is gone as well.
    pub fn kill(&self, lose: bool) {
        let Some(process) = lock(&self.process).take() else {
            return;
        };
        let old = self.folder();
        let member = self.member();
        self.life.send_modify(|life| *life += 1);
        if lose {
            *lock(&self.journal) += 1;
            self.common.auditor.journal_lost(member);
        } else {
            copy(&old, &self.folder());
        }
        process.task.abort();
        *lock(&self.serving) = None;
    }

    /// Ends the process in good order, as the program does: no new calls, those under way are answered,
    /// the tasks end, the ledger is told the rest. Returns early if it is killed meanwhile.
    pub async fn stop(&self) {
        let mut life = self.life();
        let Some((stop, mut done, ledger)) = self.ways_to_stop() else {
            return;
        };
        *lock(&self.serving) = None;
        let drained = async {
            // The tasks alone hold on to it.
            while ledger.strong_count() > 1 {
                sleep(DRAIN_POLL).await;
            }
            stop.send_replace(true);
            done.wait_for(|done| *done).await.is_ok()
        };
        tokio::select! {
            biased;
            _ = life.changed() => {}
            ended = drained => {
                drop(lock(&self.process).take());
                if !ended {
                    self.common.auditor.fault(format!("sidecar {} died", self.number));
                }
            }
        }
    }

    fn ways_to_stop(&self) -> Option<(watch::Sender<bool>, watch::Receiver<bool>, Weak<Ledger>)> {
        let process = lock(&self.process);
        let process = process.as_ref()?;
        Some((
            process.stop.clone(),
            process.done.clone(),
            process.ledger.clone(),
        ))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("never poisoned")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("there is room");
    }
}
