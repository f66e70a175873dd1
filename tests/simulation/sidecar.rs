//! A sidecar: the real ledger and admission on a machine of its own, with its journal in a folder that
//! outlives its process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use imquota::admission::Admission;
use imquota::clock::{Clock, Zone};
use imquota::config::{RedisUrl, Topology};
use imquota::ledger::{Folder, Ledger, Parts, Queues, Saving};
use imquota::quota::Rulebook;
use imquota::store::redis::{Create, RedisOptions, RedisStore};
use imquota::store::{Operator, StoreFault};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::auditor::{Auditor, Member};
use crate::machine::Dial;
use crate::network::{Cable, Plug};
use crate::signs::Sign;

/// As the program has them.
const FIRST_MEETING_MAX: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_millis(500);
const CLOSE_MAX: Duration = Duration::from_secs(3);
/// Small, so that a run turns many over.
const SEGMENT_BYTES: usize = 64 * 1024;
/// Shorter than the program's, so that runs need not last for minutes; both are longer than a lease.
const SILENCE_MS: u64 = 8_000;
const PATIENCE_MS: u64 = 12_000;
/// How long until a process that cannot use the ledger is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
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
    /// A mistake: answers go out before the journal has them.
    pub late_journal: bool,
}

pub struct Sidecar {
    pub number: usize,
    pub cable: Arc<Cable>,
    pub dial: Arc<Dial>,
    common: Arc<Common>,
    process: Mutex<Option<Process>>,
    serving: Arc<Mutex<Option<Serving>>>,
    /// Which process runs, and in which folder: counts up with each kill.
    life: Sign,
    /// Whether the process is stopped by a signal: it does nothing, and then goes on.
    halted: Arc<Sign>,
    journal: Mutex<Past>,
}

/// What a sidecar's journal has been.
#[derive(Debug, Default)]
struct Past {
    /// How many were lost before it.
    number: u64,
    /// The member that the newest process is, or was.
    incarnation: u64,
    /// All members that this journal and its lost predecessors were.
    members: Vec<u64>,
    /// Those of them whose journal is lost.
    lost: Vec<u64>,
    /// How many processes there were.
    processes: u64,
    /// The newest member that has met the ledger.
    met: Option<u64>,
}

