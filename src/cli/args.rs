//! Flags and verbs.

mod apps;
mod bill;
mod holds;
mod log;
mod objects;
mod operators;
mod security;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

pub(super) use apps::OwnLimit;
pub use apps::{Apps, AppsDeleteArgs, AppsGetArgs, AppsListArgs, AppsPutArgs};
pub use bill::{BillArgs, BillCorrectArgs, BillRunArgs, BillShowArgs, BillVerb, EstimateArgs};
pub use holds::{CancelArgs, ConfirmArgs, HoldsArgs};
pub use log::LogFilterArgs;
pub use objects::{ImportArgs, ObjectsVerb};
pub(super) use operators::AdminCommon;
pub use operators::{AuditArgs, Members, MembersListArgs, RecountArgs, RetireArgs};
pub use security::Security;

pub use watch::{SupportArgs, TopArgs};

use super::target::Target;
use crate::config::{Flags, duration};
use crate::grpc::proto;
use crate::quota::{AMOUNT_MAX, HoldTime};

/// The shortest and the longest that a client verb waits.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_hours(1));

/// Answers in memory whether an IM gateway may create an account, a group or an AV room.
#[derive(Parser)]
#[command(name = "imquota", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve until SIGTERM. A flag wins over the environment, the environment over the file
    Serve(ServeArgs),
    /// Say what a settings file means, or everything that is wrong with it
    CheckConfig(Box<CheckConfigArgs>),
    /// Show what a month costs, and why
    Bill(Box<BillArgs>),
    /// Ask a running server.
    #[command(flatten)]
    Ask(Ask),
    /// Show a sidecar at a glance: on a terminal again and again until Ctrl-C, else once
    Top(TopArgs),
    /// Write what somebody needs to see who is asked for help: settings without passwords, status, the log's end
    Support(SupportArgs),
    /// Write completions for a shell: source <(imquota completions bash)
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual: imquota man | man -l -
    Man {
        /// Write a page for each verb into this folder
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Show the program's version
    Version,
}

/// What a running server can be asked.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// Ask whether something may be created; if so, it is counted. Ends with 3 if it may not
    Check(CheckArgs),
    /// Tell that what was reserved exists now, so that it is counted
    Confirm(ConfirmArgs),
    /// Tell that what was reserved does not exist and will not, so that its places are free
    Cancel(CancelArgs),
    /// Tell that something was deleted or disbanded
    Release(ReleaseArgs),
    /// Tell which users logged in, for the daily active users
    RecordActive(RecordActiveArgs),
    /// Show an app's counts and limits
    Usage(UsageArgs),
    /// See [`BillArgs`].
    #[command(skip)]
    Bill(BillShowArgs),
    /// See [`BillArgs`].
    #[command(skip)]
    RunBills(BillRunArgs),
    /// See [`BillArgs`].
    #[command(skip)]
    CorrectDay(BillCorrectArgs),
    /// List, show, register, change or delete apps; for operators
    #[command(subcommand)]
    Apps(Apps),
    /// Set an app's count to what really exists; for operators
    Recount(RecountArgs),
    /// List an app's reservations that are neither confirmed nor ended; for operators
    Holds(HoldsArgs),
    /// Take in objects that existed before the app was asked for here; for operators
    #[command(subcommand)]
    Objects(ObjectsVerb),
    /// List the sidecars that share the ledger, or retire one; for operators
    #[command(subcommand)]
    Members(Members),
    /// Show what operators did; for operators
    Audit(AuditArgs),
    /// Say which log lines a running server writes, for a while; for operators
    LogFilter(LogFilterArgs),
}

/// What is said to all servers: where, how long, and how the answer is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner<'a> {
    pub target: &'a Target,
    pub json: bool,
    pub timeout: Duration,
    pub audience: Audience,
}

/// Whom a server serves at the address that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Gateways,
    Operators,
}

impl Ask {
    /// The flags that all of them take.
    pub(super) fn manner(&self) -> Manner<'_> {
        match self {
            Self::Check(args) => args.common.manner(),
            Self::Confirm(args) => args.common.manner(),
            Self::Cancel(args) => args.common.manner(),
            Self::Release(args) => args.common.manner(),
            Self::RecordActive(args) => args.common.manner(),
            Self::Usage(args) => args.common.manner(),
            Self::Bill(args) => args.common.manner(),
            Self::RunBills(args) => args.common.manner(),
            Self::Apps(Apps::List(args)) => args.common.manner(),
            Self::Apps(Apps::Get(args)) => args.common.manner(),
            Self::Apps(Apps::Put(args)) => args.common.manner(),
            Self::Apps(Apps::Delete(args)) => args.common.manner(),
            Self::CorrectDay(args) => args.common.manner(),
            Self::Recount(args) => args.common.manner(),
            Self::Holds(args) => args.common.manner(),
            Self::Objects(ObjectsVerb::Import(args)) => args.common.manner(),
            Self::Members(Members::List(args)) => args.common.manner(),
            Self::Members(Members::Retire(args)) => args.common.manner(),
            Self::Audit(args) => args.common.manner(),
            Self::LogFilter(args) => args.common.manner(),
        }
    }
}