/// What gateways reach.
#[derive(Clone)]
pub struct Serving {
    pub ledger: Arc<Ledger>,
    pub admission: Arc<Admission>,
    pub operator: Arc<dyn Operator>,
    pub member: Member,
    /// Which process of its sidecar it is.
    pub process: u64,
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
            life: Sign::default(),
            halted: Arc::default(),
            journal: Mutex::default(),
        }
    }

    /// What gateways reach, if it runs.
    pub fn serving(&self) -> Option<Serving> {
        lock(&self.serving).clone()
    }

    /// How many processes were killed.
    pub fn life(&self) -> u64 {
        self.life.get()
    }

    /// Ends when the process of that life is killed.
    pub async fn killed(&self, life: u64) {
        self.life.until(|now| now != life).await;
    }

    pub fn is_running(&self) -> bool {
        lock(&self.process).is_some()
    }

    /// The member that its newest process is, or was.
    pub fn member(&self) -> Member {
        (self.number, lock(&self.journal).incarnation)
    }

    /// Members that it was, and whose journal is lost.
    pub fn lost(&self) -> Vec<u64> {
        lock(&self.journal).lost.clone()
    }

    /// Whether a process of it has met the ledger.
    pub fn has_met(&self) -> bool {
        let ledger = lock(&self.process)
            .as_ref()
            .and_then(|process| process.ledger.upgrade());
        let mut past = lock(&self.journal);
        if ledger.is_some_and(|ledger| *ledger.met().borrow()) {
            past.met = Some(past.incarnation);
        }
        past.met.is_some()
    }

    /// Whether the member that it is knows the ledger, and so can tell it again.
    pub fn knows(&self) -> bool {
        self.has_met();
        let past = lock(&self.journal);
        past.met == Some(past.incarnation)
    }

    /// Stops the process as a signal does, or has it go on.
    pub fn halt(&self, halted: bool) {
        self.halted.set(halted.into());
    }

    /// Work of the process: while that is halted, nothing of it is done.
    pub async fn running<T>(&self, work: impl Future<Output = T>) -> T {
        unless_halted(&self.halted, work).await
    }

    fn folder(&self) -> PathBuf {
        let (number, journal) = (self.number, lock(&self.journal).number);
        let life = self.life();
        self.common.root.join(format!("{number}-{journal}-{life}"))
    }

    /// A call is about to be answered. Where answers go out before the journal has them, a kill finds the folder as it is
    /// now.
    pub fn answers(&self) {
        if self.common.late_journal && self.is_running() {
            let late = self.folder().with_extension("late");
            std::fs::remove_dir_all(&late).ok();
            copy(&self.folder(), &late);
        }
    }

    fn store(&self, clock: &Arc<Clock>) -> (Arc<RedisStore>, Saving) {
        let url = self.common.url.clone();
        let url = url.unwrap_or("redis://simulated".into());
        let url = Topology::Single(RedisUrl::parse(&url).expect("a URL"));
        let (prefix, zone) = (self.common.prefix.clone(), self.common.zone.clone());
        // As operators set it once there is a ledger: a new sidecar takes an emptied one for new.
        let create = if self.has_met() {
            Create::Never
        } else {
            Create::Auto
        };
        let mut options = RedisOptions {
            response_timeout: WAIT,
            ..RedisOptions::new(url, prefix, zone, create)
        };
        options.pace.silence = SILENCE_MS;
        options.pace.patience = PATIENCE_MS;
        let (store, saving) = if self.common.url.is_some() {
            (RedisStore::new(options, clock.clone()), Saving::Beside)
        } else {
            let plug = Arc::new(Plug(self.cable.clone()));
            let store = RedisStore::over(plug, options, clock.clone());
            (store, Saving::Within(DISK))
        };
        (Arc::new(store.expect("good options")), saving)
    }

    /// Starts a process on what the last one left.
    pub fn start(self: &Arc<Self>) {
        if self.is_running() {
            return;
        }
        let folder = self.folder();
        let folder = Folder::lock(&folder).expect("it is ours alone");
        let folder = folder.with_segments_of(SEGMENT_BYTES);
        let clock = Arc::new(Clock::of(self.dial.clone()));
        let (store, saving) = self.store(&clock);
        let parts = Parts {
            clock,
            zone: self.common.zone.clone(),
            rules: self.common.rules.clone(),
            store: store.clone(),
            member: format!("sidecar-{}", self.number).into(),
            saving,
        };
        let opened = Ledger::open(folder, parts);
        let (ledger, queues) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                self.common
                    .auditor
                    .fault(format!("sidecar {}: {fault}", self.number));
                return;
            }
        };
        {
            let mut past = lock(&self.journal);
            past.incarnation = ledger.member().incarnation;
            past.processes += 1;
            let incarnation = past.incarnation;
            if !past.members.contains(&incarnation) {
                if let Some(before) = past.members.last() {
                    self.common.auditor.replaced((self.number, *before));
                }
                past.members.push(incarnation);
            }
        }
        self.halt(false);
        let ledger = Arc::new(ledger);
        let weak = Arc::downgrade(&ledger);
        let (stop, stopping) = watch::channel(false);
        let (say_done, done) = watch::channel(false);
        let life = Life {
            sidecar: self.clone(),
            ledger,
            queues,
            stopping,
            say_done,
        };
        let halted = self.halted.clone();
        let task =
            tokio::spawn(async move { unless_halted(&halted, Box::pin(life.lead(store))).await });
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
        self.has_met();
        let Some(process) = lock(&self.process).take() else {
            return;
        };
        let old = self.folder();
        let member = self.member();
        self.process_ended();
        self.life.set(self.life() + 1);
        self.halt(false);
        if lose {
            let mut past = lock(&self.journal);
            past.number += 1;
            let members = past.members.clone();
            past.lost = members;
            drop(past);
            self.common.auditor.journal_lost(member);
        } else {
            let late = old.with_extension("late");
            copy(if late.exists() { &late } else { &old }, &self.folder());
        }
        process.task.abort();
        *lock(&self.serving) = None;
    }

    /// Ends the process in good order, as the program does: no new calls, those under way are answered,
    /// the tasks end, the ledger is told the rest. Returns early if it is killed meanwhile.
    pub async fn stop(&self) {
        let life = self.life();
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
            () = self.killed(life) => {}
            ended = drained => {
                drop(lock(&self.process).take());
                self.process_ended();
                if !ended {
                    self.common.auditor.fault(format!("sidecar {} died", self.number));
                }
            }
        }
    }

    fn process_ended(&self) {
        let process = (self.number, lock(&self.journal).processes);
        self.common.auditor.process_ended(process);
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

/// One process.
struct Life {
    sidecar: Arc<Sidecar>,
    ledger: Arc<Ledger>,
    queues: Queues,
    stopping: watch::Receiver<bool>,
    say_done: watch::Sender<bool>,
}

impl Life {
    /// As the program does it, from the first meeting to the last checkpoint.
    async fn lead(self, store: Arc<RedisStore>) {
        let Self {
            sidecar,
            ledger,
            mut queues,
            stopping,
            say_done,
        } = self;
        loop {
            match timeout(FIRST_MEETING_MAX, ledger.meet()).await {
                Ok(Err(fault @ StoreFault::Unusable(_))) if !*stopping.borrow() => {
                    if !sidecar.common.auditor.ledger_may_be_gone() {
                        let number = sidecar.number;
                        sidecar
                            .common
                            .auditor
                            .fault(format!("sidecar {number}: {fault}"));
                    }
                    // It ends, and whoever minds it starts it again.
                    sleep(RESTART_PAUSE).await;
                    continue;
                }
                Ok(Err(fault)) => ledger.goes_on_without(&fault),
                Ok(Ok(())) | Err(_) => {}
            }
            break;
        }
        let admission = Arc::new(Admission::new(ledger.clone(), WAIT));
        if !*stopping.borrow() {
            *lock(&sidecar.serving) = Some(Serving {
                ledger: ledger.clone(),
                admission,
                operator: store,
                member: sidecar.member(),
                process: lock(&sidecar.journal).processes,
            });
        }
        ledger.keep(&mut queues, &stopping).await;
        // Only a stop in good order gets here.
        *lock(&sidecar.serving) = None;
        drop(timeout(CLOSE_MAX, ledger.part()).await);
        ledger.close().await;
        say_done.send_replace(true);
    }
}

/// Does `work`, but nothing of it while `halted` is true.
async fn unless_halted<T>(halted: &Sign, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        halted.until(|halted| halted == 0).await;
        tokio::select! {
            biased;
            () = halted.until(|halted| halted != 0) => {}
            done = &mut work => return done,
        }
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