/// The flags of `check-config`.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// The settings file
    pub(super) file: PathBuf,
    /// Look at the Redis that it names, too: whether a ledger can live there, and what weakens it
    #[arg(long, conflicts_with = "against")]
    pub probe: bool,
    /// A running server's --admin-listen: say what the file would change of its limits, prices and apps
    #[arg(long, value_name = "URL", value_parser = Target::parse_admin)]
    pub(super) against: Option<Target>,
    #[command(flatten)]
    pub(super) security: Security,
    /// The file with the token, as for the operators' verbs
    #[arg(long, value_name = "FILE", env = "IMQUOTA_TOKEN_FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// How long to wait for that server
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub(super) timeout: Duration,
}

/// The flags of `serve`. Their values are checked with the other settings, so that all faults are
/// told at once. No `Debug`: the store's URL may hold a password.
#[derive(Args)]
pub struct ServeArgs {
    /// The settings file [env: IMQUOTA_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to serve: 127.0.0.1:50051 or unix:/path; repeatable [env: IMQUOTA_LISTEN, with commas]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// The ledger: embedded, or redis://host:6379/0. Other users of the machine can read flags: give
    /// a URL with a password in the environment or the file [env: IMQUOTA_STORE]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The folder for the journal and the embedded ledger; made if its parent exists
    /// [env: IMQUOTA_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where to serve operators: 127.0.0.1:50052, for who has the token that is made in the data
    /// folder, or unix:/path, for this user and root; off by default [env: IMQUOTA_ADMIN_LISTEN]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// Where to serve /metrics, /livez and /readyz over plain HTTP, to whoever asks; off by default
    /// [env: IMQUOTA_HTTP_LISTEN]
    #[arg(long, value_name = "ADDR")]
    http_listen: Option<String>,
    /// This sidecar's name; the host's by default [env: IMQUOTA_MEMBER]
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// Serving cores; as many as the process may use by default [env: IMQUOTA_WORKERS]
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// text or json [env: IMQUOTA_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl From<ServeArgs> for Flags {
    fn from(args: ServeArgs) -> Self {
        Self {
            config: args.config,
            listen: args.listen,
            store: args.store,
            data_dir: args.data_dir,
            admin_listen: args.admin_listen,
            http_listen: args.http_listen,
            member: args.member,
            workers: args.workers,
            log_format: args.log_format,
        }
    }
}

/// What every client verb takes.
#[derive(Debug, Args)]
pub struct Common {
    /// The server: http://host:port, https://host:port or unix:/path
    #[arg(
        long,
        value_name = "URL",
        env = "IMQUOTA_ENDPOINT",
        default_value = super::target::DEFAULT,
        value_parser = Target::parse
    )]
    pub endpoint: Target,
    /// How the connection is encrypted.
    #[command(flatten)]
    pub security: Security,
    /// The file with a token that the server's `auth` names
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the reply as JSON, with the names of the contract
    #[arg(long)]
    pub json: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = timeout)]
    pub timeout: Duration,
}

impl Common {
    fn manner(&self) -> Manner<'_> {
        Manner {
            target: &self.endpoint,
            json: self.json,
            timeout: self.timeout,
            audience: Audience::Gateways,
        }
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let (min, max) = TIMEOUT;
    duration(text, min, max)
}

fn hold(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_millis(1), HoldTime::MAX)
}

/// What is counted.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Resource {
    /// A user account
    Account,
    /// A group of any kind but an AV room
    Group,
    /// An AV chat room, which also counts as a group
    AvRoom,
}

impl From<Resource> for proto::Resource {
    fn from(resource: Resource) -> Self {
        match resource {
            Resource::Account => Self::Account,
            Resource::Group => Self::Group,
            Resource::AvRoom => Self::AvRoom,
        }
    }
}

/// Objects of an app.
#[derive(Debug, Args)]
pub(super) struct Objects {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub app: u64,
    /// What is counted
    #[arg(long)]
    pub resource: Resource,
    /// How many, all or none
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(AMOUNT_MAX))
    )]
    pub amount: u32,
    /// An id under which a repetition is not counted again
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub request_id: String,
    /// The object itself, by the name that the gateway has for it: it counts once, whoever tells of it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub resource_id: String,
}

/// The flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub(super) objects: Objects,
    /// Judge as if it were counted, and count nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// It exists already: count it whatever it exceeds.
    #[arg(long, conflicts_with = "dry_run")]
    pub(super) exists: bool,
    /// Count nothing yet: hold the places under the request id until `confirm` or `cancel`
    #[arg(long, requires = "request_id", conflicts_with_all = ["dry_run", "exists"])]
    pub(super) reserve: bool,
    /// For how long, up to 10m; 30s by default. What is not confirmed or cancelled then is in doubt
    #[arg(long, value_name = "DURATION", requires = "reserve", value_parser = hold)]
    pub(super) hold: Option<Duration>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// The flags of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    pub(super) objects: Objects,
    #[command(flatten)]
    pub(super) common: Common,
}

/// The flags of `record-active`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("who").required(true).args(["user", "increment"]))]
pub struct RecordActiveArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) app: u64,
    /// A user who logged in; repeatable
    #[arg(long, value_name = "USER")]
    pub(super) user: Vec<String>,
    /// How many users logged in, for gateways that tell users apart themselves
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) increment: Option<u64>,
    /// When they logged in, as 2020-05-01T08:00:00+08:00; now by default
    #[arg(long, value_name = "TIME")]
    pub(super) at: Option<jiff::Timestamp>,
    /// An id under which a repetition is not counted again
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(super) request_id: String,
    #[command(flatten)]
    pub(super) common: Common,
}

/// The flags of `usage`.
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// The SDKAppID
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) app: u64,
    #[command(flatten)]
    pub(super) common: Common,
}
